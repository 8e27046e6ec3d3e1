"""The page of a moving figure in a real browser: it plays, steps and scrubs, and asks for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neocog.pictures.figure import Moving
from neocog.pictures.svg import text

if TYPE_CHECKING:
    from playwright.sync_api import Page

WORDS = ("one", "two <b>", "three")


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Page:
    """The page of a figure with a frame a word; `page.asked` on its window is not ours to change."""
    frames = [[text(5, 30, word)] for word in WORDS]
    captions = [f"caption {word}" for word in WORDS]
    figure = Moving(
        "words", "Three words one after the other", 100, 50, [], frames, captions, {}, seconds=0.05
    )
    figure.save(tmp_path, ["html"])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((tmp_path / "words.html").as_uri())
    assert asked == [(tmp_path / "words.html").as_uri()]
    assert problems == []
    return page


def shown(page: Page) -> tuple[str | None, str | None]:
    return page.text_content("#frame"), page.text_content("#caption")


def test_it_opens_at_the_end_and_steps(opened: Page) -> None:
    assert shown(opened) == ("three", "caption three")
    opened.click("#back")
    assert shown(opened) == ("two <b>", "caption two <b>")
    opened.keyboard.press("Tab")  # to the slider, whose own keys move it
    opened.keyboard.press("ArrowLeft")
    assert shown(opened) == ("one", "caption one")
    opened.click("#back")
    assert shown(opened) == ("one", "caption one")
    opened.click("#next")
    assert shown(opened) == ("two <b>", "caption two <b>")


def test_it_scrubs_and_obeys_keys(opened: Page) -> None:
    opened.fill("#scrub", "0")
    assert shown(opened)[0] == "one"
    opened.evaluate("document.activeElement.blur()")
    opened.keyboard.press("ArrowRight")
    assert shown(opened)[0] == "two <b>"


def test_it_plays_to_the_end_and_stops(opened: Page) -> None:
    from playwright.sync_api import expect

    opened.click("#play")
    expect(opened.locator("#play")).to_have_text("Play")
    assert shown(opened)[0] == "three"
    opened.click("#play")
    opened.click("#play")  # pause
    assert opened.text_content("#play") == "Play"


def test_without_scripts_the_last_frame_stands(page: Page, tmp_path: Path) -> None:
    frames = [[text(5, 30, word)] for word in WORDS]
    Moving("words", "Three words", 100, 50, [], frames, WORDS, {}).save(tmp_path, ["html"])
    browser = page.context.browser
    assert browser is not None
    still = browser.new_context(java_script_enabled=False).new_page()
    still.goto((tmp_path / "words.html").as_uri())
    assert shown(still) == ("three", "three")
