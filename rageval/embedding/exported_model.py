"""An embedding model that was exported to ONNX, run by ONNX Runtime: no PyTorch, a quarter of the memory.

graph.onnx      token ids -> unit vectors: transformer, pooling and whatever comes after it
tokenizer.json  texts -> token ids
export.json     what else is known of it, and the hashes of the other two
"""

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rageval.embedding.embedding_model import Matrix, Task
from rageval.errors import ConfigError
from rageval.safety.model_files import has_content

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

GRAPH, TOKENIZER, FACTS = "graph.onnx", "tokenizer.json", "export.json"
POOLED: Final = "pooled"
"""The graph's input that says which tokens the vector is made of: some models leave out what stands in front."""
OUTPUT: Final = "vectors"
_TOKENS_AT_ONCE: Final = 512
"""In one call of the graph. More of them take more memory, and no less time."""
_threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """What is known of an exported model beside its files."""

    dimensions: int
    longest: int | None
    """See `EmbeddingModel.longest`."""
    prompts: Mapping[Task, str]
    """See `EmbeddingModel.prompts`."""
    unpooled: Mapping[Task, int]
    """For each task, the tokens at the beginning of a text that are no part of its vector."""
    inputs: tuple[str, ...]
    """Of the graph."""
    pad_id: int
    pad_type_id: int
    pads_left: bool
    cuts_left: bool
    """Whether the beginning of a long text is cut off, in place of its end."""
    hashes: Mapping[str, str]
    """SHA-256 of the files, by their name."""


def write_facts(folder: Path, facts: ExportFacts) -> None:
    """Write them beside the files."""
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=1), "utf-8")


def read_facts(folder: Path) -> ExportFacts | None:
    """Return what is known of the exported model in a folder; None if there is none, or it is damaged."""
    try:
        stored = json.loads((folder / FACTS).read_text("utf-8"))
        return ExportFacts(**{**stored, "inputs": tuple(stored["inputs"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def embed_on_one_processor() -> None:
    """Let this process's embedding use one processor from now on.

    A single query gains nothing from more of them. Where others use them too, it waits for each: on two busy ones it
    took a second instead of a tenth.
    """
    global _threads  # noqa: PLW0603 - threads belong to the process
    _threads = 1


class ExportedModel:
    """An exported model, see `EmbeddingModel`. Graph and tokenizer are loaded when they are first needed."""

    def __init__(self, folder: Path, facts: ExportFacts, renew: Callable[[], tuple[Path, ExportFacts]]) -> None:
        """Name the folder; nothing is loaded yet.

        Args:
            folder: Of the exported model.
            facts: Its own.
            renew: Exports the model once more, where its files turn out to be damaged; returns the same of that one.
        """
        self._folder, self._facts, self._renew = folder, facts, renew
        self._session: InferenceSession | None = None
        self._session_threads = 0
        self._tokenizer: Tokenizer | None = None
        self._lock = threading.RLock()

    @property
    def dimensions(self) -> int:
        """See `EmbeddingModel`."""
        return self._facts.dimensions

    @property
    def longest(self) -> int | None:
        """See `EmbeddingModel`."""
        return self._facts.longest

    @property
    def prompts(self) -> Mapping[Task, str]:
        """See `EmbeddingModel`."""
        return self._facts.prompts

    @property
    def kinds(self) -> Mapping[Task, str]:
        """See `EmbeddingModel`."""
        return self._facts.prompts

    @property
    def is_loaded(self) -> bool:
        """Whether the graph is in memory."""
        return self._session is not None

    def encode(self, texts: Sequence[str], task: Task, batch_size: int) -> Matrix:
        """Return the vectors, see `EmbeddingModel`."""
        session = self._loaded_session()
        encodings = self._tokenized([self.prompts[task] + text for text in texts], self.longest)
        lengths = np.array([len(encoding.ids) for encoding in encodings])
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        order = np.argsort(-lengths, kind="stable")  # texts of one length together need no padding
        while len(order):
            n = max(1, min(batch_size, _TOKENS_AT_ONCE // max(1, int(lengths[order[0]]))))
            part, order = order[:n], order[n:]
            inputs = self._inputs([encodings[i] for i in part], self._facts.unpooled[task])
            vectors[part] = session.run([OUTPUT], inputs)[0]
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, see `EmbeddingModel`."""
        return [len(encoding.ids) for encoding in self._tokenized(texts, None)]

    def _inputs(self, encodings: Sequence["Encoding"], unpooled: int) -> dict[str, Any]:
        facts = self._facts
        shape = (len(encodings), max(1, *(len(encoding.ids) for encoding in encodings)))
        arrays = {
            "input_ids": np.full(shape, facts.pad_id, np.int64),
            "token_type_ids": np.full(shape, facts.pad_type_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            POOLED: np.zeros(shape, np.int64),
        }
        for row, encoding in enumerate(encodings):
            n = len(encoding.ids)
            start = shape[1] - n if facts.pads_left else 0
            arrays["input_ids"][row, start : start + n] = encoding.ids
            arrays["token_type_ids"][row, start : start + n] = encoding.type_ids
            arrays["attention_mask"][row, start : start + n] = encoding.attention_mask
            arrays[POOLED][row, start + unpooled : start + n] = encoding.attention_mask[unpooled:]
        return {name: arrays[name] for name in facts.inputs}

    def _tokenized(self, texts: Sequence[str], longest: int | None) -> list["Encoding"]:
        with self._lock:  # a tokenizer cuts for one caller at a time
            tokenizer = self._loaded_tokenizer()
            if longest is None:
                tokenizer.no_truncation()
            else:
                tokenizer.enable_truncation(longest, direction="left" if self._facts.cuts_left else "right")
            return tokenizer.encode_batch(list(texts))

    def _loaded_tokenizer(self) -> "Tokenizer":
        if self._tokenizer is None:
            from tokenizers import Tokenizer  # noqa: PLC0415 - only where texts are counted or embedded

            self._check(TOKENIZER)
            self._tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
            self._tokenizer.no_padding()
        return self._tokenizer

    def _loaded_session(self) -> "InferenceSession":
        threads = _threads or usable_processors()
        with self._lock:
            if self._session is None or self._session_threads != threads:
                self._session = None  # two of them would not fit where one does
                self._check(GRAPH)
                self._session, self._session_threads = _open(self._folder / GRAPH, threads), threads
            return self._session

    def _check(self, name: str) -> None:
        """Make sure that a file is as it was written; nothing else is loaded.

        Raises:
            ConfigError: If it is not, nor once the model has been exported anew.
        """
        if not self._is_as_written(name):
            self._folder, self._facts = self._renew()
            if not self._is_as_written(name):
                raise ConfigError(f"{self._folder / name} changes while it is read; remove its folder and start again")

    def _is_as_written(self, name: str) -> bool:
        return has_content(self._folder / name, self._facts.hashes.get(name, ""))


def usable_processors() -> int:
    """Return how many processors this process may use: those of its container, too."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(count, ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or no limit: "max"
        return count


def _open(graph: Path, threads: int) -> "InferenceSession":
    # Before the import: its own builds tell their maker of every session, and keep a number for the machine.
    os.environ |= {"ORT_DISABLE_TELEMETRY": "1"}
    from onnxruntime import InferenceSession, SessionOptions  # noqa: PLC0415 - only where something is embedded

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # A pattern of memory for each shape of a batch would be kept, and shapes are many.
    options.enable_mem_pattern = False
    # Threads that wait must not spin: others work on the same processors.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
