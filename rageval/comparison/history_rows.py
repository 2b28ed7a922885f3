"""Trends of metrics -> titles and rows of words, for terminal and page alike."""

from rageval.comparison.trends import Point, Trend
from rageval.pages.formats import number

READING = (
    "Mean [95 % interval, clustered by document]; n: values / questions asked. A line that says what is other cannot "
    "be compared with the one before it of the same system or retriever. Overlapping intervals prove nothing "
    "either way: `rageval compare` compares two runs question by question."
)


def title(trend: Trend) -> str:
    """Return the heading of a trend."""
    runs = len(trend.runs)
    return f"{trend.metric} in {runs} run{'s' if runs > 1 else ''}"


def trend_rows(trend: Trend) -> list[dict[str, str]]:
    """Return a row per point, the oldest first; `#` is the run's number in the plots."""
    numbers = {run_id: number for number, run_id in enumerate(trend.runs, start=1)}
    return [
        {
            "#": str(numbers[point.run_id]),
            "run": point.run_id,
            "started": point.started_at[:16].replace("T", " ") or "unknown",
            "status": point.status,
            "of": f"retriever {point.subject.name}" if point.subject.is_retriever else point.subject.name,
            "mean": mean(point),
            "n": f"{point.n_scored:,}/{point.n:,}",
            "not comparable with before": point.interrupted or "",
        }
        for point in trend.points
    ]


def mean(point: Point) -> str:
    """Return a mean with its interval."""
    if point.mean is None:
        return "no value"
    if point.low is None or point.high is None:
        return f"{number(point.mean)} [no interval]"
    return f"{number(point.mean)} [{number(point.low)}, {number(point.high)}]"
