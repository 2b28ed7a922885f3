"""What may be shown of a URL, and whether it holds what may not: a user, a password, a signature, a key.

A URL may be a chain (`simplecache::https://host/x`), begin with `latest:`, and have `${NAME}` anywhere, which is shown
as it is written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from rageval.safety.credentials import (
    ENDINGS,
    KEY_PATTERN,
    PLACEHOLDER,
    WORDS,
    any_case,
    holds_key,
    names_credential,
    placeholders,
    variable_name,
    without_placeholders,
)

_AFTER_SCHEME = re.compile(r"(?P<place>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)  # RFC 3986, appendix B
_NO_SCHEME = re.compile(r"[^A-Za-z0-9+.-]")
_LINK = re.compile(r"::(?![^\[\]]*\])")  # within brackets they belong to an IPv6 address
_CONTAINERS = {"abfs", "abfss", "wasb", "wasbs"}
_NO_LOGIN = {*_CONTAINERS, "github"}
"""Schemes with something else before the @: a container, or a repository as owner:name."""
REFUSAL = (
    "it holds a user, password, signature or key, which would be stored and shown; put that into an environment "
    "variable and write ${NAME} in its place, such as https://host/faq.json?sig=${FAQ_SIG} (in single quotes where a "
    "shell reads it), and it is read where the URL is"
)


_CARRIED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://([^/?#@\s]{1,2000})@")
_LOGIN_ALONE = re.compile(
    rf"(?:[^/:\s]{{0,30}}:?[/\\]{{1,2}})?[^/@:\s]{{1,200}}:(?!{PLACEHOLDER}@)[^/@\s]{{1,200}}@.*", re.DOTALL
)
"""A URL whose scheme was forgotten, or has lost a slash."""
SCHEMES = (
    "file", "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "wasb", "wasbs", "sftp", "hf", "github",
    "memory",
)  # fmt: skip
"""Of what is read or written. Drivers for many more are found where they are installed, and some of those run code."""
_PLAIN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/@?#\s\\]*)@)?"
    r"(?P<host>[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}|\*))?(?P<path>/[^?#\s\\]*)?(?:[?#].*)?",
    re.DOTALL,
)
"""A URL that every client reads in the same way."""
_PORTS = {"http": "80", "https": "443"}
_UPWARDS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_FILLED_IN = rf"(?:{PLACEHOLDER})+"
SECRET_PATTERN = (
    rf"\b(?!(?:{'|'.join(sorted(_NO_LOGIN))})://)[A-Za-z][A-Za-z0-9+.-]*://([^/?#@]*:)?(?!{_FILLED_IN}@)[^/?#@:]+@|"
    rf"://.*[?&#;](?:(?:[^=?&#;]*[-_.])?(?:{any_case(WORDS)})|{any_case('key|code')}|[^=?&#;]*(?:{any_case(ENDINGS)}))"
    rf"=(?!{_FILLED_IN}(?:[&#]|$))[^&#]|{KEY_PATTERN}"
)
"""Finds most of what `holds_secret` does, in the dialect of a JSON schema: by it Prefect's server refuses parameters
before it stores them."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One URL of a chain."""

    head: str
    scheme: str
    user: str
    host: str
    path: str
    rest: str
    """Query and fragment, with their marks."""

    @property
    def shown(self) -> str:
        if self.is_cut:
            return f"{self.head}{self.scheme}://..."
        user = f"{self.user}@" if self.user and not self.login else ""
        return f"{self.head}{self.scheme}://{user}{self.host}{self.path}"

    @property
    def login(self) -> str:
        """User, password or both."""
        scheme = self.scheme.lower()
        is_other = scheme in _NO_LOGIN and not (scheme in _CONTAINERS and ":" in self.user)
        return "" if is_other else self.user

    @property
    def is_cut(self) -> bool:
        """Whether a login stands where none is looked for.

        It is cut by a slash in its password (what comes before that looks like a port), or is that of another URL which
        this one carries.
        """
        _, colon, port = self.host.rpartition("]")[2].rpartition(":")
        beyond = self.path + self.rest
        is_cut = bool(colon) and not without_placeholders(port).isdecimal() and "@" in beyond
        return is_cut or any(
            without_placeholders(found[1].rpartition(":")[2]) != "" for found in _CARRIED.finditer(unquote(beyond))
        )

    @property
    def query(self) -> Iterator[tuple[str, str]]:
        for pair in re.split("[?&#;]", self.rest):
            name, _, value = pair.partition("=")
            yield unquote(name), value


def shown(location: str) -> str:
    """Return a path as it is, and a URL without user, password, query and fragment."""
    parts = (_part(link) for link in _LINK.split(location))
    return "::".join(part if isinstance(part, str) else part.shown for part in parts)


def holds_secret(location: str) -> bool:
    """Return whether the text is a URL with a user, password, signature or key in it, or holds a key in plain."""
    if holds_key(without_placeholders(location)):
        return True
    parts = [part for link in _LINK.split(location) if not isinstance(part := _part(link), str)]
    return any(_has_login(part) or _has_credential(part) for part in parts)


