"""The `Dockerfile` fits the project: pinned, not root, watched, small, and everything it names exists."""

import ast
import re
import shlex
import tomllib
from pathlib import Path, PurePosixPath

import typer
from packaging.specifiers import SpecifierSet

from rageval.cli.main import app
from rageval.config.evaluation import IndexConfig

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of every stage: name and arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, text.replace("\\\n", " ").splitlines()):
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, arguments.strip()))
    return stages


BUILD, EXPORT, FINAL = _stages()


def _all(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for instruction, arguments in stage if instruction == name]


def _variables(stage: list[tuple[str, str]]) -> dict[str, str]:
    pairs = [word.partition("=") for arguments in _all(stage, "ENV") for word in shlex.split(arguments)]
    return {name: value for name, _, value in pairs}


def test_the_base_is_a_small_python_of_one_version_that_the_project_runs_on() -> None:
    [of_build], [of_final] = _all(BUILD, "FROM"), _all(FINAL, "FROM")

    assert of_build.split()[0] == of_final, "the environment is bound to the Python that made it"
    base = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+(@sha256:[0-9a-f]{64})?", of_final)
    assert base
    assert base[1] in SpecifierSet(PROJECT["requires-python"])


def test_it_does_not_run_as_root() -> None:
    *_, last = _all(FINAL, "USER")

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last), "a number: Kubernetes cannot tell of a name whether it is root"
    after = [name for name, _ in FINAL[FINAL.index(("USER", last)) :]]
    assert after == ["USER", "HEALTHCHECK", "CMD"]


def test_nothing_is_installed_but_what_has_a_hash_of_the_lock() -> None:
    commands = [command for line in _all(BUILD, "RUN") for command in line.split("&&")]
    installs = [command for command in commands if " install " in command]

    assert len(installs) == 3
    assert "--no-deps --require-hashes" in installs[0]
    assert "--only-binary :all: --report /tmp/installed.json" in installs[1], "a source would run before it is checked"
    assert "deployments/locked.py check /tmp/installed.json" in commands[commands.index(installs[1]) + 1]
    # The project itself, with the tools of the lock that build it.
    assert "--no-deps --no-build-isolation --editable ." in installs[2]
    assert "torch.lock" in installs[0]
    assert not any("pip" in line for line in _all(FINAL, "RUN"))


def test_the_embedded_model_is_left_out_unless_it_is_asked_for() -> None:
    arguments = dict(line.split("=", 1) for line in _all(BUILD, "ARG"))

    assert arguments["EXTRAS"].strip('"') == ""
    assert arguments["TORCH_INDEX"].endswith("/cpu")
    assert "local" in PROJECT["optional-dependencies"]


def test_a_change_of_the_code_or_of_a_page_installs_nothing_again() -> None:
    assert [line.split()[0] for line in _all(BUILD, "COPY")] == [
        "requirements.lock", "pyproject.toml", "deployments/locked.py",
    ]  # fmt: skip
    code = [name for name, line in FINAL if name == "RUN" or line.startswith("--from=")]
    assert code == ["RUN", "RUN", "COPY", "COPY", "RUN"], (
        "what is installed comes before the code, which is only compiled"
    )


def test_the_default_embedding_model_is_there_as_onnx_for_every_user() -> None:
    [exports] = _all(EXPORT, "RUN")
    [kept] = [line for line in _all(FINAL, "COPY") if line.startswith("--from=export")]
    [folder] = re.findall(r"test -f (\S+)/\S+/graph\.onnx", exports)

    assert _all(EXPORT, "FROM") == ["build AS export"]
    assert f"load_embedder('{IndexConfig().embedding_model}'" in exports
    assert folder.startswith(kept.split()[1])
    assert "chmod -R a+rX" in exports
    assert kept.split()[1] == kept.split()[2]
    assert _variables(FINAL)["RAGEVAL_EXPORTED_MODELS"] == folder


def test_the_code_is_on_the_path_of_its_environment() -> None:
    # An editable install of packages that are not there yet puts nothing on the path, and pip says nothing.
    [install] = [line for line in _all(BUILD, "RUN") if "--editable" in line]
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert all(f"{package}/__init__.py" in install for package in packages["packages"])
    assert _all(BUILD, "WORKDIR") == _all(FINAL, "WORKDIR") == [_variables(FINAL)["RAGEVAL_HOME"]]


def _reaches_the_engine(path: str) -> bool:
    """Return what `.dockerignore` says of a file: nothing is sent but what a line with a `!` fits, folder by folder."""
    everything, *kinds = re.findall(r"^[^#\n].*$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert everything == "*"
    assert all(line.startswith("!") and "**" not in line for line in kinds), "builders differ in what ** fits"
    return any(PurePosixPath(path).match(line[1:]) and path.count("/") == line.count("/") for line in kinds)


def test_nothing_but_the_project_reaches_the_engine() -> None:
    own = [
        ".env", ".env.local", "deployments/.env.local", "deployments/prometheus/chat-key", "deployments/keys.yaml",
        "examples/.env", "examples/faq/.env", "examples/configs/key.pem", "rageval/notes.txt", "serving/page/.env",
        "data/documents.json", "runs/demo/run.json", ".git/config", "rageval/__pycache__/config.cpython-311.pyc",
    ]  # fmt: skip

    assert [path for path in own if _reaches_the_engine(path)] == []


def test_everything_that_is_copied_exists_and_reaches_the_engine() -> None:
    copied = {
        source
        for stage in (BUILD, FINAL)
        for line in _all(stage, "COPY")
        if not line.startswith("--from=")
        for source in line.split()[:-1]
    }

    unused = {"grafana", "postgres", "prometheus", "__pycache__"}  # of other images
    files = [
        path.relative_to(ROOT)
        for source in copied
        for path in ([ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*.*"))
    ]
    assert len(files) > 300
    assert [path for path in files if not unused & set(path.parts) and not _reaches_the_engine(path.as_posix())] == []
    assert {"rageval", "tasks", "flows", "deployments", "examples"} <= copied


def test_its_command_exists_and_leaves_room_for_the_commands_of_a_work_pool() -> None:
    [command] = _all(FINAL, "CMD")
    program, *words = ast.literal_eval(command)

    assert program in PROJECT["scripts"]
    assert words[0] in typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group of commands
    assert _all(FINAL, "ENTRYPOINT") == []


def test_it_is_watched_by_the_question_whether_it_still_asks_for_work() -> None:
    from prefect.settings import Settings

    [check] = _all(FINAL, "HEALTHCHECK")
    server = Settings.model_fields["runner"].default_factory().server  # type: ignore[misc, union-attr, call-arg]

    assert _variables(FINAL)["PREFECT_RUNNER_SERVER_ENABLE"] == "true"
    assert f"http://{server.host}:{server.port}/health" in check
    assert {"--interval", "--timeout", "--start-period", "--retries"} == set(re.findall(r"--[a-z-]+(?==)", check))


def test_no_secret_is_in_the_image() -> None:
    for stage in (BUILD, EXPORT, FINAL):
        names = [*_variables(stage), *(line.partition("=")[0] for line in _all(stage, "ARG"))]
        assert not [name for name in names if re.search("KEY|SECRET|PASSWORD|TOKEN", name)]
