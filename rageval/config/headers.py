"""Headers that requests carry, by name: a text, or the variable that holds it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from rageval.config.form import named_value
from rageval.config.settings import OptionalVariableName, Settings
from rageval.safety.credentials import check_body, names_credential, placeholders, variable_name

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
_OF_THE_CONNECTION: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"}
)
_LONGEST = 8_000


def _checked_name(name: Any) -> Any:
    """Return the name of a header; what is none is not repeated, it may be a whole header with its value."""
    if isinstance(name, str) and not re.fullmatch(_NAME, name):
        raise ValueError("expected the name of a header alone, of letters, digits, - and _, such as x-portkey-provider")
    if isinstance(name, str) and name.lower() in _OF_THE_CONNECTION:
        raise ValueError(f"the header {name} is the connection's own business; leave it out")
    return name


def _checked_text(text: str) -> str:
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable():
        raise ValueError(f"expected a text of at most {_LONGEST} printable characters of ASCII")
    for name in placeholders(text):
        variable_name(name)
    return text


HeaderName = Annotated[str, Field(max_length=100, pattern=_NAME), BeforeValidator(_checked_name)]
OptionalHeaderName = Annotated[
    str,
    Field(max_length=100, pattern=rf"^$|{_NAME}"),
    BeforeValidator(lambda name: _checked_name(name) if name else name),
]


class HeaderConfig(Settings):
    """One header of every request."""

    model_config = ConfigDict(json_schema_extra=named_value)

    name: HeaderName = Field(title="Name of the header")
    """Such as x-portkey-provider."""
    value: Annotated[str, AfterValidator(_checked_text)] = Field(
        default="", json_schema_extra={"maxLength": _LONGEST}, title="Text"
    )
    """What it says; ${NAME} stands for a variable, such as in Bearer ${TEAM_TOKEN}."""
    env: OptionalVariableName = Field(default="", title="Variable that holds the text")
    """Name of the environment variable that holds it, in place of a text. Never the value itself."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.value) == bool(self.env):
            raise ValueError(
                f"the header {self.name} needs a `value`, or in `env` the variable that holds it; give one"
            )
        check_body({self.name: self.value})
        return self

    @property
    def text(self) -> str:
        """What it says, with `${NAME}` for what a variable holds."""
        return self.value or f"${{{self.env}}}"

    @property
    def is_credential(self) -> bool:
        """Whether it says who asks, by its name."""
        return names_credential(self.name)


def as_headers(headers: Any) -> Any:
    """Return a mapping of names and texts, or of names and `{env: NAME}`, as headers, and anything else as it is."""
    if not isinstance(headers, Mapping):
        return headers
    return [
        {"name": name, **(text if isinstance(text, Mapping) else {"value": text})} for name, text in headers.items()
    ]


def check_headers(headers: tuple[HeaderConfig, ...]) -> tuple[HeaderConfig, ...]:
    """Return headers, each of which stands once.

    Raises:
        ValueError: If one stands twice.
    """
    names = [header.name.lower() for header in headers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the header {twice[0]} stands twice; leave one out")
    return headers


Headers = Annotated[tuple[HeaderConfig, ...], BeforeValidator(as_headers), AfterValidator(check_headers)]
