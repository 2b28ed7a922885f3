"""The text of a prompt -> its two templates, checked before anything is sent, and the messages that come of them.

Templates are Jinja in a sandbox without globals. What could fill the memory is refused: multiplication, powers, large
numbers, and messages longer than `MAX_CHARS`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rageval.errors import ConfigError
from rageval.records import Document, Message
from rageval.text.fingerprint import digest

VARIABLES: Final = frozenset({"question", "contexts", "history", "metadata"})
"""What a template may name."""
MAX_CHARS: Final = 2_000_000
"""The longest part of a message that a template may write."""
_MAX_TEMPLATE_CHARS: Final = 100_000
_LARGEST_NUMBER: Final = 10_000
_PART = re.compile(r"^(system|user):[ \t]*$", re.MULTILINE)
_PROBE: Final = "a question that no template holds: 5f1d7c"


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja that cannot multiply: a short template could ask for a text of any length."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse the operator."""
        raise SecurityError(f"the operator {operator} is not available in prompts")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A named prompt: its two templates."""

    name: str
    system: str
    """Empty where there is no system part."""
    user: str

    @property
    def hash(self) -> str:
        """What tells it from any other text under the same name."""
        return digest("prompt", self.system, self.user)


@dataclass(frozen=True, kw_only=True)
class _Context:
    """What a template sees of one context."""

    number: int
    """Its rank, from 1."""
    id: str
    title: str
    section: str
    text: str
    metadata: Mapping[str, str]


def parse_prompt(name: str, text: str) -> Prompt:
    """Return the prompt that a file holds.

    Lines `system:` and `user:` begin its parts. A text without any of them is the user part as a whole.

    Raises:
        ConfigError: If it has text before its first part, a part twice, or no user part.
    """
    pieces = _PART.split(text)
    if len(pieces) == 1:
        return checked(Prompt(name=name, system="", user=text.strip()))
    parts = list(zip(pieces[1::2], pieces[2::2], strict=True))
    names = [part for part, _ in parts]
    if pieces[0].strip() or names not in (["system", "user"], ["user", "system"], ["user"]):
        raise ConfigError(
            f"the prompt {name!r} has to begin with the line `system:` or `user:`, and needs a `user:` part and at "
            f"most one `system:` part; found {', '.join(names)}{' after other text' if pieces[0].strip() else ''}"
        )
    found = {part: body.strip() for part, body in parts}
    return checked(Prompt(name=name, system=found.get("system", ""), user=found["user"]))


def checked(prompt: Prompt) -> Prompt:
    """Return the prompt, if it can be used.

    Raises:
        ConfigError: If a part is no template, names an unknown variable, or the prompt prints no question.
    """
    for part, source in (("system", prompt.system), ("user", prompt.user)):
        where = f"the prompt {prompt.name!r}, {part} part"
        if len(source) > _MAX_TEMPLATE_CHARS:
            raise ConfigError(f"{where}: {len(source):,} characters; at most {_MAX_TEMPLATE_CHARS:,} are read")
        try:
            tree = _environment().parse(source)
        except TemplateError as error:
            raise ConfigError(f"{where} is no Jinja template: {error}") from None
        if unknown := sorted(meta.find_undeclared_variables(tree) - VARIABLES):
            raise ConfigError(f"{where}: unknown variable {unknown[0]!r}; known are {', '.join(sorted(VARIABLES))}")
        numbers = [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, int | float)]
        if any(abs(number) > _LARGEST_NUMBER for number in numbers):
            raise ConfigError(f"{where}: a number above {_LARGEST_NUMBER:,} is not available in prompts")
    probe = Document(document_id="id", title="title", text="text", metadata={"section": "section"}, content_hash="")
    said = messages(prompt, _PROBE, [probe])
    if not any(_PROBE in message["content"] for message in said):
        raise ConfigError(f"the prompt {prompt.name!r} prints no question: write {{{{ question }}}} where it belongs")
    return prompt


def messages(
    prompt: Prompt,
    question: str,
    contexts: Sequence[Document],
    *,
    history: Sequence[Message] = (),
    metadata: Mapping[str, str] | None = None,
) -> list[Message]:
    """Return the messages that a model is sent: the system part, if there is one, and the user part.

    Args:
        prompt: Its templates.
        question: What is asked.
        contexts: What the model is shown, best first.
        history: Earlier turns, each with `role` and `content`.
        metadata: Of the question.

    Raises:
        ConfigError: If a template cannot be rendered, or writes more than `MAX_CHARS`.
    """
    values = {
        "question": question,
        "contexts": [_context(number, document) for number, document in enumerate(contexts, start=1)],
        "history": [dict(turn) for turn in history],
        "metadata": dict(metadata or {}),
    }
    parts = [("system", prompt.system)] if prompt.system else []
    return [
        {"role": role, "content": _rendered(prompt.name, source, values)}
        for role, source in (*parts, ("user", prompt.user))
    ]


def _rendered(name: str, source: str, values: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    length = 0
    try:
        for piece in _compiled(source).generate(values):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_CHARS:
                raise ConfigError(f"the prompt {name!r} writes more than {MAX_CHARS:,} characters")
    except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigError(f"the prompt {name!r} cannot be filled in: {error}") from None
    return "".join(pieces).strip()


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    """Return a template, compiled once for all questions: that takes longer than to fill it in."""
    return _environment().from_string(source)


def _context(number: int, document: Document) -> _Context:
    return _Context(
        number=number,
        id=document.document_id,
        title=document.title,
        section=document.metadata.get("section", ""),
        text=document.text,
        metadata=document.metadata,
    )


def _environment() -> _Environment:
    made = _Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    made.globals.clear()
    return made
