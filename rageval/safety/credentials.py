"""What looks like a key or names one, what a variable's name looks like, and `${NAME}`, which stands for its value.

A setting is stored, shown and passed on wherever a run goes. So none may hold a key; it names the variable that does,
or has `${NAME}` where the value is filled in at the moment it is used.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# No pattern may take longer than linear time: the text may be a stranger's. So every repetition has an end, or its
# characters cannot begin what follows it.
_BEGINNINGS = "(?:sk|pk|rk|gsk|csk|xai|pplx|nvapi|r8)[-_]|gh[opsur]_|github_pat_|glpat-|hf_|xox[abeoprs]-|AIza"
KEY_SHAPES = (
    re.compile(rf"\b(?:{_BEGINNINGS})[A-Za-z0-9_-]{{16,}}"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]*(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"),
)
"""Keys that are known by how they begin."""
KEY_PATTERN = rf"\b(?:{_BEGINNINGS})(?=[A-Za-z0-9_-]*[A-Za-z0-9]{{16}})|\b(?:AKIA|ASIA)[0-9A-Z]{{16}}\b"
"""Finds most of what `holds_key` does, in the dialect of a JSON schema."""
_RANDOM = re.compile(r"[A-Za-z0-9]{16}|PRIVATE KEY")
"""Stands in every key, and in no name such as sk-learn-documents-2026."""
_HEADER = re.compile(r"\s*(?:bearer|basic|token)\s+\S{8,}\s*", re.IGNORECASE)

# What names a credential in a URL or a request: these words alone or behind a separator, and whatever ends like those.
WORDS = "sig|sign|sas|jwt|pwd|pass|pw|auth|hmac|bearer|cookie|tempauth"
ENDINGS = (
    "signature|credentials?|token|secret|password|passwd|passphrase|authorization|"
    "(?:api|access|account|auth|license|private|resource|rl|secret|shared|signing|subscription)[-_.]?keys?|"
    "access[-_.]?(?:key[-_.]?)?id"
)
_CREDENTIAL = re.compile(rf"(?:.*[-_.])?(?:{WORDS})|key|.*(?:{ENDINGS})", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<.*>|\[.*\]|.{0,7}", re.DOTALL)
"""What stands for a token of text, such as </s>."""

VARIABLE_NAME = r"^_*[A-Z]+([0-9][A-Z0-9]{0,7})?(_([A-Z]+([0-9][A-Z0-9]{0,7})?|[0-9][A-Z0-9]{0,7})?)*$"
"""Capitals, in words of which no more than eight characters follow the first digit: keys are longer, or have others."""
_VARIABLE_NAME = re.compile(VARIABLE_NAME)
PLACEHOLDER = r"\$\{[^{}]*\}"
_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
NO_VARIABLE = (
    "expected the name of an environment variable in capitals, such as OPENAI_API_KEY; what was found is not repeated, "
    "it may be a key: put that into a variable, and give the variable's name"
)


def holds_key(text: str) -> bool:
    """Return whether the text holds what is a key by how it begins, such as `sk-...`."""
    return any(_RANDOM.search(found[0]) for shape in KEY_SHAPES for found in shape.finditer(text))


def names_credential(name: str) -> bool:
    """Return whether what has this name in a URL or a request is a credential, such as `sig` or `api-key`."""
    return _CREDENTIAL.fullmatch(name) is not None


def without_placeholders(text: str) -> str:
    """Return what is left of a text without every `${NAME}`."""
    return _PLACEHOLDER.sub("", text)


def placeholders(text: str) -> list[str]:
    """Return the names of the variables whose values are filled in, in their order."""
    return _PLACEHOLDER.findall(text)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the variables' values in the place of each `${NAME}`."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def variable_name(text: str) -> str:
    """Return the text, which is the name of a variable.

    Raises:
        ValueError: If it is none; the text is not repeated.
    """
    if len(text) > 100 or not _VARIABLE_NAME.fullmatch(text):
        raise ValueError(NO_VARIABLE)
    return text


def check_body(body: dict[str, Any]) -> dict[str, Any]:
    """Return parameters of a request, which hold no key, however deep.

    Raises:
        ValueError: If one does; it names where, and does not repeat the key.
    """
    for path in _keys(body, ""):
        raise ValueError(
            f"{path} is a key, which would be stored and shown; name its variable in api_key_env, or write ${{NAME}} "
            "in its place, and the variable NAME is read when a request is sent"
        )
    return body


def refuse_keys(schema: dict[str, Any]) -> None:
    """Let the JSON schema of a `name` and its `value`, which may be JSON, refuse most of what `check_body` does."""
    key = any_case("key")
    names = rf'(?:[^"]*[-_.])?(?:{any_case(WORDS)})|{key}|[^"]*(?:{any_case(ENDINGS)})'
    of_key = rf'"(?:{names})"\s*:\s*"(?![^"]*{PLACEHOLDER})[^"]{{8,}}"'
    schema["properties"]["value"]["not"] = {"pattern": f"{KEY_PATTERN}|{of_key}"}
    schema["if"] = {"properties": {"name": {"pattern": f"^(?:{names})$"}}, "required": ["name", "value"]}
    filled_in = rf'^(?:\s*\{{[\s\S]*|"?.{{0,7}}"?|.*{PLACEHOLDER}.*)$'
    schema["then"] = {"properties": {"value": {"pattern": filled_in}}}


def any_case(pattern: str) -> str:
    """Return a pattern of lower-case words for a dialect that has no flags."""
    return re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", pattern)


def _keys(value: Any, path: str, *, named: bool = False) -> Iterator[str]:
    """Yield where a key stands."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            below = f"{path}.{name}" if path else str(name)
            if holds_key(str(name)):
                yield "a name"
            else:
                yield from _keys(item, below, named=_names_key(str(name), item))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _keys(item, path, named=named)
    elif isinstance(value, str):
        for name in placeholders(value):
            variable_name(name)
        rest = without_placeholders(value)
        if holds_key(rest) or _HEADER.fullmatch(rest) or (named and rest == value != ""):
            yield path
    elif named and isinstance(value, int) and not isinstance(value, bool):
        yield path


def _names_key(name: str, value: Any) -> bool:
    """Return whether the value is a key by its name; `eos_token` is none, but a word of a model's language."""
    is_of_text = name.lower().endswith("_token") and not (isinstance(value, str) and not _MARKUP.fullmatch(value))
    return names_credential(name) and not is_of_text
