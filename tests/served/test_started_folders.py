"""What `rageval init` writes, as its user meets it: the printed commands, `prefect deploy`, `rageval serve`, a run."""

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from tests.processes import done, eventually, free_port, running
from tests.served.deployed import PREFECT, Server

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
RAGEVAL = BIN / "rageval"


def _start(kind: str, server: Server, folder: Path) -> list[str]:
    """Let `rageval init` write a folder; returns the commands that it prints."""
    said = done([RAGEVAL, "init", "started", "--for", kind], server.environment, folder)
    _, _, commands = said.partition("Next:\n")
    return [line.strip() for line in commands.splitlines()]


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("kind", ["demo", "recorded", "http", "python"])
def test_the_printed_commands_evaluate_what_was_written(kind: str, server: Server, tmp_path: Path) -> None:
    commands = _start(kind, server, tmp_path)
    folder = tmp_path / "started"
    if kind == "demo":  # one question shows as much as ten
        _replace(folder / "rageval.yaml", "sample: 10 ", "sample: 1 ")
    if kind == "http":  # somebody else may listen at the port that it comes with
        port = str(free_port())
        _replace(folder / "rageval.yaml", "8765", port)
        _replace(folder / "toy_service.py", "8765", port)
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    script = "\n".join([*commands, "status=$?", "[ -z $! ] || kill $!", "exit $status"])
    said = done(["bash", "-c", script], server.environment | path, tmp_path)
    assert " is complete" in said
    [manifest] = (folder / "runs").glob("*/run.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["status"] == "complete"


def test_a_folder_is_deployed_and_served_with_its_settings_beside_flows_of_its_users_own(
    server: Server, tmp_path: Path
) -> None:
    _start("python", server, tmp_path)
    folder = tmp_path / "started"
    for name in ("ad-hoc", "nightly"):  # the server has deployments of these names
        _replace(folder / "prefect.yaml", f"- name: {name}", f"- name: started-{name}")
    (folder / "flows").mkdir()
    (folder / "flows" / "__init__.py").write_text("raise ImportError('not ours')\n", encoding="utf-8")

    done([PREFECT, "--no-prompt", "deploy", "--all"], server.environment, folder)
    deployed = server.deployment("nightly/started-nightly")
    assert deployed["work_pool_name"] == "rageval"
    settings = yaml.safe_load((folder / "rageval.yaml").read_text(encoding="utf-8"))
    assert deployed["parameters"]["config"] == settings

    log = tmp_path / "serve.log"
    with running(log, [RAGEVAL, "serve"], environment=server.environment, folder=folder) as process:
        eventually("serving", lambda: "UI: " in log.read_text(encoding="utf-8"), process)
        for _ in range(2):  # the second night is measured against the first
            flow_run = server.start("nightly/started-nightly", {}).raise_for_status().json()
            ended = server.wait_for(flow_run)
            assert ended["state_type"] == "COMPLETED", server.log(flow_run)
    assert len([*(folder / "runs").glob("*/report.html")]) == 2, "runs work in the folder of their file"