def check_location(location: str) -> str:
    """Return the path or URL, which may be stored and shown.

    Raises:
        ValueError: If it holds a secret, or a `${...}` that names no variable (neither is repeated), or is of a kind
            that nothing is read from.
    """
    is_cut_off = "://" not in location and _LOGIN_ALONE.fullmatch(location.removeprefix("latest:"))
    if is_cut_off or holds_secret(location):
        raise ValueError(REFUSAL)
    for name in placeholders(location):
        variable_name(name)
    check_scheme(location)
    return location


def check_scheme(location: str) -> None:
    """Make sure that a path or URL is of a kind that is read, and no chain of drivers.

    Args:
        location: It; what is filled in may be missing.

    Raises:
        ValueError: If it is not; of it only the scheme is repeated.
    """
    text = location.removeprefix("latest:")
    scheme, is_url, _ = text.partition("://")
    if _LINK.search(text):
        raise ValueError("it is a chain of URLs with :: in it; give the file itself, such as s3://bucket/faq.csv.gz")
    if text.startswith("data:") or (is_url and "${" not in scheme and scheme.lower() not in SCHEMES):
        raise ValueError(
            f"files are not read from {scheme.partition(':')[0][:30]}:; give a path, or a URL that begins with "
            f"{', '.join(f'{name}://' for name in SCHEMES[1:4])} or another one of docs/security.md"
        )


def shown_address(text: str) -> str:
    """Return what should be a server's address as it may be shown, whether it can be parsed or not.

    Unlike a path it may lack its scheme, and have anything before an @.
    """
    bare = re.sub(r"^(\w+://)?.*@", r"\1", text, flags=re.DOTALL)
    return re.split("[?#]", bare)[0]


def without_logins(text: str) -> str:
    """Return a text of others, such as an error, without users and passwords of the URLs in it."""
    return re.sub(r"\S+", lambda word: _without_login(word[0]), text)


def _without_login(word: str) -> str:
    before, mark, after = word.partition("://")
    return f"{before}{mark}{after.rpartition('@')[2]}" if mark else word


def is_within(location: str, top: str) -> bool:
    """Return whether a URL is another one, or lies below its path, on the very same server, bucket or container.

    Users, passwords and queries do not count. What could be read in two ways, or leads upwards, lies nowhere.

    Args:
        location: A URL.
        top: The other one; a port of `*` stands for any.
    """
    ours, theirs = _address(location), _address(top)
    if ours is None or theirs is None or ours.server != theirs.server or ours.port == "*":
        return False
    return theirs.port in {"*", ours.port} and ours.path[: len(theirs.path)] == theirs.path


def secret_values(value: str) -> set[str]:
    """Return all that must not be shown of what was filled in: itself, and of a URL or query each of its secrets.

    Servers repeat them decoded, or without what stood around them. What is shorter than four characters is no secret.
    """
    found = {value}
    for link in _LINK.split(value):
        part = _part(link)
        if not isinstance(part, str):
            found |= {part.user, *part.user.split(":"), *(text for _, text in part.query), part.rest.lstrip("?#")}
        else:
            found |= {link.rpartition(":")[2], *(text.partition("=")[2] for text in re.split("[?&#]", link))}
    return {text for known in found for text in (known, unquote(known)) if len(text) > 3}


def _part(link: str) -> "_Part | str":
    before, mark, after = link.partition("://")
    found = _AFTER_SCHEME.fullmatch(after)
    if not mark or not found:
        return link
    scheme = _NO_SCHEME.split(before)[-1]
    user, _, host = found["place"].rpartition("@")
    return _Part(
        head=before.removesuffix(scheme), scheme=scheme, user=user, host=host, path=found["path"], rest=found["rest"]
    )


def _has_login(part: _Part) -> bool:
    """Return whether there is a login that is not filled in; with its password filled in, a user may be named."""
    return part.is_cut or without_placeholders(part.login.rpartition(":")[2]) != ""


def _has_credential(part: _Part) -> bool:
    return any(
        without_placeholders(value) and (names_credential(name) or name.lower() == "code") for name, value in part.query
    )


@dataclass(frozen=True, kw_only=True)
class _Address:
    """Where a URL leads."""

    server: tuple[str, str]
    """Scheme and host, bucket or container."""
    port: str
    path: list[str]


def _address(url: str) -> _Address | None:
    """Return where a URL leads; None where that cannot be told for sure."""
    found = _PLAIN.fullmatch(url)
    if not found:
        return None
    scheme, host = found["scheme"].lower(), found["host"].lower()
    path = found["path"] or ""
    parts = [part for part in path.split("/") if part]
    if any(_UPWARDS.fullmatch(part) for part in parts) or "%2f" in path.lower() or "%5c" in path.lower():
        return None
    if scheme in _CONTAINERS:
        host = f"{found['user']}@{host}"
    return _Address(server=(scheme, host), port=found["port"] or _PORTS.get(scheme, ""), path=parts)
