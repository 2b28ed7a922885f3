"""What a command that runs a flow needs to write to, looked at before anything is started or imported for it."""

import os
from pathlib import Path

from rageval.storage.places import place
from rageval.storage.writable import check_output, check_temporary_folder, check_writable


def check_folders(output: str | None) -> None:
    """Make sure that a flow can write where it has to.

    Args:
        output: Folder or URL that it writes to, if it does.

    Raises:
        ConfigError: If a folder cannot be written.
    """
    check_temporary_folder()
    if output is not None:
        check_output(place(output))
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    if not os.environ.get("PREFECT_API_URL") and not (home / "profiles.toml").exists():  # nor does a profile name one
        check_prefect_home(home)


def check_prefect_home(home: Path) -> None:
    """Make sure that Prefect's local server can write to its folder.

    Raises:
        ConfigError: If it cannot.
    """
    check_writable(
        home, "the folder of Prefect's local server", "name another one in PREFECT_HOME, or a server in "
        "PREFECT_API_URL",
    )  # fmt: skip
