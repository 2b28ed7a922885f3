"""What the settings of a configuration have to agree on; each check raises a ValueError that says what to change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rageval.metrics.names import AGAIN, SINGLE

if TYPE_CHECKING:
    from rageval.config.models import ModelConfig
    from rageval.config.systems import SystemPlan

_NO_FILTERS = frozenset({"id", "text", "title", "question", "document", "grade", "source"})
"""Columns of documents and of questions that are read as something else."""


def check_judges(judges: "Sequence[ModelConfig]") -> None:
    """Refuse judges that cannot be told apart in the tables."""
    names = [judge.name for judge in judges]
    if len(set(names)) != len(names) or {AGAIN, SINGLE} & set(names):
        raise ValueError(
            f"the judges need names of their own, none of them {AGAIN!r} or {SINGLE!r}, found {', '.join(names)}; "
            "judge.panel names judges beside the first one, which is judge.model or else the first answering model"
        )


def check_budgets(models: "Sequence[ModelConfig]") -> None:
    """Refuse different limits for what is one budget, and one shared limit for what are two."""
    limits: dict[tuple[object, ...], tuple[int | None, int | None, int, str]] = {}
    for model in models:
        mine = (model.rpm, model.tpm, model.max_concurrency, model.shared_limit)
        if limits.setdefault(model.account, mine) != mine:
            raise ValueError(
                f"the model {model.served_name!r} stands twice with different rpm, tpm, max_concurrency or "
                "shared_limit; its requests share one budget, so give the same limits each time"
            )
    shared = [limit for *_, limit in limits.values() if limit]
    if len(set(shared)) != len(shared):
        raise ValueError(
            f"two models have the same shared_limit, found {', '.join(shared)}; limits are per model, so name one for "
            "each"
        )


def check_own_budgets(plans: "Sequence[SystemPlan]") -> None:
    """Refuse different limits for systems of one's own behind one address, which share one budget."""
    limits: dict[tuple[str, ...], tuple[int | None, int, str]] = {}
    for plan in plans:
        if plan.own is None or plan.kind == "recorded":
            continue
        where = (plan.kind, plan.own.url, plan.own.function_folder, plan.own.function)
        mine = (plan.own.rpm, plan.own.max_concurrency, plan.own.shared_limit)
        if limits.setdefault(where, mine) != mine:
            raise ValueError(
                f"the system {plan.name!r} has other limits than another one with the same url or function, but they "
                "share one budget; give both the same rpm, max_concurrency and shared_limit"
            )


def check_filter(filter_by: str, only: str) -> None:
    """Refuse a filter by a column that is no filter, and a value without a filter."""
    if filter_by in _NO_FILTERS:
        raise ValueError(
            f"filter_by names the column {filter_by!r}, which has a meaning of its own; name one that documents and "
            "questions share, such as a course or a product, or leave it empty"
        )
    if only and not filter_by:
        raise ValueError(f"only is {only!r}, but nothing says of which column; name it in filter_by")


def check_cluster(models: "Sequence[ModelConfig]", what: str = "model") -> None:
    """Refuse models, or systems of one's own, that the workers of a Dask cluster cannot share."""
    for model in models:
        if model.is_local:
            raise ValueError(
                f"the embedded model {model.name!r} is served for one machine alone; name models behind an endpoint, "
                "or leave run.task_runner as threads"
            )
        if not model.shared_limit:
            raise ValueError(
                f"the {what} {model.name!r} has no shared_limit, without which every worker of the Dask cluster would "
                "use the whole of its rpm and tpm; name a Prefect global concurrency limit"
            )


def check_batch(models: "Sequence[ModelConfig]", *, pairwise: bool) -> None:
    """Refuse what the Batch API cannot do."""
    if pairwise:
        raise ValueError("judge.pairwise needs live requests; run without --batch, or leave judge.pairwise out")
    for model in models:
        if model.is_local:
            raise ValueError(
                f"the embedded model {model.name!r} has no Batch API; run without --batch, or name other models"
            )
        if model.service_tier:
            raise ValueError(
                f"the model {model.name!r} has the service_tier {model.service_tier!r}, but a batch has a price of its "
                "own; run without --batch, or leave service_tier empty"
            )
