"""What a server says about an error, in whatever JSON or text it stands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.safety.server_message import message_of, quoted, read_message


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "too long", "code": "context_length"}}, "too long"),  # OpenAI, Azure, Groq, vLLM
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded"),
        ([{"error": {"code": 400, "message": "Unknown name: seed"}}], "Unknown name: seed"),  # Gemini
        ({"error": "model 'x' not found"}, "model 'x' not found"),  # Ollama, LM Studio, TGI
        ({"error": ["first", "second"]}, "first; second"),  # Hugging Face
        ({"detail": "Not Found"}, "Not Found"),  # FastAPI
        ({"detail": [{"loc": ["body", "top_p"], "msg": "must be below 1", "input": 7}]}, "body.top_p: must be below 1"),
        ({"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "no"}]}}, "body.n: no"),  # Mistral
        ({"status": 500, "error": "Internal Server Error", "message": "pool"}, "Internal Server Error; pool"),  # Spring
        ({"Message": "not authorized", "__type": "AccessDenied"}, "not authorized"),  # AWS
        ({"success": False, "errors": [{"code": 7009, "message": "no account"}]}, "no account"),  # Cloudflare
        (
            {
                "error": {
                    "message": "Provider returned error",
                    "metadata": {"raw": '{"error": {"message": "too long"}}'},
                }
            },
            "Provider returned error; too long",  # OpenRouter
        ),
        ({"statusCode": 7}, '{"statusCode": 7}'),  # no message: better than nothing
        ("just a text", "just a text"),
        (None, ""),
    ],
)
def test_the_message_is_found_wherever_it_stands(body: Any, text: str) -> None:
    assert message_of(body).text == text
    assert read_message(json.dumps(body).encode()).text == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"upstream connect error", "upstream connect error"),
        (b"<html><head><title>403 No</title></head><body><h1>Sorry &amp; bye</h1></body></html>", "403 No Sorry & bye"),
        (b"<!DOCTYPE html><title>Hm</title><script>var x = 1</script><p>blocked</p>", "Hm Hm blocked"),
        (b'data: {"error": {"message": "in an event"}}', "in an event"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"", ""),
    ],
)  # fmt: skip
def test_a_page_or_a_text_is_shown_as_what_a_person_would_read(body: bytes, text: str) -> None:
    assert read_message(body).text == text


def test_a_message_is_one_line_without_key_and_without_what_a_terminal_obeys() -> None:
    said = quoted("bad\n key sk-1234\x1b[2J" + "x" * 600, lambda text: text.replace("sk-1234", "[key]"))
    assert said.startswith("bad key [key]\N{REPLACEMENT CHARACTER}[2J")
    assert len(said) == 500


names = st.sampled_from(["error", "message", "detail", "loc", "msg", "code"])


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda j: st.lists(j) | st.dictionaries(names, j))
)
def test_no_body_breaks_the_reading(body: Any) -> None:
    assert isinstance(message_of(body).text, str)
    quoted(read_message(json.dumps(body)).text, str)
