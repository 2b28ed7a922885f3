"""Models behind a company's gateway: its headers, its certificates, and keys that expire while a run asks."""

import ssl
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from rageval.config.models import ModelConfig
from rageval.engine.batch_api import BatchApi
from rageval.errors import ConfigError, CredentialsError, RagevalError, ServiceError
from tests.adapters.asking import Asker
from tests.certificates import Certificate, certificate
from tests.fake_llm import FakeLLM, Reply

OLD, NEW = "key-of-the-evening-0001", "key-of-the-night-0002"
TEAM = "c4n4ry-of-the-team"
HEADERS = {"x-portkey-provider": "openai", "x-team": {"env": "TEAM_TOKEN"}, "x-user": "rag ${TEAM_TOKEN}"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OLD)
    monkeypatch.setenv("TEAM_TOKEN", TEAM)


def bearer(headers: Mapping[str, str]) -> str:
    return headers.get("Authorization", "").removeprefix("Bearer ")


def ask_everywhere(llm: FakeLLM, ask: Asker, **settings: Any) -> list[Mapping[str, str]]:
    """Look for models, ask, ask for a stream, upload a batch; return the headers of the four requests."""
    model = ModelConfig(name="m", base_url=llm.url, **settings)
    ask.engine.check(model)
    ask(**settings)
    ask(on_piece=lambda _: None, **settings)
    with BatchApi(model) as batches:
        batches.upload(b"{}\n")
    return llm.headers


def test_headers_and_the_key_in_a_header_of_its_own_reach_the_endpoint_whatever_is_asked(
    llm: FakeLLM, ask: Asker
) -> None:
    requests = ask_everywhere(llm, ask, headers=HEADERS, key_header="api-key")

    assert len(requests) == 4
    for sent in requests:
        assert (sent["x-portkey-provider"], sent["x-team"], sent["x-user"]) == ("openai", TEAM, f"rag {TEAM}")
        assert (sent.get("api-key"), sent.get("authorization")) == (OLD, None)


def test_every_request_carries_what_the_first_one_does(llm: FakeLLM, ask: Asker) -> None:
    for _ in range(3):
        ask(headers=HEADERS, key_header="api-key")

    sent = [{name.lower(): value for name, value in headers.items()} for headers in llm.headers]
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert sent[2]["api-key"] == OLD


