"""The house rules: how rooms import each other, what modules are called, what tests may wait for."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "v2"}
MODULES = sorted(
    path for folder in ("rageval", "tasks", "flows", "serving", "deployments") for path in (ROOT / folder).rglob("*.py")
)


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


def id_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_rooms_import_as_the_contracts_say() -> None:
    """The contracts stand in pyproject.toml: layers, no circles, who knows Prefect, what touches nothing outside."""
    lint = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_every_room_is_in_the_contract_of_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = {room for line in contracts[0]["layers"] for room in line.split(" | ")}
    rooms = {f"rageval.{path.stem}" for path in (ROOT / "rageval").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert rooms - {"rageval.__pycache__", "rageval.__init__"} <= layers


def test_yaml_is_read_by_the_one_loader_that_refuses_a_key_twice() -> None:
    readers = [path for path in MODULES if re.search(r"yaml\.(safe_|full_|unsafe_)?load", path.read_text("utf-8"))]
    assert [name_of(path) for path in readers] == ["rageval.text.yaml_text"]


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
    code = f"import sys, rageval.cli.main; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
