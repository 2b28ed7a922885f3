"""What an image installs of the project's requirements, held against the hashes of requirements.lock.

    python deployments/locked.py wanted local,postgres > wanted.txt       the requirements of pyproject.toml
    pip install --only-binary :all: --report installed.json ... --requirement wanted.txt
    python deployments/locked.py check installed.json                     fails unless the locks have each file
    python deployments/locked.py renew FOLDER                             the locks, of what uv has written there

Wheels run nothing while they are installed, so it is early enough to look at them afterwards. It imports
nothing but the standard library: it runs before anything is installed.
"""

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

_LOCKS = {
    "requirements.lock": """\
# What constraints.txt names, what builds the project, and async-timeout for Python before 3.11.3, with the SHA-256 of
# each file that the package index has: for images and CI, which take nothing else. Torch has the hashes of both builds,
# the package index's and, last, those of PyTorch's own index for processors: Python 3.11, 3.12, 3.13 on x86_64, then on
# aarch64. Renewed by `make lock`.
""",
    "requirements-cuda.lock": """\
# What the package index's torch needs on Linux, and the build for processors does not. Renewed by `make lock`.
""",
    "requirements-stores.lock": """\
# What the extras gcs and azure need beside requirements.lock. Renewed by `make lock`.
""",
}
_FIRST = "requirements.lock"
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)[^\n]*(?:\n    [^\n]*)*\n", re.MULTILINE)
_BACKEND = ("hatchling", "editables")


def wanted(project: str, extras: str) -> list[str]:
    """Return the requirements of a pyproject.toml and its build, with those of some extras, with commas between them.

    Raises:
        SystemExit: If it has no such extra.
    """
    settings = tomllib.loads(project)["project"]
    offered = settings["optional-dependencies"]
    names = [name.strip() for name in extras.split(",") if name.strip()]
    if unknown := [name for name in names if name not in offered]:
        sys.exit(f"pyproject.toml has no extra {', '.join(unknown)}; it has {', '.join(offered)}")
    return [*_BACKEND, *settings["dependencies"], *(one for name in names for one in offered[name])]


def check(report: str, locks: str) -> int:
    """Hold the files that pip has installed against the hashes of the locks; returns how many they are.

    Raises:
        SystemExit: If a file is in no lock.
    """
    entries = _entries(locks)
    installed = json.loads(report)["install"]
    foreign = []
    for one in installed:
        archive = one["download_info"].get("archive_info", {})
        sha256 = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").removeprefix("sha256=")
        entry = entries.get(_plain(one["metadata"]["name"]))
        if not entry or not sha256 or f"--hash=sha256:{sha256}" not in entry[0].replace("\\", " ").split():
            foreign.append(f"{one['metadata']['name']} {one['metadata']['version']}")
    if foreign:
        sys.exit(f"not in {' or '.join(_LOCKS)}: {', '.join(sorted(foreign))}; renew them with `make lock`")
    return len(installed)


def renewed(of_uv: Mapping[str, str], before: str) -> dict[str, str]:
    """Return the new text of each lock.

    Args:
        of_uv: What uv has written for each lock; a package stands in the first one that has it.
        before: The lock so far. Its hashes of torch that the package index does not have, those of PyTorch's own index,
            are kept as long as torch has the same version.
    """
    texts, known = {}, set[str]()
    for lock, text in of_uv.items():
        entries = _entries(text)
        new = sorted(entries.keys() - known)
        known |= entries.keys()
        texts[lock] = _LOCKS[lock] + "".join(entries[name][0] for name in new)
    old, torch = (
        {_plain(found[1]): found for found in _ENTRY.finditer(text)}["torch"] for text in (before, texts[_FIRST])
    )
    if old[2] == torch[2]:
        kept = [line.rstrip(" \\") for line in old[0].splitlines()[1:] if line.split()[0] not in torch[0]]
        texts[_FIRST] = texts[_FIRST].replace(torch[0], " \\\n".join([torch[0].rstrip("\n"), *kept]) + "\n")
    return texts


def _entries(lock: str) -> dict[str, re.Match[str]]:
    return {_plain(found[1]): found for found in _ENTRY.finditer(lock)}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print what the command asks for."""
    match sys.argv[1:]:
        case ["wanted", extras]:
            print("\n".join(wanted(Path("pyproject.toml").read_text(encoding="utf-8"), extras)))
        case ["check", report]:
            locks = "".join(Path(name).read_text(encoding="utf-8") for name in _LOCKS)
            print(check(Path(report).read_text(encoding="utf-8"), locks), "files are those of the locks")
        case ["renew", folder]:
            of_uv = {lock: (Path(folder) / lock).read_text(encoding="utf-8") for lock in _LOCKS}
            for lock, text in renewed(of_uv, Path(_FIRST).read_text(encoding="utf-8")).items():
                Path(lock).write_text(text, encoding="utf-8")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
