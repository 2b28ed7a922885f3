"""Retrievers of one's own in a run: evaluated alone, swept, and as contexts of a system."""

import json
import sys
import uuid
from pathlib import Path

import elasticsearch
import pytest

from rageval.cli import main as cli
from rageval.config.evaluation import EvaluationConfig
from rageval.errors import ConfigError
from rageval.runs.found_documents import found_documents
from rageval.runs.run import Run
from rageval.search.searching import SearchHere
from tests.elasticsearch_proxy import ElasticsearchProxy
from tests.evaluations import SEED, Outcome, Rageval
from tests.fake_llm import FakeLLM, prompt

SEARCH = '''
"""Finds the document whose subject the question names, and a text that no file of ours holds."""

import json
from pathlib import Path

from words import last_word

here = Path(__file__).parent
documents = json.loads((here / "documents.json").read_text())


def find(question, k):
    word = last_word(question)
    if (here / "down").exists() and word in (here / "down").read_text().split():
        raise OSError(f"no connection to https://me:pw@vectors.example/{word}")
    named = [one for one in documents if f"a {word}?" in one["question"]]
    return [("handbook", f"The handbook on {word}.", 3.0), *((one["id"], one["text"], 2.0) for one in named)]


async def nothing(question, k):
    return []
'''
WORDS = "def last_word(question): return question.rstrip('?').split()[-1]\n"
NO_MODELS = ("--no-judge", "--set", "models=[]", "--set", "retrieval.cutoffs=[1]")


@pytest.fixture
def own(corpus: Path) -> str:
    """The setting of a retriever that is a function in a file beside the corpus."""
    (corpus / "search.py").write_text(SEARCH)
    (corpus / "words.py").write_text(WORDS)
    return f"retrievers=[{{name: mine, method: python, function: 'search.py:find', function_folder: '{corpus}'}}]"


