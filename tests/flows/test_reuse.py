"""Answers and verdicts of earlier runs are taken instead of paid for, and a run that is damaged says what it lost."""

import errno
import os
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rageval.storage import files as run_files
from tests.evaluations import AGAIN, Rageval
from tests.fake_llm import VERDICT, FakeLLM, Reply, is_judgement, prompt


def test_a_run_with_another_judge_reuses_all_answers_and_only_judges(rageval: Rageval, llm: FakeLLM) -> None:
    first = rageval()
    llm.requests.clear()

    second = rageval("--judge", "m2", "--reuse", run_id="r2")

    assert second.status == 0, second.err
    # 20 answers with two verdicts each, a slice with two more: verdicts of the other judge and nothing else.
    assert Counter(body["model"] for body in llm.requests) == {"m2": 40 + 2 * AGAIN}
    answers = second.table("answers").to_pandas()
    assert set(answers["reused_from"]) == {"r1"}
    assert set(answers["attempts"]) == {0}
    assert set(answers["cost_usd"]) == {0.0}
    assert answers["prompt_tokens"].isna().all()
    before = first.table("answers").to_pandas()
    for column in ("answer", "request_fingerprint", "started_at", "finish_reason"):
        assert answers[column].tolist() == before[column].tolist()
    assert second.table("scores")["reused_from"].null_count == second.table("scores").num_rows
    # The totals are the truth about this run.
    assert second.manifest["totals"]["requests"] == 40 + 2 * AGAIN  # type: ignore[index]
    note = "20 answers were taken from earlier runs and not asked for: r1"
    assert note in second.manifest["notes"]  # type: ignore[operator]
    assert note in (second.folder / "report.html").read_text()

    llm.requests.clear()
    third = rageval("--judge", "m2", "--reuse", run_id="r3")
    assert llm.requests == []
    # Those of the second run name the run that asked.
    assert set(third.table("answers")["reused_from"].to_pylist()) == {"r1"}
    verdicts = third.table("scores").to_pandas().dropna(subset="judge_model")
    assert set(verdicts["reused_from"]) == {"r2"}
    assert set(verdicts["label"]) == {"RELEVANT"}
    assert third.manifest["totals"]["requests"] == 0  # type: ignore[index]


def test_failures_and_unreadable_verdicts_are_not_reused_and_strange_files_are_passed_over(
    rageval: Rageval, llm: FakeLLM
) -> None:
    def reply(body: dict[str, object]) -> str | Reply:
        if is_judgement(body):
            return "no verdict" if "worker" in prompt(body) else VERDICT
        return Reply(status=400) if "explain: judge" in prompt(body) else "Fine."

    llm.reply = reply
    first = rageval()
    output = first.folder.parent
    for name, content in (("empty", b""), ("text", b"not parquet")):
        (output / name).mkdir()
        (output / name / "answers.parquet").write_bytes(content)
    (output / "foreign").mkdir()
    pq.write_table(pa.table({"request_fingerprint": ["x"]}), output / "foreign" / "scores.parquet")
    unread = sum(
        reply is not None for reply in first.table("scores")["raw_reply"].to_pylist()
    )  # fmt: skip
    assert unread > 0
    llm.requests.clear()
    llm.reply = lambda body: VERDICT if is_judgement(body) else "Fine."

    second = rageval("--reuse", run_id="r2")

    assert second.status == 0, second.err
    # The failed answer, its two verdicts, and those that could not be read; none of the second verdicts is a first one.
    assert len(llm.requests) == 1 + 2 + unread
    assert set(second.table("scores")["status"].to_pylist()) == {"ok"}
    assert rageval("--no-judge", run_id="r4").table("answers")["reused_from"].null_count == 20


def test_a_damaged_run_says_what_it_found_and_asks_only_for_what_is_missing(rageval: Rageval, llm: FakeLLM) -> None:
    first = rageval("--no-judge")
    table = first.folder / "answers.parquet"
    content = bytearray(table.read_bytes())
    content[100] ^= 0xFF
    table.write_bytes(content)
    llm.requests.clear()

    second = rageval("--no-judge")

    assert second.status == 0, second.err
    assert len(llm.requests) == 20
    assert "its 20 answers will be asked for again" in " ".join(second.out.split())
    assert pc.all(pc.equal(second.table("answers")["status"], "ok")).as_py()


def test_a_full_disk_ends_the_run_in_order_and_the_next_start_goes_on(
    rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []

    class Full(pq.ParquetWriter):
        def __init__(self, where: object, *arguments: object, **options: object) -> None:
            if "parts" in str(where):
                written.append(where)
            if len(written) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().__init__(where, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(run_files.pq, "ParquetWriter", Full)
        full = rageval("--no-judge")

    assert full.status == 3, full.err
    assert "Traceback" not in full.err + full.out
    assert full.err.count("Error:") == 1
    assert "cannot be written: No space left on device (ENOSPC)" in full.err.replace("\n", " ")
    assert str(full.folder) in full.err.replace("\n", "")
    assert "Go on with:" in full.out
    asked = len(llm.requests)

    done = rageval("--no-judge")
    assert done.status == 0, done.err
    # Whatever had been answered is stored: at most what was in flight is asked again.
    assert Counter(Counter(prompt(body) for body in llm.requests).values())[1] >= 20 - 8
    assert asked <= 20
    assert done.table("answers").num_rows == 20
