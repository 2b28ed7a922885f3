"""Hits of others matched to documents: by id, by text, or as documents of their own."""

from rageval.records import Document
from rageval.search.own_search import PassageHit
from rageval.search.passages import PassageMatching


def document(document_id: str, text: str) -> Document:
    return Document(document_id=document_id, text=text, content_hash=text)


def hit(document_id: str = "", text: str = "", score: float = 1.0) -> PassageHit:
    return PassageHit(document_id=document_id, text=text, score=score)


def matched(matching: PassageMatching, *hits: PassageHit) -> list[tuple[str, str]]:
    return [(one.hit.document_id, one.shown_id) for one in matching.matched(hits)]


def test_the_id_decides_then_the_text_whatever_its_spaces() -> None:
    matching = PassageMatching([document("a", "It is\na flow."), document("b", "A task.")])
    assert matched(matching, hit("b", "It is a flow."), hit("7", "It  is a flow. ")) == [("b", "b"), ("a", "a")]
    assert matching.new == []


def test_a_text_of_no_document_becomes_one_and_another_text_under_its_id_another_one() -> None:
    matching = PassageMatching([], [document("x", "before")])
    first = matched(matching, hit("x", "before"), hit("y", "new"), hit("", "without id"))
    assert [ids[0] for ids in first[:2]] == ["x", "y"]
    assert first[2][0].startswith("text-")
    assert all(found == shown for found, shown in first)
    ((found, shown),) = matched(matching, hit("x", "other words"))
    assert (found, shown.partition("#")[0]) == ("x", "x")
    assert shown != "x"
    assert [one.text for one in matching.new] == ["new", "without id", "other words"]
    assert matched(matching, hit("x", "other words")) == [("x", shown)]


def test_passages_of_one_document_take_one_rank_and_are_shown_together() -> None:
    matching = PassageMatching([])
    hits = [hit("x", "one", 3.0), hit("y", "", 2.0), hit("x", "two", 1.0), hit("x", "one", 0.5)]
    first, second = matching.matched(hits)
    assert (first.hit.document_id, first.hit.score, second.hit.document_id) == ("x", 3.0, "y")
    assert [one.text for one in matching.new] == ["one\n\ntwo"]
    assert matching.lacks_text("y")
    assert not matching.lacks_text("x")