@pytest.fixture
def no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever loads an embedding model, or opens an index, fail."""

    def refuse(*_: object) -> None:
        raise AssertionError("nothing needs vectors or an index")

    for room in ("retrieval", "building", "own_retrieval"):
        monkeypatch.setattr(f"rageval.search.{room}.load_embedder", refuse)
    monkeypatch.setattr("rageval.search.retrieval.open_index", refuse)
    monkeypatch.setattr("rageval.search.building.open_index", refuse)


def means(run: Outcome) -> dict[tuple[str, str], float]:
    rows = run.table("summary").to_pylist()
    return {(row["retriever"], row["metric"]): row["mean"] for row in rows if row["retriever"]}


def test_a_function_alone_is_evaluated_without_any_model_or_index(
    rageval: Rageval, llm: FakeLLM, own: str, no_embedding: None
) -> None:
    run = rageval(*NO_MODELS, "--set", own)

    assert run.status == 0, run.err
    # The handbook is always first and the right document second.
    assert means(run)["mine", "hit_rate@1"] == 0.0
    assert means(run)["mine", "hit_rate@5"] == 1.0
    assert means(run)["mine", "mrr@5"] == 0.5
    assert llm.requests == []
    assert run.table("answers").num_rows == 0
    assert (run.folder / "report.html").read_text().count("mine") > 0


def test_texts_that_no_file_holds_are_contexts_of_a_pipeline_and_are_judged_with_it(
    rageval: Rageval, llm: FakeLLM, own: str
) -> None:
    run = rageval(
        "--set", own, "--judge", "m1", "--set", "metrics=[faithfulness, cosine]", "--set", "judge.again_share=0"
    )

    assert run.status == 0, run.err
    asked = [prompt(body) for body in llm.requests]
    assert sum("The handbook on budget." in text for text in asked) == 2 * 2, "two questions, answered and judged"
    answers = run.table("answers").to_pylist()
    first = [row["context_ids"][0] for row in answers]
    assert len(set(first)) == 10, "one id for each of ten texts of the same document"
    assert {id_.partition("#")[0] for id_ in first} == {"handbook"}
    kept = {one.document_id: one.text for one in found_documents(Run(str(run.folder)))}
    assert all(kept[id_].startswith("The handbook on ") for id_ in first)
    assert {row["document_ids"][0] for row in run.table("retrieval").to_pylist()} == {"handbook"}
    assert "The handbook on" in (run.folder / "report.html").read_text()


def test_a_call_that_fails_costs_its_question_alone_and_the_next_start_makes_it_again(
    rageval: Rageval, llm: FakeLLM, own: str, corpus: Path
) -> None:
    (corpus / "down").write_text("budget chunk")
    run = rageval("--set", own, "--no-judge", "--set", "run.max_failed_share=0.5")

    assert run.status == 0, run.err
    failed = [row for row in run.table("retrieval").to_pylist() if row["error"]]
    assert len(failed) == 4
    assert failed[0]["error"].startswith("OSError: no connection to https://vectors.example/")
    hit_rate = next(row for row in run.table("summary").to_pylist() if row["metric"] == "hit_rate@5")
    assert (hit_rate["n"], hit_rate["n_scored"], hit_rate["mean"]) == (20, 16, 1.0)
    answers = [row for row in run.table("answers").to_pylist() if row["status"] == "failed"]
    assert len(answers) == 4
    assert answers[0]["error"].startswith("its retriever mine failed: OSError")
    assert len(llm.requests) == 16
    assert "failed for 4 of 20 questions" in (run.folder / "report.html").read_text()

    (corpus / "down").unlink()
    (corpus / "search.py").write_text(SEARCH.replace("2.0)", "1.5)"))
    again = rageval("--set", own, "--no-judge", "--set", "run.max_failed_share=0.5")

    assert again.status == 0, again.err
    assert len(llm.requests) == 20
    rows = again.table("retrieval").to_pylist()
    assert [row["error"] for row in rows] == [None] * 20
    assert sorted(row["scores"][1] for row in rows) == [1.5] * 4 + [2.0] * 16, "only what had failed is searched again"


def test_one_that_never_works_and_an_id_without_a_text_end_the_run_before_anything_is_asked(
    rageval: Rageval, llm: FakeLLM, own: str, corpus: Path
) -> None:
    (corpus / "search.py").write_text("def find(question, k): return [{'id': 'elsewhere'}]")
    run = rageval("--set", own, "--no-judge")
    assert run.status == 2
    assert "has found the document elsewhere, of which neither it nor data.documents has" in " ".join(run.err.split())

    (corpus / "search.py").write_text("def find(question): return []")
    run = rageval("--set", own, "--no-judge", run_id="r2")
    assert run.status == 2
    assert "the retriever mine failed for each of the first 20 questions: TypeError" in " ".join(run.err.split())
    assert llm.requests == []


def test_alone_one_that_never_works_costs_the_others_nothing(rageval: Rageval, own: str, corpus: Path) -> None:
    bad = f"{{name: bad, method: python, function: 'search.py:bad', function_folder: '{corpus}'}}]"
    alone = rageval(*NO_MODELS, "--set", f"retrievers=[{bad}")
    assert alone.status == 2
    assert "search.py holds no function bad" in " ".join(alone.err.split())

    beside = rageval(*NO_MODELS, "--set", own.replace("]", f", {bad}"), run_id="r2")
    assert beside.status == 3
    assert "not every retriever could be evaluated: the function search.py:bad" in " ".join(beside.err.split())
    assert means(beside)["mine", "hit_rate@5"] == 1.0


def test_beside_one_of_ours_it_is_compared_with_it(rageval: Rageval, own: str, corpus: Path) -> None:
    both = own.replace("=[", "=[text, ")
    run = rageval("--no-judge", "--set", "models=[]", "--set", both)

    assert run.status == 0, run.err
    (compared,) = [row for row in run.table("comparisons").to_pylist() if row["metric"] == "mrr@5"]
    assert (compared["baseline"], compared["candidate"], compared["of"]) == ("text", "mine", "retrievers")


def test_it_is_swept_beside_another_one_without_any_index(
    prefect_server: None,
    corpus: Path,
    own: str,
    no_embedding: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    retrievers = own.removeprefix("retrievers=").replace("]", ", {name: empty, method: python, ") + (
        f"function: 'search.py:nothing', function_folder: '{corpus}'}}]"
    )
    words = [
        "rageval", "sweep", "--documents", str(corpus / "documents.json"),
        "--ground-truth", str(corpus / "questions.csv"), "--output", str(corpus / "runs"), "--run-id", "s1",
        "--set", f"data.seed={SEED}", "--set", "grid.methods=[]", "--set", f"grid.retrievers={retrievers}",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code, capfd.readouterr().err
    manifest = json.loads((corpus / "runs" / "s1" / "sweep.json").read_text())
    assert manifest["best"]["retriever"] == "mine"


def test_an_index_that_is_there_already_is_read_and_nothing_else_is_asked_of_its_server(
    rageval: Rageval, llm: FakeLLM, corpus: Path, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"team-{uuid.uuid4().hex}"
    with elasticsearch.Elasticsearch(elasticsearch_url) as team:
        for number, document in enumerate(json.loads((corpus / "documents.json").read_text())):
            fields = {"no": document["id"], "head": document["question"], "body": document["text"]}
            team.index(index=name, id=str(number), document=fields)
        team.index(index=name, id="more", document={"no": "more", "head": "A worker", "body": "A worker is more."})
        team.indices.refresh(index=name)
    team_index = {"index": name, "id_field": "no", "title_field": "head", "text_field": "body"}
    own = {"name": "team", "method": "elasticsearch", "elasticsearch": team_index}
    with ElasticsearchProxy(upstream=elasticsearch_url, reads_only=True) as proxy:
        monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)
        run = rageval("--set", f"retrievers=[{json.dumps(own)}]", "--no-judge")

    assert run.status == 0, run.err
    assert set(proxy.asked) == {f"POST /{name}/_msearch"}
    assert means(run)["team", "hit_rate@5"] == 1.0
    about_workers = [prompt(body) for body in llm.requests if "Please explain: worker" in prompt(body)]
    assert ["A worker is more." in text for text in about_workers] == [True]


def test_the_chat_app_searches_with_retrievers_of_ours(own: str, corpus: Path) -> None:
    retriever = {"method": "python", "function": "search.py:find", "function_folder": str(corpus)}
    with pytest.raises(ConfigError, match="search in an index that rageval builds"):
        SearchHere(EvaluationConfig.model_validate({"retrievers": [retriever]}))
