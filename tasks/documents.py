"""Files -> documents and questions of the run."""

from prefect import get_run_logger, task

from rageval.config.evaluation import DataConfig
from rageval.runs import documents
from rageval.runs.manifest import Dataset
from rageval.runs.run import Run


@task
def load_documents(run: Run, data: DataConfig) -> Dataset:
    """Read and check documents and ground truth; unusable rows end the run, all of them named."""
    dataset = documents.load_documents(run, data)
    logger = get_run_logger()
    for note in dataset.notes:
        logger.info("Data: %s", note)
    logger.info("Loaded %d documents and %d questions", dataset.documents, dataset.questions)
    return dataset
