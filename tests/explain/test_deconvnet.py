"""Units: the strongest, where they look, and what they project back to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.references.small_classifier import Plain, SmallClassifier, subject_of

from neocog.backbones.compact import compact
from neocog.backbones.vgg import vgg16
from neocog.errors import UsageError
from neocog.explain.deconvnet import Unit, deconvnet, guided, project, strongest_units
from neocog.explain.receptive import receptive_field
from neocog.explain.subject import Choices, chosen_level
from neocog.types import Frame

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_of_each_channel_the_strongest_cell() -> None:
    cells = torch.zeros(4, 3, 5)
    cells[2, 1, 4], cells[0, 2, 0], cells[0, 0, 0], cells[3] = 5, 3, 2, -1
    assert strongest_units(cells) == [Unit(2, 1, 4, 5.0), Unit(0, 2, 0, 3.0)]
    assert strongest_units(cells, most=1) == [Unit(2, 1, 4, 5.0)]


def test_of_one_channel_its_peaks() -> None:
    cells = torch.zeros(2, 5, 5)
    cells[1, 0, 0], cells[1, 0, 1], cells[1, 3, 3] = 4, 3, 2
    assert strongest_units(cells, channel=1) == [Unit(1, 0, 0, 4.0), Unit(1, 3, 3, 2.0)]


def test_a_projection_stays_within_what_the_unit_sees() -> None:
    torch.manual_seed(0)
    subject = subject_of(SmallClassifier(vgg16(), 3), NOISE)
    units = strongest_units(subject.backbone(subject.batch.images).maps["pool2"][0], most=4)
    back = project(subject, "pool2", units, "deconvnet")
    field = receptive_field(subject.backbone, "pool2")
    for unit, one in zip(units, back, strict=True):
        lit = torch.nonzero(one.abs().amax(dim=0))
        x0, y0, x1, y1 = field.box(unit.row, unit.column)
        assert len(lit) and y0 <= lit[:, 0].min() and lit[:, 0].max() < y1
        assert x0 <= lit[:, 1].min() and lit[:, 1].max() < x1


def test_a_projection_by_hand() -> None:
    """One 1x1 filter: its activation times its weights, at its pixel."""
    weight = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1)
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[1, 2] = (255, 51, 0)
    subject = subject_of(SmallClassifier(Plain(weight, torch.zeros(1)), 2), pixels)
    back = project(subject, "conv", [Unit(0, 1, 2, 0.6)], "guided")[0]
    torch.testing.assert_close(back[:, 1, 2], 0.6 * weight.flatten())
    assert torch.count_nonzero(back) == 3


@pytest.mark.parametrize("method", [deconvnet, guided])
def test_pictures_and_their_record(method: object) -> None:
    torch.manual_seed(0)
    subject = subject_of(SmallClassifier(compact(), 3), NOISE)
    assert callable(method)
    shown = method(subject, Choices(level="c2"))
    assert [one.name for one in shown] == ["where", "units", "projections"]
    units = shown[1].record["units"]
    assert len(units) == 9 and len({unit["channel"] for unit in units}) == 9
    strengths = [unit["activation"] for unit in units]
    assert strengths == sorted(strengths, reverse=True)
    for unit in units:
        x0, y0, x1, y1 = unit["sees"]
        assert 0 <= x0 < x1 <= 64 and 0 <= y0 < y1 <= 64 and max(x1 - x0, y1 - y0) <= 15
    one = method(subject, Choices(level="c2", unit=units[3]["channel"]))[1].record["units"]
    assert {unit["channel"] for unit in one} == {units[3]["channel"]} and one[0] == units[3]


def test_a_silent_map_is_an_error() -> None:
    model = SmallClassifier(Plain(torch.ones(2, 3, 1, 1), torch.full((2,), -9.0)), 2)
    with pytest.raises(UsageError, match="conv has no activation above 0"):
        deconvnet(subject_of(model, NOISE, 2), Choices())
    with pytest.raises(UsageError, match="channel 1 of conv has no activation"):
        deconvnet(subject_of(model, NOISE, 2), Choices(unit=1))


def test_the_usual_level_is_the_last_that_is_no_pooling() -> None:
    vgg, small = vgg16(), compact()
    assert chosen_level(vgg, None, list(vgg.channels)) == "conv5_3"
    assert chosen_level(vgg, None, ["pool1"]) == "pool1"
    assert chosen_level(small, None, ["c2", "c3", "c4", "p3"]) == "p3"
    assert chosen_level(vgg, "pool3", list(vgg.channels)) == "pool3"


def test_frames_lie_in_pixels_of_the_picture_itself() -> None:
    """A picture that was halved for the network: the frames lie where they are in the picture."""
    torch.manual_seed(0)
    subject = subject_of(SmallClassifier(compact(), 3), NOISE)
    frame = Frame((128, 128), (128, 128)).then((0.5, 0, 0, 0, 0.5, 0), (64, 64))
    twice = replace(
        subject,
        batch=replace(subject.batch, frames=(frame,)),
        pixels=np.full((400, 400, 3), 128, np.uint8),
    )
    where = deconvnet(twice, Choices(level="c2"))[0]
    changed = np.argwhere((np.asarray(where.picture) != 128).any(axis=2))
    assert changed.max() <= 128
