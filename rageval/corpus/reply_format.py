"""The headers of an HTTP reply -> how its body is read, for addresses that do not end in a suffix, such as exports."""

from collections.abc import Mapping
from email.message import Message
from typing import Final

from rageval.corpus.rows import format_of, has_format
from rageval.errors import DataError

_SUFFIXES: Final[Mapping[str, str]] = {
    "text/csv": ".csv",
    "application/csv": ".csv",
    "text/comma-separated-values": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/json": ".json",
    "text/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/x-jsonlines": ".jsonl",
    "application/jsonlines": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/x-parquet": ".parquet",
    "application/parquet": ".parquet",
}


def format_of_reply(headers: Mapping[str, str], name: str) -> str:
    """Return the suffix that stands for the format of a reply: of the file that it names, or of its content type.

    Args:
        headers: The reply's, by whatever case.
        name: What messages call the address.

    Raises:
        DataError: If neither tells a format.
    """
    message = Message()
    for header in ("Content-Type", "Content-Disposition"):
        if value := next((value for key, value in headers.items() if key.lower() == header.lower()), ""):
            message[header] = value
    file = message.get_filename("")
    if has_format(file):
        return format_of(file)
    kind = message.get_content_type() if "Content-Type" in message else "nothing"
    if kind not in _SUFFIXES:
        raise DataError(
            f"{name}: neither the address nor the server tells the format, which calls it {kind[:80]}; expected "
            "text/csv, application/json, application/x-ndjson or application/vnd.apache.parquet: check the address and "
            "who may read it, or download the file and give it a name such as faq.csv"
        )
    return _SUFFIXES[kind]
