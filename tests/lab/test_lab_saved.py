"""Pages saved as one file work from disk, as they were, and ask nobody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neocog.lab.pages import stands_alone

GESTURES = {
    "line": ("g=box&t=0.48", "slider", "t", "ArrowRight", "(f ∗ g)(0.50) = 0.500"),
    "plane": ("padding=1", "img", "The result", "ArrowDown", "Row 2, column 1:"),
    "pooling": (
        "kernel=3",
        "img",
        "The pooled map, 1",
        "ArrowDown",
        "Window 1, 1: the largest of 1, 1, 2",
    ),
    "sharing": ("inputs=12", "img", "convolution:", "ArrowRight", "Unit 4 of 10: fully connected it has 12"),
    "stack": ("layers=conv-6-5", "slider", "side", "End", "456 parameters"),
    "questions": ("at=2", "button", "6", "Enter", "1 right of 1 answered"),
}
"""What was chosen, who gets which key, and what the page says then."""


@pytest.mark.parametrize("name", GESTURES)
def test_a_saved_page_stands_alone(visit: Any, name: str, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    state, role, label, key, said = GESTURES[name]
    online = visit.open(f"{name}?{state}")
    with online.expect_download() as download:
        online.get_by_role("button", name="Save as HTML").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == f"{name}.html"

    page, problems = online.context.browser.new_page(), []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url))
    page.goto(file.as_uri())
    page.get_by_role(role, name=label, exact=role != "img").focus()
    page.keyboard.press(key)
    expect(page.locator(".sum").first).to_contain_text(said)
    if name != "questions":
        expect(page.locator(".agrees").first).to_have_text("a saved page: not held beside the library")
    expect(page.get_by_role("button", name="Save as HTML")).to_have_count(0)
    if name == "plane":
        expect(page.get_by_text("result, 192 × 128")).to_be_visible()
    page.wait_for_timeout(100)
    assert [one for one in problems if one != file.as_uri() and not one.startswith("data:")] == []


def test_a_picture_is_saved_as_the_page_places_it(visit: Any) -> None:
    page = visit.open("plane")
    page.get_by_text("from 0 to").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as SVG").click()
    drawn = Path(download.value.path()).read_text(encoding="utf-8")
    assert drawn.count("<svg") == 3  # the picture, the result, and what holds them
    assert drawn.count("<image") == 2
    assert "danielbuechele, CC BY 2.0" in drawn
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as PNG").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_what_is_chosen_cannot_leave_its_place() -> None:
    page = stands_alone("line", '#/line?f="><script>alert(1)</script>')
    assert page.count("<script") == 1
    assert "&quot;&gt;&lt;script&gt;" in page


@pytest.mark.parametrize("name", GESTURES)
def test_no_module_is_left_outside(name: str) -> None:
    page = stands_alone(name, f"#/{name}")
    assert not re.search(r"^(import|export) ", page, re.MULTILINE)
    assert "/static/" not in page
