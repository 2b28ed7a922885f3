"""What a server's certificate is checked against, and the certificate that a client shows."""

from typing import Self

from pydantic import Field, model_validator

from rageval.config.settings import FilePath, Settings


class TlsConfig(Settings):
    """Certificates of an https endpoint; a server's own is always checked."""

    ca_file: FilePath = Field(default="", title="File of authorities")
    """PEM file of the authorities that a server's certificate is checked against, such as a company's own; empty for
    those that the system knows."""
    client_certificate: FilePath = Field(default="", title="File of the client's certificate")
    """PEM file of the certificate that is shown to the server; it may hold the key as well."""
    client_key: FilePath = Field(default="", title="File of the client's key")
    """PEM file of the key of that certificate, without a passphrase; empty where it is in the same file."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key is the key of a certificate; name that in client_certificate")
        return self
