"""The folder of a run that is named on the command line -> its store."""

from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run
from rageval.storage.places import first_look, place


def existing_run(folder: str) -> Run:
    """Return the store of a run that is there, by its folder or URL.

    Raises:
        DataError: If the folder holds no run.
        ConfigError: If it is on an object store that cannot be used.
    """
    run = Run(str(place(folder)))
    with first_look():
        read_manifest(run)
    return run
