"""Pooling in the lab, held beside torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import MaxUnpool2d
from torch.nn import functional as F

from neocog.lab.operators import Pooling, pool


@pytest.mark.parametrize(("kernel", "stride"), ((2, 2), (3, 1), (2, 3)))
def test_the_endpoint_gives_torchs_numbers(kernel: int, stride: int) -> None:
    maps = torch.randn(1, 1, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = maps[0, 0].tolist()
    largest = pool(Pooling(values=values, kernel=kernel, stride=stride))
    expected, places = F.max_pool2d(maps, kernel, stride, return_indices=True)
    assert (largest.values, largest.switches) == (expected[0, 0].tolist(), places[0, 0].tolist())
    back = MaxUnpool2d(kernel, stride)(expected, places, output_size=[7, 9])
    if stride >= kernel:  # where windows overlap, values that meet are added, and torch keeps one of them
        assert largest.unpooled == back[0, 0].tolist()
    mean = pool(Pooling(values=values, kind="mean", kernel=kernel, stride=stride))
    assert np.allclose(mean.values, F.avg_pool2d(maps, kernel, stride)[0, 0])
    assert mean.switches is mean.unpooled is None


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(ValueError, match="a kernel of 3 does not fit"):
        pool(Pooling(values=[[1.0, 2.0]], kernel=3))
    with pytest.raises(ValueError, match="rows must be of one length"):
        pool(Pooling(values=[[1.0, 2.0], [1.0]]))
    with pytest.raises(ValidationError):
        Pooling(values=[[1.0]], stride=0)


def test_the_page_pools_and_unpools(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("pooling")
    assert visit.numbers("out").tolist() == [[6, 8], [3, 4]]
    page.click("[data-cell='in-0-0']")
    for _ in range(6):
        page.click("[data-cell='in-0-0']")
    expect(page.locator("[data-cell='out-0-0']")).to_have_attribute("data-value", "8")
    expect(page.locator("[data-cell='back-0-0']")).to_have_attribute("data-value", "8")
    page.get_by_role("img", name="The pooled map, 2 by 2").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".sum").first).to_contain_text("Window 1, 2: the largest of 2, 4, 7, 8 is 8.")
    page.get_by_role("combobox", name="keep").select_option("mean")
    expect(page.locator("[data-cell='out-1-1']")).to_have_attribute("data-value", "2")
    expect(page.locator(".agrees")).to_have_text(["equals the library's output"] * 2)


def test_a_second_push_before_the_first_is_shown(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("pooling")
    page.evaluate(
        """() => {
            for (const name of ["right", "down", "down", "back to the middle", "left", "left", "up"])
                document.querySelector(`.pushes [aria-label="${name}"]`).click();
        }"""
    )
    expect(page.locator(".sum").last).to_contain_text("Pushed 2 left and 1 up.")


def test_a_push_changes_the_pooled_map_as_far_as_torch_says(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("pooling")
    before = torch.from_numpy(visit.numbers("large")).double()[None, None]
    page.get_by_role("button", name="right").click()
    page.get_by_role("img", name="A shape on a map").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".sum").last).to_contain_text("Pushed 1 right and 1 down.")
    after = torch.from_numpy(visit.numbers("large")).double()[None, None]
    assert torch.equal(after, before.roll((1, 1), (2, 3)))
    pairs = {
        "map": (before, after),
        "pooled": (F.max_pool2d(before, 2), F.max_pool2d(after, 2)),
        "strided": (before[..., ::2, ::2], after[..., ::2, ::2]),
    }
    for name, (one, other) in pairs.items():
        cell = page.locator(f"[data-distance={name}]")
        expect(cell).to_have_text(f"{(other - one).norm() / one.norm():.2f}")
        stayed = f"{(one == other).sum()} of {one.numel()}"
        expect(page.get_by_role("row").filter(has=cell).get_by_role("cell").first).to_have_text(stayed)