def test_a_header_may_be_the_key_itself_and_needs_no_other(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = ask_everywhere(llm, ask, headers={"authorization": "Token ${TEAM_TOKEN}"})
    assert {sent["Authorization"] for sent in requests} == {f"Token {TEAM}"}

    monkeypatch.delenv("OPENAI_API_KEY")
    elsewhere = {"name": "m", "base_url": "https://gateway.invalid/v1"}
    with pytest.raises(CredentialsError, match="OPENAI_API_KEY is not set"):
        ask.engine.check(ModelConfig(**elsewhere))
    with pytest.raises(ServiceError, match="cannot be reached"):
        ask.engine.check(ModelConfig(**elsewhere, headers={"x-portkey-api-key": "${TEAM_TOKEN}"}))


def test_what_a_header_holds_is_in_no_error_not_even_where_the_server_repeats_it(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(status=400, error=f"openai refuses {TEAM} of rag {TEAM}")
    assert ask(headers=HEADERS)[0].error == "HTTP 400: openai refuses [key] of rag [key]"

    llm.accepts = lambda _: False
    with pytest.raises(CredentialsError, match=r"x-portkey|openai") as refused:
        ask(headers=HEADERS)
    said = "".join(traceback.format_exception(refused.value))
    assert TEAM not in said
    assert OLD not in said


def test_a_header_whose_variable_is_not_set_or_cannot_be_sent_ends_the_run_before_anything_is_sent(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="needs the environment variable NOT_SET"):
        ask(headers={"x-team": {"env": "NOT_SET"}})
    monkeypatch.setenv("TEAM_TOKEN", "two\nlines")
    with pytest.raises(ConfigError, match="the header x-team holds characters that no header can"):
        ask(headers={"x-team": {"env": "TEAM_TOKEN"}})
    assert llm.headers == []


def test_other_headers_are_another_account_with_limits_of_its_own(llm: FakeLLM, ask: Asker) -> None:
    llm.accepts = lambda headers: headers["x-portkey-provider"] == "openai"
    with pytest.raises(CredentialsError):
        ask(headers={"x-portkey-provider": "azure"})
    assert ask(headers={"x-portkey-provider": "openai"})[0].text == "Answer: q0"


def test_no_header_follows_a_redirect_to_another_server(llm: FakeLLM, ask: Asker) -> None:
    with FakeLLM() as other:
        to = {"Location": f"{other.url}/chat/completions"}
        llm.reply = lambda _: Reply(status=307, headers=to)
        assert ask(headers=HEADERS, key_header="x-key")[0].text == "Answer: q0"
        sent = " ".join(f"{name}: {value}" for name, value in other.headers[0].items())
    assert not [secret for secret in (TEAM, OLD, "x-portkey", "x-key") if secret in sent]


def rotating(llm: FakeLLM, key_file: Path, after: int) -> None:
    """Let the endpoint take the old key for so many questions, and then the new one, which is in the file by then."""
    key_file.write_text(f"{OLD}\n")

    def accepts(headers: Mapping[str, str]) -> bool:
        if len(llm.requests) < after:
            return bearer(headers) == OLD
        key_file.with_suffix(".new").write_text(f"{NEW}\n")
        key_file.with_suffix(".new").replace(key_file)  # nobody reads half a key
        return bearer(headers) == NEW

    llm.accepts = accepts


@pytest.mark.parametrize(("kind", "status"), [("file", 401), ("command", 401), ("file", 400)])
def test_a_key_that_expires_is_read_anew_once_for_all_who_were_refused_and_every_question_is_answered(
    llm: FakeLLM, ask: Asker, tmp_path: Path, kind: str, status: int
) -> None:
    key_file, runs = tmp_path / "key", tmp_path / "runs"
    rotating(llm, key_file, after=10)
    llm.door_status = status  # LiteLLM's is a 400
    show = f"print(open({str(key_file)!r}).read()); open({str(runs)!r}, 'a').write('.')"
    source = {"key_file": str(key_file)} if kind == "file" else {"key_command": [sys.executable, "-c", show]}

    replies = ask(60, **source)

    assert [reply.error for reply in replies] == [None] * 60
    assert {bearer(headers) for headers in llm.headers} == {OLD, NEW}
    assert len(llm.requests) == 60
    assert kind == "file" or runs.read_text() == ".."


def test_a_batch_whose_key_can_no_more_be_read_is_not_looked_at_for_ever(llm: FakeLLM, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(OLD)
    with BatchApi(ModelConfig(name="m", base_url=llm.url, key_file=str(key_file))) as batches:
        batches.upload(b"{}\n")
        key_file.unlink()
        llm.accepts = lambda _: False
        with pytest.raises(CredentialsError, match="of key_file cannot be read"):
            batches.state("batch-1")


def test_a_batch_reads_its_key_anew_too(llm: FakeLLM, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(OLD)
    with BatchApi(ModelConfig(name="m", base_url=llm.url, key_file=str(key_file))) as batches:
        batches.upload(b"{}\n")
        key_file.write_text(NEW)
        llm.accepts = lambda headers: bearer(headers) == NEW
        batches.upload(b"{}\n")
    assert [bearer(headers) for headers in llm.headers] == [OLD, OLD, NEW]


@pytest.mark.parametrize("renewed", [True, False])
def test_a_new_key_that_is_refused_as_well_ends_the_run_and_neither_is_shown(
    llm: FakeLLM, ask: Asker, tmp_path: Path, renewed: bool
) -> None:
    key_file = tmp_path / "key"
    rotating(llm, key_file, after=1)
    ask(key_file=str(key_file))

    def refuses(_: Mapping[str, str]) -> bool:
        if renewed:
            key_file.write_text(NEW)
        return False

    llm.accepts = refuses
    with pytest.raises(CredentialsError, match=rf"refused the key in the file {key_file}.*HTTP 401") as refused:
        ask(key_file=str(key_file))
    # The same key is not sent again.
    assert [bearer(headers) for headers in llm.headers[1:]] == ([OLD, NEW] if renewed else [OLD])
    said = "".join(traceback.format_exception(refused.value))
    assert OLD not in said
    assert NEW not in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key_file": "no-such-file"}, "the file no-such-file of key_file cannot be read"),
        ({"key_file": "/dev/null"}, "the key from the file /dev/null is empty"),
        ({"key_command": ["no-such-program", "secret-id"]}, "the command no-such-program .* cannot be started"),
        ({"key_command": [sys.executable, "-c", "print(1); exit(3)"]}, "ended with the status 3; run it by hand"),
        ({"key_command": [sys.executable, "-c", "print('two\\nlines')"]}, "holds characters that no key can hold"),
    ],
)
def test_a_key_that_cannot_be_read_ends_the_run_in_one_sentence_before_anything_is_sent(
    llm: FakeLLM, ask: Asker, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CredentialsError, match=message) as at_the_check:
        ask.engine.check(ModelConfig(name="m", base_url=llm.url, **settings))
    with pytest.raises(CredentialsError, match=message):
        ask(**settings)
    assert "secret-id" not in str(at_the_check.value)
    assert llm.headers == []


@pytest.fixture
def theirs(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "theirs")


@pytest.fixture
def ours(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "ours", "client")


@pytest.fixture
def gateway(theirs: Certificate, ours: Certificate) -> Iterator[FakeLLM]:
    """A server with a certificate that nobody knows, which asks for that of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.pem, theirs.key)
    context.load_verify_locations(ours.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with FakeLLM(tls=context) as server:
        server.url = server.url.replace("127.0.0.1", "localhost")
        yield server


def test_an_endpoint_with_certificates_of_a_company_is_asked_with_them_alone(
    gateway: FakeLLM, theirs: Certificate, ours: Certificate, ask: Asker
) -> None:
    files = {"client_certificate": str(ours.pem), "client_key": str(ours.key)}
    model = ModelConfig(name="m", base_url=gateway.url)
    for tls in ({}, files):
        with pytest.raises(ServiceError, match=r"no connection to https://localhost:\d+/v1 .* can be secured"):
            ask.engine.check(ModelConfig(name="m", base_url=gateway.url, tls=tls))
    with pytest.raises(ServiceError):  # a server that wants a certificate may hang up without a word
        ask.engine.check(ModelConfig(name="m", base_url=gateway.url, tls={"ca_file": str(theirs.pem)}))
    assert gateway.headers == []

    tls = {"ca_file": str(theirs.pem), **files}
    ask.engine.check(ModelConfig(name="m", base_url=gateway.url, tls=tls))
    assert ask(3, base_url=gateway.url, tls=tls)[2].text == "Answer: q2"
    with BatchApi(model.model_copy(update={"tls": ModelConfig(name="m", tls=tls).tls})) as batches:
        batches.upload(b"{}\n")


def test_files_that_are_no_certificates_are_named(llm: FakeLLM, ours: Certificate, ask: Asker, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(ours.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"hunter2")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("nothing")
    for tls, message in (
        ({"ca_file": "no-such-file"}, r"the file no-such-file of tls\.ca_file cannot be used \(No such file"),
        ({"ca_file": str(no_pem)}, "no.pem of tls.ca_file cannot be used"),
        ({"client_certificate": "no-such-file"}, "the file no-such-file of a client's certificate .* does not exist"),
        ({"client_certificate": str(ours.pem)}, "expected a certificate in PEM and, there or in tls.client_key"),
        ({"client_certificate": str(ours.pem), "client_key": str(locked)}, "has a passphrase, for which nobody"),
    ):
        with pytest.raises(RagevalError, match=message):
            ask(tls=tls)
    assert llm.headers == []
