"""Numbers -> small inline SVG figures that take their colours from the page around them.

The figures hold no text but numbers and words of this module: names that come from data stand beside them,
in the page. The same numbers give the same bytes.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]

BIN_WIDTH: Final = 0.05
COLOURS: Final = {
    "#010101": "var(--series)",
    "#020202": "var(--good)",
    "#030303": "var(--middle)",
    "#040404": "var(--bad)",
    "#050505": "var(--unscored)",
    "#060606": "var(--failed)",
    "#070707": "var(--skipped)",
    "#080808": "var(--rule)",
    "#090909": "var(--muted)",
    "#000000": "currentColor",
}
"""What each colour that is drawn with becomes in the page, where it follows light and dark mode."""
SERIES, GOOD, MIDDLE, BAD, UNSCORED, FAILED, SKIPPED, RULE, MUTED, _ = COLOURS

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rageval",
    "path.simplify": False,
    "text.parse_math": False,
    "font.size": 9,
    "axes.linewidth": 0.6,
}
_NO_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}


def histograms(groups: Sequence[Values]) -> list[Markup]:
    """Return a histogram per group, all on the same axes, with a line at the group's mean.

    Args:
        groups: Finite values of at most 1 each; a group may be empty.
    """
    known = np.concatenate([np.zeros(1), *groups])
    bins = np.linspace(start := np.floor(known.min() / BIN_WIDTH) * BIN_WIDTH, 1.0, round((1 - start) / BIN_WIDTH) + 1)
    counts = [np.histogram(group, bins)[0] for group in groups]
    top = max([1, *(int(c.max()) for c in counts)])
    return [_histogram(c, bins, group, top) for c, group in zip(counts, groups, strict=True)]


def rank_bars(groups: Sequence[Mapping[str, int]]) -> list[Markup]:
    """Return a bar plot per group, all on the same scale; the last bar of each is drawn as the odd one out.

    Args:
        groups: Count by label; the labels are short and our own, such as ranks and "none".
    """
    top = max([1, *(n for group in groups for n in group.values())])
    return [_bars(group, top) for group in groups]


def stacked_bar(parts: Mapping[str, int]) -> Markup:
    """Return one bar of full width, divided in proportion to the counts.

    Args:
        parts: Count by colour, one of the constants of this module.
    """
    with _style():
        figure = _figure(2.6, 0.22)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, max(1, sum(parts.values())))
        left = 0
        for colour, n in parts.items():
            if n:
                axes.barh(0, n, left=left, color=colour, linewidth=0, clip_on=False)
            left += n
        return _svg(figure)


def _histogram(counts: NDArray[Any], bins: Values, values: Values, top: int) -> Markup:
    with _style():
        figure, axes = _axes(top)
        axes.stairs(counts, bins, fill=True, color=SERIES, clip_on=False)
        axes.set_xlim(float(bins[0]), 1.0)
        axes.set_xticks(np.arange(np.ceil(bins[0] / 0.25) * 0.25, 1.01, 0.25))
        axes.set_ylabel("answers")
        if values.size:
            axes.axvline(float(values.mean()), color="black", linewidth=1, dashes=(3, 2), clip_on=False)
        return _svg(figure)


def _bars(group: Mapping[str, int], top: int) -> Markup:
    with _style():
        figure, axes = _axes(top)
        colours = [SERIES] * (len(group) - 1) + [MUTED]
        axes.bar(range(len(group)), list(group.values()), 0.7, color=colours, clip_on=False)
        axes.set_xticks(range(len(group)), labels=list(group))
        axes.set_ylabel("questions")
        return _svg(figure)


def _axes(top: int) -> "tuple[Figure, Axes]":
    """Return a figure with one pair of axes that reach from 0 to `top`."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter  # noqa: PLC0415  slow to import

    figure = _figure(3.6, 1.7)
    axes = figure.add_axes((0.17, 0.15, 0.78, 0.78))
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=RULE, linewidth=0.6, clip_on=False)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, axes


def _style() -> Any:
    from matplotlib import rc_context  # noqa: PLC0415  slow to import

    return rc_context(_STYLE)


def _figure(width: float, height: float) -> "Figure":
    """Return an empty figure, in inches, that no global state knows about."""
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to import

    return Figure(figsize=(width, height))


def _svg(figure: "Figure") -> Markup:
    """Return the figure as an element that scales with the page and loads, defines and names nothing."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    text = file.getvalue()
    size = re.search(r'viewBox="[^"]+"', text)
    body = text[text.index("<g ") : text.rindex("</svg>")]
    body = re.sub(r' id="[^"]*"| font-family: [^;"]*;?|font-family: [^;"]*;? ?| transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r"\s+", " ", body).replace("> <", "><").replace("<defs></defs>", "").replace("<g/>", "")
    for drawn, shown in COLOURS.items():
        body = body.replace(drawn, shown)
    return Markup(f'<svg {size[0] if size else ""} aria-hidden="true" focusable="false">{body}</svg>')  # noqa: S704
