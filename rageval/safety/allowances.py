"""What a run may use that somebody started through Prefect's API: the allow list of the worker that runs it.

Whoever reaches that API chooses every parameter of a run, so a parameter is no reason to read a variable, ask a server,
read a file, write to a folder or load a module: the worker's own environment has to name it. What a later setting can
make a run use, such as a command or a template, is to be checked here, too, and is refused unless it is named. A run
that is started by hand in a shell may use whatever its user may.
"""

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rageval.errors import ConfigError
from rageval.safety.credentials import names_credential
from rageval.safety.urls import is_within, shown

OPENAI_URL = "https://api.openai.com/v1"
EMBEDDED_MODEL = "all-MiniLM-L6-v2"
"""The embedding model that comes with the installation."""
VARIABLES, ENDPOINTS = "RAGEVAL_ALLOW_VARIABLES", "RAGEVAL_ALLOW_ENDPOINTS"
OUTPUTS, FILES, MODULES = "RAGEVAL_ALLOW_OUTPUTS", "RAGEVAL_ALLOW_FILES", "RAGEVAL_ALLOW_MODULES"
INDEXES = "RAGEVAL_ALLOW_INDEXES"
HEADERS, KEY_FILES = "RAGEVAL_ALLOW_HEADERS", "RAGEVAL_ALLOW_KEY_FILES"
COMMANDS = "RAGEVAL_ALLOW_COMMANDS"
_STARTED_BY_PREFECT = "PREFECT__FLOW_RUN_ID"
"""Whatever starts a run's process for Prefect sets it, and the process finds its run by it."""
_FOLDERS = ("data", "examples", "deployments")
_RUNS = "runs"
_KEY = re.compile(r"[A-Z0-9_]+_API_KEY")
_OURS = re.compile(r"(ELASTICSEARCH|RAGEVAL|MONITORING|PREFECT|POSTGRES|GRAFANA)_.*|ALERT_WEBHOOK_URL")
"""Credentials of the services beside a run: no model's endpoint has any use for them."""
_followed: "Allowances | None" = None
_own_endpoints: set[str] = set()


@dataclass(frozen=True, kw_only=True)
class Allowances:
    """What the runs of a worker may use."""

    variables: tuple[str, ...]
    """Names, beside all that end in `_API_KEY`."""
    endpoints: tuple[str, ...]
    """Of models, and of schedulers of clusters; with all paths below each."""
    outputs: tuple[str, ...]
    """Folders and URLs, with all that lies below."""
    files: tuple[str, ...]
    """Folders, files and URLs that may be read, with all that lies below."""
    modules: tuple[str, ...]
    """Embedding models by name, for what they load can hold code; functions, and the folders that these are in."""
    indexes: tuple[str, ...]
    """Of Elasticsearch, which were there already."""
    headers: tuple[str, ...]
    """Names of headers, or `name=text` for that text alone: a gateway may be sent elsewhere by one."""
    key_files: tuple[str, ...]
    """Folders and files that keys may be read from. They are none of `files`, whose content is stored and shown."""
    commands: tuple[str, ...]
    """Whole commands that print a key."""


def allowances() -> Allowances | None:
    """Return what this process's run may use; None where that is its user's business."""
    if _STARTED_BY_PREFECT not in os.environ:
        return _followed
    return _of_environment(
        Path.cwd(),
        os.environ.get(VARIABLES, ""),
        (os.environ.get(ENDPOINTS, ""), os.environ.get("OPENAI_BASE_URL", "")),
        os.environ.get(OUTPUTS, ""),
        (os.environ.get(FILES, ""), os.environ.get("RAGEVAL_GROUND_TRUTH_DIR", "")),
        os.environ.get(MODULES, ""),
        os.environ.get(INDEXES, ""),
        (os.environ.get(HEADERS, ""), os.environ.get(KEY_FILES, ""), os.environ.get(COMMANDS, "")),
    )


def follow(allowed: Allowances | None) -> None:
    """Let this process follow what another one, which directs the run, may use."""
    global _followed  # noqa: PLW0603 - one process of a cluster works on one run at a time
    _followed = allowed


def allow(variable: str, names: Iterable[str]) -> None:
    """Let the runs that this process starts use more, which whoever has started it names.

    Args:
        variable: `VARIABLES`, `ENDPOINTS`, `OUTPUTS`, `FILES`, `MODULES`, `INDEXES`, `HEADERS`, `KEY_FILES` or
            `COMMANDS`.
        names: What it is to allow beside what it does.
    """
    before = _words(os.environ.get(variable, ""))
    os.environ[variable] = shlex.join(dict.fromkeys([*before, *names]))


def add_own_endpoint(url: str) -> None:
    """Note a server that this process has started for its run."""
    _own_endpoints.add(url)


def check_variable(name: str) -> None:
    """Make sure that the run may read the variable.

    Raises:
        ConfigError: If it may not, whether the variable is set or not.
    """
    allowed = allowances()
    if allowed is None or (not _OURS.fullmatch(name) and (name in allowed.variables or _KEY.fullmatch(name))):
        return
    if _OURS.fullmatch(name):
        raise ConfigError(
            f"the variable {name} is that of a service beside the run, which no run that is started through Prefect's "
            "API may read; name the key of the model"
        )
    raise _refusal(f"the variable {name}", VARIABLES, "names that end in _API_KEY")


