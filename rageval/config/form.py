"""The settings as a form: a title that people read, and an order that a database cannot lose."""

from typing import Any

from pydantic.fields import ComputedFieldInfo, FieldInfo

_TITLES = {
    "accept_alternates": "Accept other right documents",
    "again_share": "Share judged again",
    "api_key_env": "Variable that holds the key",
    "backend": "Search engine",
    "base_url": "Endpoint",
    "batch": "Use the Batch API",
    "batch_poll_s": "Seconds between looks at a batch",
    "candidates": "Candidates of hybrid search",
    "chunk_size": "Questions in a chunk",
    "cutoffs": "More depths (k)",
    "deadline_s": "Deadline of a request (seconds)",
    "enabled": "Judge the answers",
    "extra_body": "More request parameters",
    "hedge": "Ask again when a reply is late",
    "human_labels": "File of human labels",
    "index_options": "Kind of vector index",
    "input_usd_per_mtok": "Price of prompt tokens (US dollars a million)",
    "max_attempts": "Most attempts of a request",
    "max_completion_tokens": "Most completion tokens",
    "max_concurrency": "Most requests in flight",
    "max_cost_usd": "Ceiling (US dollars)",
    "max_failed_share": "Share that may fail",
    "methods": "Search methods",
    "minimum_kappa": "Least agreement of a judge (kappa)",
    "output": "Output folder",
    "output_usd_per_mtok": "Price of completion tokens (US dollars a million)",
    "pairwise": "Compare answers in pairs",
    "panel": "More judges",
    "retry_failed": "Only what has failed",
    "reuse": "Reuse earlier replies",
    "rpm": "Requests a minute",
    "run_id": "Name of the run",
    "sample": "Sample size",
    "search": "Search methods that supply contexts",
    "shared_limit": "Name of a shared limit",
    "timeout_s": "Time-out of an attempt (seconds)",
    "top_k": "Documents shown (top k)",
    "tpm": "Tokens a minute",
}


def title_of(name: str, field: FieldInfo | ComputedFieldInfo) -> str:
    """Return the title of a field: one of its own where its name reads badly, else the name in words."""
    return _TITLES.get(name) or name.replace("_", " ").capitalize()


def number_fields(schema: dict[str, Any]) -> None:
    """Give every field its position, by which Prefect orders a form: Postgres stores an object's keys in no order."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position
