"""YAML text -> plain values; what other readers of YAML let pass without a word is an error here.

A key that stands twice, of which they drop the first. And what is written in a few lines and takes gigabytes or the
whole stack: aliases of aliases, groups in groups in groups, numbers of a million digits.
"""

from collections import defaultdict
from typing import Any, Final

import yaml

_MERGE: Final = "tag:yaml.org,2002:merge"
"""The tag of `<<`, which may stand several times: nothing is lost by that."""
_LARGEST: Final = 2_000_000
"""The most values and characters, every alias written out: twice what the largest file of settings holds as it is."""
_DEEPEST: Final = 50
_TOO_DEEP: Final = f"more than {_DEEPEST} groups within one another"
_LONGEST_NUMBER: Final = 1_000
_NUMBERS: Final = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class DuplicateKeyError(yaml.YAMLError):
    """A key stands twice in one group."""


def load_yaml(text: str) -> Any:
    """Return what `yaml.safe_load` does.

    Raises:
        yaml.YAMLError: If it is not valid YAML, too deep, or too large with every alias written out; a
            DuplicateKeyError, with the key and its lines in words, if a key stands twice in one group. Keys that `<<`
            brings along may be given anew.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


class _Loader(yaml.SafeLoader):
    """Looks at each group as it is written, before anchors and merge keys are resolved."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._measured: dict[yaml.Node, tuple[int, int]] = {}
        """Of every node that is complete: its size and its depth, aliases written out."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        start = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _problem(_TOO_DEEP, start)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node not in self._measured:
            if is_alias:
                raise _problem("a group stands in itself, by an alias", start)
            self._measured[node] = size, depth = self._measure(node)
            if size > _LARGEST:
                raise _problem(f"more than {_LARGEST:,} values and characters, every alias written out", start)
            if depth > _DEEPEST:
                raise _problem(_TOO_DEEP, start)
        return node

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1 + len(node.value), 1
        pairs = node.value if isinstance(node, yaml.MappingNode) else [node.value]
        sizes, depths = zip((1, 0), *(self._measured[part] for pair in pairs for part in pair), strict=True)
        return sum(sizes), 1 + max(depths)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise _problem(f"a number of more than {_LONGEST_NUMBER:,} characters", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            # PyYAML decides by a value's form what it is, and a month of 13 has the form of a date.
            raise _problem("a value is not what it looks like; put text in quotes", node.start_mark) from None

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


def _problem(words: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=words, problem_mark=mark)
