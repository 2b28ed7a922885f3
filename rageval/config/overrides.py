"""A file's settings + the command line's -> one validated configuration, or an error that names the key."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from rageval.config.models import LOCAL
from rageval.errors import ConfigError
from rageval.safety.urls import holds_secret, shown
from rageval.text.yaml_text import DuplicateKeyError, load_yaml

Settings = dict[str, Any]
_Model = TypeVar("_Model", bound=BaseModel)


def put(settings: Settings, path: str, value: Any) -> None:
    """Set one value by its dotted path, making the groups on the way; numbers select from a list.

    Raises:
        ConfigError: If the path leads through a value that is no group, or out of a list.
    """
    *groups, last = path.split(".")
    here: Any = settings
    for group in groups:
        here = _group(here, group) if isinstance(here, dict) else _item(here, group, path)
    if isinstance(here, dict):
        here[last] = value
    else:
        _item(here, last, path)
        here[int(last)] = value


def put_text(settings: Settings, assignment: str) -> None:
    """Set one value from `key.path=value`; the value is read as YAML.

    Raises:
        ConfigError: If it is no assignment, or the value is not valid YAML.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        found = "" if holds_secret(assignment) else f" {assignment!r}"
        raise ConfigError(f"--set{found}: expected key.path=value, such as retrieval.top_k=10")
    try:
        value = load_yaml(text)
    except DuplicateKeyError as error:
        raise ConfigError(f"--set {shown(path.strip())}: {error}") from None
    except yaml.YAMLError:  # its words repeat the value, which may hold a key
        raise ConfigError(f"--set {shown(path.strip())}: the value is not valid YAML; quote it") from None
    put(settings, path.strip(), value)


def override(settings: Settings, given: Mapping[str, Any], assignments: Sequence[str] = ()) -> None:
    """Set what options give, by the paths of the settings, and then what `--set` does.

    A path in `*.` is a setting of every model of the run but the embedded one.

    Raises:
        ConfigError: If an assignment cannot be read, or a path leads nowhere.
    """
    of_models = {path.removeprefix("*."): value for path, value in given.items() if path.startswith("*.")}
    for path, value in given.items():
        if not path.startswith("*."):
            put(settings, path, value)
    for assignment in assignments:
        put_text(settings, assignment)
    set_for_remote_models(settings, of_models)


def choose_models(settings: Settings, names: Sequence[str]) -> None:
    """Let these models answer; a model that the file describes keeps its description."""
    if names:
        known = {model.get("name"): model for model in _models(settings)}
        put(settings, "models", [known.get(name, {"name": name}) for name in names])


def choose_judge(settings: Settings, name: str | None, *, disabled: bool) -> None:
    """Let this model judge, or none; a model that the file describes keeps its description."""
    if disabled:
        put(settings, "judge.enabled", False)
    elif name:
        put(settings, "judge.model", _model_named(settings, name))
        put(settings, "judge.enabled", True)


def choose_judges(settings: Settings, names: Sequence[str]) -> None:
    """Let these models judge, and no others; a model that the settings describe keeps its description."""
    first, *others = [_model_named(settings, name) for name in names]
    put(settings, "judge.model", first)
    put(settings, "judge.panel", others)
    put(settings, "judge.enabled", True)


def set_for_remote_models(settings: Settings, values: Mapping[str, Any]) -> None:
    """Set endpoint, key variable and limits for every model of the run but the embedded one."""
    given = {key: value for key, value in values.items() if value is not None}
    if not given:
        return
    models = _models(settings)
    if models:
        settings["models"] = [_with(model, given) for model in models]
    for judge in _judge(settings):
        settings["judge"]["model"] = _with(judge, given)
    if panel := _panel(settings):
        settings["judge"]["panel"] = [_with(judge, given) for judge in panel]


def validate(kind: type[_Model], settings: Settings) -> _Model:
    """Return the settings as a configuration.

    Raises:
        ConfigError: If a key is unknown or a value does not fit; every problem is named in one line.
    """
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        details = error.errors()
        named: dict[str, list[str]] = {}
        for detail in details:
            if not _follows(detail, details):
                path, problem = _problem(detail, kind)
                named.setdefault(problem, []).append(path)
        problems = "; ".join(f"{', '.join(paths)}{problem}" for problem, paths in named.items())
        raise ConfigError(f"the configuration cannot be used: {problems}") from None


def _follows(detail: Any, details: Sequence[Any]) -> bool:
    """Return whether a list is called too short only because items of it cannot be used, which is said of them."""
    of_items = (other["loc"] for other in details if len(other["loc"]) > len(detail["loc"]))
    return detail["type"] == "too_short" and any(loc[: len(detail["loc"])] == detail["loc"] for loc in of_items)


def _problem(detail: Any, kind: type[BaseModel]) -> tuple[str, str]:
    """Return which setting it is, and what is wrong with it, which may be wrong with several."""
    path = ".".join(str(part) for part in detail["loc"]) or "the whole"
    path = "what is given as the name of a setting" if holds_secret(path) else path
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(str(detail["loc"][-1]), _known(kind, detail["loc"][:-1]), n=1)
        meant = f"; did you mean {near[0]}?" if near else "; check its spelling and group"
        return path, f" is not a known setting{meant}"
    message = detail["msg"].removeprefix("Value error, ")
    found = detail.get("input")
    is_shown = isinstance(found, int | float | bool | None) or (isinstance(found, str) and not holds_secret(found))
    # Our own checks say of a value what may be said: where a variable's name is expected, people paste the key itself.
    is_shown = is_shown and detail["type"] != "value_error" and not path.endswith("api_key_env")
    shown = f" (found {found!r:.80})" if is_shown else ""
    return path, f": {message}{shown}"


def _known(kind: type[BaseModel], path: Sequence[Any]) -> list[str]:
    """Return the names of the settings of a group, by its path; numbers lead into a list."""
    for name in path:
        if isinstance(name, int):
            continue
        field = kind.model_fields.get(str(name))
        inner = next((one for one in _types(field.annotation if field else None)), None)
        if inner is None:
            return []
        kind = inner
    return list(kind.model_fields)


def _types(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the groups of settings that a type is, or that it holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _model_named(settings: Settings, name: str) -> Settings:
    described = [*_models(settings), *_judge(settings), *_panel(settings)]
    return next((model for model in described if model.get("name") == name), {"name": name})


def _models(settings: Settings) -> list[Settings]:
    return _described(settings.get("models"))


def _judge(settings: Settings) -> list[Settings]:
    judge = settings.get("judge")
    return _described([judge.get("model")]) if isinstance(judge, dict) else []


def _panel(settings: Settings) -> list[Settings]:
    judge = settings.get("judge")
    return _described(judge.get("panel")) if isinstance(judge, dict) else []


def _described(models: Any) -> list[Settings]:
    """Return the models as groups of settings, or none if any is no model: validation says so later."""
    if not isinstance(models, list) or not all(isinstance(model, str | dict) for model in models):
        return []
    return [{"name": model} if isinstance(model, str) else model for model in models]


def _group(here: Settings, name: str) -> Any:
    if here.get(name) is None:  # also where the file names the group and leaves it empty
        here[name] = {}
    return here[name]


def _with(model: Settings, given: Settings) -> Settings:
    return model if (model.get("model") or model.get("name")) == LOCAL else {**model, **given}


def _item(here: Any, number: str, path: str) -> Any:
    if not isinstance(here, list) or not number.isdecimal() or int(number) >= len(here):
        raise ConfigError(f"--set {path}: {number!r} leads nowhere; check the path against the configuration")
    return here[int(number)]