def check_endpoint(url: str, name: str) -> None:
    """Make sure that the run may send requests to a server.

    Args:
        url: What is connected to.
        name: What may be shown of it.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is None or url in _own_endpoints or any(is_within(url, top) for top in allowed.endpoints):
        return
    raise _refusal(f"the endpoint {name}", ENDPOINTS, "that of OPENAI_BASE_URL, OpenAI's and the embedded model")


def check_output(location: str, name: str | None = None) -> None:
    """Make sure that the run may write to a folder, file or URL.

    Args:
        location: With all that is filled in.
        name: What may be shown of it, if that is something else.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is not None and not _is_among(location, allowed.outputs):
        raise _refusal(f"the output folder {name or shown(location)}", OUTPUTS, f"the folder {_RUNS} of the worker's")


def check_file(location: str, name: str | None = None) -> None:
    """Make sure that the run may read a file, folder or URL; see `check_output`.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is not None and not _is_among(location, (*allowed.files, *allowed.outputs)):
        defaults = f"the folders {', '.join(_FOLDERS)} and {_RUNS} of the worker's"
        raise _refusal(f"the file {name or shown(location)}", FILES, defaults)


def check_embedding_model(name: str) -> None:
    """Make sure that the run may load an embedding model, which is a folder or has a name.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is None or name.removeprefix("sentence-transformers/") == EMBEDDED_MODEL or name in allowed.modules:
        return
    if Path(name).is_dir() and _is_among(name, allowed.files):
        return
    raise _refusal(f"the embedding model {name}", MODULES, f"{EMBEDDED_MODEL} and folders that it may read")


def check_code(name: str) -> None:
    """Make sure that the run may load a function that is not ours, or look for modules in a folder.

    That a run may read a file is no reason to run it: it has to be named here as the run names it.

    Args:
        name: `module:function`, `path.py:function`, or the folder.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is not None and name not in allowed.modules:
        raise _refusal(f"the code {name}", MODULES, "no functions of others")


def check_index(name: str) -> None:
    """Make sure that the run may search an index of Elasticsearch that rageval has not built.

    Args:
        name: It, or an alias, or a pattern, as the run names it.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is not None and name not in allowed.indexes:
        raise _refusal(f"the index {name}", INDEXES, "those that runs build for themselves")


def check_header(name: str, text: str = "") -> None:
    """Make sure that the run may send a header.

    Args:
        name: Its name.
        text: What it says, with `${NAME}` for what is filled in.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is None:
        return
    for named, equals, value in (entry.partition("=") for entry in allowed.headers):
        if named.lower() == name.lower() and (not equals or value == text):
            return
    raise _refusal(f"the header {name}", HEADERS, "none")


def check_key_header(name: str) -> None:
    """Make sure that the run may send its key in a header.

    Raises:
        ConfigError: If it may not.
    """
    if name and not names_credential(name):
        check_header(name)


def check_key_file(location: str, name: str | None = None) -> None:
    """Make sure that the run may use the key or certificate in a file; see `check_output`.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is not None and not _is_among(location, allowed.key_files):
        raise _refusal(f"the key file {name or shown(location)}", KEY_FILES, "none")


def check_command(command: str) -> None:
    """Make sure that the run may run a command.

    Args:
        command: All of it, as a shell would read it.

    Raises:
        ConfigError: If it may not.
    """
    allowed = allowances()
    if allowed is not None and command not in allowed.commands:
        raise _refusal(f"the command {shlex.quote(command)}", COMMANDS, "none")


@lru_cache(maxsize=8)
def _of_environment(
    folder: Path,
    variables: str,
    endpoints: tuple[str, ...],
    outputs: str,
    files: tuple[str, ...],
    modules: str,
    indexes: str,
    of_models: tuple[str, str, str],
) -> Allowances:
    """Return what the environment names, beside what goes without saying."""
    headers, key_files, commands = of_models
    named = [name for text in (endpoints[0], *endpoints[1:]) for name in _words(text)]
    return Allowances(
        variables=tuple(_words(variables)),
        endpoints=(OPENAI_URL, *named),
        outputs=_places(folder, [_RUNS, *_words(outputs)]),
        files=_places(folder, [*_FOLDERS, *(name for text in files for name in _words(text))]),
        modules=tuple(_words(modules)),
        indexes=tuple(_words(indexes)),
        headers=tuple(_words(headers)),
        key_files=_places(folder, _words(key_files)),
        commands=tuple(_words(commands)),
    )


def _words(text: str) -> list[str]:
    """Return the parts of a variable, with blanks between them; what holds one itself stands in quotes."""
    try:
        return shlex.split(text)
    except ValueError:
        return []  # of quotes that do not end nothing can be told, and what is not named is refused


def _places(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name if "://" in name else str((folder / Path(name).expanduser()).resolve()) for name in names)


def _is_among(location: str, allowed: Iterable[str]) -> bool:
    if "::" in location:  # a chain may reach anything
        return False
    location = location.removeprefix("file://")
    if "://" in location:
        return any(is_within(location, top) for top in allowed if "://" in top)
    path = Path(location).resolve()
    return any(path.is_relative_to(top) for top in allowed if "://" not in top)


def _refusal(what: str, variable: str, defaults: str) -> ConfigError:
    return ConfigError(
        f"{what} may not be used by a run that was started through Prefect's API (allowed are {defaults}); name it in "
        f"{variable} of the worker's environment, or start the run in a shell"
    )
