"""The pages are true: commands, options, targets, paths, links, example configs and variables exist."""

import ast
import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rageval.cli.commands import COMMANDS, load
from rageval.config.evaluation import EvaluationConfig
from rageval.config.existing_index import ExistingIndexConfig
from rageval.config.file import read_settings
from rageval.config.models import ModelConfig
from rageval.config.overrides import validate
from rageval.sweep.config import SweepConfig
from rageval.tables import SCHEMAS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CONFIGS = sorted((ROOT / "examples" / "configs").glob("*.yaml"))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=_id)
each_config = pytest.mark.parametrize("config", CONFIGS, ids=_id)


def _quoted(page: Path) -> list[str]:
    """Return what a page sets as code within its sentences."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", page.read_text(encoding="utf-8")))


def _commands(page: Path, program: str) -> Iterator[list[str]]:
    """Yield every call of a program on a page, in a block or in a sentence, without the program's name."""
    blocks = [block for language, block in FENCED.findall(page.read_text(encoding="utf-8")) if language == "bash"]
    for line in [*"\n".join(blocks).splitlines(), *_quoted(page)]:
        if line.startswith(f"{program} ") and "..." not in line:
            yield shlex.split(line, comments=True)[1:]


def _all_commands(program: str) -> list[Any]:
    return [pytest.param(words, id=" ".join(words)) for page in PAGES for words in _commands(page, program)]


@pytest.mark.parametrize("words", _all_commands("rageval"))
def test_a_rageval_command_can_be_parsed(words: list[str]) -> None:
    if words == ["--help"]:
        return
    name, *options = words
    assert name in COMMANDS
    command = load(name)
    if not options and hasattr(command, "commands"):
        return  # a sentence may name a group of commands
    # A sentence may name a command, or an option of it, without its arguments.
    required = [parameter for parameter in command.params if parameter.required]
    if required and not [word for word in options if not word.startswith("-")]:
        for parameter in required:
            options += [parameter.opts[0]] if parameter.param_type_name == "option" else []
            options.append("runs/demo")
    command.make_context(name, list(options))  # raises for an option that does not exist


@pytest.mark.parametrize("words", _all_commands("make"))
def test_a_make_command_names_targets_that_exist(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert {word for word in words if "=" not in word} <= targets


@pytest.mark.parametrize("words", _all_commands("prefect"))
def test_a_prefect_command_can_be_parsed(words: list[str]) -> None:
    from prefect.cli._app import _app as prefect

    known_everywhere = {"--no-prompt"}  # belongs to the program, not to one of its commands
    command = [word for word in words if word not in known_everywhere]
    prefect.parse_args(command, exit_on_error=False, print_error=False)  # raises for what does not exist


def test_the_readme_shows_every_command() -> None:
    shown = {words[0] for words in _commands(README, "rageval")}

    assert shown == set(COMMANDS)


def test_the_readme_shows_every_table_of_a_run() -> None:
    assert set(re.findall(r"^    (\w+)\.parquet ", README.read_text(encoding="utf-8"), re.MULTILINE)) == set(SCHEMAS)


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    targets = [link.partition("#")[0] for link in links if not re.match(r"https?:|#", link)]

    assert [target for target in targets if not (page.parent / target).exists()] == []


@each_page
def test_every_path_that_is_mentioned_exists(page: Path) -> None:
    written = [word for words in _commands(page, "rageval") for word in words] + _quoted(page)
    not_files = {"runs/", *_deployment_names()}
    paths = [
        word
        for word in written
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?|[\w.-]+\.(md|ya?ml|toml|py|txt)", word)
        and not word.startswith(tuple(not_files))
    ]

    assert [path for path in paths if not (ROOT / path).exists()] == []


def _deployment_names() -> set[str]:
    deployments = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    return {f"{deployment['entrypoint'].rpartition(':')[2]}/{deployment['name']}" for deployment in deployments}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name in ("statistics.md", "judging.md", "library.md")], ids=_id
)
def test_the_worked_examples_of_a_page_come_out_as_it_says(page: Path) -> None:
    blocks = [code for language, code in FENCED.findall(page.read_text(encoding="utf-8")) if language == "python"]
    names: dict[str, Any] = {}

    assert blocks
    for code in blocks:  # each goes on where the one before it has ended
        if code.startswith(">>> "):
            example = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), 0)
            example.globs = names
            doctest.DebugRunner().run(example, clear_globs=False)  # raises where something else comes out
        else:
            exec(compile(code, str(page), "exec"), names)


@each_config
def test_every_example_is_a_valid_configuration_of_files_that_exist(config: Path) -> None:
    kind = SweepConfig if config.stem == "sweep" else EvaluationConfig
    data = kind.model_validate(read_settings(config)).data

    assert (ROOT / data.documents).exists()
    assert (ROOT / data.ground_truth).exists()


