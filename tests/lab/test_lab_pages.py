"""The pages in a real browser: each one's main gesture gives the numbers that the library gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

PAGES = ("", "line", "plane")


@pytest.mark.parametrize("place", PAGES)
def test_it_opens_without_a_problem_and_is_accessible(visit: Any, place: str) -> None:
    page = visit.open(place)
    page.wait_for_timeout(200)
    assert visit.violations() == []


def cells(page: Any, name: str) -> np.ndarray:
    """The numbers of a map that the page of the plane shows."""
    found = {}
    for one in page.query_selector_all(f"[data-cell^='{name}-']"):
        row, column = one.get_attribute("data-cell").split("-")[1:]
        text = one.evaluate("e => e.parentNode.querySelector('text').textContent")
        found[int(row), int(column)] = float(text.replace("−", "-"))
    rows, columns = (max(at) + 1 for at in zip(*found, strict=True))
    return np.array([[found[r, c] for c in range(columns)] for r in range(rows)])


def test_the_plane_shows_scipys_numbers_and_follows_the_keys(visit: Any) -> None:
    page = visit.open("plane?kernel=-1+0+1+-2+0+2+-1+0+1&padding=1&stride=2")
    picture, result = cells(page, "in"), cells(page, "out")
    sobel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert (result == signal.correlate2d(picture, sobel, "same")[::2, ::2]).all()
    page.get_by_text("equals the library's output").wait_for()
    page.focus("svg[role=img]")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash.includes('column=1')")
    assert page.text_content(".sum").startswith("Row 1, column 2:")
    assert page.text_content(".sum").endswith(f"= {result[0, 1]:.0f}".replace("-", "−"))


def test_drawing_on_the_plane_changes_the_result(visit: Any) -> None:
    page = visit.open("plane?picture=point&kernel=1+1+1+1+1+1+1+1+1")
    page.click("[data-cell='in-0-0']")
    page.wait_for_function("location.hash.includes('drawn=1')")
    assert cells(page, "in")[0, 0] == 1
    assert cells(page, "out")[0, 0] == 1  # the point lies outside its window


def test_the_line_shows_the_integral(visit: Any) -> None:
    page = visit.open("line?t=0.5")
    page.get_by_text("by the library").wait_for()
    assert "(f ∗ g)(0.50) = 0.500" in page.text_content(".sum")
    page.focus("input[aria-label=t]")
    for _ in range(25):
        page.keyboard.press("ArrowLeft")  # in steps of 0.02
    page.wait_for_function("document.querySelector('.sum').textContent.includes('(0.00) = 1.000')")
