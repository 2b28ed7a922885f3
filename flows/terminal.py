"""Terminals that cannot show every character: a code page of Windows, Latin-1, ASCII."""

import sys
from io import TextIOWrapper


def show_what_can_be_shown() -> None:
    """Let stdout and stderr replace characters that they cannot show, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what else tests and notebooks put there takes every character
            stream.reconfigure(errors="replace")
