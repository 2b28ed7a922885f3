"""YAML text -> plain values; a key that stands twice is an error, where YAML readers drop the first without a word."""

from collections import defaultdict
from typing import Any, Final

import yaml

_MERGE: Final = "tag:yaml.org,2002:merge"
"""The tag of `<<`, which may stand several times: nothing is lost by that."""


class DuplicateKeyError(yaml.YAMLError):
    """A key stands twice in one group."""


def load_yaml(text: str) -> Any:
    """Return what `yaml.safe_load` does.

    Raises:
        yaml.YAMLError: If it is not valid YAML; a DuplicateKeyError, with the key and its lines in words, if a key
            stands twice in one group. Keys that `<<` brings along may be given anew.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


class _Loader(yaml.SafeLoader):
    """Looks at each group as it is written, before anchors and merge keys are resolved."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                lines[key.tag, key.value].append(str(key.start_mark.line + 1))
        twice = [f"{name:.80} (lines {' and '.join(at)})" for (_, name), at in lines.items() if len(at) > 1]
        if twice:
            raise DuplicateKeyError(
                f"only one value of a key counts, and of the same group these stand several times: {', '.join(twice)}; "
                "join them, or remove all but one"
            )
        return node
