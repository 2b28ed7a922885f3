"""Evaluate a RAG system: documents -> index -> retrieval -> answers -> scores -> report.

    import rageval

    run = rageval.evaluate(sample=25)
    run.summary()

The names below are loaded when they are used: whoever imports one module of this package does not wait for all others.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rageval.library import compare as compare
    from rageval.library import evaluate as evaluate
    from rageval.library import open_run as open_run
    from rageval.library import score as score
    from rageval.records import Answer as Answer
    from rageval.records import Context as Context

__version__ = "0.2.0"
__all__ = ["Answer", "Context", "__version__", "compare", "evaluate", "open_run", "score"]


def __getattr__(name: str) -> Any:
    if name in ("Answer", "Context"):
        from rageval import records  # noqa: PLC0415 - a function that answers needs no more

        return getattr(records, name)
    if name in __all__:
        from rageval import library  # noqa: PLC0415 - see above

        return getattr(library, name)
    raise AttributeError(f"module 'rageval' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
