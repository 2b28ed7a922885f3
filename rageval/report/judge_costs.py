"""The verdicts of a run -> what each judge has used, in words."""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rageval.pages.formats import count, usd

_USED: Final = {
    "prompt_tokens": "prompt tokens",
    "cached_tokens": "of these cached",
    "completion_tokens": "completion tokens",
    "cost_usd": "cost",
}


def judge_costs(verdicts: pa.Table) -> list[dict[str, str]]:
    """Return a row per judge; unlike an answer's cost, that of a verdict is part of no mean.

    A sum over only a part of the calls says of how many it is. Cached tokens, a part of those of the prompt, are shown
    where any judge's provider counts them.

    Args:
        verdicts: Table `report_data.VERDICTS`.
    """
    asked = pc.or_(pc.greater(verdicts["attempts"], 0), pc.is_valid(verdicts["reused_from"]))
    calls = verdicts.filter(asked).unify_dictionaries()  # each call once
    sums = calls.group_by("judge_model", use_threads=False).aggregate(
        [("attempts", "sum"), *((name, kind) for name in _USED for kind in ("sum", "count")), ([], "count_all")]
    )
    rows = sums.to_pylist()
    shown = [name for name in _USED if name != "cached_tokens" or any(row["cached_tokens_count"] for row in rows)]
    return [
        {
            "judge": row["judge_model"],
            "requests": count(row["attempts_sum"]),
            **{_USED[name]: _words(name, row) for name in shown},
        }
        for row in rows
    ]


def _words(name: str, sums: dict[str, Any]) -> str:
    known = sums[f"{name}_count"]
    partly = "" if known in (0, sums["count_all"]) else f" ({known} known)"
    return f"{(usd if name == 'cost_usd' else count)(sums[f'{name}_sum'])}{partly}"
