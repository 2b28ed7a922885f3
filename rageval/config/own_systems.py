"""Settings of systems that are their user's own: an HTTP endpoint, a Python function, a file of recorded answers."""

from typing import Any, Literal

import jmespath
from pydantic import Field, field_validator

from rageval.config.columns import ColumnConfig
from rageval.config.headers import Headers
from rageval.config.models import ModelConfig
from rageval.config.settings import FileName, FilledText, FunctionName, OptionalName, Settings, Url
from rageval.config.tls import TlsConfig
from rageval.text.fingerprint import digest
from rageval.text.json_template import json_template

OWN_KINDS = ("http", "python", "recorded")
PLACEHOLDERS = ("question", "history", "metadata", "conversation")
"""What may stand in braces in the body of a request."""
_PATHS = (
    "answer_path", "contexts_path", "context_ids_path", "context_scores_path", "citations_path", "usage_path",
    "cost_path", "error_path", "piece_path",
)  # fmt: skip
_OF_KIND = {
    "http": ("url", "http_method", "headers", "tls", "body", "stream", *_PATHS),
    "python": ("function", "function_folder", "interpreter"),
    "recorded": ("file", "recorded_system", "columns"),
}
_LIMITS = (
    "rpm", "shared_limit", "max_concurrency", "timeout_s", "deadline_s", "max_attempts", "usd_per_call",
    "input_usd_per_mtok", "output_usd_per_mtok",
)  # fmt: skip


