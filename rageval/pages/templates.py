"""The Jinja environment of every page: templates beside their code, one seam that cleans and escapes output."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rageval.pages import formats


def environment() -> Environment:
    """Return an environment that escapes everything but `Markup`, knows the filters of `formats`, and has no globals.

    Every text passes `formats.printable` on its way out; None becomes the word `unknown`.
    """
    made = Environment(
        loader=PackageLoader("rageval", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters |= {"cut": formats.cut, "number": formats.number, "count": formats.count}
    made.filters |= {"duration": formats.duration, "share": formats.share}
    return made


def _finalize(value: Any) -> Any:
    """Clean every text on its way out; the figures' markup stays as it is."""
    if isinstance(value, Markup):
        return value
    return formats.UNKNOWN if value is None else formats.printable(str(value))
