"""The Prefect server that deployments live on: whether one is configured, and whether it answers."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL

from rageval.errors import ConfigError, ServiceError


@contextmanager
def running_server() -> Iterator[SyncPrefectClient]:
    """Yield a client of the configured server, once it has answered.

    Raises:
        ConfigError: If no server is configured: Prefect would start one that ends with this process.
        ServiceError: If it does not answer.
    """
    url = PREFECT_API_URL.value()
    if not url:
        raise ConfigError(
            "deployments need a Prefect server that goes on running, but PREFECT_API_URL is not set. Start one with "
            "`prefect server start`, then `export PREFECT_API_URL=http://127.0.0.1:4200/api`"
        )
    with get_client(sync_client=True) as client:
        if problem := client.api_healthcheck():
            raise ServiceError(
                f"the Prefect server at {url} (PREFECT_API_URL) does not answer: {problem}. Start it with "
                "`prefect server start`, or correct the address"
            )
        yield client
