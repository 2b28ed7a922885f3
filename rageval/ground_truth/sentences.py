"""The manifest of a generation -> how many questions were kept, and why the others were not."""

from collections.abc import Mapping
from typing import Any

from rageval.pages import formats


def generation_rows(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return one row for the kept questions and one for each reason why others were not kept."""
    counts: Mapping[str, int] = manifest.get("counts") or {}
    total = sum(counts.values())
    return [{"outcome": reason, "questions": formats.share(count, total)} for reason, count in counts.items()]


def generation_sentence(manifest: Mapping[str, Any]) -> str:
    """Return in one sentence what the run came to and what it took."""
    kept = (manifest.get("counts") or {}).get("kept", 0)
    return (
        f"{formats.count(kept)} questions kept, written from {formats.count(manifest.get('documents'))} documents, "
        f"with {formats.count(manifest.get('requests'))} requests for {_cost(manifest)}."
    )


def _cost(manifest: Mapping[str, Any]) -> str:
    """Return the dollars; where some are unknown, what it was at least, and why nobody knows."""
    cost_usd, without = manifest.get("cost_usd"), manifest.get("replies_without_usage")
    known = (manifest.get("at_least") or {}).get("cost_usd")
    said = formats.usd(cost_usd) if cost_usd is not None or not known else f"at least {formats.usd(known)}"
    if not without:
        return said
    return f"{said} ({formats.count(without)} of {formats.count(manifest.get('replies'))} replies carried no usage)"


def render_generation(manifest: Mapping[str, Any]) -> str:
    """Return the Markdown of the Prefect artifact; it holds nothing that a model wrote."""
    lines = [f"Run {manifest['run_id']} is {manifest['status']}.", "", generation_sentence(manifest), ""]
    lines += ["| outcome | questions |", "|---|---:|"]
    lines += [f"| {row['outcome']} | {row['questions']} |" for row in generation_rows(manifest)]
    return "\n".join(lines) + "\n"
