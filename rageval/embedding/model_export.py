"""An embedding model -> the same model in ONNX, in a process of its own that ends with it and takes PyTorch along.

    python -m rageval.embedding.model_export NAME SOURCE FOLDER

What comes out is compared with the original before it is trusted. The last line of the output is JSON: `{}`, or what
the model cannot be exported for, or why it cannot be loaded.
"""

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rageval.embedding.embedding_model import TASKS
from rageval.embedding.exported_model import GRAPH, OUTPUT, POOLED, TOKENIZER, ExportedModel, ExportFacts, write_facts
from rageval.embedding.text_lengths import too_long
from rageval.embedding.torch_model import TorchModel, load_torch_model
from rageval.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
_OPSET: Final = 18
_MOST_PARAMETER_BYTES: Final = 1_900_000_000
"""A graph with its weights is one file of at most 2 GB."""
_TOLERANCE: Final = 1e-5
_COMPARED: Final = (
    "How do I join?",
    "",
    "Where can I find the recordings, and do I have to hand in all of the homework? I have missed the first week.",
    "1. Café, naïve — “quoted”\t<b>bold</b> [MASK] \N{SPOUTING WHALE}",
    "Wie melde ich mich an? 如何报名参加课程？ Как записаться на курс?",
    "a " * 40,
    " ".join(f"sentence {n} of a text that is longer than most models read;" for n in range(300)),
)


class _NotExportableError(Exception):
    """The model has something that a graph of ours would not have."""


def export(model: "SentenceTransformer", folder: Path) -> None:
    """Write a model to an empty folder.

    Raises:
        _NotExportableError: If it cannot be, or what came out differs from it.
    """
    transformer: Any = _checked(model)
    tokenizer = transformer.tokenizer
    original = TorchModel(model)
    inputs = _write_graph(model, folder / GRAPH)
    (folder / TOKENIZER).write_text(tokenizer.backend_tokenizer.to_str(), "utf-8")
    facts = ExportFacts(
        dimensions=original.dimensions,
        longest=original.longest,
        prompts=original.prompts,
        unpooled={task: _unpooled(model, original.prompts[task]) for task in TASKS},
        inputs=inputs,
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        pads_left=tokenizer.padding_side == "left",
        cuts_left=tokenizer.truncation_side == "left",
        hashes={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (GRAPH, TOKENIZER)},
    )
    _compare(original, ExportedModel(folder, facts, lambda: (folder, facts)))
    write_facts(folder, facts)


def _checked(model: "SentenceTransformer") -> Any:
    """Return the model's transformer.

    Raises:
        _NotExportableError: If it does something to a text that a graph and a tokenizer alone would not.
    """
    from sentence_transformers.sentence_transformer import modules  # noqa: PLC0415 - slow import
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - slow import

    known = {modules.Pooling, modules.Normalize, modules.Dense, modules.Dropout, modules.LayerNorm}
    every: list[Any] = list(model)
    transformer, *others = every
    if type(transformer) is not modules.Transformer or any(type(module) not in known for module in others):
        raise _NotExportableError(f"its modules are {', '.join(type(module).__name__ for module in every)}")
    if not isinstance(transformer.tokenizer, PreTrainedTokenizerFast) or transformer.tokenizer.pad_token_id is None:
        raise _NotExportableError(f"its tokenizer is a {type(transformer.tokenizer).__name__}, or does not pad")
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    found = (transformer.transformer_task, transformer.module_output_name, transformer.modality_config)
    if found != ("feature-extraction", "token_embeddings", {"text": text}):
        raise _NotExportableError(f"it does more than embed texts: {found}")
    own = ("query_length", "document_length", "query_expansion", "processing_kwargs")
    if set_ones := [name for name in own if getattr(transformer, name, None)]:
        raise _NotExportableError(f"it treats texts in a way of its own: {', '.join(set_ones)}")
    for module in others:
        if isinstance(module, modules.Pooling) and not module.include_prompt and "weightedmean" in module.pooling_mode:
            raise _NotExportableError("it weighs tokens by their position, prompts excluded")
    if sum(one.numel() * one.element_size() for one in model.parameters()) > _MOST_PARAMETER_BYTES:
        raise _NotExportableError("it has 2 GB of weights or more")
    return transformer


def _write_graph(model: "SentenceTransformer", path: Path) -> tuple[str, ...]:
    """Write the graph, and return the names of its inputs."""
    import onnx  # noqa: PLC0415 - slow import
    import torch  # noqa: PLC0415 - same

    features = model.preprocess(["a text", "another one, which has more tokens"])
    tensors = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
    if not {"input_ids", "attention_mask"} <= tensors.keys() <= set(_INPUTS):
        raise _NotExportableError(f"its transformer takes {', '.join(tensors)}")
    names = (*(name for name in _INPUTS if name in tensors), POOLED)

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.modules_in_order = torch.nn.ModuleList(model)

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            values: dict[str, Any] = {**dict(zip(names, given, strict=True)), "modality": "text"}
            pooled = values.pop(POOLED)
            for number, module in enumerate(self.modules_in_order):
                values = module(values)
                if number == 0:
                    values["attention_mask"] = pooled
            vectors = values["sentence_embedding"][:, : model.truncate_dim]
            return torch.nn.functional.normalize(vectors, p=2, dim=1)

    axes = {name: {0: "texts", 1: "tokens"} for name in names} | {OUTPUT: {0: "texts"}}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of what depends on a shape; the comparison shows whether anything does
        torch.onnx.export(
            Graph().eval(), (*(tensors[name] for name in names[:-1]), tensors["attention_mask"].clone()), str(path),
            input_names=list(names), output_names=[OUTPUT], dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
        )  # fmt: skip
    used = {one.name for one in onnx.load(str(path)).graph.input}  # some transformers take no types of tokens
    return tuple(name for name in names if name in used)


def _unpooled(model: "SentenceTransformer", prompt: str) -> int:
    """Return how many tokens of a prompt, with special ones before it, are no part of the vector."""
    if not prompt or all(getattr(module, "include_prompt", True) for module in model):
        return 0
    return int(model.preprocess(["a text"], prompt=prompt).get("prompt_length") or 0)


def _compare(original: TorchModel, exported: ExportedModel) -> None:
    """Make sure that both give the same vectors, in batches and one by one, and count the same tokens.

    Raises:
        _NotExportableError: If they do not.
    """
    texts = list(_COMPARED)
    for task in TASKS:
        expected = original.encode(texts, task, len(texts))
        found = exported.encode(texts, task, len(texts))
        one_by_one = np.concatenate([exported.encode([text], task, 1) for text in texts])
        off = max(float(np.abs(expected - vectors).max()) for vectors in (found, one_by_one))
        if not off <= _TOLERANCE:
            raise _NotExportableError(f"what comes out differs from it by {off:.1e}")
        if too_long(original, texts, task) != too_long(exported, texts, task):
            raise _NotExportableError("what comes out counts other tokens")


def _run(model_name: str, source: str, folder: Path) -> Mapping[str, str]:
    try:
        model = load_torch_model(model_name, source).to("cpu")
    except ConfigError as error:
        return {"error": str(error)}
    try:
        export(model, folder)
    except _NotExportableError as reason:
        return {"reason": str(reason)}
    except Exception as error:  # noqa: BLE001 - the exporter and what it exports fail in any way; the model itself works
        return {"reason": f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"}
    return {}


def main() -> None:
    """Export the model that the arguments name."""
    model_name, source, folder = sys.argv[1:]
    output = os.dup(1)
    os.dup2(2, 1)  # what libraries print is not the answer
    answer = _run(model_name, source, Path(folder))
    os.write(output, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
