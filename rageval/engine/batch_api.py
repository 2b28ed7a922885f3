"""The OpenAI Batch API of one model: upload requests, create a batch, look at it, fetch its replies."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rageval.config.models import ModelConfig
from rageval.engine.batch_lines import ENDPOINT, missing_reply, read_replies
from rageval.engine.endpoint import (
    account_of,
    client_settings,
    endpoint_url,
    hidden_values,
    http_settings,
    key_of,
    looking_out,
    without_keys,
)
from rageval.engine.faults import RefusedUnlessProvenError, translate
from rageval.engine.requests import ChatReply
from rageval.errors import ConfigError, CredentialsError, RagevalError, RequestFailedError, RunStoppedError
from rageval.safety.server_message import quoted

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

_ENDED = {"completed", "expired", "cancelled", "failed"}
_TOKEN = "rageval"  # noqa: S105 - the name under which a batch carries its token
_TIMEOUT_S = 600.0
_RETRIES = 4
_RECENT = 100


class _GoneError(ConfigError):
    """The server answered with 404."""


class BatchUnreachableError(Exception):
    """The Batch API did not answer this time; the batch goes on all the same."""


@dataclass(frozen=True, kw_only=True)
class BatchState:
    """How far a batch is. `problem` holds the provider's words if it was refused as a whole."""

    batch_id: str
    status: str
    completed: int
    failed: int
    total: int
    problem: str
    created_at: datetime
    result_files: tuple[str, ...]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in _ENDED


class BatchApi:
    """The batches of one model; a context manager, because it holds connections.

    Args:
        model: Whose endpoint and key to use.

    Raises:
        CredentialsError: If there is no key.
        ConfigError: If a variable of its endpoint or parameters is not set.
    """

    def __init__(self, model: ModelConfig) -> None:
        import openai  # noqa: PLC0415 - slow to import, and few runs use the Batch API

        self.url = endpoint_url(model)
        self._model = model
        account = account_of(model)
        self._key = key_of(account)
        self._hidden = hidden_values(model)
        self._client = openai.OpenAI(
            **client_settings(account),
            max_retries=_RETRIES,
            timeout=openai.Timeout(_TIMEOUT_S, connect=10.0),
            http_client=openai.DefaultHttpxClient(
                **http_settings(account), auth=self._key, event_hooks={"request": [looking_out(account)]}
            ),
        )

        self._once = self._client.with_options(max_retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def upload(self, content: bytes) -> str:
        """Upload a file of requests, which costs nothing, and return its id.

        Raises:
            RagevalError: If the provider does not take it.
        """
        with self._translated("uploading the requests"):
            return self._client.files.create(file=("requests.jsonl", content), purpose="batch").id

    def create(self, file_id: str, token: str) -> str:
        """Create the batch of an uploaded file and return its id.

        It is never tried twice here: a batch whose creation was not heard of is found again by its token.

        Raises:
            RagevalError: If the provider does not take it, or cannot be reached.
        """
        with self._translated("creating the batch"):
            return self._once.batches.create(
                input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h", metadata={_TOKEN: token}
            ).id

    def find(self, token: str) -> str | None:
        """Return the id of the batch, among the hundred latest, that was created with this token.

        Raises:
            RagevalError: If the provider cannot be asked.
        """
        with self._translated("looking for the batch"):
            page = self._client.batches.list(limit=_RECENT)
        return next((batch.id for batch in page.data if (batch.metadata or {}).get(_TOKEN) == token), None)

    def state(self, batch_id: str) -> BatchState:
        """Return how far the batch is.

        Raises:
            BatchUnreachableError: If there was no answer this time.
            RagevalError: If the provider does not know the batch, or the key is refused.
        """
        import openai  # noqa: PLC0415 - see above

        try:
            batch = self._once.batches.retrieve(batch_id)  # the next look is the second try
        except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
            meaning = self._meaning(error, f"looking at the batch {batch_id}")
            if isinstance(meaning, CredentialsError):  # of a key that was to be read anew
                raise meaning from None
            raise BatchUnreachableError(type(error).__name__) from None  # the cause may repeat the key
        except openai.NotFoundError:
            raise ConfigError(
                f"the endpoint {self.url} does not know the batch {batch_id}; give the key and the endpoint that it "
                "was created with, or remove the folder `batches` of the run to ask anew"
            ) from None
        except openai.OpenAIError as error:
            raise self._meaning(error, f"looking at the batch {batch_id}") from None
        return self._read(batch)

    def replies(self, state: BatchState, ids: list[str]) -> Mapping[str, ChatReply]:
        """Return the reply to every request of a batch that has ended; what has none fails with the reason.

        Args:
            state: The batch.
            ids: The custom_id of each of its requests.

        Raises:
            RagevalError: If the results cannot be fetched.
        """
        replies: dict[str, ChatReply] = {}
        why = "without a result for this request"
        for file_id in state.result_files:
            try:
                with self._translated(f"fetching the results of the batch {state.batch_id}"):
                    content = self._client.files.content(file_id).read()
            except _GoneError:
                why = "but its results are gone from the server (HTTP 404)"
                continue
            replies |= read_replies(content, self._model, state.created_at, self._redact)
        nothing = missing_reply(f"the batch {state.batch_id} is {state.status} {why}", state.created_at)
        return {custom_id: replies.get(custom_id, nothing) for custom_id in ids}

    def _redact(self, text: str) -> str:
        return without_keys(text, self._key.known, self._hidden)

    def _read(self, batch: "Batch") -> BatchState:
        counts = batch.request_counts
        errors = (batch.errors.data if batch.errors else None) or []
        problem = "; ".join(dict.fromkeys(error.message or error.code or "" for error in errors))
        return BatchState(
            batch_id=batch.id,
            status=batch.status,
            completed=counts.completed if counts else 0,
            failed=counts.failed if counts else 0,
            total=counts.total if counts else 0,
            problem=quoted(problem or "no reason given", self._redact),
            created_at=datetime.fromtimestamp(batch.created_at, UTC),
            result_files=tuple(file_id for file_id in (batch.output_file_id, batch.error_file_id) if file_id),
        )

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        import openai  # noqa: PLC0415 - see above

        try:
            yield
        except openai.OpenAIError as error:
            raise self._meaning(error, doing) from None  # the cause may repeat the key

    def _meaning(self, error: "openai.OpenAIError", doing: str) -> RagevalError:
        import openai  # noqa: PLC0415 - see above

        if isinstance(error, openai.NotFoundError):
            return _GoneError(f"the endpoint {self.url} has no Batch API ({doing}: HTTP 404); run without --batch")
        meaning = translate(error, self._model, self.url, self._redact)
        if isinstance(meaning, RefusedUnlessProvenError):
            return meaning.ends
        if isinstance(meaning, RagevalError) and not isinstance(meaning, RequestFailedError):
            return meaning
        return RunStoppedError(f"{doing} at {self.url} failed: {meaning}")
