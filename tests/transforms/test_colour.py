"""Colour changes against Pillow's enhancers and the standard library's YIQ."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from neocog.errors import UsageError
from neocog.transforms.colour import ColourJitter, adjust
from neocog.types import Frame, Sample, SampleKey


def picture(low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(3).integers(low, high, (31, 47, 3), dtype=np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9, 1.1, 1.7])
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_equals_pillow(name: str, enhancer: type, factor: float) -> None:
    image = picture()
    want = np.asarray(enhancer(Image.fromarray(image)).enhance(factor))
    # Pillow truncates where we round, and rounds its greys first.
    assert distance(adjust(image, **{name: factor}), want) <= 2


@pytest.mark.parametrize("hue", [0.02, -0.05, 0.25])
def test_hue_equals_a_turn_in_yiq(hue: float) -> None:
    image = picture(90, 160)
    got = adjust(image, hue=hue)
    cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
    for before, after in zip(image.reshape(-1, 3)[:200], got.reshape(-1, 3)[:200], strict=True):
        y, i, q = colorsys.rgb_to_yiq(*(before / 255))
        want = colorsys.yiq_to_rgb(y, cos * i - sin * q, sin * i + cos * q)
        assert np.abs(after - 255 * np.array(want)).max() <= 3


def test_greys_keep_their_hue_and_saturation() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)
    np.testing.assert_array_equal(adjust(greys, saturation=1.7, hue=0.3), greys)


def test_nothing_asked_nothing_changed() -> None:
    np.testing.assert_array_equal(adjust(picture()), picture())


def test_full_turn_is_no_turn() -> None:
    assert distance(adjust(picture(), hue=1.0), picture()) == 0


def test_four_at_once_equal_four_in_turn_where_nothing_clips() -> None:
    image = picture(100, 150)
    at_once = adjust(image, brightness=1.1, contrast=0.8, saturation=1.2, hue=0.04)
    in_turn = adjust(adjust(adjust(adjust(image, brightness=1.1), contrast=0.8), saturation=1.2), hue=0.04)
    assert distance(at_once, in_turn) <= 3


def sample(index: int) -> Sample:
    return Sample(picture(), None, Frame((31, 47), (31, 47)), key=SampleKey(1, 2, index))


def test_jitter_follows_the_key_alone() -> None:
    jitter = ColourJitter()
    np.testing.assert_array_equal(jitter(sample(5)).image, jitter(sample(5)).image)
    assert len({jitter(sample(index)).image.tobytes() for index in range(20)}) == 20


def test_each_property_has_its_own_draws() -> None:
    """Turning one off leaves the others' draws as they were."""
    only_brightness = ColourJitter(0.4, 0, 0, 0)(sample(5)).image
    factor = only_brightness.mean() / picture().mean()
    with_hue = ColourJitter(0.4, 0, 0, 0.01)(sample(5)).image
    assert with_hue.mean() / picture().mean() == pytest.approx(factor, rel=0.02)
    assert factor != pytest.approx(1, abs=0.005)


def test_jitter_stays_within_its_strength() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    values = [
        int(
            ColourJitter(0.2, 0, 0, 0)(
                Sample(grey, None, Frame((8, 8), (8, 8)), key=SampleKey(0, 0, i))
            ).image[0, 0, 0]
        )
        for i in range(300)
    ]
    assert 80 <= min(values) < 85 and 115 < max(values) <= 120


def test_negative_strength_is_refused() -> None:
    with pytest.raises(UsageError, match="strengths must be 0 or more"):
        ColourJitter(hue=-0.1)


def test_zero_strength_leaves_the_picture() -> None:
    np.testing.assert_array_equal(ColourJitter(0, 0, 0, 0)(sample(0)).image, picture())
