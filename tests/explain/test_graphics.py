"""Angles are read as they are, from the renderer's own pictures; units move as they are told to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neocog.data.solids import GROUP, PAPER_RATIO, Factors, Solids, shapes
from neocog.explain import graphics
from neocog.explain.graphics import (
    encode,
    freest_unit,
    grid,
    measure_motion,
    moved,
    reach_of_units,
    read_angles,
    rows_of_units,
    sequences,
)
from neocog.models.inverse_graphics import SMALL, InverseGraphics
from neocog.pictures.graphics import unit_strips


def model() -> InverseGraphics:
    torch.manual_seed(0)
    return InverseGraphics(4, SMALL).eval()


def test_angles_of_the_renderer_s_pictures_are_read_to_the_grid() -> None:
    """Even with grey noise as strong as a decoder's errors."""
    rng = np.random.default_rng(0)
    for solid in (0, 7):
        shape = shapes("test")[solid]
        truth = rng.uniform([-75, -30, -75], [75, 30, 75], (4, 3))
        factors = [Factors(*angles, shape, solid) for angles in truth.tolist()]
        for one, angles in zip(factors, truth, strict=True):
            picture = one.render() / 255 + rng.normal(0, 0.03, (64, 64))
            found = read_angles(picture[None], one)
            assert abs(found.azimuth[0] - angles[0]) <= 1.5
            assert abs(found.elevation[0] - angles[1]) <= 2.5
            assert abs(found.light[0] - angles[2]) <= 5


def test_grids_go_beyond_the_data() -> None:
    assert grid("azimuth", 1)[[0, -1]].tolist() == [-90, 90] and len(grid("azimuth", 1)) == 181
    assert grid("elevation", 2)[:2].tolist() == [-45, -43]


def test_one_unit_moves_and_no_other() -> None:
    codes = moved(torch.arange(4.0), 2, [5, 6])
    assert codes.tolist() == [[0, 1, 5, 3], [0, 1, 6, 3]]


def test_a_perfect_decoder_is_found_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The renderer itself, in the place of the network: unit 0 is the azimuth, in degrees."""
    data = Solids("test", count=2 * GROUP, ratio=(1, 0, 0, 0))
    solid = {}

    def encoded(_: InverseGraphics, data: Solids, indices: range) -> torch.Tensor:
        factors = [data.factors(index) for index in indices]
        solid[factors[0].solid] = factors[0]
        return torch.tensor([[-one.azimuth, 0.0, 0.0, one.solid] for one in factors])

    def decoded(_: InverseGraphics, codes: torch.Tensor) -> np.ndarray:
        rows = [(solid[int(code[3])], -float(code[0])) for code in codes]
        drawn = [Factors(turn, one.elevation, one.light, one.shape, one.solid) for one, turn in rows]
        return np.stack([one.render() for one in drawn]) / 255

    monkeypatch.setattr(graphics, "STEP", 2.0)
    monkeypatch.setattr(graphics, "SWEEP", 5)
    monkeypatch.setattr(graphics, "encode", encoded)
    monkeypatch.setattr(graphics, "decode", decoded)
    network = model()
    assert freest_unit(network, data, "azimuth") == 0
    motion = measure_motion(network, data)
    assert motion.truth.shape == motion.read.azimuth.shape == (2, GROUP)
    assert motion.agreement.pearson > 0.999 and motion.agreement.spearman > 0.999
    assert all(one.spearman > 0.999 for one in motion.of_sequences())
    assert motion.forward() == 1 and motion.span("azimuth").min() > 130
    assert motion.span("elevation").max() <= 4 and motion.span("light").max() <= 8
    assert np.abs(motion.own.azimuth - motion.truth).max() <= 2


def test_strips_show_what_the_decoder_gives() -> None:
    network, data = model(), Solids("test", count=4 * GROUP)
    reach = reach_of_units(network, data, 40)
    assert reach.shape == (SMALL.code, 2) and (reach[:, 0] <= reach[:, 1]).all()
    unit = graphics.freest_intrinsic(network, data)
    rows = rows_of_units(network, data, 5, (0, 1, 2, unit), reach, count=5)
    assert [row.name for row in rows] == ["azimuth", "elevation", "light", f"unit {unit + 1}"]
    code = encode(network, data, [5])
    want = network.draw(moved(code[0], 1, rows[1].values)).sigmoid()[:, 0]
    np.testing.assert_allclose(rows[1].pictures, want.detach().numpy(), atol=1e-5)
    strips = unit_strips([(row.name, row.pictures) for row in rows])
    assert strips.width == 5 * 130 - 2
    with pytest.raises(ValueError, match="row at least"):
        unit_strips([])
    with pytest.raises(ValueError, match="no sequence of kind 'shape'"):
        measure_motion(network, Solids("test", count=20, ratio=(1, 0, 0, 0)), "shape")


def test_sequences_are_those_of_their_kind() -> None:
    data = Solids("test", count=14 * GROUP, ratio=PAPER_RATIO)
    assert [one[0] for one in sequences(data, "azimuth")] == [0, 13 * GROUP]
    assert len(sequences(data, "shape")) == 10
