"""Shifts and what they change: numbers by hand, and what theory says of pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.references.small_classifier import SmallClassifier, subject_of
from torch.nn import functional as F

from neocog.backbones.compact import compact
from neocog.errors import UsageError
from neocog.explain.invariance import SHIFTS, change, invariance, shifted
from neocog.explain.subject import Choices


def test_shifting_moves_to_the_right_and_repeats_the_edge() -> None:
    images = torch.arange(5.0).view(1, 1, 1, 5)
    assert shifted(images, 2).flatten().tolist() == [0, 0, 0, 1, 2]
    assert shifted(images, 0) is images


def test_change_by_hand() -> None:
    first = torch.tensor([[3.0, 4.0, 0.0]])
    found = change([first, first, torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 5.0]])])
    assert found.distance == pytest.approx((0, 0, 4 / 5, 2**0.5))
    assert found.cosine == pytest.approx((1, 1, 3 / 5, 0))
    assert found.same == pytest.approx((1, 1, 2 / 3, 0))


@pytest.mark.parametrize("kernel", [2, 4])
def test_a_lone_peak_stays_in_its_window_as_often_as_it_should(kernel: int) -> None:
    """Anywhere in a window of k, the pooled map is the same after a shift by t with probability 1 - t / k."""
    places = [torch.zeros(1, 1, 1, 4 * kernel) for _ in range(kernel)]
    for place, one in enumerate(places):
        one[..., kernel + place] = 1
    for shift in range(kernel + 1):
        same = [
            torch.equal(F.max_pool2d(one, (1, kernel)), F.max_pool2d(shifted(one, shift), (1, kernel)))
            for one in places
        ]
        assert np.mean(same) == pytest.approx(max(0, 1 - shift / kernel))


def test_charts_and_what_they_show() -> None:
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    subject = subject_of(SmallClassifier(compact(), 3), pixels)
    shown = invariance(subject, Choices())
    assert [one.name for one in shown] == ["maps", "maps cosine", "pooling", "pooling cosine"]
    assert all(isinstance(one.picture, str) and one.picture.startswith("<svg") for one in shown)
    maps, against = shown[0].record["values"], shown[2].record["values"]
    assert list(maps) == ["c2 (1/4)", "c3 (1/8)", "c4 (1/16)", "p3 (1/8)", "p2 (1/4)"]
    assert all(len(values) == len(SHIFTS) and values[0] == 0 for values in maps.values())
    assert against["c2 itself"] == maps["c2 (1/4)"]
    assert against["its 2x2 max-pool"][2] < against["its every second cell"][2]
    with pytest.raises(UsageError, match="unknown feature map"):
        invariance(subject, Choices(level="c9"))
