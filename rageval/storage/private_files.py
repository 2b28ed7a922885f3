"""Whom the files of this process are for: its owner alone, unless RAGEVAL_UMASK says otherwise.

Databases, records that wait for one, runs, reports and Prefect's home hold what other people have asked and voted. They
are written by libraries, too, and by child processes, so the process's umask is what reaches all of them.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rageval.errors import ConfigError

VARIABLE = "RAGEVAL_UMASK"
_OWNER_ONLY: Final = 0o077
_FORM: Final = re.compile(r"0?[0-7]{3}")


def keep_files_private() -> int:
    """Let files and folders that this process and its children make from now on be nobody else's.

    Returns:
        The umask before. It is only ever made stricter.

    Raises:
        ConfigError: If RAGEVAL_UMASK is no umask.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if given and not _FORM.fullmatch(given):
        raise ConfigError(
            f"{VARIABLE} is {given!r}, expected three octal digits of what is taken away: 077 keeps files to their "
            "owner, 027 lets the group read them, 022 everybody"
        )
    before = os.umask(_OWNER_ONLY)  # there is no other way to ask
    os.umask(before | (int(given, 8) if given else _OWNER_ONLY))
    return before


@contextmanager
def private_files() -> Iterator[None]:
    """Keep files private while the block runs.

    Raises:
        ConfigError: See `keep_files_private`.
    """
    before = keep_files_private()
    try:
        yield
    finally:
        os.umask(before)
