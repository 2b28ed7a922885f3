"""The models of a run, ready to be asked: endpoints checked, the embedded one started."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rageval.config.models import ModelConfig
from rageval.engine.local_model import (
    LOCAL_JUDGE_PARAMETERS,
    LOCAL_PARAMETERS,
    SLOTS,
    check_cache_folder,
    model_file,
    serve_local_model,
)
from rageval.engine.request_engine import RequestEngine

_LOCAL_TIMEOUT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class ServedModels:
    """The answering models and the judges, each with an endpoint that serves it."""

    answering: tuple[ModelConfig, ...]
    judges: tuple[ModelConfig, ...]

    @property
    def judge(self) -> ModelConfig | None:
        """The first judge, or None if nothing is judged."""
        return self.judges[0] if self.judges else None


def check_models(models: Sequence[ModelConfig], engine: RequestEngine) -> list[str]:
    """Make sure that every one of the models can be asked, before anything is spent; returns their names.

    Raises:
        CredentialsError: If a key is missing or refused.
        ServiceError: If an endpoint cannot be reached.
        ConfigError: If the embedded model is wanted and not installed.
    """
    found = []
    for model in models:
        if model.is_local:
            model_file()
        else:
            engine.check(model)
        found.append(model.name)
    return found


@contextmanager
def serve_models(answering: Sequence[ModelConfig], judges: Sequence[ModelConfig]) -> Iterator[ServedModels]:
    """Start the embedded model if any of the models is it, and stop it at the end, whatever happens."""
    if not any(model.is_local for model in (*answering, *judges)):
        yield ServedModels(answering=tuple(answering), judges=tuple(judges))
        return
    with serve_local_model() as url:
        yield ServedModels(
            answering=tuple(_served(model, url, LOCAL_PARAMETERS) for model in answering),
            judges=tuple(_served(judge, url, LOCAL_JUDGE_PARAMETERS) for judge in judges),
        )


def _served(model: ModelConfig, url: str, parameters: Mapping[str, Any]) -> ModelConfig:
    if not model.is_local:
        return model
    return model.with_body({**parameters, **model.body}).model_copy(
        update={
            "base_url": url,
            "max_concurrency": min(model.max_concurrency, SLOTS),
            "timeout_s": max(model.timeout_s, _LOCAL_TIMEOUT_S),
            "deadline_s": 86_400.0,
        }
    )


def check_cache(models: Iterable[ModelConfig]) -> None:
    """Make sure that the file of the embedded model can be written, if any of the models is it.

    Raises:
        ConfigError: If it cannot.
    """
    if any(model.is_local for model in models):
        check_cache_folder()
