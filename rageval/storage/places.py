"""Where runs lie: a folder of this machine, which is a `pathlib.Path`, or one on an object store, a `StorePath`.

Both have the same few methods, so what reads a run need not know which it has. What differs is written once: here, in
`rageval.storage.files` (writing) and in `rageval.storage.leases` (locks).
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import fsspec

from rageval.errors import ConfigError, RagevalError, RunStoppedError
from rageval.safety.urls import SCHEMES, holds_secret
from rageval.safety.variables import filled_in

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
_READ_ONLY = {"http", "https"}
_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError",
    "ClientAuthenticationError",
}  # fmt: skip
_UNREACHABLE = {
    "ConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "HTTPClientError", "TimeoutError", "FSTimeoutError",
    "ClientConnectionError", "ServiceRequestError",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class StorePath:
    """A file or folder on an object store. Cheap to make and to pickle; holds no connection.

    It has those methods of `pathlib.Path` that runs need. A file is there as a whole or not at all, a folder is there
    as long as a file lies in it, and nothing is remembered: what another process writes is seen at once.

    A missing file is a FileNotFoundError. All methods raise RunStoppedError where the store cannot be used, and
    ConfigError where its driver is not installed.
    """

    url: str
    """Without a slash at the end; `${NAME}` in it stands for a variable, which only the driver is told."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "StorePath":
        return StorePath(f"{self.url}/{name.strip('/')}")

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.url).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.url).stem

    @property
    def suffix(self) -> str:
        """What follows the last dot of the name, with the dot."""
        return PurePosixPath(self.url).suffix

    @property
    def parent(self) -> "StorePath":
        """The folder that it lies in."""
        return StorePath(self.url.rpartition("/")[0])

    def with_name(self, name: str) -> "StorePath":
        """Return its neighbour of that name."""
        return self.parent / name

    def relative_to(self, folder: str) -> PurePosixPath:
        """Return the path that leads here from a folder above it, which is given as a URL."""
        return PurePosixPath(self.url).relative_to(folder)

    def exists(self) -> bool:
        """Return whether there is such a file or folder."""
        return self._info() is not None

    def is_file(self) -> bool:
        """Return whether there is such a file."""
        return (self._info() or {}).get("type") == "file"

    def is_dir(self) -> bool:
        """Return whether any file lies in it."""
        return (self._info() or {}).get("type") == "directory"

    def is_symlink(self) -> bool:
        """Return False: a store has no links."""
        return False

    def read_bytes(self) -> bytes:
        """Return the content."""
        with self._asking() as store:
            content: bytes = store.cat_file(self.key)
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Replace the file as a whole."""
        with self._asking() as store:
            store.pipe_file(self.key, content)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """Replace the file as a whole."""
        self.write_bytes(text.encode(encoding))

    def create(self, content: bytes) -> bool:
        """Write the file unless there is one; returns whether it was written. Of several processes one succeeds."""
        try:
            with self._asking() as store:
                store.pipe_file(self.key, content, mode="create")
        except FileExistsError:
            return False
        return True

    def upload(self, file: Path) -> None:
        """Replace the file as a whole by one of this machine."""
        with self._asking() as store:
            store.put_file(str(file), self.key)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file; that of a missing one is an error unless it is said to be none."""
        try:
            with self._asking() as store:
                store.rm_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def replace(self, target: "StorePath") -> "StorePath":
        """Move the file: it is copied as a whole, then removed."""
        with self._asking() as store:
            store.cp_file(self.key, target.key)
            store.rm_file(self.key)
        return target

    def iterdir(self) -> Iterator["StorePath"]:
        """Yield the files and folders that lie in the folder."""
        with self._asking() as store:
            found = [_key(entry["name"]) for entry in store.ls(self.key, detail=True)]
        yield from (self / name for name in map(self._relative, found) if name)

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        """Yield the files below that match, part by part: `*` stands for any name, and there is no `**`."""
        wanted = pattern.split("/")
        for path in self._below("/".join(takewhile(lambda part: "*" not in part, wanted[:-1]))):
            parts = path.relative_to(self.url).parts
            if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)):
                yield path

    def rglob(self, pattern: str) -> Iterator["StorePath"]:
        """Yield the files anywhere below whose names match."""
        yield from (path for path in self._below("") if fnmatchcase(path.name, pattern))

    def version(self) -> str:
        """Return something that changes with the file.

        Raises:
            FileNotFoundError: If there is none.
        """
        with self._asking() as store:
            return str(store.ukey(self.key))

    def changed_at(self) -> datetime:
        """Return when the file was written."""
        with self._asking() as store:
            changed: datetime = store.modified(self.key)
        return changed if changed.tzinfo else changed.replace(tzinfo=UTC)

    @property
    def key(self) -> str:
        """What the driver calls it: bucket and key."""
        return _key(_driver(self.url)[1])

    def _relative(self, key: str) -> str:
        return key.removeprefix(self.key).strip("/")

    def _below(self, folder: str) -> list["StorePath"]:
        place = self / folder if folder else self
        with self._asking() as store:
            keys = [_key(name) for name in store.find(place.key)]
        return [self / name for name in map(self._relative, sorted(keys)) if name]

    def _info(self) -> dict[str, Any] | None:
        try:
            with self._asking() as store:
                info: dict[str, Any] = store.info(self.key)
        except FileNotFoundError:
            return None
        return info

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """Yield the store's driver, and put its errors into words; theirs may repeat a key."""
        try:
            yield _driver(self.url)[0]
        except (RagevalError, FileNotFoundError, FileExistsError):
            raise
        except Exception as error:  # noqa: BLE001 - each driver has errors of its own
            raise RunStoppedError(
                f"{self.url}: {_reason(error)}. What was stored before is still there; start again once it can be used"
            ) from None


