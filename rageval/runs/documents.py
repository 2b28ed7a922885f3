"""Files of documents and ground truth -> the run's `documents` and `questions` tables."""

from rageval.config.evaluation import DataConfig
from rageval.corpus.files import Corpus, load_corpus
from rageval.runs.life import describe_data
from rageval.runs.manifest import Dataset
from rageval.runs.run import Run
from rageval.tables import DOCUMENTS, QUESTIONS, to_tables
from rageval.text.fingerprint import documents_fingerprint, questions_fingerprint


def load_documents(run: Run, data: DataConfig) -> Dataset:
    """Read, check and store the documents and the questions of the run.

    Raises:
        DataError: If rows are unusable; all of them are listed.
        ConfigError: If the run was started before with other documents or questions.
    """
    corpus = load_corpus(data)
    dataset = dataset_of(corpus)
    describe_data(run, dataset)
    if not (run.has("documents") and run.has("questions")):
        run.write_parts("documents", to_tables(corpus.documents, DOCUMENTS))
        run.write_parts("questions", to_tables(corpus.questions, QUESTIONS))
    return dataset


def dataset_of(corpus: Corpus) -> Dataset:
    """Return the identity of documents and questions."""
    return Dataset(
        documents=len(corpus.documents),
        questions=len(corpus.questions),
        documents_fingerprint=documents_fingerprint(corpus.documents),
        questions_fingerprint=questions_fingerprint(corpus.questions, corpus.documents),
        notes=tuple(corpus.notes),
    )
