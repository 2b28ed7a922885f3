"""URLs: which hold a secret, what is shown of them, and what Prefect's server refuses by the schema."""

import re

import pytest

from rageval.safety.urls import SECRET_PATTERN, check_location, holds_secret, is_within, secret_values, shown

SECRET = [
    "https://user:pw@host/faq.json",
    "https://token@host/faq.json",
    "sftp://user@host/faq.json",
    "s3://key:secret@bucket/faq.json",
    "http://user:pw@[::1]:80/v1",
    "postgresql://user:pw@host/db",
    "postgresql://host/db?password=pw",
    "latest:https://user:pw@host/faq.csv",
    "simplecache::https://user:pw@host/faq.json",
    "zip://faq.csv::https://host/faq.zip?token=x",
    "https://host/faq.json?a=1&X-Amz-Signature=ab",
    "https://host/faq.json?sv=2024&se=2026-12-01&sig=ab",
    "https://host/faq.json?SIG=ab",
    "https://host/faq.json?AWSAccessKeyId=ab",
    "https://host/v1?api-key=x",
    "https://host/v1?subscription_key=x",
    "https://host/f?code=x",
    "https://host/faq.json?private_token=x",
    "https://host/faq.json#access_token=x",
    "https://${USER}:pw@host/faq.json",
    "https://host/faq.json?sig=ab${SIG}",
    "https://host/sk-proj-AbCdEfGh12345678/faq.json",
]
NOT_IN_THE_SCHEMA = ["https://user:p/w@host/faq.json", "https://host/faq.json?%73ig=ab"]
HARMLESS = [
    "data/faq.json",
    "/a@b/faq?sig=1.csv",
    "https://host/faq.json?download=1",
    "https://host/v1?api-version=2024-10-21",
    "https://docs.google.com/spreadsheets/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74/export?format=csv&gid=0",
    "https://host/faq.json?sort_key=a&author=b&design=c",
    "https://host/@someone/faq.json",
    "https://host/sk-learn-documents-2026.json",
    "s3://bucket/a@b.csv",
    "s3://arn:aws:s3:us-east-1:123:accesspoint/name",
    "abfs://container@account.dfs.core.windows.net/faq.json",
    "github://owner:repo@main/faq.csv",
    "http://[::1]:8080/v1",
    "https://${USER}:${PASSWORD}@host/faq.json",
    "https://oauth2:${TOKEN}@host/faq.json",
    "https://host/faq.json?sig=${SIG}&a=1",
    "https://${HOST}:${PORT}/v1",
    "${FAQ}",
]


@pytest.mark.parametrize("url", [*SECRET, *NOT_IN_THE_SCHEMA])
def test_a_url_with_a_login_a_signature_or_a_key_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"write \$\{NAME\} in its place") as refused:
        check_location(url)
    assert url not in str(refused.value)


@pytest.mark.parametrize("url", HARMLESS)
def test_everything_else_is_a_location(url: str) -> None:
    assert check_location(url) == url


def test_what_stands_for_a_variable_has_to_be_the_name_of_one() -> None:
    with pytest.raises(ValueError, match="in capitals") as refused:
        check_location("https://host/faq.json?sig=${0123456789abcdef}")
    assert "0123456789abcdef" not in str(refused.value)


def test_the_schema_says_the_same() -> None:
    # By the schema Prefect's server refuses parameters before it stores them.
    assert [url for url in SECRET if not re.search(SECRET_PATTERN, url)] == []
    assert [url for url in HARMLESS if re.search(SECRET_PATTERN, url)] == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data/faq.json", "data/faq.json"),
        ("https://user:pw@host:8080/faq.json?sig=ab#c", "https://host:8080/faq.json"),
        ("https://user:p/w@host/faq.json", "https://..."),
        ("http://user:pw@[::1]:80/v1", "http://[::1]:80/v1"),
        ("latest:s3://bucket/faq.csv", "latest:s3://bucket/faq.csv"),
        ("zip://faq.csv::https://user:pw@host/faq.zip?sig=ab", "zip://faq.csv::https://host/faq.zip"),
        ("abfs://container@account/faq.json", "abfs://container@account/faq.json"),
        ("abfs://user:pw@account/faq.json", "abfs://account/faq.json"),
        ("https://host/${NAME}?sig=${SIG}", "https://host/${NAME}"),
        ("sqlite:///runs/monitoring.db", "sqlite:///runs/monitoring.db"),
    ],
)
def test_users_passwords_queries_and_fragments_are_not_shown(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_of_what_was_filled_in_every_secret_is_known_as_servers_may_repeat_it() -> None:
    assert {"tr0ub4dor", "a%2Fbcd", "a/bcd"} <= secret_values("https://user:tr0ub4dor@host/faq.json?sig=a%2Fbcd&v=1")
    assert {"abcdef"} <= secret_values("se=2026-12-01&sig=abcdef")
    assert secret_values("v1") == set(), "too short to be a secret"
    assert not holds_secret("v1")


@pytest.mark.parametrize(
    ("url", "top", "expected"),
    [
        ("https://host/v1/chat", "https://host/v1", True),
        ("HTTPS://HOST:443/v1/", "https://host/v1", True),
        ("https://user:pw@host/v1?a=%2F#b", "https://host", True),
        ("http://127.0.0.1:4711/v1", "http://127.0.0.1:*", True),
        ("s3://bucket/runs/r1", "s3://bucket/runs", True),
        ("abfs://mine@account/x", "abfs://mine@account", True),
        ("abfs://other@account/x", "abfs://mine@account", False),
        ("https://host/v10", "https://host/v1", False),
        ("https://host.example/v1", "https://host/v1", False),
        ("https://host@other/v1", "https://host/v1", False),
        ("http://host/v1", "https://host/v1", False),
        ("https://host:444/v1", "https://host/v1", False),
        ("https://host/v1/../x", "https://host/v1", False),
        ("https://host/v1/%2e%2E/x", "https://host/v1", False),
        ("https://host/v1/..%2fx", "https://host/v1", False),
        ("https://host\\@other/v1", "https://host", False),
        ("https://host:*/v1", "https://host:*", False),
        ("data/faq.json", "data", False),
    ],
)
def test_a_url_lies_within_another_one_only_if_nobody_can_read_it_otherwise(url: str, top: str, expected: bool) -> None:
    assert is_within(url, top) is expected
