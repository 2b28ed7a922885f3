"""A corpus that is made up: documents of about 1,000 characters, and questions about them."""

import json
from pathlib import Path
from random import Random


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
