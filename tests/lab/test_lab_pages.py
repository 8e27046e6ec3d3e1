"""The pages in a real browser: each one's main gesture gives the numbers that SciPy and NumPy give."""

from __future__ import annotations

import itertools
import re
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import signal

from neocog.lab.pages import grey_photograph
from neocog.ops.integral import convolve_functions, exponential, sampled

PAGES = ("", "line", "line?f=samples&g=samples", "plane", "pooling", "sharing")


@pytest.mark.parametrize("place", PAGES)
def test_it_opens_without_a_problem_and_is_accessible(visit: Any, place: str) -> None:
    page = visit.open(place)
    page.wait_for_timeout(200)
    assert visit.violations() == []


def test_a_phone_need_not_scroll_sideways(visit: Any) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 800})
    for place in PAGES:
        assert visit.open(place).evaluate("document.documentElement.scrollWidth") == 390, place


WRONG = (
    "line?t=99&f=no&gwidth=-1&g=samples&gdrawn=a+b",
    "plane?stride=0&padding=-3&dilation=99&row=1e9&kernel=a+b&drawn=7",
    "pooling?kernel=99&stride=0&map=no&kind=no&down=77&right=0.5&shape=no",
    "sharing?inputs=1e9&kernel=-1&unit=77&side=0&window=1e5&filters=-2",
)


@pytest.mark.parametrize("place", WRONG)
def test_an_address_that_makes_no_sense_opens_something_that_does(visit: Any, place: str) -> None:
    from playwright.sync_api import expect

    page = visit.open(place)
    expect(page.locator(".agrees").last).to_have_text("equals the library's output")


def test_the_plane_shows_scipys_numbers_and_follows_the_keys(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("plane?kernel=-1+0+1+-2+0+2+-1+0+1&padding=1&stride=2")
    picture, result = visit.numbers("in"), visit.numbers("out")
    sobel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert (result == signal.correlate2d(picture, sobel, "same")[::2, ::2]).all()
    expect(page.locator(".agrees")).to_have_text(["equals the library's output"] * 2)
    page.get_by_role("img", name="The result").focus()
    page.keyboard.press("ArrowRight")
    total = f"{result[0, 1]:.0f}".replace("-", "−")
    expect(page.locator(".sum")).to_have_text(re.compile(f"^Row 1, column 2: .* = {total}$"))


def test_cells_are_drawn_by_pointer_and_by_keys(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("plane?picture=point&kernel=1+1+1+1+1+1+1+1+1")
    page.click("[data-cell='in-0-0']")
    expect(page.locator("[data-cell='out-0-0']")).to_have_attribute("data-value", "1")
    page.get_by_role("img", name="A picture of 7 by 7").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-cell='out-0-0']")).to_have_attribute("data-value", "2")
    assert visit.numbers("in")[1, 1] == 1


def test_a_kernel_of_five_keeps_its_middle_and_lies_on_the_photograph(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("plane?kernel=0+0+0+0+0+0+0")
    page.get_by_role("combobox", name="kernel").select_option("0 -1 0 -1 4 -1 0 -1 0")
    page.get_by_role("combobox", name="its size").select_option("5")
    expect(page.get_by_label("weight in row 5, column 5")).to_be_visible()
    page.get_by_label("weight in row 1, column 1").fill("2")
    kernel = np.pad(np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]), 1)
    kernel[0, 0] = 2
    picture = np.asarray(Image.open(BytesIO(grey_photograph().body)), float)
    result = signal.correlate2d(picture, kernel, "valid")
    reach = f"result, 188 × 124: from {result.min():.0f} to {result.max():.0f}".replace("-", "−")
    expect(page.get_by_text(reach)).to_be_visible()
    expect(page.locator(".agrees")).to_have_text(["equals the library's output"] * 2)
    assert (visit.numbers("out") == signal.correlate2d(visit.numbers("in"), kernel, "valid")).all()


def test_the_line_shows_the_integral(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("line?t=0.5&g=box")
    assert "(f ∗ g)(0.50) = 0.500" in page.text_content(".sum")
    page.focus("input[aria-label=t]")
    for _ in range(25):
        page.keyboard.press("ArrowLeft")  # in steps of 0.02
    expect(page.locator(".sum")).to_contain_text("(0.00) = 1.000")
    expect(page.locator(".agrees")).to_have_text("equals the library's output")


def test_every_pair_of_functions_agrees_with_the_library(visit: Any) -> None:
    from playwright.sync_api import expect

    kinds = ("box", "triangle", "gaussian", "exponential", "step", "samples")
    for f, g in itertools.product(kinds, ("gaussian", "samples")):
        page = visit.open(f"line?f={f}&g={g}&fwidth=0.3&gwidth=0.25")
        expect(page.locator(".agrees")).to_have_text("equals the library's output")


def test_a_function_is_drawn_by_pointer_and_by_keys(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("line?f=samples&fdrawn=0&t=0")
    box = page.locator("svg.pad").first.bounding_box()
    left, top, wide, high = box["x"] + 34, box["y"] + 8, 296, 112  # where the axes lie
    page.mouse.move(left + 1.5 / 4 * wide, top + high / 2)  # 0 at -0.5
    page.mouse.down()
    page.mouse.move(left + 2 / 4 * wide, top)  # 1 at 0, and 0.5 between
    page.mouse.up()
    page.get_by_role("slider", name="f at 0.00").focus()
    for key in ("ArrowRight", "PageUp", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    places = np.arange(-2, 2.1, 0.25)
    values = np.select([places == -0.25, places == 0, places == 0.25], [0.5, 1, 0.3], 0.0)
    expected = convolve_functions(sampled(places, values), exponential(1), [0.0]).values[0]
    expect(page.locator(".sum")).to_have_text(f"(f ∗ g)(0.00) = {expected:.3f}, the shaded area")
    expect(page.locator(".agrees")).to_have_text("equals the library's output")
