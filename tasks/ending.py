"""How a flow ends: a final state whose message says in one sentence what happened.

Callers of the flow in the same process get the result itself, or the error raised: Prefect unwraps the state.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect.states import Completed, Failed

from rageval.errors import RagevalError

Result = TypeVar("Result")


def end_in_words(body: Callable[[], tuple[Result, str]]) -> Result:
    """Return what a flow returns to end in words: its body's result and message, or the text of an expected error.

    Args:
        body: Everything that the flow does; returns the flow's result and a sentence about it. Any error but a
            `RagevalError` goes through, with its traceback in the log.
    """
    try:
        result, sentence = body()
        state: Any = Completed(message=sentence, data=result)
    except RagevalError as error:
        state = Failed(message=str(error), data=error)
    return state  # type: ignore[no-any-return]  # what the caller of the flow gets is the result
