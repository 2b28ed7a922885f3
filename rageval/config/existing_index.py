"""Settings of an Elasticsearch index that is there already, and the body of the search in it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import orjson
from pydantic import Field, model_validator

from rageval.config.settings import FilledText, Name, OptionalName, Settings
from rageval.text.json_template import JsonTemplate, json_template

IndexName = Annotated[str, Field(min_length=1, max_length=255, pattern=r'^[^_+\s/\\?#"<>|{}][^\s/\\?#"<>|{}]*$')]
QUERY_NAMES: Final = ("question", "vector", "depth", "filters", "filter_value")
"""What a body may ask for."""
_WHOLE: Final = ("vector", "filters")


class FieldFilter(Settings):
    """A value that a document must have in a field of the index."""

    field: Name
    """The field, of a type that knows exact values, such as `keyword`."""
    value: Name
    """The value."""


class ExistingIndexConfig(Settings):
    """An Elasticsearch index that is there already: where it is, what its fields are called, and how it is searched.
    Nothing is ever written to it."""

    index: IndexName = Field(title="Index or alias")
    """Its name, or that of an alias, on the server of ELASTICSEARCH_URL."""
    text_field: Name = "text"
    """Field with the text that a model is shown."""
    id_field: OptionalName = ""
    """Field with the id by which the ground truth names documents; empty for the index's own `_id`."""
    title_field: OptionalName = ""
    """Field with a title; empty where there is none."""
    vector_field: OptionalName = ""
    """Field with vectors: without a query of your own it is searched by them, not by words."""
    embedding_model: OptionalName = ""
    """The model that made its vectors; empty for that of index.embedding_model."""
    filter_field: OptionalName = ""
    """Field that must hold the question's own value of data.filter_by; empty searches in all."""
    filters: tuple[FieldFilter, ...] = Field(default=(), max_length=100)
    """More values that documents must have."""
    query_file: FilledText = ""
    """Path or URL of a JSON file with the body of your own search. In its texts stand {{question}}, {{vector}},
    {{depth}}, {{filters}} and {{filter_value}}."""
    query: str = Field(default="", max_length=100_000, title="Query")
    """The same body here, in place of a file."""

    @model_validator(mode="before")
    @classmethod
    def _from_mapping(cls, value: Any) -> Any:
        """Read a body that is written as YAML as the JSON that it means."""
        if isinstance(value, Mapping) and isinstance(value.get("query"), Mapping):
            return {**value, "query": orjson.dumps(value["query"]).decode()}
        return value

    @model_validator(mode="after")
    def _check(self) -> "ExistingIndexConfig":
        if self.query and self.query_file:
            raise ValueError("it has a query and a query_file; leave one of them out")
        if self.query:
            self.body_of(self.query)
        return self

    def body_of(self, text: str) -> JsonTemplate:
        """Return a body of one's own, which asks for all that the settings give.

        Raises:
            ValueError: If it is no JSON, asks for something else, or has no place for the question or the filters.
        """
        template = json_template(text, QUERY_NAMES, whole=_WHOLE)
        if not {"question", "vector"} & template.names:
            raise ValueError("it asks for neither {{question}} nor {{vector}}: it would find the same for all")
        if (self.filters or self.filter_field) and "filters" not in template.names:
            raise ValueError(
                'filters are set, and the query has no place for them: write "{{filters}}" where its list of filters '
                "stands, or leave them out"
            )
        return template

    def default_body(self, question_boost: float, depth: int) -> JsonTemplate:
        """Return the body of a search where there is no query of one's own.

        Args:
            question_boost: How much more a match in the title counts than one in the text.
            depth: How many documents are wanted.
        """
        if self.vector_field:
            knn = {
                "field": self.vector_field,
                "query_vector": "{{vector}}",
                "k": depth,
                "num_candidates": min(10_000, max(100, 10 * depth)),
                "filter": "{{filters}}",
            }
            return self.body_of(orjson.dumps({"knn": knn}).decode())
        match: dict[str, Any] = {"match": {self.text_field: "{{question}}"}}
        if self.title_field:
            fields = [f"{self.title_field}^{question_boost}", self.text_field]
            match = {"multi_match": {"query": "{{question}}", "fields": fields}}
        query = {"bool": {"must": match, "filter": "{{filters}}"}}
        return self.body_of(orjson.dumps({"query": query}).decode())
