"""What every group of settings is made of: a base that refuses secrets and unknown keys, and types of values."""

from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from rageval.config.form import number_fields, title_of
from rageval.safety.credentials import PLACEHOLDER, VARIABLE_NAME, variable_name
from rageval.safety.urls import REFUSAL, SECRET_PATTERN, check_location, holds_secret
from rageval.text.keys import plain_key

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
OptionalName = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
FileName = Annotated[str, Field(max_length=100, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")]
VariableName = Annotated[
    str,
    Field(max_length=100, pattern=VARIABLE_NAME),
    BeforeValidator(lambda value: variable_name(value) if isinstance(value, str) else value),
]
OptionalVariableName = Annotated[
    str,
    Field(max_length=100, pattern=rf"^$|{VARIABLE_NAME}"),
    BeforeValidator(lambda value: variable_name(value) if isinstance(value, str) and value else value),
]
_ADDRESS = r"https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][^\s]*)?"
FilledText = Annotated[
    str,
    Field(
        max_length=2000, json_schema_extra={"not": {"pattern": SECRET_PATTERN}}
    ),  # so that Prefect's server stores none
    AfterValidator(check_location),
]
"""Text in which `${NAME}` stands for a variable that is read where the text is used."""
Url = Annotated[FilledText, Field(pattern=rf"^({_ADDRESS}|[^\s]*{PLACEHOLDER}[^\s]*)?$")]
Location = Annotated[FilledText, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
"""A path or a URL."""
FunctionName = Annotated[str, Field(max_length=500, pattern=r"^([^\x00-\x1f:]+:[A-Za-z_][A-Za-z0-9_.]*)?$")]
"""`module:function` or `path.py:function`."""
FilePath = Annotated[FilledText, Field(pattern=r"^[^\x00-\x1f]*$")]
"""A path on this machine; empty for none."""
SchedulerUrl = Annotated[str, Field(max_length=500, pattern=r"^((tcp|tls|ws|wss|ucx)://[A-Za-z0-9._~-]+:[0-9]{1,5})?$")]
Key = Annotated[str, AfterValidator(plain_key)]
"""A name that rows are joined by, in the one way it is written."""


class Effect(Enum):
    """What a setting has to do with results, said at its field: `Annotated[int, Effect.NONE]`.

    Without a word on it, results depend on a setting, and a run goes on with the value that it was started with.
    """

    NONE = "no result depends on it"
    FIXED = "no result depends on it, but what is stored does: a run goes on with the value that it was started with"
    OPEN = "a run may go on with another value, for what depends on it is not made again, or is checked elsewhere"
    SENT = "it is part of a model's requests; no result depends on the other settings of a model"


class Settings(BaseModel):
    """Base of all groups of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        field_title_generator=title_of,
        json_schema_extra=number_fields,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _without_secrets(cls, value: Any) -> Any:
        """Refuse any text with a login or a key in it: settings become parameters, and are stored and shown."""
        texts = value if isinstance(value, (list, tuple)) else (value,)
        if any(isinstance(text, str) and holds_secret(text) for text in texts):
            raise ValueError(REFUSAL)
        return value
