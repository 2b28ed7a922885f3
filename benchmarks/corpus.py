"""Corpora that are made up: documents of 1,000 characters with questions about them, and passages of any number."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

_WORDS = 200_000
_AT_ONCE = 10_000


def write_corpus(folder: Path, *, documents: int, questions: int) -> None:
    """Write documents.json and questions.jsonl, the same ones each time."""
    random = Random(11)
    vocabulary = ["".join(random.choices("abcdefghilmnoprstuv", k=random.randint(3, 9))) for _ in range(4_000)]

    def text(characters: int) -> str:
        words: list[str] = []
        while sum(map(len, words)) + len(words) < characters:
            words.append(random.choice(vocabulary))
        return " ".join(words).capitalize() + "."

    titles = [f"What is {text(30)[:-1]}?" for _ in range(documents)]
    rows = [{"id": f"d{n}", "question": title, "text": text(1_000)} for n, title in enumerate(titles)]
    (folder / "documents.json").write_text(json.dumps(rows))
    with (folder / "questions.jsonl").open("w") as file:
        for n in range(questions):
            row = {"question": f"{titles[n % documents]} ({n})", "document": f"d{n % documents}"}
            file.write(json.dumps(row) + "\n")


def passages(count: int, *, words: int, seed: int) -> Iterator[str]:
    """Yield passages of so many words, the same ones each time; the n-th most frequent word is n times as rare."""
    random = np.random.default_rng(0)
    letters, lengths = np.array(list("abcdefghijklmnopqrstuvwxyz")), random.integers(3, 10, _WORDS)
    vocabulary = np.array(["".join(random.choice(letters, size=length)) for length in lengths])
    shares = np.cumsum(1 / np.arange(1, _WORDS + 1))
    random = np.random.default_rng(seed)
    for start in range(0, count, _AT_ONCE):
        drawn = random.random((min(_AT_ONCE, count - start), words)) * shares[-1]
        for row in vocabulary[np.searchsorted(shares, drawn)]:
            yield " ".join(row)
