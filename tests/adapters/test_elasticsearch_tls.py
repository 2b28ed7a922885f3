"""A server with a certificate: trusted by an authority or a fingerprint, and what a user reads where it is not."""

import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from rageval.errors import ConfigError, ServiceError
from rageval.search.elasticsearch_client import server_url
from rageval.search.elasticsearch_index import ElasticsearchIndex
from rageval.search.text_rules import TextQuery
from tests.certificates import Certificate, certificate
from tests.elasticsearch_proxy import ElasticsearchProxy


@pytest.fixture
def mine(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "mine")


@pytest.fixture
def server(mine: Certificate) -> Iterator[ElasticsearchProxy]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mine.pem, mine.key)
    with ElasticsearchProxy(upstream="", tls=context) as proxy:
        yield proxy


@pytest.mark.parametrize("variable", ["ELASTICSEARCH_CA_CERTS", "ELASTICSEARCH_CERT_FINGERPRINT"])
def test_a_certificate_is_trusted_for_its_authority_or_its_fingerprint(
    server: ElasticsearchProxy,
    mine: Certificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    with pytest.raises(ServiceError, match=r"cannot be trusted: .*certificate") as untrusted:
        ElasticsearchIndex(server.url, "faq", TextQuery(), "flat")
    assert "set ELASTICSEARCH_CA_CERTS to the PEM file" in str(untrusted.value)
    assert "ELASTICSEARCH_CERT_FINGERPRINT to the SHA-256 fingerprint" in str(untrusted.value)
    assert "start it" not in str(untrusted.value)

    by_file = variable == "ELASTICSEARCH_CA_CERTS"
    monkeypatch.setenv(variable, str(mine.pem) if by_file else mine.fingerprint)
    ElasticsearchIndex(server.url, "faq", TextQuery(), "flat").close()

    other = certificate(tmp_path / "other")
    monkeypatch.setenv(variable, str(other.pem) if by_file else other.fingerprint)
    with pytest.raises(ServiceError, match="cannot be trusted"):
        ElasticsearchIndex(server.url, "faq", TextQuery(), "flat")


def test_tls_on_one_side_only_is_said(server: ElasticsearchProxy) -> None:
    with pytest.raises(ServiceError, match="where it speaks TLS, ELASTICSEARCH_URL begins with https://"):
        ElasticsearchIndex(server.url.replace("https", "http"), "faq", TextQuery(), "flat")
    with (
        ElasticsearchProxy(upstream="") as plain,
        pytest.raises(ServiceError, match="where it speaks no TLS, ELASTICSEARCH_URL begins with http://"),
    ):
        ElasticsearchIndex(plain.url.replace("http", "https"), "faq", TextQuery(), "flat")


def test_a_fingerprint_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_CERT_FINGERPRINT", "ab:cd")
    with pytest.raises(ConfigError, match="ELASTICSEARCH_CERT_FINGERPRINT must be the SHA-256 fingerprint"):
        ElasticsearchIndex("https://localhost:1", "faq", TextQuery(), "flat")


def test_a_cloud_id_stands_for_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud_id = "mine:" + b64encode(b"eu.cloud.example$abc123$kibana").decode()
    monkeypatch.setenv("ELASTICSEARCH_CLOUD_ID", cloud_id)
    assert server_url() == "https://abc123.eu.cloud.example:443"
    monkeypatch.setenv("ELASTICSEARCH_CLOUD_ID", "nonsense")
    with pytest.raises(ConfigError, match="ELASTICSEARCH_CLOUD_ID must be the Cloud ID"):
        server_url()
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://localhost:9200")
    with pytest.raises(ConfigError, match="both set"):
        server_url()
