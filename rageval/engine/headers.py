"""Configured headers -> those that are sent, and what of them must not be shown."""

from collections.abc import Iterable

from rageval.config.headers import HeaderConfig
from rageval.errors import ConfigError
from rageval.safety.allowances import check_header
from rageval.safety.variables import filled_in, filled_in_values


def sent_headers(headers: Iterable[HeaderConfig]) -> dict[str, str]:
    """Return headers by name with the values of variables, which are neither stored nor shown.

    Raises:
        ConfigError: If a variable is not set or holds what no header can, or the run may not send the header.
    """
    sent = {}
    for header in headers:
        check_header(header.name, header.text)
        sent[header.name] = filled_in(header.text)
        if not sent[header.name].isascii() or not sent[header.name].isprintable():
            raise ConfigError(
                f"the header {header.name} holds characters that no header can, from a variable in {header.text}; set "
                "that again without them"
            )
    return sent


def hidden_in_headers(headers: Iterable[HeaderConfig]) -> set[str]:
    """Return what must not be shown of all that is filled in.

    Raises:
        ConfigError: If a variable is not set, or the run may not read it.
    """
    return filled_in_values([header.text for header in headers])
