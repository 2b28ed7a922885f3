"""`docker-compose.yml` fits the code: versions, variables, commands, ports, passwords, limits, start order."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deployments.search_user import INDICES
from rageval.cli.main import app
from rageval.engine.request_engine import RequestEngine
from rageval.pipeline.flow_metrics import FlowMetrics
from rageval.pipeline.pushgateway import LAST_SUCCESS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
LAPTOP = (ROOT / "docker-compose.laptop.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
VERSIONS = dict(re.findall(r"^([\w-]+)==(\S+)$", CONSTRAINTS, re.MULTILINE))
OFFERED = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
OURS = {name for name, service in SERVICES.items() if "build" in service}

each_service = pytest.mark.parametrize("name", SERVICES)


def test_the_stack_is_complete() -> None:
    assert SERVICES.keys() == {
        "elasticsearch", "postgres", "prefect-server", "bootstrap", "serve", "chat", "pushgateway", "prometheus",
        "grafana",
    }  # fmt: skip
    assert {"bootstrap", "serve", "chat"} == OURS


@each_service
def test_no_image_moves_by_itself(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", SERVICES[name]["image"])


def test_the_images_have_the_versions_that_are_installed() -> None:
    elasticsearch = SERVICES["elasticsearch"]["image"].rpartition(":")[2]

    assert SERVICES["prefect-server"]["image"].startswith(f"prefecthq/prefect:{VERSIONS['prefect']}-python3.")
    # An Elasticsearch server takes clients of its own major version only.
    assert elasticsearch.split(".")[0] == VERSIONS["elasticsearch"].split(".")[0]
    assert {SERVICES[name]["image"] for name in OURS} == {f"rageval:{PROJECT['version']}"}


@each_service
def test_a_service_is_reached_from_this_machine_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))


def test_prefects_server_asks_for_a_password_and_lets_no_website_but_its_ui_ask_it() -> None:
    server = SERVICES["prefect-server"]["environment"]

    assert server["PREFECT_SERVER_API_AUTH_STRING"].startswith("${PREFECT_API_AUTH_STRING:?")
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == SERVICES["serve"]["environment"]["PREFECT_API_AUTH_STRING"]
    assert server["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4200,http://localhost:4200"
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


@each_service
def test_a_service_has_no_rights_of_the_system_and_cannot_gain_any(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in SERVICES[name]


def test_what_only_shows_figures_reaches_neither_the_search_engine_nor_prefect() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}

    assert COMPOSE["networks"].keys() == {"data", "figures"}
    for shown in ("grafana", "prometheus", "pushgateway"):
        assert not networks[shown] & networks["elasticsearch"]
        assert not networks[shown] & networks["prefect-server"]
    for name, service in SERVICES.items():
        assert all(networks[name] & networks[other] for other in service.get("depends_on", {})), name


def test_every_service_has_a_user_of_its_own_which_is_no_superuser() -> None:
    given = SERVICES["serve"]["environment"]

    assert given["MONITORING_DATABASE_URL"].startswith("postgresql://rageval:${POSTGRES_PASSWORD")
    prefect = SERVICES["prefect-server"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert prefect.startswith("postgresql+asyncpg://prefect:${POSTGRES_PREFECT_PASSWORD")
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] not in {"rageval", "prefect", "grafana"}
    # .env reaches our services as a whole: what is another's is kept from them.
    assert [given[f"{name}_PASSWORD"] for name in ("POSTGRES_PREFECT", "GRAFANA", "ELASTIC")] == ["", "", ""]
    assert given["ELASTICSEARCH_USERNAME"] != "elastic"
    assert [entry["names"] for entry in INDICES] == [["rageval-*"]]


@each_service
def test_no_password_is_in_the_file_and_none_may_be_missing(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if value and ("PASSWORD" in variable or "@" in value):  # empty: what .env holds of others is kept from it
            assert re.search(r"\$\{\w+:\?[^}]+\}", value), f"{variable} must come from .env"


def test_every_variable_of_the_file_is_explained_and_every_one_explained_for_it_is_used() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT + LAPTOP))
    own_section = (ROOT / ".env.example").read_text(encoding="utf-8").partition("--- docker compose only")[2]

    assert used <= set(OFFERED)
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", own_section, re.MULTILINE)) <= used


def test_a_variable_that_is_not_set_is_empty_also_for_podman_compose() -> None:
    # podman-compose 1.0.3 does not know ${NAME-other}.
    assert re.findall(r"\$\{\w+(?!\w|:-|:\?)[^}]*\}", TEXT + LAPTOP) == []


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_that_is_offered_reaches_the_services_of_the_project(name: str) -> None:
    # tests/test_docs.py holds .env.example to what the code reads.
    given = SERVICES[name]["environment"]

    assert SERVICES[name]["env_file"] == ".env"
    assert given.keys() <= set(OFFERED)
    # What .env says of this machine is put right for a container: no address of it, no folder of it.
    example = (ROOT / ".env.example").read_text(encoding="utf-8").partition("--- docker compose only")[0]
    of_this_machine = set(re.findall(r"^#?([A-Z0-9_]+)=(?:/|\S*//(?:\S*@)?127\.0\.0\.1)", example, re.MULTILINE))
    for_users = {
        "OPENAI_BASE_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "RAGEVAL_ALERT_URLS",
        "ELASTICSEARCH_CA_CERTS",
        "RAGEVAL_ALLOW_KEY_FILES",
    }
    assert of_this_machine - given.keys() - {"PREFECT_HOME"} == for_users
    assert SERVICES[name]["extra_hosts"] == ["host.docker.internal:host-gateway"]


def test_what_people_accept_is_written_to_a_volume() -> None:
    volumes = dict(mount.split(":")[:2][::-1] for mount in SERVICES["serve"]["volumes"] if mount[0] not in "$.")
    folder = SERVICES["serve"]["environment"]["RAGEVAL_GROUND_TRUTH_DIR"]

    assert any(f"/app/{folder}".startswith(f"{inside}/") for inside in volumes)
    assert SERVICES["serve"]["volumes"] == SERVICES["chat"]["volumes"]


def test_a_laptop_does_without_elasticsearch_and_prometheus() -> None:
    laptop = yaml.safe_load(LAPTOP)["services"]
    left_out = {name for name, service in laptop.items() if "profiles" in service}

    assert left_out == {"elasticsearch", "prometheus", "pushgateway"}
    for name, service in SERVICES.items():
        if name in left_out:
            continue
        needs = {other for other, how in service.get("depends_on", {}).items() if how.get("required", True)}
        assert not needs & left_out
        for variable, value in service.get("environment", {}).items():
            if any(f"//{other}:" in str(value) for other in left_out):
                assert laptop[name]["environment"][variable] in ("", f"${{{variable}:-}}"), variable


def test_prefect_knows_its_settings() -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    variables = {name for service in SERVICES.values() for name in service.get("environment", {})}
    given = {name for name in variables if name.startswith("PREFECT_")}

    assert len(given) >= 4
    assert given <= _get_settings_fields(Settings).keys()


def test_the_commands_exist() -> None:
    from prefect.cli._app import _app as prefect

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group of commands
    for name in ("serve", "chat"):
        program, *options = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in SERVICES[name]["command"]]
        assert program in PROJECT["scripts"]
        commands[options[0]].make_context(options[0], options[1:])  # raises for an option that does not exist
        assert all((ROOT / word).is_file() for word in options if word.endswith(".yaml"))

    python, module_option, module = SERVICES["bootstrap"]["command"]
    assert (python, module_option) == ("python", "-m")
    source = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in source.body)

    words = SERVICES["prefect-server"]["command"].split()
    prefect.parse_args(words[1:], exit_on_error=False, print_error=False)  # raises for what does not exist


@each_service
def test_a_service_that_stays_is_watched_and_none_takes_the_whole_machine(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]

    if name not in OURS - {"chat"}:  # those have the health check of their image, see tests/test_dockerfile.py
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys()
    assert limits.keys() == {"cpus", "memory"}
    assert service["restart"] == ("on-failure" if name == "bootstrap" else "unless-stopped")


def test_everything_starts_in_an_order_and_waits_for_what_it_needs() -> None:
    needs = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}

    order = list(TopologicalSorter(needs).static_order())  # raises for a circle

    assert [name for name in order if name in {"postgres", "prefect-server", "bootstrap", "serve"}] == [
        "postgres", "prefect-server", "bootstrap", "serve",
    ]  # fmt: skip
    for name, conditions in needs.items():
        for other, how in conditions.items():
            ends = other == "bootstrap"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, other)
    # What ends belongs to something that stays: else `up --wait` takes its end for a failure. It makes the tables.
    assert all("bootstrap" in needs[name] for name in ("serve", "chat", "grafana"))


def test_every_volume_is_declared_and_every_folder_and_file_is_there() -> None:
    mounts = [
        re.sub(r"\$\{\w+:-(.*?)\}", r"\1", mount).split(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
    ]

    assert {mount for mount in mounts if not mount.startswith(".")} == COMPOSE["volumes"].keys()
    assert all((ROOT / mount).exists() for mount in mounts if mount.startswith("."))


def test_grafana_reads_the_monitoring_database_as_a_user_of_its_own() -> None:
    file = ROOT / "deployments" / "grafana" / "datasources" / "postgres.yaml"
    [source] = yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]
    databases = (ROOT / "deployments" / "postgres" / "databases.sql").read_text(encoding="utf-8")
    variable = source["secureJsonData"]["password"].removeprefix("$")

    assert source["url"].split(":")[0] in SERVICES
    assert f"CREATE DATABASE {source['jsonData']['database']} OWNER " in databases
    assert f"CREATE ROLE {source['user']} LOGIN" in databases
    assert f"\\getenv grafana_password {variable}" in databases
    assert variable in SERVICES["grafana"]["environment"]
    assert variable in SERVICES["postgres"]["environment"]
    major = SERVICES["postgres"]["image"].partition(":")[2].split(".")[0]
    assert source["jsonData"]["postgresVersion"] == int(major) * 100


def test_what_a_run_pushes_is_scraped_with_its_own_labels_and_read_by_grafana() -> None:
    folder = ROOT / "deployments" / "prometheus"
    prometheus = yaml.safe_load((folder / "prometheus.yaml").read_text(encoding="utf-8"))
    scraped, chat = prometheus["scrape_configs"]
    ((target,),) = (config["targets"] for config in scraped["static_configs"])
    (source,) = yaml.safe_load(
        (ROOT / "deployments" / "grafana" / "datasources" / "prometheus.yaml").read_text(encoding="utf-8")
    )["datasources"]

    assert SERVICES["serve"]["environment"]["RAGEVAL_PUSHGATEWAY_URL"] == f"http://{target}"
    assert scraped["honor_labels"] is True  # or `job` would be the scraper's
    assert [f"127.0.0.1:8300:{url.split(':')[1]}" for url in chat["static_configs"][0]["targets"]] == SERVICES["chat"][
        "ports"
    ]
    assert all((folder / file).is_file() for file in prometheus["rule_files"])
    assert f"--config.file=/etc/prometheus/{(folder / 'prometheus.yaml').name}" in SERVICES["prometheus"]["command"]
    for url in (f"http://{target}", source["url"]):
        name, port = url.removeprefix("http://").split(":")
        assert [published.split(":")[-1] for published in SERVICES[name]["ports"]] == [port]


def test_alert_rules_and_pages_name_metrics_that_there_are() -> None:
    metrics = FlowMetrics({"index": 1.0})
    with RequestEngine() as metrics.engine:
        metrics.engine.expect("answers of m1", 1)
    metrics.end("completed")
    names = {sample.name for family in metrics.collect() for sample in family.samples} | {LAST_SUCCESS}
    rules = yaml.safe_load((ROOT / "deployments" / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    rules_text = "\n".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

    assert (used := set(re.findall(r"rageval_flow_\w+", rules_text)))
    assert used <= names
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in names}
    assert {re.sub("_bucket$", "", name) for name in re.findall(r"rageval_flow_\w+", page)} == families
