"""The house rules that only an import statement can break: which way imports point, and what pure code may touch."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the outside in: a module imports from its own layer and from those after it.
LAYERS = ("deployments", "flows", "tasks", "serving", "rageval.stages", "rageval.adapters", "rageval")
# What pure code may not touch: files, environment, clock, network, processes, other threads, logs.
IO_MODULES = {
    "asyncio", "filelock", "fsspec", "glob", "httpx", "logging", "multiprocessing", "openai", "os", "pathlib",
    "requests", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
    "elasticsearch", "lancedb", "sentence_transformers", "torch", "prefect",
}  # fmt: skip
PURE_NAMES = {"pathlib.PurePosixPath", "urllib.parse.unquote"}
# Methods of classes that are pure otherwise: clocks and files.
IMPURE_CALLS = {"now", "utcnow", "today", "open", "read_text", "read_bytes", "write_text", "write_bytes"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "v2"}
MODULES = sorted(
    path for folder in ("rageval", "tasks", "flows", "serving", "deployments") for path in (ROOT / folder).rglob("*.py")
)
PURE = [
    path
    for path in MODULES
    if path.is_relative_to(ROOT / "rageval") and not {"adapters", "stages"} & set(path.relative_to(ROOT).parts)
]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file, and every name as `module.name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; this test reads absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> int | None:
    """Return the layer of a module, or None if it is not one of ours."""
    return next((n for n, name in enumerate(LAYERS) if module == name or module.startswith(f"{name}.")), None)


def id_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert {"rageval.pacing", "rageval.metrics.cosine", "rageval.statistics.intervals", "rageval.report.page"} <= {
        name_of(path) for path in PURE
    }
    assert {layer(name_of(path)) for path in MODULES} >= set(range(1, len(LAYERS)))


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_imports_point_inwards(path: Path) -> None:
    own = layer(name_of(path))
    assert own is not None
    back = {module for module in imports(path) if (other := layer(module)) is not None and other < own}
    assert back == set(), f"{name_of(path)} is {LAYERS[own]}; it may import from {LAYERS[own:]} alone"


def test_the_library_does_not_know_prefect() -> None:
    knowing = {id_of(path) for path in MODULES for module in imports(path) if module.split(".")[0] == "prefect"}
    assert {name for name in knowing if name.startswith(("rageval/", "serving/"))} == set()
    assert knowing, "flows and tasks do"


@pytest.mark.parametrize("path", PURE, ids=id_of)
def test_pure_modules_touch_nothing_outside(path: Path) -> None:
    assert {name for name in imports(path) if name.split(".")[0] in IO_MODULES} - PURE_NAMES == set()
    calls = {node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)}
    assert {call.func.id for call in calls if isinstance(call.func, ast.Name)} & {"open", "print", "input"} == set()
    assert {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)} & IMPURE_CALLS == set()


def test_yaml_is_read_by_the_one_loader_that_refuses_a_key_twice() -> None:
    readers = [path for path in MODULES if re.search(r"yaml\.(safe_|full_|unsafe_)?load", path.read_text("utf-8"))]
    assert [name_of(path) for path in readers] == ["rageval.yaml_text"]


def test_tests_are_not_imported_by_the_code() -> None:
    assert {id_of(path) for path in MODULES for module in imports(path) if module.split(".")[0] == "tests"} == set()


def test_no_test_depends_on_how_fast_the_machine_is_just_now() -> None:
    """A busy machine takes any time for anything: a test waits for what happens, or sets the time itself.

    What a test computes may be measured by `time.thread_time`, which counts nobody else's work.
    """
    waiting = {"tests/processes.py"}  # it waits for all of them, with a patience that only a fault outlasts
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="time"), attr="monotonic" | "perf_counter" | "sleep")
                ):
                    found.append((id_of(path), node.lineno))
                case ast.Call(func=ast.Attribute(attr="total_seconds")):
                    found.append((id_of(path), node.lineno))
                case ast.keyword(arg="timeout", value=ast.Constant(value=int() | float())):
                    found.append((id_of(path), node.value.lineno))
    assert [place for place in found if place[0] not in waiting] == []


def test_every_module_is_named_after_what_it_holds() -> None:
    assert {id_of(path) for path in MODULES if set(path.with_suffix("").parts[-2:]) & FORBIDDEN_NAMES} == set()


def test_the_help_of_the_command_line_does_not_wait_for_heavy_imports() -> None:
    heavy = "{'prefect', 'torch', 'pandas', 'pyarrow', 'openai', 'sentence_transformers', 'matplotlib', 'lancedb'}"
    code = f"import sys, flows.cli; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
