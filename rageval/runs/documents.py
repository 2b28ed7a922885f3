"""Files of documents and ground truth -> the run's `documents` and `questions` tables."""

from dataclasses import asdict, dataclass

from rageval.corpus.files import load_corpus
from rageval.runs.run import Run
from rageval.config.evaluation import DataConfig
from rageval.text.fingerprint import documents_fingerprint, questions_fingerprint
from rageval.runs.manifest import describe_data
from rageval.tables import DOCUMENTS, QUESTIONS, to_table


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was loaded: counts, identities, and a sentence about everything that was merged or left out."""

    documents: int
    questions: int
    documents_fingerprint: str
    questions_fingerprint: str
    notes: tuple[str, ...]


def load_documents(run: Run, data: DataConfig) -> Dataset:
    """Read, check and store the documents and the questions of the run.

    Raises:
        DataError: If rows are unusable; all of them are listed.
        ConfigError: If the run was started before with other documents or questions.
    """
    corpus = load_corpus(data)
    dataset = Dataset(
        documents=len(corpus.documents),
        questions=len(corpus.questions),
        documents_fingerprint=documents_fingerprint(corpus.documents),
        questions_fingerprint=questions_fingerprint(corpus.questions),
        notes=tuple(corpus.notes),
    )
    describe_data(run, asdict(dataset))
    if not (run.has("documents") and run.has("questions")):
        run.write("documents", to_table(corpus.documents, DOCUMENTS))
        run.write("questions", to_table(corpus.questions, QUESTIONS))
    return dataset
