"""`module:function` or `path.py:function` -> the function, from a folder of its user's own."""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from rageval.errors import ConfigError
from rageval.safety.allowances import check_code
from rageval.safety.variables import filled_in
from rageval.text.fingerprint import digest

_OURS = ("deployments", "flows", "serving", "tasks")
"""Packages of ours whose names others use, too."""
_loading = threading.RLock()


def load_function(reference: str, folder: str = "") -> Callable[..., Any]:
    """Return a function that somebody else has written.

    What its module imports while it is loaded is looked for in its folder first, also where a package of ours has the
    same name, such as `tasks`; both stay loaded. An import within the function finds ours.

    Args:
        reference: `module:function`, or `path.py:function` with a path that begins at the folder.
        folder: Where paths begin and modules are looked for before all others; empty for the working folder.

    Raises:
        ConfigError: If the run may not load it, there is no such file, module or function, or its code fails.
    """
    check_code(reference)
    if folder:
        check_code(folder)
    where, _, name = reference.rpartition(":")
    root = Path(filled_in(folder) if folder else ".").resolve()
    if not root.is_dir():
        raise ConfigError(f"the folder {folder} of the function {reference} does not exist; correct its folder")
    with _loading, _own_modules_first(root):
        loaded: Any = _from_file(root / where, reference) if where.endswith(".py") else _from_module(where, reference)
    for part in name.split("."):
        loaded = getattr(loaded, part, None)
    if not callable(loaded):
        kind = "no" if loaded is None else "something else than a"
        raise ConfigError(f"the function {reference} cannot be used: {where} holds {kind} function {name}")
    found: Callable[..., Any] = loaded
    return found


def _from_file(path: Path, reference: str) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"the function {reference} cannot be loaded: there is no file {path}; correct its path")
    name = f"{path.stem}_{digest(str(path))[:12]}"  # another file of the same name is another module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"the function {reference} cannot be loaded: {path} is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _as_config_error(reference):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_module(name: str, reference: str) -> ModuleType:
    try:
        with _as_config_error(reference):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the function {reference} cannot be loaded: there is no module {error.name}; install it, or give a path "
            "that ends in .py, or the folder that it is in"
        ) from None


@contextmanager
def _as_config_error(reference: str) -> Iterator[None]:
    """Tell what the code of a module says when it fails; a module that is missing is told by whoever knows which."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name == reference.rpartition(":")[0]:
            raise
        raise ConfigError(
            f"the function {reference} cannot be loaded: it imports {error.name}, which is not installed here; install "
            "it beside rageval"
        ) from error
    except (Exception, SystemExit) as error:  # a script may end the interpreter
        raise ConfigError(
            f"the function {reference} cannot be loaded: its code ends with {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _own_modules_first(root: Path) -> Iterator[None]:
    """Let imports find what is in a folder before all else; names of modules mean the same as before afterwards."""
    own = {path.stem for path in root.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    plain = {name for name in _OURS if (root / name).is_dir()}
    hidden = {name: module for name, module in sys.modules.items() if _is_other(name, module, own | plain, root)}
    for name in hidden:
        del sys.modules[name]
    before = set(sys.modules)
    for name in plain - own - before:  # a folder without __init__.py is found last, behind a package of ours
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(root / name)]
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name not in before and name.partition(".")[0] in plain]:
            del sys.modules[name]
        sys.modules.update(hidden)
        importlib.invalidate_caches()


def _is_other(name: str, module: ModuleType, own: set[str], root: Path) -> bool:
    """Return whether a module that is loaded has a name that the folder has, too, and is not from there."""
    top, file = name.partition(".")[0], getattr(module, "__file__", None)
    if top not in own or top == "rageval" or top in sys.stdlib_module_names:
        return False
    return not (file and Path(file).is_relative_to(root))
