"""The Prefect UI in a real browser: the form of `evaluate`, a run that is started with it, its page, its summary."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from rageval.config.evaluation import EvaluationConfig
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, eventually, free_port, is_healthy, running
from tests.served.deployed import allowing

BIN = Path(sys.executable).parent
# The first to come starts a server, a browser and what serves the deployments.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ui(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server, with what `rageval serve` serves."""
    folder = tmp_path_factory.mktemp("prefect")
    address = f"http://127.0.0.1:{free_port()}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OPENAI_"))}
    environment |= allowing(folder.parent) | {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "DO_NOT_TRACK": "1",
    }
    server = [BIN / "prefect", "server", "start", "--port", address.rpartition(":")[2]]
    with (
        running(folder / "server.log", server, environment=environment) as prefect,
        httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=PATIENCE_S) as api,
    ):
        eventually("the Prefect server", lambda: is_healthy(api, prefect))
        with running(folder / "serve.log", [BIN / "rageval", "serve"], environment=environment):
            last = "/deployments/name/index_documents/index"
            eventually("the deployments", lambda: api.get(last).is_success)
            yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_S * 1000)
        yield context.new_page()


@pytest.mark.parametrize("generation", ["/deployments", "/v2/deployments"], ids=["first-ui", "second-ui"])
def test_the_form_has_every_group_in_its_order_with_help_and_refuses_what_is_out_of_bounds(
    ui: str, page: Page, generation: str
) -> None:
    _open_form(page, ui + generation)

    labels = [text.removesuffix(" (Optional)") for text in page.locator("label").all_inner_texts()]
    titles, helps = zip(*_settings(), strict=True)
    assert [label for label in labels if label in titles] == [*titles]
    shown = _plain(page.locator("body").inner_text())
    assert [text for text in helps if text not in shown] == []

    # What is stored for the deployment is filled in already, and so is every default.
    sample, seed = _field(page, "Sample size"), _field(page, "Seed")
    expect(sample).to_have_value("5")
    expect(seed).to_have_value("42")
    sample.fill("0")
    created = []
    page.on("response", lambda r: created.append(r.url) if "create_flow_run" in r.url and r.status < 300 else None)
    page.get_by_role("button", name="Submit").click()

    # The browser itself refuses it in the second UI. In the first it is the server: asked whether the values fit the
    # schema, or, where the UI goes on without an answer to that, when it is to create the run.
    refused = page.get_by_text("0 is not valid").or_(page.get_by_text("0 is less than the minimum of 1"))
    expect(sample.and_(page.locator(":invalid")).or_(refused).first).to_be_visible()
    assert created == []


def test_a_run_filled_in_and_started_in_the_browser_says_on_its_page_what_came_out(
    ui: str, page: Page, corpus: Path, llm: FakeLLM
) -> None:
    page.goto(ui)
    page.get_by_role("link", name="Deployments").first.click()
    _open_form(page, None)
    _field(page, "Sample size").fill("3")
    _field(page, "Documents").fill(str(corpus / "documents.json"))
    _field(page, "Ground truth").fill(str(corpus / "questions.csv"))
    _field(page, "Name of the model").fill("fake")
    _field(page, "Endpoint").fill(llm.url)
    _field(page, "Output folder").fill(str(corpus / "runs"))
    _submit(page)
    page.get_by_role("link", name=re.compile("View run|scheduled")).or_(page.get_by_text("View run")).first.click()

    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=PATIENCE_S * 1000)
    page.reload()

    # Three questions, a model that repeats its contexts, and a judge that likes everything.
    title = page.get_by_text(re.compile(r"^fake; 3 questions: correctness 1\.000 \[")).first
    expect(title).to_be_in_viewport()
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text("complete: 3 questions, correctness 1.000")).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name="rageval-summary").or_(page.get_by_text("rageval-summary")).first.click()
    page.get_by_role("link", name=re.compile("^[0-9a-f]{8}$")).first.click()
    expect(page.get_by_role("heading", name="Answers")).to_be_visible()
    expect(page.get_by_text("complete: 3 questions, correctness 1.000").first).to_be_visible()
    [manifest] = (corpus / "runs").glob("*/run.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["config"]["data"]["sample"] == 3
    assert len([body for body in llm.requests if body["model"] == "fake"]) >= 3


def _open_form(page: Page, deployments: str | None) -> None:
    """Go from the list of deployments to the form of a custom run of smoke."""
    if deployments:
        page.goto(deployments)
    page.get_by_role("link", name="smoke", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    expect(_field(page, "Sample size")).to_be_visible()


def _field(page: Page, title: str) -> Locator:
    """Return the first input below a title, since not every label names its input."""
    label = f'//label[normalize-space()="{title}" or normalize-space()="{title} (Optional)"]'
    return page.locator(f"{label}/following::*[self::input or self::textarea][1]")


def _submit(page: Page) -> None:
    """Submit, and once more where the server was busy: on SQLite it answers 503 to one of two writes at once."""
    for _ in range(5):
        with page.expect_response(re.compile("create_flow_run")) as answered:
            page.get_by_role("button", name="Submit").click()
        if answered.value.status != httpx.codes.SERVICE_UNAVAILABLE:
            assert answered.value.ok, answered.value.text()
            return
    pytest.fail("the server was busy five times")


def _settings() -> list[tuple[str, str]]:
    """Return title and help of all lists, and of all groups and their settings, in the order of the form."""
    schema = EvaluationConfig.model_json_schema()
    found = []
    for group in schema["properties"].values():
        if "$ref" not in group:
            found.append((group["title"], group["description"]))
            continue
        definition = schema["$defs"][group["$ref"].rpartition("/")[2]]
        settings: list[dict[str, Any]] = [*definition["properties"].values()]
        found += [(group["title"], definition["description"])]
        found += [(setting["title"], setting["description"]) for setting in settings]
    return [(title, _plain(text)) for title, text in found]


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())
