"""Values -> the words and figures that every report shows for them."""

import re
from typing import Any

UNKNOWN = "unknown"

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return the text without characters that a page cannot hold or that reorder the text around them.

    Control characters and lone surrogates become U+FFFD; a bidirectional override or embedding becomes its
    code, such as [U+202E], because it could make a sentence read as another one.
    """
    text = _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _DIRECTION.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of the text, and say how many more there were."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({count(len(text) - limit)} more characters)"


def number(value: float | None) -> str:
    """Return a metric's value with 3 decimals."""
    if value is None:
        return UNKNOWN
    text = f"{value:,.3f}"
    return "0.000" if text == "-0.000" else text


def count(value: float | None) -> str:
    """Return a whole number with thousands separators."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def share(part: int, whole: int) -> str:
    """Return a count and what part of the whole it is; only all of it shows as 100 %, only nothing as 0 %."""
    if not whole:
        return f"{count(part)} of 0"
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{count(part)} of {count(whole)} ({percent:.1f} %)"


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds * 1000:,.1f} ms"
    if seconds < 120:
        return f"{seconds:,.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def usd(value: float | None) -> str:
    """Return an amount in US dollars, with more decimals the smaller it is."""
    if value is None:
        return UNKNOWN
    if value == 0 or value >= 0.1:
        return f"${value:,.3f}"
    return f"${value:.6f}" if value >= 0.000001 else "less than $0.000001"


def fact(name: str, value: Any) -> str:
    """Return one total of a run by the unit that its name ends with."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if name.endswith("_usd"):
        return usd(value)
    if name.endswith(("_s", "seconds")):
        return duration(value)
    return count(value) if float(value).is_integer() else number(value)
