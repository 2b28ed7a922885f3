"""The user of Elasticsearch that runs and the chat app are: it may do what they need with their indexes, no more."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import elasticsearch

from rageval.errors import ConfigError
from rageval.search.elasticsearch_client import CLIENT_MAJOR, connect, server_url
from rageval.search.elasticsearch_errors import PASSWORD_VARIABLE, USER_VARIABLE, translated_errors

ADMIN_VARIABLE = "ELASTIC_PASSWORD"
"""The password of Elasticsearch's superuser, for whom there is no other use."""
CLUSTER: Sequence[str] = ("monitor",)
INDICES: Sequence[Mapping[str, Any]] = (
    MappingProxyType({"names": ["rageval-*"], "privileges": ["create_index", "manage", "read", "write"]}),
)


def set_up_search_user(admin_password: str) -> str:
    """Give the server a role of these rights, and the user of ELASTICSEARCH_USERNAME with it and its password.

    Args:
        admin_password: That of the user `elastic`.

    Returns:
        What came of it, in words.

    Raises:
        ConfigError: If user and password are not in the environment.
        ServiceError, CredentialsError: If the server is not there, or refuses.
    """
    user, password = os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")
    if not (user and password) or user == "elastic":
        raise ConfigError(
            f"{ADMIN_VARIABLE} is set, so a user with fewer rights is made; name it in {USER_VARIABLE}, with its "
            f"password in {PASSWORD_VARIABLE}"
        )
    server = connect(server_url(), frozenset({CLIENT_MAJOR}), user=("elastic", admin_password))
    with server.client, translated_errors(server.address):
        if not _asks_for_passwords(server.client):
            return "not made: the server asks nobody for a password"
        server.client.security.put_role(name=user, cluster=list(CLUSTER), indices=[dict(each) for each in INDICES])
        server.client.security.put_user(username=user, password=password, roles=[user])
    return "up to date"


def _asks_for_passwords(client: elasticsearch.Elasticsearch) -> bool:
    try:
        features = client.xpack.info(categories=["features"]).body["features"]
    except (elasticsearch.NotFoundError, elasticsearch.BadRequestError):  # it is built without
        return False
    return bool(features["security"]["enabled"])
