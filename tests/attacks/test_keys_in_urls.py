"""Logins and keys in URLs of every shape: refused in settings, never shown; and no driver is started by a scheme."""

from pathlib import Path

import pytest

from rageval.corpus.files import load_documents
from rageval.errors import ConfigError, DataError
from rageval.safety.urls import check_location, shown, shown_address, without_logins
from rageval.storage.places import place
from tests.evaluations import write_corpus
from tests.guarded_website import guarded_website

CANARY = "c4n4ry"
HIDDEN = [
    f"simplecache::http://user:{CANARY}@host/faq.json",
    f"latest:simplecache::http://user:{CANARY}@host/faq.json",
    f"filecache::zip://faq.csv::s3://user:{CANARY}@bucket/faq.zip",
    f"https://host/x::http://user:{CANARY}@host/]",
    f"https://host/https://user:{CANARY}@other/faq.json",
    f"https://host/fetch?url=https://user:{CANARY}@other/faq.json",
    f"https://host/fetch?url=https%3A%2F%2Fuser%3A{CANARY}%40other",
    f"https://user:a/{CANARY}@host/faq.json",
    f"http://{CANARY}@[::1]:80/faq.json",
]
FORGOTTEN = [
    f"user:{CANARY}@host/faq.json",
    f"latest:user:{CANARY}@host/faq.csv",
    f"//user:{CANARY}@host/faq.json",
    f"https:/user:{CANARY}@host/faq.json",
]


@pytest.mark.parametrize("url", [*HIDDEN, *FORGOTTEN])
def test_a_login_is_found_wherever_it_stands_in_a_setting_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"write \$\{NAME\} in its place") as refused:
        check_location(url)

    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("url", HIDDEN)
def test_nothing_of_a_login_is_shown(url: str) -> None:
    assert CANARY not in shown(url)
    assert CANARY not in without_logins(f"cannot connect to {url}: refused") or "%3A" in url


@pytest.mark.parametrize("address", [f"user:{CANARY}@host:4200", f"http://u:{CANARY}/@host:99999/api", f"h?k={CANARY}"])
def test_an_address_of_the_environment_is_shown_without_its_login_also_where_it_is_none(address: str) -> None:
    assert CANARY not in shown_address(address)


@pytest.mark.parametrize(
    "location",
    ["simplecache::{}", "blockcache::{}", "zip://faq.csv::{}", "reference://{}", "dask://{}", "ftp://{}", "data:,{}"],
)
def test_no_driver_is_started_by_the_scheme_of_an_input_or_an_output(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain is written out in a setting, or comes with the variable that is filled in."""
    with guarded_website(write_corpus(tmp_path), query="", login=f"user:{CANARY}") as website:
        monkeypatch.setenv("FAQ_URL", location.format(f"http://user:{CANARY}@{website}/documents.json"))
        with pytest.raises(ValueError, match=r"chain of URLs|files are not read from"):
            check_location(location.format(f"http://{website}/documents.json"))
        with pytest.raises(DataError, match=r"chain of URLs|files are not read from") as refused:
            load_documents("${FAQ_URL}")
        with pytest.raises(ConfigError) as not_written:
            place("${FAQ_URL}")

    assert CANARY not in f"{refused.value} {not_written.value}"
