"""Findings of an audit: what each kind is called and means, and how findings are ordered and counted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""Gravest first. An error stops a run, a warning bends its results, a note is worth knowing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong or worth knowing, where it stands, and what can be done about it."""

    kind: str
    """A key of `KINDS`."""
    severity: Severity
    filter_value: str | None
    """The value of the filter it concerns; None if it concerns no single one, or there is no filter."""
    document_ids: tuple[str, ...] = ()
    question_ids: tuple[str, ...] = ()
    question: str | None = None
    """The text of the question, where the finding is about one."""
    rows: tuple[str, ...] = ()
    """Where in the files it stands: file and place of each row."""
    measure: float | None = None
    """The number behind it, where there is one: a cosine, a share, a count; see the kind."""
    what: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What all findings of a kind have in common."""

    title: str
    meaning: str


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "unusable_row": Kind(
            title="Rows that cannot be used",
            meaning="A run refuses to start until they are corrected or removed.",
        ),
        "empty_question": Kind(title="Empty questions", meaning="A run refuses to start until they are removed."),
        "unknown_document": Kind(
            title="Questions whose document does not exist",
            meaning="They have no reference answer. A run refuses to start.",
        ),
        "other_filter_value": Kind(
            title="Questions whose document has another filter value",
            meaning="The search within the question's own value could never find it. A run refuses to start.",
        ),
        "id_twice": Kind(
            title="Ids that stand several times",
            meaning="With the same content, or more lines at the end of a text, a run merges the rows; with other "
            "content it refuses to start.",
        ),
        "row_twice": Kind(
            title="Ground-truth rows that stand several times",
            meaning="A run merges them; counted by hand they would weigh double.",
        ),
        "same_document": Kind(
            title="Documents that are identical",
            meaning="Only one of them counts as right, so a search that finds the other is marked wrong.",
        ),
        "same_text": Kind(
            title="Documents with the same text",
            meaning="Their reference answers are the same. If the text answers, either document is right; if it is a "
            "placeholder, neither is.",
        ),
        "same_title": Kind(
            title="Documents with the same title",
            meaning="A search can hardly tell them apart, and only one counts as right.",
        ),
        "near_duplicate": Kind(
            title="Documents that are nearly the same",
            meaning="Their embeddings (title and text) are closer than the threshold, so a search may well find "
            "one where the other counts as right.",
        ),
        "several_documents": Kind(
            title="Questions with several right documents",
            meaning="The same question stands with several documents, and is searched for in all of them; each row "
            "counts only its own as right, unless retrieval.accept_alternates is set.",
        ),
        "placeholder_question": Kind(
            title="Questions that ask nothing",
            meaning="At most one word, such as what is left where a model's reply was read wrongly. No search can find "
            "their document, so they lower every metric.",
        ),
        "copied_words": Kind(
            title="Questions in the document's own words",
            meaning="Half of their word triples, or eight words in a row, stand in the document's title or text: "
            "text search finds them more easily than what people write who have not read it.",
        ),
        "copied_often": Kind(
            title="Questions that often copy",
            meaning="More than a tenth of the questions (with one filter value) are in the document's own words: text "
            "search looks better than it will be.",
        ),
        "uncovered_filter_value": Kind(
            title="Filter values without questions", meaning="Nothing is measured for them."
        ),
        "uncovered_group": Kind(
            title="Groups of documents without questions",
            meaning="No document with this value in a column of the documents has a question: nothing is measured for "
            "them.",
        ),
        "uncovered_document": Kind(
            title="Documents without questions",
            meaning="Whether they are found, and answered from, is not measured.",
        ),
        "crowded_document": Kind(
            title="Documents with far more questions than others",
            meaning="More than three times the median of the documents with their filter value, and five more than it: "
            "every mean leans on them.",
        ),
        "far_question": Kind(
            title="Questions far from their document",
            meaning="By embeddings its document is not among the 20 that are closest, or its cosine is "
            "among the lowest hundredth and another document is closer. It may be unanswerable, or stand with the "
            "wrong document.",
        ),
        "tiny_reference": Kind(
            title="References of hardly any words",
            meaning="With fewer than four words besides web addresses there is nothing to compare an answer with.",
        ),
        "pointing_reference": Kind(
            title="References that point elsewhere",
            meaning="They name a place where the answer is (a web address, another entry), not the answer.",
        ),
        "long_document": Kind(
            title="Documents that are longer than the embedding model reads",
            meaning="Vector search knows their beginning only, and cannot tell documents apart that begin alike; where "
            "the text alone is that long, so does the cosine to the reference.",
        ),
        "sampled": Kind(
            title="What was not looked at",
            meaning="The set is so large that embeddings were compared for a sample only.",
        ),
    }
)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings gravest first, then by kind in the order of `KINDS`; otherwise as they came."""
    kinds = list(KINDS)
    return tuple(sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), kinds.index(found.kind))))


def grouped(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return the findings by kind, the kind with the gravest finding first."""
    groups: dict[str, list[Finding]] = {}
    for finding in ordered(findings):
        groups.setdefault(finding.kind, []).append(finding)
    return groups


def severity_counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """Return how many findings there are of each severity, also where there are none."""
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in SEVERITIES}


def located(
    findings: Iterable[Finding], documents: Mapping[str, Sequence[str]], questions: Mapping[str, Sequence[str]]
) -> tuple[Finding, ...]:
    """Return the findings with the places of the rows they are about, where they do not say them yet.

    Args:
        findings: The findings.
        documents: Places of each document id, in words.
        questions: Places of each question id, in words.
    """

    def places(finding: Finding) -> tuple[str, ...]:
        if finding.question_ids:
            return tuple(place for key in finding.question_ids for place in questions.get(key, ()))
        return tuple(place for key in finding.document_ids for place in documents.get(key, ()))

    return tuple(finding if finding.rows else replace(finding, rows=places(finding)) for finding in findings)
