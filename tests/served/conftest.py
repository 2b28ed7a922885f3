"""The server that the tests of this folder share: its start, bootstrap, worker and deployments take half a minute."""

from collections.abc import Iterator

import pytest

from tests.served.deployed import Server, deployed_server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server with everything of `prefect.yaml` deployed to it, and a worker; it ends with this folder."""
    with deployed_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server
