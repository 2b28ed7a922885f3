"""The locks have the hashes of all that is installed, and an image takes what it needs from them."""

import json
import re
from pathlib import Path

import pytest

from deployments.locked import check, renewed, wanted

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENTRY = re.compile(r"^([\w.-]+)==([^\s;]+)([^\n]*(?:\n    [^\n]*)*)\n", re.MULTILINE)
A, B, C = ("--hash=sha256:" + letter * 64 for letter in "abc")


def entries(lock: str) -> dict[str, tuple[str, str]]:
    return {re.sub(r"[-_.]+", "-", name).lower(): (version, rest) for name, version, rest in ENTRY.findall(lock)}


def test_everything_of_the_constraints_is_in_the_lock_in_its_version_with_a_hash() -> None:
    constraints = re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    locked = entries(LOCK)

    assert len(constraints) > 200
    for name, version in constraints:
        assert locked[re.sub(r"[-_.]+", "-", name).lower()][0] == version
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", rest) for _, rest in entries(text).values())
        assert not re.findall(r"^[^#\s][^=]*@|^--", text, re.MULTILINE), "an address would be another way to a package"


def test_torch_has_the_hashes_of_both_builds() -> None:
    assert LOCK.count("\ntorch==") == 1
    hashes = re.findall(r"sha256:(\w+)", entries(LOCK)["torch"][1])
    # The first file of each for Python 3.11 on x86_64: of the package index, and of PyTorch's index for processors.
    assert "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b" in hashes
    assert len(hashes) == len(set(hashes)) > 6


def test_what_an_extra_adds_is_wanted_and_one_that_there_is_not_is_named() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert any(line.startswith("psycopg") for line in wanted(project, "local, postgres"))
    assert not any(line.startswith("psycopg") for line in wanted(project, ""))
    with pytest.raises(SystemExit, match="has no extra postgresql; it has local"):
        wanted(project, "postgresql")


def test_a_file_that_is_in_no_lock_is_refused() -> None:
    def report(name: str, sha256: str) -> str:
        file = {"archive_info": {"hashes": {"sha256": sha256}}}
        return json.dumps({"install": [{"metadata": {"name": name, "version": "1"}, "download_info": file}]})

    assert check(report("Some_Package", "a" * 64), f"some-package==1 \\\n    {A} \\\n    {B}\n") == 1
    for name, sha256 in (("some-package", "c" * 64), ("some-package", ""), ("evil", "a" * 64)):
        with pytest.raises(SystemExit, match=rf"not in requirements.lock or .*: {name} 1; renew them with `make lock`"):
            check(report(name, sha256), f"some-package==1 \\\n    {A} \\\n    {B}\n")


def test_the_hashes_of_pytorchs_own_index_are_kept_as_long_as_torch_stays() -> None:
    before = f"torch==1.0 \\\n    {A} \\\n    {C}\n"
    stores = {"requirements-cuda.lock": "", "requirements-stores.lock": f"torch==1.0 \\\n    {A}\n"}

    same = renewed({"requirements.lock": f"torch==1.0 \\\n    {A} \\\n    {B}\n"} | stores, before)
    newer = renewed({"requirements.lock": f"torch==2.0 \\\n    {B}\n"} | stores, before)

    assert same["requirements.lock"].endswith(f"torch==1.0 \\\n    {A} \\\n    {B} \\\n    {C}\n")
    assert newer["requirements.lock"].endswith(f"torch==2.0 \\\n    {B}\n")
    assert "torch" not in same["requirements-stores.lock"].lower()
