"""A build step of a `prefect.yaml`: a file of settings -> what parameters of deployments are filled with."""

from pathlib import Path
from typing import Any

from rageval.config.evaluation import EvaluationConfig
from rageval.config.file import read_settings
from rageval.config.overrides import validate
from rageval.errors import ConfigError


def read_evaluation(file: str) -> dict[str, Any]:
    """Return the settings of an evaluation, so that they need not stand in `prefect.yaml` once more.

    Prefect would take what stands in braces there, such as `{{ question }}`, for its own.

    Args:
        file: Its path, from the working folder.

    Returns:
        `config`, what the file sets, written out as Prefect's form has it.

    Raises:
        ConfigError: If they cannot be used, or name a run, which every run of the deployment would go on with.
    """
    config = validate(EvaluationConfig, read_settings(Path(file)))
    if config.run.run_id:
        raise ConfigError(f"{file} names a run.run_id, which every scheduled run would go on with; leave it out")
    return {"config": config.model_dump(mode="json", exclude_unset=True)}
