"""What is replaced before it is stored, what is left, and that neither takes long nor happens twice."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.errors import ConfigError
from rageval.monitoring.redaction import redactor

everything = redactor(cards=True, phones=True)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Write to ada.b+x@mail.example.co.uk.", "Write to [e-mail]."),
        ("My key is sk-proj-abcdefghijklmnop1, why?", "My key is [key], why?"),
        ("Authorization: Bearer abcdefgh.12345==", "Authorization: Bearer [key]"),
        ("AKIAIOSFODNN7EXAMPLE is refused", "[key] is refused"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[key]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.sig_na-ture", "[key]"),
        ("postgresql://user:secret@host/db", "postgresql://user:[key]@host/db"),
        ("api_key='supersecret123', then", "api_key='[key]', then"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "[key]"),
        # 4111 1111 1111 1111 is a card by its check digit; with a 2 at its end it is not.
        ("card 4111 1111 1111 1111, not 4111 1111 1111 1112", "card [card], not 4111 1111 1111 1112"),
        ("call +49 30 123456-78 or (030) 1234567", "call [phone] or [phone]"),
    ],
)
def test_personal_data_and_keys_are_replaced(text: str, redacted: str) -> None:
    assert everything(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Is the deadline 2024-01-15 or 01-02-2024, at 0.5 or 10 points?",
        "Use @dataclass, and `token count: 900`.",
        "python -m http.server --bind 0.0.0.0 8000, http://localhost:8000/docs",
        "A loss of 0.000123 after 00 epochs; homework 01 02 03",
    ],
)
def test_what_courses_are_about_is_left_as_it_is(text: str) -> None:
    assert everything(text) == text


def test_cards_and_phones_are_left_unless_asked_for_and_own_patterns_come_first() -> None:
    text = "student 4711 of ada@example.org: +49 30 123456, 4111 1111 1111 1111"

    assert redactor()(text) == "student 4711 of [e-mail]: +49 30 123456, 4111 1111 1111 1111"
    assert redactor(emails=False, patterns=[r"student \d+"])(text) == text.replace("student 4711", "[removed]")
    with pytest.raises(ConfigError, match=r"pattern '\(' of what is redacted is no regular expression"):
        redactor(patterns=["("])


words = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
emails = st.builds("{}@{}.example.org".format, words, words)
keys = st.builds("sk-{}".format, st.text(string.ascii_letters + string.digits, min_size=16, max_size=40))


@given(before=st.text(max_size=50), secret=emails | keys, after=st.text(max_size=50))
def test_no_surrounding_text_hides_an_address_or_a_key(before: str, secret: str, after: str) -> None:
    assert secret not in everything(f"{before} {secret} {after}")


@given(st.text() | st.text("0123456789 +-()@.sk_:/=", max_size=200))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert everything(everything(text)) == everything(text)


@pytest.mark.parametrize(
    "piece", ["a", "a@", "0 ", "+1 ", "eyJ", "a.b@c.", "bearer ", "http://a:", "-----BEGIN ", "secret ", "sk-", "1-"]
)
def test_no_text_takes_long(piece: str) -> None:
    assert len(everything(piece * 100_000)) > 0
