"""The folder of one sweep: its data, every search that was made, the statistics, the page and `sweep.json`.

    runs/<sweep id>/
        documents.parquet questions.parquet
        searches/<key>.parquet             what one search found; the key says all that decides it
        sweep_retrieval.parquet sweep.parquet sweep.html sweep.json

Every file is written under a temporary name and renamed, so a search is stored as a whole or not at all.
"""

from dataclasses import dataclass

import pyarrow as pa

from rageval.runs.run import Run
from rageval.storage.files import read_parquet, write_parquet
from rageval.storage.places import Place
from rageval.sweep.tables import SEARCH, SWEEP, SWEEP_RETRIEVAL


@dataclass(frozen=True)
class SweepStore:
    """One sweep's folder. Cheap to make and to pickle; holds no open files."""

    folder: str

    @property
    def run(self) -> Run:
        """What a sweep's folder has in common with a run's: lock, documents and questions, cache, text files."""
        return Run(self.folder)

    @property
    def path(self) -> Place:
        """The sweep's folder."""
        return self.run.path

    def read_search(self, key: str) -> pa.Table | None:
        """Return what a search found, or None if it is not stored or damaged."""
        try:
            return read_parquet(self._search_path(key))
        except (pa.ArrowInvalid, OSError):
            return None

    def write_search(self, key: str, rows: pa.Table) -> None:
        """Store what a search found.

        Raises:
            RunStoppedError: If it cannot be written.
        """
        write_parquet(self._search_path(key), [rows], SEARCH)

    def write_results(self, retrieval: pa.Table, statistics: pa.Table) -> None:
        """Replace the tables `sweep_retrieval` and `sweep`.

        Raises:
            RunStoppedError: If they cannot be written.
        """
        write_parquet(self.path / "sweep_retrieval.parquet", [retrieval], SWEEP_RETRIEVAL)
        write_parquet(self.path / "sweep.parquet", [statistics], SWEEP)

    def _search_path(self, key: str) -> Place:
        return self.path / "searches" / f"{key}.parquet"
