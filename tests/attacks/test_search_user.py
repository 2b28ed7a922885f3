"""What a stolen password of Elasticsearch opens: the server's rights of the user that bootstrap makes.

No node with security is to be had in the tests, so that it asks for passwords is scripted, as its manual says.
"""

import json
from collections import deque

import pytest

from deployments.search_user import set_up_search_user
from rageval.errors import ConfigError, CredentialsError
from tests.elasticsearch_proxy import ElasticsearchProxy, Recorded, reply

WITH_SECURITY = {"features": {"security": {"available": True, "enabled": True}}}


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "rageval")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "its own")


def scripted(*replies: Recorded) -> ElasticsearchProxy:
    proxy = ElasticsearchProxy(upstream="")
    proxy.always["xpack"] = reply(200, WITH_SECURITY)
    proxy.script["create"] = deque(replies)
    return proxy


def test_the_user_that_is_made_may_use_our_indexes_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made = reply(200, {"role": {"created": True}}), reply(200, {"created": True})
    with scripted(*made) as proxy:
        monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)
        assert set_up_search_user("of elastic") == "up to date"

    role, user = (json.loads(body) for operation, body in proxy.bodies if operation == "create")
    assert [(entry["names"], "all" in entry["privileges"]) for entry in role["indices"]] == [(["rageval-*"], False)]
    assert role["cluster"] == ["monitor"]
    assert user == {"password": "its own", "roles": ["rageval"]}


def test_a_password_that_the_server_refuses_is_said_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"error": {"type": "security_exception", "reason": "unable to authenticate user [elastic]"}}
    with scripted() as proxy:
        proxy.always["root"] = reply(401, refused)
        monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)
        with pytest.raises(CredentialsError, match="unable to authenticate user") as caught:
            set_up_search_user("of elastic")
    assert "of elastic" not in str(caught.value)


def test_the_superuser_is_not_made_the_user_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "elastic")
    with pytest.raises(ConfigError, match="a user with fewer rights is made; name it in ELASTICSEARCH_USERNAME"):
        set_up_search_user("of elastic")


def test_a_server_without_passwords_gets_no_user(monkeypatch: pytest.MonkeyPatch, elasticsearch_url: str) -> None:
    with ElasticsearchProxy(upstream=elasticsearch_url) as proxy:
        monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)
        assert set_up_search_user("of elastic") == "not made: the server asks nobody for a password"
