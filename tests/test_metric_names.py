"""Names of metrics stand in `rageval/metrics` alone; everything else reads them from the catalogue.

A name that nothing is stored under breaks nothing: the panel that asks for it stays empty for ever. So what SQL,
dashboards, settings and pages name, which cannot read the catalogue, is one of it.
"""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.dashboards import FOLDER, sql
from rageval.metrics.catalogue import METRICS, choices, online
from rageval.metrics.names import metric_of
from rageval.monitoring.panels.catalogue import panels
from rageval.monitoring.panels.scope import Scope
from rageval.tables import SCHEMAS
from tests.named_metrics import WORDS, NamedMetrics
from tests.test_architecture import MODULES, ROOT, id_of

KNOWN = {metric.name for metric in METRICS}
OF_QUESTIONS = {"language", "topic"}  # what monitoring tells of a question, without a judge
ONLINE = {metric.name for metric in online()} | OF_QUESTIONS
OF_TABLES: Mapping[str, Iterable[str]] = {"run_metrics": KNOWN, "evaluations": ONLINE}
# `evaluations.metric = 'topic'`, `run_metrics.metric LIKE 'mrr@%'`, `... IN ('topic', 'language')`; `||` glues texts.
COMPARED = re.compile(r"(\w+)\.metric (?!\|\|)[^,()']*\(?('[^']*'(?:, '[^']*')*)")
COLUMNS = {name for schema in SCHEMAS.values() for name in schema.names}
# Words that are names of metrics as well, by who means something else with them.
OTHERWISE: Mapping[str, set[str]] = {
    "rageval/engine/replies.py": {"refusal"},  # a field of a reply
    "rageval/corpus/passages.py": {"relevance"},  # what other programs call a grade
    "rageval/search/elasticsearch_layout.py": {"cosine"},  # how it compares vectors
    "rageval/monitoring/planted.py": {"relevance", "faithfulness", "toxicity"},  # what can be planted
    "rageval/monitoring/traffic.py": {"faithfulness", "toxicity"},
}
CODE = NamedMetrics(MODULES)
SETTINGS = sorted(path for folder in ("deployments", "examples") for path in (ROOT / folder).rglob("*.yaml"))
PAGES = sorted([ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *SETTINGS])


def unknown(names: Iterable[str], *catalogues: Iterable[str]) -> list[str]:
    """Return the names that are in no catalogue; `mrr@5` and `pairwise[gpt-4o]` stand under their metric."""
    known = {name for catalogue in catalogues for name in catalogue}
    return sorted({name for name in names if metric_of(name) not in known})


def test_no_metric_has_the_name_of_another_and_every_name_can_be_asked_for() -> None:
    assert len(KNOWN) == len(METRICS)
    assert all(re.fullmatch(r"[a-z][a-z_]{0,39}", name) for name in choices())  # as the monitoring database holds them


def asked_for(query: str) -> dict[str, set[str]]:
    """Return the metrics that a query compares with, by the table that it looks in."""
    found = defaultdict(set)
    for table, names in COMPARED.findall(query):
        found[table].update(re.findall(r"'([^']*)'", names))
    return found


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: f"{panel.description.board}-{panel.description.name}")
def test_a_panel_asks_for_metrics_that_its_table_holds(panel: Any) -> None:
    for table, names in asked_for(sql(panel.select(Scope.grafana()))).items():
        assert unknown(names, OF_TABLES[table]) == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_a_dashboard_asks_for_metrics_that_its_table_holds(file: Path) -> None:
    for query in texts(json.loads(file.read_text(encoding="utf-8"))):
        for table, names in asked_for(query).items():
            assert unknown(names, OF_TABLES[table]) == []


def test_no_name_in_sql_escapes_these_tests() -> None:
    found = defaultdict(set)
    for panel in panels():
        for table, names in asked_for(sql(panel.select(Scope.grafana()))).items():
            found[table] |= names

    assert found["evaluations"] == ONLINE
    assert {*choices()} - {"answer_words"} | {"hit_rate@%", "mrr@%"} == found["run_metrics"]
    assert asked_for("a.metric NOT IN ('x', 'y') AND a.metric || ' · ' AND b.metric != 'z'") == {
        "a": {"x", "y"}, "b": {"z"},
    }  # fmt: skip


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name != "metrics"], ids=id_of)
def test_a_module_reads_the_names_of_metrics_from_the_catalogue(path: Path) -> None:
    assert CODE.of(path) & KNOWN == set()
    texts = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if is_text(node)}
    # Columns have the same names as what is measured in them.
    assert {text for text in texts if metric_of(text) in KNOWN - COLUMNS} == OTHERWISE.get(id_of(path), set())


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_no_name_in_code_escapes_these_tests(tmp_path: Path) -> None:
    assert {name for path in MODULES for name in CODE.of(path)} >= OF_QUESTIONS
    file = tmp_path / "module.py"
    file.write_text(
        "LEADING = ('a', 'b')\n"
        "def mean(rows, metric): ...\n"
        "def chosen(row, table, scores):\n"
        "    mean(scores, 'c')\n"
        "    mean(scores, metric='d')\n"
        "    table.c.metric.in_(['e', 'f'])\n"
        "    pc.equal(scores['metric'], 'g')\n"
        "    for metric, other in (('h', 'no name'), ('i', 'no name')): ...\n"
        "    return row['metric'] in LEADING or row.metric == 'j' or row['status'] == 'no name'\n"
        "class Settings:\n"
        "    metrics: tuple[str, ...] = Field(default=('k',), min_length=1)\n",
        encoding="utf-8",
    )
    assert NamedMetrics([file]).of(file) - WORDS == set("abcdefghijk")


@pytest.mark.parametrize("file", SETTINGS, ids=id_of)
def test_a_file_of_settings_names_metrics_that_there_are(file: Path) -> None:
    assert unknown(settings(yaml.safe_load(file.read_text(encoding="utf-8"))), KNOWN) == []


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_a_page_names_metrics_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    chosen = re.findall(r"--metric[ =]([\w@\[\]-]+)", text)
    quoted = [word for word in re.findall(r"`([^`\n]+)`", text) if re.fullmatch(r"[a-z_]+(\[again\]|@\d+)", word)]

    assert unknown([*chosen, *quoted], KNOWN) == []


def texts(node: Any) -> Iterator[str]:
    """Yield every text of a JSON value."""
    if isinstance(node, str):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from texts(item)


def settings(node: Any) -> Iterator[str]:
    """Yield every text under a key that means metrics."""
    for key, item in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from texts(item) if key in WORDS else settings(item)
