"""Files of certificates -> how a connection is secured, for models and for whatever else is asked over HTTPS."""

import ssl
from pathlib import Path

import httpx2

from rageval.config.tls import TlsConfig
from rageval.errors import ConfigError
from rageval.safety.allowances import check_file, check_key_file
from rageval.safety.urls import shown
from rageval.safety.variables import filled_in


def tls_context(tls: TlsConfig) -> ssl.SSLContext | None:
    """Return what connections are made with; None where nothing is said of it.

    Raises:
        ConfigError: If a file does not hold what it should, or the run may not read it.
    """
    if tls == TlsConfig():
        return None
    context = _trusting(tls.ca_file) if tls.ca_file else httpx2.create_ssl_context()
    if tls.client_certificate:
        _show_certificate(context, tls)
    return context


def _trusting(given: str) -> ssl.SSLContext:
    path = filled_in(given)
    check_file(path, shown(given))
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise _unusable("tls.ca_file", given, "certificates of authorities in PEM", error) from None


def _show_certificate(context: ssl.SSLContext, tls: TlsConfig) -> None:
    certificate, key = filled_in(tls.client_certificate), filled_in(tls.client_key)
    for path, given in ((certificate, tls.client_certificate), (key, tls.client_key)):
        if path:
            check_key_file(path, shown(given))
            if not Path(path).is_file():
                raise ConfigError(f"the file {shown(given)} of a client's certificate or key does not exist; see `tls`")
    try:
        context.load_cert_chain(certificate, key or None, password=_no_passphrase)
    except OSError as error:
        wanted = "a certificate in PEM and, there or in tls.client_key, its key"
        raise _unusable("tls.client_certificate", tls.client_certificate, wanted, error) from None


def _no_passphrase() -> str:
    # Without this, OpenSSL asks for one in the terminal.
    raise ConfigError("the key of tls.client_key has a passphrase, for which nobody is asked; name a file without one")


def _unusable(setting: str, given: str, wanted: str, error: OSError) -> ConfigError:
    why = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return ConfigError(f"the file {shown(given)} of {setting} cannot be used ({why}); expected {wanted}")
