"""A Python file -> the names of metrics that stand in it: texts where code means a metric.

Means one: compared with, passed as, assigned to or looped over as something that is called `metric`. A text may stand
there itself, in a list, or behind a constant of any module.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

WORDS = {"metric", "metrics"}
_OF_COLUMNS = {"like", "in_", "not_in", "equal", "not_equal", "is_in"}  # how SQL and Arrow compare one


class NamedMetrics:
    """All files of the project, because constants and functions of one are used in others."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._modules = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
        self._shared = {
            name: value
            for module in self._modules.values()
            for name, value in _constants(module).items()
            if not name.startswith("_")
        }
        self._places: defaultdict[str, set[int]] = defaultdict(set)
        for module in self._modules.values():
            for name, place in _places(module):
                self._places[name].add(place)

    def of(self, path: Path) -> set[str]:
        """Return the names in one of the files."""
        module = self._modules[path]
        constants = self._shared | _constants(module)
        return {text for node in ast.walk(module) for value in self._meant(node) for text in _texts(value, constants)}

    def lists(self, path: Path) -> list[set[str]]:
        """Return the texts of each constant of one of the files."""
        return [set(_texts(value, {})) for value in _constants(self._modules[path]).values()]

    def _meant(self, node: ast.AST) -> Iterator[ast.expr]:
        """Yield the expressions in a node that stand for metrics."""
        match node:
            case ast.Compare(left=left, comparators=others) if any(map(_is_metric, (left, *others))):
                yield from (left, *others)
            case ast.Call():
                yield from self._passed(node)
            case ast.Assign(targets=[target], value=value) if _is_metric(target):
                yield value
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _is_metric(target):
                yield value
            case ast.For(target=target, iter=values) | ast.comprehension(target=target, iter=values):
                yield from _looped_over(target, values)

    def _passed(self, call: ast.Call) -> Iterator[ast.expr]:
        yield from (keyword.value for keyword in call.keywords if keyword.arg in WORDS)
        match call.func:
            case ast.Attribute(attr=name, value=of) if name in _OF_COLUMNS and any(map(_is_metric, (of, *call.args))):
                yield from call.args
            case ast.Attribute(value=ast.Name(), attr=name) | ast.Name(id=name):  # `module.function` or `function`
                yield from (value for place, value in enumerate(call.args) if place in self._places[name])


def _looped_over(target: ast.expr, values: ast.expr) -> Iterator[ast.expr]:
    """`for metric in ...` and `for metric, value in ((...), (...))`."""
    if _is_metric(target):
        yield values
    elif isinstance(target, ast.Tuple) and isinstance(values, ast.Tuple | ast.List):
        for row in values.elts:
            if isinstance(row, ast.Tuple):
                yield from (item for name, item in zip(target.elts, row.elts, strict=False) if _is_metric(name))


def _is_metric(node: ast.AST) -> bool:
    """Return whether an expression is called a metric: `metric`, `row.metric`, `row["metric"]`, `field("metric")`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in WORDS
        case ast.Subscript(slice=ast.Constant(value=name)) | ast.Call(args=[ast.Constant(value=name)]):
            return name in WORDS
    return False


def _texts(node: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            yield from (text for item in items for text in _texts(item, constants))
        case (
            ast.Starred(value=value) | ast.Call(func=ast.Name(id="Field"), keywords=[ast.keyword("default", value), *_])
        ):
            yield from _texts(value, constants)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in constants:
            yield from _texts(constants[name], {})


def _constants(module: ast.Module) -> dict[str, ast.expr]:
    """Return what a module assigns to names in capitals."""
    found = {}
    for node in module.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name.isupper():
                found[name] = value
    return found


def _places(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each function with the places of its arguments that are called a metric."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
            yield from ((node.name, place) for place, name in enumerate(names) if name in WORDS)
