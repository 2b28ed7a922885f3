"""The settings as a form: a title that people read, and an order that a database cannot lose."""

from typing import Any

from pydantic.fields import ComputedFieldInfo, FieldInfo

from rageval.safety.credentials import refuse_keys


def title_of(name: str, field: FieldInfo | ComputedFieldInfo) -> str:
    """Return the title of a field that has none of its own: its name in words."""
    return name.replace("_", " ").capitalize()


def number_fields(schema: dict[str, Any]) -> None:
    """Give every field its position, by which Prefect orders a form: Postgres stores an object's keys in no order."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position


def named_value(schema: dict[str, Any]) -> None:
    """Number the fields of a `name` and its `value`, and refuse keys in them."""
    number_fields(schema)
    refuse_keys(schema)