def test_the_full_example_names_every_setting() -> None:
    settings = read_settings(ROOT / "examples" / "configs" / "full.yaml")

    assert settings.keys() == EvaluationConfig.model_fields.keys()
    for name, field in EvaluationConfig.model_fields.items():
        if isinstance(settings[name], dict):
            assert settings[name].keys() == field.annotation.model_fields.keys(), name  # type: ignore[union-attr]
    assert settings["models"][0].keys() == ModelConfig.model_fields.keys()


def test_the_example_of_a_sweep_names_every_setting() -> None:
    settings = read_settings(ROOT / "examples" / "configs" / "sweep.yaml")

    assert settings.keys() == SweepConfig.model_fields.keys()
    for group, field in SweepConfig.model_fields.items():
        assert settings[group].keys() == field.annotation.model_fields.keys(), group  # type: ignore[union-attr]


def test_the_examples_of_retrievers_can_be_used() -> None:
    page = (ROOT / "docs" / "retrievers.md").read_text(encoding="utf-8")
    blocks = [(language, code) for language, code in FENCED.findall(page) if language in ("yaml", "json")]
    for language, code in blocks:
        if language == "json":
            ExistingIndexConfig(index="any").body_of(code)
        else:
            settings = yaml.safe_load(code)
            validate(SweepConfig if "grid" in settings else EvaluationConfig, settings)
    assert len(blocks) == 5


def test_no_page_opens_prefects_api_to_everybody() -> None:
    """A server that is to be reached from elsewhere is shown with a password, its origins, and without analytics."""
    pages = [*PAGES, ROOT / "docker-compose.yml"]
    starts = [(page, start) for page in pages for start in _starts(page.read_text(encoding="utf-8"))]

    assert [page.name for page, _ in starts] == ["docker-compose.yml"]
    for page, start in starts:
        wanted = ("PREFECT_SERVER_API_AUTH_STRING", "CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_ANALYTICS_ENABLED")
        assert [name for name in wanted if name not in start] == [], page.name


def _starts(text: str) -> Iterator[str]:
    """Yield what stands around each start of a Prefect server at more than the loopback address."""
    for found in re.finditer(r"prefect server start --host", text):
        yield text[max(0, found.start() - 800) : found.end() + 800]


def test_the_example_environment_has_every_variable_that_is_read() -> None:
    offered = set(
        re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )
    files = ("docker-compose.yml", "docker-compose.laptop.yml")
    compose = {name for file in files for name in re.findall(r"\$\{(\w+)", (ROOT / file).read_text(encoding="utf-8"))}
    deployments = set(re.findall(r"\{\{ \$(\w+)", (ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8")))
    key = ModelConfig(name="any").api_key_env
    read = {
        variable
        for folder in ("rageval", "tasks", "flows", "serving", "deployments")
        for variable in _variables(ROOT / folder)
    }

    assert read >= {"OPENAI_BASE_URL", "ELASTICSEARCH_URL", "ELASTICSEARCH_CA_CERTS"}, "this test has lost its sight"
    # CI is set by services that test; the last one is read by Prefect: without it, a run has a server of this machine.
    assert offered == read - {"CI"} | compose | deployments | {key, "PREFECT_API_URL"}
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in sorted(offered) if not re.search(rf"\b{name}\b", pages)] == []


def _variables(folder: Path) -> Iterator[str]:
    """Yield the environment variables that a folder's modules read by a name they know: a text or a constant."""
    modules = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")]
    shared = {name: value for module in modules for name, value in _constants(module).items()}
    for module in modules:
        constants = shared | _constants(module)
        yield from _read_in_turn(module)
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[name, *_]):
                    pass
                case ast.Call(func=ast.Attribute(attr="getenv") as value, args=[name, *_]):
                    pass
                case ast.Subscript(value=value, slice=name):
                    pass
                case _:
                    continue
            if ast.unparse(value) not in {"os.environ", "os.getenv"}:
                continue
            if isinstance(name, ast.Constant):
                yield name.value
            elif isinstance(name, ast.Name) and name.id in constants:
                yield constants[name.id]


def _read_in_turn(module: ast.Module) -> Iterator[str]:
    """Yield the variables of a tuple that a comprehension looks up one by one."""
    tuples = {
        target.id: ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        for target in node.targets
        if isinstance(target, ast.Name) and all(isinstance(part, ast.Constant) for part in node.value.elts)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.GeneratorExp) and "os.environ" in ast.unparse(node):
            yield from tuples.get(ast.unparse(node.generators[0].iter), ())


def _constants(module: ast.Module) -> dict[str, str]:
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
                found |= {
                    name.id: value.value
                    for name, value in zip(names, values, strict=False)
                    if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str)
                }
    return found
