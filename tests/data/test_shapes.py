"""The outlines of the generated scenes against Pillow's polygons and plain geometry."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from neocog.data.shapes import BLOBS, CELLS, CLASSES, REACH, distance_table, normalised, outlines, tables

SPLITS = ("train", "val", "test")


def filled(contours: list[np.ndarray], side: int, zoom: int = 4) -> np.ndarray:
    """Share of each of side x side cells over [-REACH, REACH] inside the contours (even-odd), by Pillow."""
    total = np.zeros((side * zoom, side * zoom), dtype=bool)
    for contour in contours:
        picture = Image.new("1", (side * zoom, side * zoom))
        points = (contour / REACH + 1) / 2 * side * zoom - 0.5
        ImageDraw.Draw(picture).polygon([tuple(point) for point in points], fill=1)
        total ^= np.asarray(picture)
    return total.reshape(side, zoom, side, zoom).mean(axis=(1, 3))


@pytest.mark.parametrize("label", range(len(CLASSES)), ids=CLASSES)
def test_a_table_is_negative_where_the_polygon_is(label: int) -> None:
    table = tables("train")[label]
    share = filled(normalised(outlines()[label]), CELLS)
    assert (table[share == 1] < 0).all()
    assert (table[share == 0] > 0).all()
    assert 0.15 < (table < 0).mean() * (2 * REACH) ** 2 < 0.8  # of the square on its diameter


def test_distances_are_those_of_the_euclidean_transform() -> None:
    table = distance_table(normalised(outlines()[4]))  # a cross has no tip that a grid would miss
    cell = 2 * REACH / CELLS
    outside = ndimage.distance_transform_edt(table > 0) * cell
    inside = ndimage.distance_transform_edt(table <= 0) * cell
    assert np.abs(np.where(table > 0, outside, -inside) - table).max() < 1.5 * cell


def test_a_disc_has_the_distances_of_a_circle() -> None:
    axis = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * REACH
    assert np.allclose(tables("train")[0], np.hypot(axis[:, None], axis[None]) - 0.5, atol=2e-3)


@pytest.mark.parametrize("label", range(len(CLASSES)), ids=CLASSES)
def test_every_outline_has_a_diameter_of_one(label: int) -> None:
    points = np.concatenate(normalised(outlines()[label]))
    widths = [np.ptp(points @ (np.cos(a), np.sin(a))) for a in np.linspace(0, np.pi, 720)]
    assert max(widths) == pytest.approx(1, abs=1e-4)
    assert np.hypot(*points.T).max() <= 1 / np.sqrt(3) + 1e-3  # Jung's theorem: the enclosing circle


def seen(mask: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """A mask (A, 48, 48) about its centre, scaled to a common area and turned by each of A angles."""
    y, x = np.meshgrid(*[(np.arange(48) + 0.5) / 48 - 0.5] * 2, indexing="ij")
    scale, centre = 2.6 * np.sqrt(mask.sum()), ndimage.center_of_mass(mask)
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    points = [centre[0] + scale * (cos * y - sin * x), centre[1] + scale * (sin * y + cos * x)]
    found: np.ndarray = ndimage.map_coordinates(mask.astype(float), points, order=1) > 0.5
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_no_distractor_looks_like_a_class(split: str) -> None:
    masks = tables(split) < 0
    assert len(masks) == len(CLASSES) + BLOBS
    classes = [seen(mask, np.zeros(1)) for mask in masks[: len(CLASSES)]]
    for blob in masks[len(CLASSES) :]:
        turned = seen(blob, np.linspace(0, 2 * np.pi, 36, endpoint=False))
        overlaps = [(shape & turned).sum((1, 2)) / (shape | turned).sum((1, 2)) for shape in classes]
        # The two classes most alike, disc and square, share 0.83 of their area.
        assert np.max(overlaps) < 0.87


def test_distractors_differ_between_the_splits() -> None:
    blobs = [tables(split)[len(CLASSES) :] for split in SPLITS]
    flat = np.concatenate(blobs).reshape(3 * BLOBS, -1)
    assert len(np.unique(flat, axis=0)) == 3 * BLOBS
    assert (tables("train")[: len(CLASSES)] == tables("test")[: len(CLASSES)]).all()
