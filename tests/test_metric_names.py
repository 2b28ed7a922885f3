"""Every metric name that stands in SQL, code, dashboards, settings and pages is one of the catalogue.

A name that nothing is stored under breaks nothing: the panel that asks for it stays empty for ever.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from deployments.dashboards import FOLDER, sql
from rageval.comparison import retrieval_values
from rageval.config.evaluation import TextMetric
from rageval.judging.plan import JUDGE_VERSIONS, MODEL_FREE_VERSIONS
from rageval.metrics.catalog import METRICS, ONLINE_METRICS, metric_of
from rageval.metrics.names import PAIRWISE
from rageval.monitoring.config import JudgedMetric
from rageval.monitoring.panels.catalogue import PANELS
from rageval.monitoring.panels.scope import Scope
from rageval.tables import SCHEMAS
from tests.named_metrics import WORDS, NamedMetrics
from tests.test_architecture import MODULES, ROOT, id_of, imports

OF_TABLES: Mapping[str, Iterable[str]] = {"run_metrics": METRICS, "evaluations": ONLINE_METRICS}
# `evaluations.metric = 'topic'`, `run_metrics.metric LIKE 'mrr@%'`, `... IN ('topic', 'language')`; `||` glues texts.
COMPARED = re.compile(r"(\w+)\.metric (?!\|\|)[^,()']*\(?('[^']*'(?:, '[^']*')*)")
# Stand where metrics do: what people say, what a remark is about, and what judges are held against.
NO_METRICS = ["human label", "", "words of the answer"]
COLUMNS = {name for schema in SCHEMAS.values() for name in schema.names}
CODE = NamedMetrics(MODULES)
SETTINGS = sorted(path for folder in ("deployments", "examples") for path in (ROOT / folder).rglob("*.yaml"))
PAGES = sorted([ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *SETTINGS])


def unknown(names: Iterable[str], *catalogues: Iterable[str]) -> list[str]:
    """Return the names that are in no catalogue; `mrr@5` and `pairwise[gpt-4o]` stand under their metric."""
    known = {name for catalogue in catalogues for name in catalogue}
    return sorted({name for name in names if metric_of(name) not in known})


def test_what_is_computed_is_in_the_catalogue() -> None:
    computed = {*MODEL_FREE_VERSIONS, *JUDGE_VERSIONS, PAIRWISE, *retrieval_values.METRICS, *get_args(TextMetric)}

    assert unknown(computed, METRICS) == []
    assert unknown(get_args(JudgedMetric), ONLINE_METRICS) == []


def asked_for(query: str) -> dict[str, set[str]]:
    """Return the metrics that a query compares with, by the table that it looks in."""
    found = defaultdict(set)
    for table, names in COMPARED.findall(query):
        found[table].update(re.findall(r"'([^']*)'", names))
    return found


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel.description.board}-{panel.description.name}")
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
    for panel in PANELS:
        for table, names in asked_for(sql(panel.select(Scope.grafana()))).items():
            found[table] |= names

    assert found["evaluations"] == set(ONLINE_METRICS)
    assert found["run_metrics"] == {*JUDGE_VERSIONS, "cosine", "hit_rate@%", "mrr@%"}
    assert asked_for("a.metric NOT IN ('x', 'y') AND a.metric || ' · ' AND b.metric != 'z'") == {
        "a": {"x", "y"}, "b": {"z"},
    }  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_a_module_names_metrics_that_there_are(path: Path) -> None:
    online = "monitoring" in path.parts or any(".monitoring" in module for module in imports(path))
    # What knows of conversations may know of runs, too: the tables of its queries are told apart above.
    assert unknown(CODE.of(path), METRICS, ONLINE_METRICS if online else (), NO_METRICS) == []
    for names in CODE.lists(path):
        if names & (METRICS.keys() - COLUMNS):  # a list with one metric is one of metrics
            assert unknown(names, METRICS, NO_METRICS) == []


def test_no_name_in_code_escapes_these_tests(tmp_path: Path) -> None:
    assert set(ONLINE_METRICS) <= {name for path in MODULES for name in CODE.of(path)}
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
    assert unknown(settings(yaml.safe_load(file.read_text(encoding="utf-8"))), METRICS) == []


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_a_page_names_metrics_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    chosen = re.findall(r"--metric[ =]([\w@\[\]-]+)", text)
    quoted = [word for word in re.findall(r"`([^`\n]+)`", text) if re.fullmatch(r"judge_\w+(\[.+\])?|\w+@\d+", word)]

    assert unknown([*chosen, *quoted], METRICS, COLUMNS, {"judge_kappa"}) == []


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