class OwnSystemConfig(Settings):
    """What a system of its user's own needs to be asked."""

    url: Url = Field(default="", title="URL (http)")
    """Address that a question is sent to; ${NAME} stands for a variable."""
    http_method: Literal["POST", "PUT", "GET"] = Field(default="POST", title="Method (http)")
    """How it is sent; GET has no body, so the question stands in the URL's query, filled in like a body."""
    body: str = Field(default='{"question": "{{ question }}"}', max_length=100_000, title="Body (http)")
    """JSON that is sent; {{ question }}, {{ history }}, {{ metadata }} and {{ conversation }} in it are filled in."""
    headers: Headers = Field(default=(), title="Headers (http)")
    """Headers of every request, such as the one that says who asks."""
    tls: TlsConfig = Field(default_factory=TlsConfig, title="Certificates (http)")
    """Certificates of an https endpoint."""
    stream: Literal["", "sse", "ndjson"] = Field(default="", title="Stream (http)")
    """How a reply comes that is streamed: server-sent events, or a JSON object a line; empty for one JSON object."""
    answer_path: str = Field(default="answer", max_length=1000, title="Answer in the reply (http)")
    """JMESPath of the answer, such as `choices[0].message.content`; `@` where the reply is plain text."""
    contexts_path: str = Field(default="contexts", max_length=1000, title="Contexts in the reply (http)")
    """JMESPath of a list of texts, ids, or objects of id, text and score, such as `sources[].{id: doc, text: body}`."""
    context_ids_path: str = Field(default="", max_length=1000, title="Ids of the contexts in the reply (http)")
    """JMESPath of a list of the contexts' ids, where it is a list of its own."""
    context_scores_path: str = Field(default="", max_length=1000, title="Scores of the contexts in the reply (http)")
    """JMESPath of a list of the contexts' scores, where it is a list of its own."""
    citations_path: str = Field(default="citations", max_length=1000, title="Citations in the reply (http)")
    """JMESPath of a list of ids or texts."""
    usage_path: str = Field(default="usage", max_length=1000, title="Tokens in the reply (http)")
    """JMESPath of an object with prompt_tokens and completion_tokens, or input_tokens and output_tokens."""
    cost_path: str = Field(default="cost_usd", max_length=1000, title="Cost in the reply (http)")
    """JMESPath of US dollars."""
    error_path: str = Field(default="error", max_length=1000, title="Error in the reply (http)")
    """JMESPath of what stands in a reply of status 200 that is none."""
    piece_path: str = Field(default="answer", max_length=1000, title="Piece in an event (http)")
    """JMESPath of the piece of the answer in each event of a stream; `@` where its data is plain text. The name of an
    event is a key that holds its data."""
    function: FunctionName = Field(default="", title="Function (python)")
    """`module:function` or `path.py:function`, called with a question, and with history, metadata and conversation if
    it takes them."""
    function_folder: FilledText = Field(default="", title="Folder of the function (python)")
    """Folder that the function's path begins at and its imports are looked for in; empty for that of the file that
    these settings are in."""
    interpreter: FilledText = Field(default="", title="Python of the function (python)")
    """Path of the Python that runs the function, such as .venv/bin/python of another virtual environment, from the
    function's folder; empty for this one."""
    file: FilledText = Field(default="", title="File of answers (recorded)")
    """Path or URL of answers that were given before: CSV, JSON, JSON Lines, Parquet or Excel."""
    recorded_system: OptionalName = Field(default="", title="System in the file (recorded)")
    """Which of the systems in the file it is; empty where the file has one."""
    columns: tuple[ColumnConfig, ...] = Field(default=(), title="Columns of the file (recorded)")
    """Columns that are not recognised by their names."""
    rpm: int | None = Field(default=None, ge=1, le=10_000_000, title="Requests a minute")
    """Most requests a minute of a system of your own; without a number the limit is learnt from its replies."""
    shared_limit: FileName = Field(default="", title="Name of a shared limit")
    """Name of a Prefect global concurrency limit that all runs and workers keep its requests a minute by."""
    max_concurrency: int = Field(default=8, ge=1, le=4096, title="Most requests in flight")
    """The most requests, or calls of a function, in flight at once."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600, title="Time-out of an attempt (seconds)")
    """Seconds after which one attempt is cancelled."""
    deadline_s: float = Field(default=900.0, gt=0, le=86_400, title="Deadline of a request (seconds)")
    """Seconds after which a question is given up, all attempts included."""
    max_attempts: int = Field(default=4, ge=1, le=100, title="Most attempts")
    """Attempts of one question; being told to wait (429) does not count as one."""
    usd_per_call: float | None = Field(default=None, ge=0, le=1000, title="Price of a call (US dollars)")
    """US dollars of one call, where a reply does not say; a ceiling needs it, or prices of tokens."""
    input_usd_per_mtok: float | None = Field(
        default=None, ge=0, le=100_000, title="Price of its prompt tokens (US dollars a million)"
    )
    """Of replies that say how many tokens they took; give both prices or neither."""
    output_usd_per_mtok: float | None = Field(
        default=None,
        ge=0,
        le=100_000,
        title="Price of its completion tokens (US dollars a million)",
    )
    """Of replies that say how many tokens they took; give both prices or neither."""

    @field_validator(*_PATHS)
    @classmethod
    def _compiled(cls, path: str) -> str:
        if path:
            try:
                jmespath.compile(path)
            except jmespath.exceptions.JMESPathError as error:
                raise ValueError(f"it is no JMESPath: {' '.join(str(error).split())}") from None
        return path

    @field_validator("body")
    @classmethod
    def _filled(cls, body: str) -> str:
        json_template(body, PLACEHOLDERS)
        return body

    def check_kind(self, kind: str) -> None:
        """Refuse settings that a system of this kind lacks or does not have.

        Raises:
            ValueError: If there are any.
        """
        needed = {"http": "url", "python": "function", "recorded": "file"}.get(kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"a system of kind {kind} needs `{needed}`")
        mine = (*_OF_KIND.get(kind, ()), *(_LIMITS if kind in OWN_KINDS else ()))
        fields = type(self).model_fields
        others = [
            name for names in (*_OF_KIND.values(), _LIMITS) for name in names
            if name not in mine and getattr(self, name) != fields[name].get_default(call_default_factory=True)
        ]  # fmt: skip
        if others:
            raise ValueError(f"a system of kind {kind} has no `{others[0]}`; leave it out")
        if (self.input_usd_per_mtok is None) != (self.output_usd_per_mtok is None):
            raise ValueError("give both input_usd_per_mtok and output_usd_per_mtok, or neither")

    def limits(self, name: str, kind: str) -> ModelConfig:
        """Return the limits that the engine asks it under, as those of a model of the system's name."""
        return ModelConfig(
            name=name,
            model=f"{kind}:{digest(name)[:16]}",  # no name that a table of prices could know
            rpm=self.rpm,
            shared_limit=self.shared_limit,
            max_concurrency=self.max_concurrency,
            timeout_s=self.timeout_s,
            deadline_s=self.deadline_s,
            max_attempts=self.max_attempts,
            usd_per_call=self.usd_per_call,
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
            hedge=False,
        )


def own_settings(config: OwnSystemConfig) -> dict[str, Any]:
    """Return what answers depend on: everything but limits, times and prices."""
    names = set(OwnSystemConfig.model_fields) - set(_LIMITS)
    return config.model_dump(mode="json", include=names, exclude_defaults=True)
