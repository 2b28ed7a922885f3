"""A model behind an OpenAI-compatible endpoint: its limits and its request parameters."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rageval.config.headers import Headers, OptionalHeaderName
from rageval.config.parameters import ParameterConfig, as_body, as_list, as_parameters, check_parameters
from rageval.config.settings import Effect, FileName, FilePath, Name, Settings, Url, VariableName
from rageval.config.tls import TlsConfig

LOCAL = "local"
_Word = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class ModelConfig(Settings):
    """One model behind an OpenAI-compatible endpoint, with its limits and request parameters."""

    name: Name = Field(title="Name of the model")
    """What it is called in every table, and at the endpoint unless another name is given for there. `local` starts
    the embedded model."""
    model: Annotated[str, Effect.SENT] = Field(default="", title="Name at the endpoint")
    """What the endpoint calls the model, if that is another name."""
    base_url: Url = Field(default="", title="Endpoint")
    """The endpoint; empty for OPENAI_BASE_URL or else OpenAI's. A query, such as Azure's ?api-version=..., is kept, and
    ${NAME} stands for a variable."""
    api_key_env: VariableName = Field(default="OPENAI_API_KEY", title="Variable that holds the key")
    """Name of the environment variable that holds the key. Never the key itself."""
    key_file: FilePath = Field(default="", title="File that holds the key")
    """File that holds the key, in place of a variable; read anew when the key is refused (401), as one that expires."""
    key_command: tuple[_Word, ...] = Field(default=(), max_length=50, title="Command that prints the key")
    """Program and arguments, without a shell, that print the key; run anew when the key is refused (401)."""
    key_header: OptionalHeaderName = Field(default="", title="Header that carries the key")
    """Such as api-key; empty for `Authorization: Bearer KEY`, and also for api-key where the host is Azure's."""
    headers: Headers = Field(default=(), max_length=50)
    """More headers of every request, such as a gateway wants. In a file also a mapping of names and texts."""
    tls: TlsConfig = Field(default_factory=TlsConfig, title="Certificates")
    """What the endpoint's certificate is checked against, and the certificate that is shown there."""
    rpm: int | None = Field(default=None, ge=1, le=10_000_000, title="Requests a minute")
    """Most requests a minute; without a number the limit is learnt from the server."""
    tpm: int | None = Field(default=None, ge=1, le=10_000_000_000, title="Tokens a minute")
    """Most tokens a minute; without a number the limit is learnt from the server."""
    max_concurrency: int = Field(default=64, ge=1, le=4096, title="Most requests in flight")
    """The most requests in flight at once."""
    shared_limit: FileName = Field(default="", title="Name of a shared limit")
    """Name of a Prefect global concurrency limit. All runs and workers that name it keep the requests and tokens a
    minute together, each with a share by the chunks it has under way; empty keeps them in this process alone."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600, title="Time-out of an attempt (seconds)")
    """Seconds after which one attempt is cancelled."""
    deadline_s: float = Field(default=900.0, gt=0, le=86_400, title="Deadline of a request (seconds)")
    """Seconds after which a request is given up, its attempts and its own waits for limits included; waiting
    behind other requests does not count."""
    max_attempts: int = Field(default=6, ge=1, le=100, title="Most attempts of a request")
    """Attempts of one request; being told to wait (429) does not count as one."""
    hedge: bool = Field(default=True, title="Ask again when a reply is late")
    """Send a request once more when its reply takes five times as long as usual; at most one in fifty."""
    temperature: Annotated[float | None, Effect.SENT] = Field(default=None, ge=0, le=2)
    """Sent only if set; reasoning models refuse it."""
    max_completion_tokens: Annotated[int | None, Effect.SENT] = Field(
        default=None, ge=1, le=1_000_000, title="Most completion tokens"
    )
    """Sent only if set."""
    service_tier: Annotated[Literal["", "flex", "priority", "default"], Effect.SENT] = ""
    """Sent only if set. `flex` costs half and may take many minutes: raise the time-out to 900 seconds and the
    deadline with it. `priority` costs more than the price table knows, so its cost is unknown unless a price is set."""
    extra_body: Annotated[
        tuple[ParameterConfig, ...], BeforeValidator(as_list), AfterValidator(check_parameters), Effect.SENT
    ] = Field(default=(), max_length=100, title="More request parameters")
    """More request parameters, sent as they are, such as seed: 1. In a file also a mapping of names and values."""
    input_usd_per_mtok: float | None = Field(
        default=None, ge=0, le=100_000, title="Price of prompt tokens (US dollars a million)"
    )
    """Without a number the model is looked up in the price table; give both prices or neither."""
    output_usd_per_mtok: float | None = Field(
        default=None, ge=0, le=100_000, title="Price of completion tokens (US dollars a million)"
    )
    """Without a number the model is looked up in the price table; give both prices or neither."""

    usd_per_call: float | None = Field(default=None, ge=0, le=1000, title="Price of a call (US dollars)")
    """US dollars of one call, in place of prices of tokens."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        if (self.input_usd_per_mtok is None) != (self.output_usd_per_mtok is None):
            raise ValueError("give both input_usd_per_mtok and output_usd_per_mtok, or neither")
        if self.key_file and self.key_command:
            raise ValueError("the key comes from key_file or from key_command; leave one of them out")
        return self

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        return self.model or self.name

    @property
    def account(self) -> tuple[object, ...]:
        """What its limits belong to: an endpoint, whoever asks there, and the model."""
        asking = (self.api_key_env, self.key_file, self.key_command, self.headers)
        return (self.base_url, *asking, self.served_name)

    @property
    def body(self) -> dict[str, Any]:
        """The parameters of `extra_body` as a request has them, but for variables."""
        return as_body(self.extra_body)

    def with_body(self, body: Mapping[str, Any]) -> Self:
        """Return the same model with other parameters in its `extra_body`."""
        return self.model_copy(update={"extra_body": as_parameters(body)})

    @property
    def is_local(self) -> bool:
        """Whether this is the embedded model, which the run itself starts."""
        return self.served_name == LOCAL
