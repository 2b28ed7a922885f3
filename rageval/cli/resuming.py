"""A run that was stopped -> the command that goes on with it."""

import shlex
import sys

from rageval.text.terminal import console, plain


def show_resume_command(run_id: str | None) -> None:
    """Print this process's own command, as it goes on.

    Args:
        run_id: The name that resumes the run, for commands that take it as --run-id; None for others.
    """
    words = ["rageval", *sys.argv[1:]]
    if run_id and "--run-id" not in words:
        words += ["--run-id", run_id]
    console.print(f"Go on with:\n  {plain(shlex.join(words))}", highlight=False, soft_wrap=True)
