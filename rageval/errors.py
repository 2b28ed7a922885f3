"""Every error this package raises on purpose.

    RagevalError
    ├── InputError              what was given cannot work; the command line exits with 2
    │   ├── ConfigError         a setting, a file of settings, a command-line option
    │   ├── DataError           documents, ground truth or rows: file, row and reason of each problem
    │   ├── IndexMismatchError  an index that does not fit the run
    │   ├── ServiceError        a service cannot be reached or used as it is
    │   ├── CredentialsError    a key is missing or was refused
    │   └── RunLockedError      another process works on the same run
    ├── GateFailedError         a run got worse, or could not be compared; the command line exits with 1
    ├── RunStoppedError         the run ended early, everything saved; the command line exits with 3
    └── RequestFailedError      one model request has failed for good; becomes a row, never ends a run

A message says what was expected, what was found, where, and what to do. All of them take one string, so
they survive pickling on their way through Prefect. None of them may ever hold a key. What they repeat of files and
servers is shown in terminals and logs, so nothing in it is obeyed there.
"""

from rageval.text.printable import printable


class RagevalError(Exception):
    """Base of all errors of this package."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class InputError(RagevalError):
    """What was given cannot work; nothing was lost and nothing was sent."""


class ConfigError(InputError):
    """A setting is unknown, out of range, or does not fit the others."""


class DataError(InputError):
    """Documents, ground truth or rows of a table cannot be used; the message lists file, row and reason."""


class IndexMismatchError(InputError):
    """An index exists that was built in another way than this run needs."""


class ServiceError(InputError):
    """A service cannot be reached, or is not the one that was expected."""


class CredentialsError(InputError):
    """A key is missing or was refused."""


class RunLockedError(InputError):
    """Another process works on the same run."""


class GateFailedError(RagevalError):
    """A run may not take the place of the one it was measured against; it is complete and saved."""


class RunStoppedError(RagevalError):
    """The run ended before everything was done; all finished records are saved."""


class RequestFailedError(RagevalError):
    """One request to a model failed for good."""
