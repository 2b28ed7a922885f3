"""The house rules: how rooms import each other, what modules are called, what tests may wait for."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "v2"}
HEAVY = {
    "aiohttp", "alembic", "elasticsearch", "fastapi", "fsspec", "onnx", "onnxruntime", "openai", "pandas",
    "prefect", "pyarrow", "scipy", "sentence_transformers", "sklearn", "sqlalchemy", "torch", "uvicorn",
}  # fmt: skip
"""Libraries that take long to import: no help waits for them, and a command imports late what leads to them."""
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


def test_the_name_of_a_class_stands_for_one_thing() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(id_of(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_the_help_of_the_command_line_does_not_wait_for_heavy_imports() -> None:
    code = "import sys; sys.argv = ['rageval', '--help']; from rageval.cli.main import app; app(standalone_mode=False)"
    assert heavy_imports(code) == set()


def test_the_help_of_a_command_does_not_wait_for_heavy_imports() -> None:
    code = "from rageval.cli.commands import COMMANDS, load; print([load(name) for name in COMMANDS])"
    assert heavy_imports(code) <= {"pyarrow"}, "the settings of a sweep know the metrics, whose tables are of pyarrow"


@pytest.mark.parametrize(
    "words",
    [
        "evaluate nothing.yaml", "evaluate --set data.nothing=1", "evaluate --nothing", "evaluate --sample none",
        "sweep nothing.yaml", "gate runs/nothing --baseline runs/nothing --max-drop none",
    ],
)  # fmt: skip
def test_a_mistake_in_settings_is_told_before_heavy_imports(words: str) -> None:
    assert heavy_imports(_called(words, status=2)) <= {"pyarrow"}, "see above"


@pytest.mark.parametrize(
    "words",
    [
        "evaluate --documents nothing.json", "evaluate --ground-truth nothing.csv", "evaluate --prompt nothing.md",
        "evaluate --documents nothing.json --dry-run", "score nothing.jsonl", "index --documents nothing.json",
        "ground-truth generate --documents nothing.json", "inspect runs/nothing", "report runs/nothing",
        "rescore runs/nothing", "labels runs/nothing labels.csv", "accept runs/nothing",
        "publish runs/nothing", "compare runs/nothing runs/nothing",
        "gate runs/nothing --baseline runs/nothing --max-drop 0.1",
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_is_told_before_heavy_imports(words: str) -> None:
    assert heavy_imports(_called(words, status=2)) <= {"pyarrow", "fsspec"}, "which read files"


def test_the_library_offers_its_names_before_heavy_imports() -> None:
    code = "import rageval; print(dir(rageval)); rageval.Answer; rageval.Context"
    assert heavy_imports(code) == set()


def test_the_library_loads_no_client_before_it_asks() -> None:
    assert heavy_imports("import rageval; rageval.evaluate") <= {"pyarrow", "fsspec", "pandas", "scipy"}


def _called(words: str, *, status: int) -> str:
    """Return the code of a call of the command line that ends with this status."""
    return (
        f"import sys; sys.argv = ['rageval', *{words.split()!r}]\n"
        "from rageval.cli.main import main\n"
        "try:\n    main()\n"
        f"except SystemExit as ended:\n    assert ended.code == {status}, ended.code"
    )


def test_a_command_imports_late_only_what_leads_to_heavy_libraries() -> None:
    found = [
        (id_of(path), module)
        for path in MODULES
        if path.parent == ROOT / "rageval" / "cli"
        for module in imports_in(path, late=True)
        if not leads_to_heavy(module, set())
    ]
    assert found == []


def heavy_imports(code: str) -> set[str]:
    """Return which heavy libraries are imported once some code has run in a process of its own."""
    code += "\nimport sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(ran.stdout.splitlines()[-1].split())


def imports_in(path: Path, *, late: bool) -> Iterator[str]:
    """Yield what a file imports within functions, or else when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
    }
    for_types = {
        node
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if (node in inside) == late and node not in for_types:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def leads_to_heavy(module: str, seen: set[str]) -> bool:
    """Return whether importing a module, or a name out of it, imports a heavy library."""
    parts = module.split(".")
    if parts[0] in HEAVY:
        return True
    files = [ROOT.joinpath(*parts[:length]).with_suffix(".py") for length in (len(parts), len(parts) - 1)]
    path = next((file for file in files if file.exists()), None)
    if path is None or module in seen:
        return False
    seen.add(module)
    return any(leads_to_heavy(imported, seen) for imported in imports_in(path, late=False))
