"""A table of settings -> the options of a command, with type, help, bounds and default of the fields that they set.

A table says under which heading of the help an option stands, what it is called with its metavar, and the path of the
setting: `{"Data": {"--sample N": "data.sample"}}`. A path in `*.` is a setting of every model but the embedded one.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from rich.markup import escape

from rageval.config.models import ModelConfig
from rageval.errors import ConfigError
from rageval.safety.urls import REFUSAL, holds_secret

_SIGNS: Final = {"ge": "<=", "gt": "<", "le": "<=", "lt": "<"}
DATA, MODELS, RUN = "Data", "Models", "Run"
Table = Mapping[str, Mapping[str, str]]
Given = dict[str, Any]
"""What was given on the command line, by the path of the setting."""

ENDPOINT: Final = {"--base-url URL": "*.base_url", "--api-key-env VAR": "*.api_key_env"}
LIMITS: Final = {"--rpm N": "*.rpm", "--tpm N": "*.tpm", "--max-concurrency N": "*.max_concurrency"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting that a command offers as an option."""

    panel: str
    option: str
    metavar: str | None
    path: str
    field: FieldInfo

    @property
    def name(self) -> str:
        """The name of the command's parameter."""
        return self.option.removeprefix("--").replace("-", "_")

    @property
    def default(self) -> Any:
        """The field's default as one would give it: a model by its name."""
        value = self.field.get_default(call_default_factory=True)
        return [_shown(item) for item in value] if isinstance(value, tuple) else _shown(value)

    @property
    def turns_off(self) -> bool:
        """Whether the option is a flag that takes back what is so by default."""
        return self.default is True

    def parameter(self) -> inspect.Parameter:
        """Return the parameter of a command by which typer makes the option."""
        kind = _option_type(self.field.annotation)
        metavar = " ".join(filter(None, (self.metavar or _choices(self.field.annotation), self._range())))
        option = typer.Option(self.option, help=self._help(), metavar=metavar or None, rich_help_panel=self.panel)
        default = False if kind is bool else self.default
        annotation = Annotated[kind | None if default is None else kind, option]  # type: ignore[valid-type]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    def check(self, value: Any) -> Any:
        """Return what the setting is set to.

        A secret is refused even where the command has no use for it, and would repeat it when it says how to go on.

        Raises:
            ConfigError: If the field does not take the value.
        """
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and holds_secret(text) for text in texts):
            raise ConfigError(f"{self.option}: {REFUSAL}")
        field: TypeAdapter[Any] = TypeAdapter(Annotated[self.field.annotation, self.field])  # type: ignore[arg-type]
        try:
            field.validate_python(value)
        except ValidationError as error:
            raise ConfigError(f"{self.option}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        return not value if self.turns_off else value

    def _help(self) -> str:
        words = " ".join((self.field.description or "").split())
        if self.turns_off:
            words = f"Turn off: {words[0].lower()}{words[1:]}"
        if names := _names(self.field):
            words = f"{words} One of {', '.join(names)}."
        if get_origin(_plain(self.field.annotation)) is tuple:
            words = f"{words} Repeat the option for several."
        return escape(words)

    def _range(self) -> str:
        """Return the bounds of a number as typer shows those that it knows; it knows none that are not reached."""
        bounds = {name: getattr(item, name) for item in self.field.metadata for name in _SIGNS if hasattr(item, name)}
        low = next((f"{bounds[name]}{_SIGNS[name]}" for name in ("ge", "gt") if name in bounds), "")
        high = next((f"{_SIGNS[name]}{bounds[name]}" for name in ("le", "lt") if name in bounds), "")
        return f"[{low}x{high}]" if bounds else ""


def settings_of(kind: type[BaseModel], table: Table) -> Iterator[Setting]:
    """Yield the settings of a table, in its order."""
    for panel, options in table.items():
        for declared, path in options.items():
            option, _, metavar = declared.partition(" ")
            yield Setting(panel=panel, option=option, metavar=metavar or None, path=path, field=field_at(kind, path))


def field_at(kind: type[BaseModel], path: str) -> FieldInfo:
    """Return the field of a setting by its dotted path."""
    group, _, rest = path.partition(".")
    if group == "*":
        return field_at(ModelConfig, rest)
    field = kind.model_fields[group]
    return field_at(_plain(field.annotation), rest) if rest else field


def offers(kind: type[BaseModel], table: Table) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a table, after what it requires itself and before its other options.

    Its first parameter is `given`: what of them was given on the command line.
    """
    settings = tuple(settings_of(kind, table))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_options(context: typer.Context, **values: Any) -> None:
            given: Given = {}
            for setting in settings:
                value = values.pop(setting.name)
                if _is_given(context, setting.name):
                    given[setting.path] = setting.check(value)
            command(given=given, **values)

        given, *own = inspect.signature(command).parameters.values()
        parameters = [
            given.replace(name="context", annotation=typer.Context),
            *(item for item in own if item.default is inspect.Parameter.empty),
            *(setting.parameter() for setting in settings),
            *(item for item in own if item.default is not inspect.Parameter.empty),
        ]
        with_options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # typer reads it
            [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]
        )
        return with_options

    return decorate


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _plain(annotation: Any) -> Any:
    """Return a type without what else it may be, None, and without what pydantic checks of it."""
    while get_origin(annotation) in (Union, UnionType, Annotated):
        annotation = next(item for item in get_args(annotation) if item is not NoneType)
    return annotation


def _option_type(annotation: Any) -> Any:
    """Return the type that typer reads for a field's: a list for a tuple, and text for what is given by a name."""
    kind = _plain(annotation)
    if get_origin(kind) is tuple:
        return list[_option_type(get_args(kind)[0])]  # type: ignore[misc]  # known when the command is declared
    return kind if kind in (bool, int, float) else str


def _choices(annotation: Any) -> str | None:
    """Return the values that a field chooses from as a metavar, None if it takes others."""
    kind = _plain(annotation)
    kind = _plain(get_args(kind)[0]) if get_origin(kind) is tuple else kind
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else None


def _names(field: FieldInfo) -> list[str]:
    """Return the names that a list takes, as its schema says them."""
    schema: dict[str, Any] = {"items": {}}
    if callable(field.json_schema_extra):
        field.json_schema_extra(schema)
    return list(schema["items"].get("enum", ()))


def _shown(value: Any) -> Any:
    return value.name if isinstance(value, BaseModel) and hasattr(value, "name") else value