Place: TypeAlias = Path | StorePath


def place(location: str | os.PathLike[str]) -> Place:
    """Return a folder or file by its path or its URL, such as s3://bucket/runs; nothing is looked at yet.

    Raises:
        ConfigError: If the URL holds a user or password, a variable of it is not set, or nothing can be written there.
    """
    given = os.fspath(location)
    text = filled_in(given)
    if "://" not in text:
        return Path(text)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    scheme, rest = text.split("://", 1)
    if scheme.lower() in _READ_ONLY or scheme.lower() not in SCHEMES or "::" in text or not rest.strip("/"):
        raise ConfigError(
            f"runs cannot be written to this kind of URL ({scheme}://); give a folder, or one of a bucket such as s3://bucket/runs"
        )
    if holds_secret(given):
        raise ConfigError(
            f"the URL of an output folder must hold no user and no password, nor a key, found one in {scheme}://...; "
            "the driver reads them from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return StorePath(given.rstrip("/"))


def matching(folder: Place, pattern: str) -> list[Place]:
    """Return the files of a folder that match, in the order of their names; see `StorePath.glob`."""
    found: list[Place] = [*folder.glob(pattern)]
    return sorted(found, key=str)


def version(path: Place) -> str:
    """Return something that changes with a file.

    Raises:
        FileNotFoundError: If there is none.
    """
    return path.version() if isinstance(path, StorePath) else str(path.stat().st_mtime_ns)


def changed_ns(path: Place) -> int:
    """Return when a file was written, in nanoseconds since 1970; object stores know it to the second."""
    return int(path.changed_at().timestamp() * 1e9) if isinstance(path, StorePath) else path.stat().st_mtime_ns


def on_this_machine(folder: Place) -> Path:
    """Return a folder of this machine: the one that is given, or one in the user's cache that stands for it."""
    if isinstance(folder, Path):
        return folder
    return user_cache() / "stores" / hashlib.sha256(folder.url.encode()).hexdigest()[:16]


def user_cache() -> Path:
    """Return this user's folder for what can be made again; `XDG_CACHE_HOME` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rageval"


@contextmanager
def first_look() -> Iterator[None]:
    """Let a store that cannot be used be an error of what was given: nothing has been done yet.

    Raises:
        ConfigError: In place of a RunStoppedError.
    """
    try:
        yield
    except RunStoppedError as error:
        raise ConfigError(str(error)) from error


def _key(name: str) -> str:
    return name.strip("/")


def _reason(error: Exception) -> str:
    """Return what is wrong and what to do, without the words of the driver."""
    kinds: Sequence[str] = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, PermissionError):
        return "access is denied; check that the credentials of the environment may list, read, write and remove there"
    if _NO_CREDENTIALS.intersection(kinds):
        return "no credentials were found; set them in the environment, such as AWS_ACCESS_KEY_ID"
    if _UNREACHABLE.intersection(kinds):
        return f"the store cannot be reached ({kinds[0]}); check the network, and its endpoint such as AWS_ENDPOINT_URL"
    code = f"{kinds[0]}, errno {error.errno}" if isinstance(error, OSError) and error.errno else kinds[0]
    return f"the store refused the request ({code}); check the bucket's name, region and endpoint"


def _driver(url: str) -> tuple[Any, str]:
    """Return the driver, the same for a process as long as it lives, and what it calls the URL."""
    url = filled_in(url)
    scheme = url.partition("://")[0]
    try:
        store, name = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError:
        extra = _EXTRAS.get(scheme)
        remedy = f"pip install 'rageval[{extra}]'" if extra else f"install the fsspec driver of {scheme}"
        raise ConfigError(f"{scheme}:// needs a driver that is not installed: {remedy}") from None
    except ValueError:
        raise ConfigError(
            f"{scheme}:// cannot be used: it is no kind of store that is known, or its driver lacks a setting; give a "
            "folder, or a URL such as s3://bucket/runs"
        ) from None
    return store, name
