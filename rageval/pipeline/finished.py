"""A run that is started again -> whether it would come out just as it stands, before anything is started for it."""

from importlib.metadata import version

from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import Corpus
from rageval.errors import DataError
from rageval.pipeline.completeness import is_finished
from rageval.runs.documents import dataset_of
from rageval.runs.life import git_revision
from rageval.runs.manifest import Manifest, find_manifest
from rageval.runs.run import REPORT, Run
from rageval.search.backends import settled
from rageval.systems.kinds import systems_table
from rageval.systems.system import System
from rageval.tables import SCHEMAS


def stands(run: Run, config: EvaluationConfig, systems: list[System], corpus: Corpus) -> bool:
    """Return whether a start of a run would ask for nothing and change none of its tables, nor its report.

    So it is where the run is complete and can be read, this very program has written its report, and nothing that
    it depends on is another: settings, prompts, documents, questions. Whatever else there is to say about a run, such
    as that a file is damaged or that its questions have changed, its start says; so it does where labels of people,
    which may be others by now, are in a file of their own.

    Args:
        run: The run.
        config: Its settings as they are given now.
        systems: The systems that these settings make.
        corpus: The documents and questions that they name.
    """
    try:
        manifest = find_manifest(run)
        return (
            manifest is not None
            and _is_written(run, manifest)
            and settled(config, manifest.index) == manifest.config
            and not config.judge.human_labels
            and systems_table(systems).equals(run.read("systems"))
            and dataset_of(corpus) == manifest.dataset
            and is_finished(run, config, len(corpus.questions))
        )
    except DataError:  # something is damaged
        return False


def _is_written(run: Run, manifest: Manifest) -> bool:
    """Return whether everything that a complete run has is there, as this program writes it."""
    is_ours = (manifest.versions.get("rageval"), manifest.git_revision) == (version("rageval"), git_revision())
    is_whole = manifest.status == "complete" and all(note.status == "complete" for note in manifest.rescored)
    if not is_ours or not is_whole or not (run.path / REPORT).exists():
        return False
    return all(run.has(table) and run.read(table) is not None for table in SCHEMAS)
