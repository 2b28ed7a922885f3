"""A worker of a Dask cluster, at which others may knock, loads no more of ours than its chunks need."""

import subprocess
import sys

from tests.processes import ROOT


def test_a_worker_loads_no_search_engine_no_database_and_no_chat_app() -> None:
    code = (
        "import sys, tasks.dask_plugin, tasks.worker, tasks.answers, tasks.scores, tasks.index;"
        "print(sorted({'tantivy', 'elasticsearch', 'torch', 'sentence_transformers', 'serving',"
        " 'rageval.report.page', 'rageval.monitoring.store.database', 'deployments.serving', 'deployments'}"
        " & set(sys.modules)))"
    )

    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"
