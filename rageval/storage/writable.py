"""Folders that a command is going to write to, looked at before it begins: a sentence at once, not a fault later on."""

import os
import tempfile

from rageval.errors import ConfigError
from rageval.storage.places import Place, StorePath


def check_writable(folder: Place, what: str, otherwise: str) -> None:
    """Make sure that this process may write to a folder, or make it; nothing is written yet.

    Args:
        folder: One of this machine; stores are looked at where they are first used.
        what: What it is for, as the message begins.
        otherwise: What else can be done, as the message ends.

    Raises:
        ConfigError: If it may not.
    """
    if isinstance(folder, StorePath):
        return
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    where = folder if there == folder.absolute() else f"{folder} (in {there})"
    raise ConfigError(
        f"{what} {where} cannot be written{whoever()}. Let that user write there (in a container: mount a volume that "
        f"the user owns), or {otherwise}"
    )


def check_temporary_folder() -> None:
    """Make sure that there is a folder for temporary files, which a container that is read-only may lack.

    Raises:
        ConfigError: If there is none.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise ConfigError(
            f"no folder for temporary files can be written{whoever()}: neither /tmp nor any other usual one. Mount one "
            "(docker run --tmpfs /tmp), or name one in TMPDIR"
        ) from None


def check_output(folder: Place) -> None:
    """Make sure that runs can be written to a folder, before anything is started for them.

    Raises:
        ConfigError: If they cannot.
    """
    check_writable(folder, "the output folder", "name another one with --output")


def not_allowed(error: OSError) -> ConfigError:
    """Return in words which file or folder the system keeps from this process."""
    return ConfigError(
        f"{error.filename!r} cannot be used{whoever()}: {error.strerror}. Let that user use it (in a container: "
        "mount it, readable, or on a volume that the user owns), or name another one"
    )


def whoever() -> str:
    """Return in words which user this process is, where users have numbers."""
    return f" by the user with the id {os.getuid()}" if hasattr(os, "getuid") else ""
