"""Parameter sharing in the lab, held beside the layers of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neocog.lab.operators import Layers, parameters


@pytest.mark.parametrize("bias", (False, True))
def test_the_endpoint_counts_what_layers_have(bias: bool) -> None:
    found = parameters(Layers(side=8, kernel=3, filters=2, bias=bias))
    dense, convolution = nn.Linear(64, 128, bias=bias), nn.Conv2d(1, 2, 3, padding=1, bias=bias)
    assert found.dense == sum(one.numel() for one in dense.parameters())
    assert found.convolution == sum(one.numel() for one in convolution.parameters())
    assert found.local == 128 * (9 + bias)


def matrix(page: Any, layer: str) -> np.ndarray:
    """The numbers of the weights that a matrix of the page shows; 0: none."""
    found = page.eval_on_selector_all(
        f"[data-weight^='{layer}-']",
        "all => all.map(one => one.dataset.weight.split('-').slice(1).map(Number))",
    )
    units, inputs = max(one[0] for one in found) + 1, max(one[1] for one in found) + 1
    return np.array([link for _, _, link in sorted(found)]).reshape(units, inputs)


def test_the_matrices_are_those_of_the_layers(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("sharing?inputs=9&kernel=4")
    taps = torch.tensor([[[1.0, 2, 3, 4]]])
    expected = torch.nn.functional.conv1d(torch.eye(9)[:, None], taps)[:, 0].T
    shared, local, dense = (matrix(page, layer) for layer in ("convolution", "local", "dense"))
    assert (shared == expected.numpy()).all()
    assert ((local > 0) == (shared > 0)).all()
    assert len(np.unique(local)) == 1 + 6 * 4
    assert len(np.unique(dense)) == dense.size == 54
    page.get_by_role("img", name="convolution:").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".sum")).to_contain_text("Unit 4 of 6: fully connected it has 9 weights")


def test_the_counts_are_the_usual_examples_and_follow_the_sliders(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("sharing")
    for layer, count in (("dense", 10**12), ("local", 10**8), ("convolution", 100)):
        expect(page.locator(f"[data-count={layer}]")).to_have_text(f"{count:,}")
    page.get_by_role("slider", name="filters").fill("100")
    page.get_by_label("with biases").check()
    expect(page.locator("[data-count=convolution]")).to_have_text("10,100")
    expect(page.locator("[data-count=dense]")).to_have_text(f"{10**8 * (10**6 + 1):,}")
    expect(page.locator(".agrees")).to_have_text("equals the library's output")
