"""The chat page in a real browser: ask, read, vote, change the vote, comment; by keyboard, on a phone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fake_llm import FakeLLM, Reply
from tests.processes import PATIENCE_S, eventually
from tests.serving.conftest import Chat, Serve, limited

SCRIPT = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SHOTS = os.environ.get("CHAT_SCREENSHOTS", "")
pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose console has to stay empty but for requests: there a refused script would be told."""
    with browser.new_context(viewport={"width": 1000, "height": 800}) as context:
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        assert [text for text in said if "Failed to load resource" not in text] == []


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"chat_{name}.png")


def test_ask_read_the_sources_vote_change_the_vote_and_comment(chat: Chat, llm: FakeLLM, page: Page) -> None:
    llm.reply = lambda body: "Finish two projects and review three others."
    page.goto(chat.url)
    expect(page.get_by_label("Course", exact=True)).to_have_text("Alldeml")
    page.get_by_label("Course", exact=True).select_option("ml")
    shot(page, "empty")
    ask(page, "How do I get a certificate?")
    expect(page.locator(".answer")).to_have_text("Finish two projects and review three others.")
    expect(page.get_by_role("status")).to_have_text("The answer is there.")
    page.get_by_text("2 sources").click()
    expect(page.locator(".sources li").first).to_contain_text("Finish two projects and review three others.")
    yes, no = page.get_by_role("button", name="Yes"), page.get_by_role("button", name="No")
    yes.click()
    expect(yes).to_have_attribute("aria-pressed", "true")
    no.click()
    expect(no).to_have_attribute("aria-pressed", "true")
    expect(yes).to_have_attribute("aria-pressed", "false")
    page.get_by_label("What was wrong? (optional)").fill("It is three projects.")
    page.get_by_role("button", name="Send comment").click()
    expect(page.get_by_role("status")).to_have_text("Thank you for your comment.")
    shot(page, "voted")
    chat.settled()
    [stored] = chat.conversations()
    assert (stored.filter_value, stored.question) == ("ml", "How do I get a certificate?")
    assert chat.votes() == [(stored.conversation_id, -1, "It is three projects.")]


def test_all_of_it_by_keyboard_alone(chat: Chat, page: Page) -> None:
    page.goto(chat.url)
    expect(page.get_by_label("Course", exact=True)).to_have_text("Alldeml")
    page.keyboard.press("Tab")
    page.keyboard.type("How do I get a certificate?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Answer", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".sources li")).to_have_count(2)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Yes")).to_have_attribute("aria-pressed", "true")
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.type("Good.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Thank you for your comment.")
    chat.settled()
    assert [vote[1:] for vote in chat.votes()] == [(1, "Good.")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(chat: Chat, llm: FakeLLM, page: Page, scheme: str) -> None:
    llm.reply = lambda body: "https://example.org/" + "x" * 300 + "\n" + "word " * 60
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(chat.url)
    ask(page, "q" * 200)
    expect(page.get_by_role("status")).to_have_text("The answer is there.")
    page.locator("summary").click()
    page.get_by_role("button", name="No").click()
    expect(page.get_by_role("button", name="Send comment")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, summary')].filter(e => e.offsetParent)"
        ".filter(e => e.getBoundingClientRect().height < 24).length"
    )
    assert small == 0, "every control can be hit with a finger"
    shot(page, f"phone_{scheme}")


def test_script_in_question_answer_source_and_error_is_shown_as_text(chat: Chat, llm: FakeLLM, page: Page) -> None:
    llm.reply = lambda body: SCRIPT
    page.goto(chat.url)
    ask(page, f"Docker? {SCRIPT}")
    expect(page.locator(".answer")).to_have_text(SCRIPT)
    expect(page.locator(".question")).to_have_text(f"Docker? {SCRIPT}")
    page.locator("summary").click()
    expect(page.locator(".sources")).to_contain_text("Download <b>Docker Desktop</b> & start it.")
    assert page.title() == "Questions and answers"
    assert page.locator("article img, article script, article b").count() == 0
    shot(page, "script")


def test_what_goes_wrong_is_said_in_words_and_can_be_tried_again(chat: Chat, llm: FakeLLM, page: Page) -> None:
    replies = iter([Reply(status=400), "Now it works."])
    llm.reply = lambda body: next(replies)
    page.goto(chat.url)
    ask(page, "How do I get a certificate?")
    expect(page.get_by_role("alert")).to_contain_text("The model gave no answer to this question.")
    shot(page, "problem")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".answer")).to_have_text("Now it works.")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.context.set_offline(True)
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("alert")).to_contain_text("The app cannot be reached.")


def test_where_a_key_is_needed_the_page_asks_for_it(serve: Serve, page: Page) -> None:
    with serve(limited(api_key="open sesame")) as chat:
        page.goto(chat.url)
        page.get_by_label("Access key").fill("open sesame")
        page.get_by_label("Your question").click()
        expect(page.get_by_label("Course", exact=True)).to_have_text("Alldeml")
        ask(page, "How do I get a certificate?")
        expect(page.get_by_role("status")).to_have_text("The answer is there.")
        eventually("the conversation", chat.conversations)
