"""What a server says of a request -> whether it refuses the key, the model, or a request without a header of its own.

Gateways say so in ways of their own: LiteLLM's proxy and Portkey's by a 400.
"""

import re
from typing import Final

from rageval.safety.server_message import ServerMessage

_KEY_CODES: Final = frozenset(
    {"no_db_connection", "auth_error", "authentication_error", "invalid_api_key", "expired_key", "unauthorized"}
)
_KEY: Final = re.compile(
    r"^authentication error|\bunauthori[sz]ed\b"
    r"|\b(?:invalid|incorrect|expired|unknown|missing) (?:api|access|virtual|proxy|subscription)[ _-]?(?:key|token)\b"
    r"|\b(?:api|access|virtual|subscription)[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|required)\b",
    re.IGNORECASE,
)
_MODEL_CODES: Final = frozenset({"model_not_found", "invalid_model", "unknown_model"})
_MODEL: Final = re.compile(
    r"\b(?:invalid|unknown|no such) model\b|\bmodel\b.{0,200}?\b(?:not found|does not exist|is not available)\b",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"\bheader is (?:required|missing)\b|\bmissing (?:required )?header\b|^invalid provider passed", re.IGNORECASE
)


def refuses_key(said: ServerMessage) -> bool:
    """Return whether it refuses the key; its words may repeat the prompt, so this alone is no proof."""
    return bool(said.codes & _KEY_CODES) or _KEY.search(said.text) is not None


def refuses_model(said: ServerMessage) -> bool:
    """Return the same of the model."""
    return bool(said.codes & _MODEL_CODES) or _MODEL.search(said.text) is not None


def wants_header(said: ServerMessage) -> bool:
    """Return whether it wants a header that the request did not have, or that says something else."""
    return _HEADER.search(said.text) is not None
