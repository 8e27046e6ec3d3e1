"""The generated scenes: exact truth, even distributions, the same pictures whoever asks in which order."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import stats

from neocog.data import render
from neocog.data.backgrounds import BANK, background
from neocog.data.render import COLOURS, LEVELS, PALETTE, TEXTURES, Scene, render_scene
from neocog.data.scenes import COUNTS, TASKS, Scenes, open_scenes
from neocog.data.shapes import CLASSES, normalised, outlines, tables
from neocog.errors import DataError
from neocog.types import Task

EVERY = [(level, split) for level in LEVELS for split in COUNTS]


def digest(scene: Scene) -> str:
    parts = (scene.image, scene.boxes, scene.attributes, scene.angles, scene.scales, scene.instances)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def digests(level: str, split: str, indices: Iterable[int]) -> dict[int, str]:
    return {index: digest(render_scene(level, split, index)) for index in indices}


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    data = Scenes("std", "train")
    return [data.scene(index) for index in range(1000)]


@pytest.fixture(scope="module")
def singles() -> list[Scene]:
    return [render_scene("single", "test", index) for index in range(400)]


@pytest.mark.parametrize(("level", "split"), EVERY)
def test_truth_is_exact(level: str, split: str) -> None:
    for index in range(15):
        scene = render_scene(level, split, index)
        count = len(scene.boxes)
        assert scene.image.shape == (128, 128, 3) and scene.image.dtype == np.uint8
        assert scene.boxes.shape == (count, 4) and scene.boxes.dtype == np.float32
        assert scene.attributes.shape == (count, 3) and scene.angles.shape == scene.scales.shape == (count,)
        assert set(np.unique(scene.instances)) == set(range(count + 1))  # each in sight, and some background
        for number, box in enumerate(scene.boxes):
            rows, columns = np.nonzero(scene.instances == number + 1)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert scene.main == np.bincount(scene.instances.ravel())[1:].argmax()


@pytest.mark.parametrize("level", LEVELS)
def test_counts_and_sizes_keep_to_the_level(level: str) -> None:
    want = LEVELS[level]
    scenes = [render_scene(level, "train", index) for index in range(150)]
    counts = [len(scene.boxes) for scene in scenes]
    assert (min(counts), max(counts)) == want.objects
    scales = np.concatenate([scene.scales for scene in scenes])
    assert want.sizes[0] <= scales.min() and scales.max() <= want.sizes[1]
    sides = np.concatenate([scene.boxes[:, 2:] - scene.boxes[:, :2] for scene in scenes]).max(axis=1)
    assert (sides <= scales + 2).all()  # a diameter may cut a pixel at either end


def test_two_fifths_of_every_object_are_in_sight(many: list[Scene]) -> None:
    areas = (tables("train") < 0).mean(axis=(1, 2)) * 1.5**2  # of a shape of diameter 1
    shares = np.concatenate(
        [np.bincount(scene.instances.ravel())[1:] / (areas[scene.labels] * scene.scales**2) for scene in many]
    )
    assert shares.min() > 0.4 * 0.9  # the whole is counted on pixels too, which small shapes feel
    assert (shares < 0.9).mean() > 0.2  # and many are partly hidden


@pytest.mark.parametrize("label", range(len(CLASSES)), ids=CLASSES)
def test_class_angle_and_scale_describe_what_is_seen(label: int, singles: list[Scene]) -> None:
    """Objects in full sight against the outline that Pillow draws from the truth alone."""
    overlaps = []
    for scene in singles:
        x0, y0, x1, y1 = scene.boxes[0]
        if scene.labels[0] != label or min(x0, y0) < 1 or max(x1, y1) > 127:
            continue
        cos, sin = np.cos(scene.angles[0]), np.sin(scene.angles[0])
        contours = [c @ np.array([[cos, sin], [-sin, cos]]) for c in normalised(outlines()[label])]
        points = np.concatenate(contours) * scene.scales[0]
        if np.abs(np.ptp(points, axis=0) - (x1 - x0, y1 - y0)).max() > 3:
            continue  # something hides an end of it (the tips of a star are too thin to be a pixel)
        centre = np.array([x0 + x1, y0 + y1]) / 2 - (points.min(axis=0) + points.max(axis=0)) / 2
        drawn = np.zeros((512, 512), dtype=bool)
        for contour in contours:
            picture = Image.new("1", (512, 512))
            corners = (contour * scene.scales[0] + centre) * 4 - 0.5
            ImageDraw.Draw(picture).polygon([tuple(corner) for corner in corners], fill=1)
            drawn ^= np.asarray(picture)
        mask = drawn.reshape(128, 4, 128, 4).mean(axis=(1, 3)) > 0.5
        seen = scene.instances == 1
        overlaps.append((mask & seen).sum() / seen.sum())  # a distractor may lie on it
        if len(overlaps) == 5:
            break
    assert len(overlaps) == 5
    assert min(overlaps) > 0.93


def test_attributes_are_even_and_independent(many: list[Scene]) -> None:
    attributes = np.concatenate([scene.attributes for scene in many])
    assert len(attributes) > 3000
    for column, names in enumerate((CLASSES, COLOURS, TEXTURES)):
        assert stats.chisquare(np.bincount(attributes[:, column], minlength=len(names))).pvalue > 0.001
    for one, other in ((0, 1), (0, 2), (1, 2)):
        table = np.zeros((attributes[:, one].max() + 1, attributes[:, other].max() + 1))
        np.add.at(table, (attributes[:, one], attributes[:, other]), 1)
        assert stats.chi2_contingency(table).pvalue > 0.001
    scales = np.concatenate([scene.scales for scene in many])
    assert stats.kstest((scales - 20) / (64 - 20), "uniform").pvalue > 0.001
    angles = np.concatenate([scene.angles for scene in many])
    assert stats.kstest(angles / (2 * np.pi), "uniform").pvalue > 0.001


def test_size_says_nothing_of_class(many: list[Scene]) -> None:
    labels = np.concatenate([scene.labels for scene in many])
    scales = np.concatenate([scene.scales for scene in many])
    assert stats.kruskal(*(scales[labels == label] for label in range(len(CLASSES)))).pvalue > 0.001


def test_scenes_have_any_number_of_objects(many: list[Scene]) -> None:
    counts = np.bincount([len(scene.boxes) for scene in many], minlength=7)
    assert counts[0] == 0
    assert counts[1:].min() > 0.8 * len(many) / 6  # few are left out for want of room


def test_solid_objects_wear_their_colour(many: list[Scene]) -> None:
    hits = []
    for scene in many[:400]:
        for number, (_, colour, texture) in enumerate(scene.attributes):
            if TEXTURES[texture] == "solid":
                mean = scene.image[scene.instances == number + 1].mean(axis=0)
                directions = PALETTE / np.linalg.norm(PALETTE, axis=1, keepdims=True)
                hits.append((directions @ mean).argmax() == colour)
    assert len(hits) > 150
    assert np.mean(hits) > 0.7  # light, shading and a tint of its own blur it; by chance 0.125


def test_textures_show(many: list[Scene]) -> None:
    """Inside a textured object grey levels vary far more than inside a solid one."""
    spread: dict[str, list[float]] = {name: [] for name in TEXTURES}
    for scene in many[:300]:
        for number, (_, _, texture) in enumerate(scene.attributes):
            pixels = scene.image[scene.instances == number + 1].astype(np.float64)
            spread[TEXTURES[texture]].append(float(pixels.std(axis=0).max()))
    medians = {name: np.median(values) for name, values in spread.items()}
    assert all(medians[name] > 1.5 * medians["solid"] for name in TEXTURES[1:])


@pytest.mark.parametrize("level", LEVELS)
def test_order_and_threads_change_nothing(level: str) -> None:
    there = digests(level, "test", range(12))
    assert digests(level, "test", reversed(range(12))) == there
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: digest(render_scene(level, "test", index)), range(12)))
    assert found == list(there.values())
    assert len(set(found)) == 12


def test_another_process_draws_the_same() -> None:
    data = Scenes("hard", "val", seed=5)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (there,) = pool.map(_scene_digests, [data])
    assert there == _scene_digests(data)


def _scene_digests(data: Scenes) -> list[str]:
    return [digest(data.scene(index)) for index in (3, 0, 2)]


def test_a_scene_depends_on_each_of_its_names() -> None:
    names = [
        ("std", "train", 0, 0),
        ("hard", "train", 0, 0),
        ("std", "val", 0, 0),
        ("std", "train", 1, 0),
        ("std", "train", 0, 1),
    ]
    assert len({digest(render_scene(*name)) for name in names}) == len(names)


def test_backgrounds_of_the_splits_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sorted values do not change with flips and crops of the whole, nor with the order of channels.
    banks = [
        np.sort(background(0, split, n, 48), axis=None).tobytes() for split in COUNTS for n in range(BANK)
    ]
    assert len(set(banks)) == 3 * BANK
    asked = set()

    def watched(seed: int, split: str, number: int, side: int) -> np.ndarray:
        asked.add((split, number))
        return background(seed, split, number, side)

    monkeypatch.setattr(render, "background", watched)
    for index in range(300):
        render_scene("std", "val", index)
    assert {split for split, _ in asked} == {"val"}
    assert len(asked) > 40


@pytest.mark.parametrize("size", [32, 96, 200])
def test_other_sizes_show_the_same_composition(size: int) -> None:
    scene, usual = render_scene("single", "train", 4, size=size), render_scene("single", "train", 4)
    assert scene.image.shape == (size, size, 3)
    assert (scene.attributes == usual.attributes).all()
    assert scene.boxes * 128 / size == pytest.approx(usual.boxes, abs=1 + 128 / size)


@pytest.mark.parametrize("level", LEVELS)
def test_each_task_takes_its_part_of_a_scene(level: str) -> None:
    """Masks count background as class 0; the main object is the one with the most pixels."""
    sets = {task: Scenes(level, "test", task=task) for task in TASKS}
    names = sets[Task.DETECT].classes
    assert sets[Task.SEGMENT].classes == ("background", *names)
    assert len({data.fingerprint for data in sets.values()}) == len(sets)
    for index in range(10):
        scene, found = sets[Task.DETECT].scene(index), sets[Task.DETECT][index].target
        masked, alone, whole = (sets[task][index] for task in (Task.SEGMENT, Task.LOCALIZE, Task.CLASSIFY))
        assert found is not None and masked.target is not None and alone.target is not None
        labels = found.labels.numpy()
        assert (masked.mask == np.append(0, labels + 1)[scene.instances]).all()
        assert (masked.target.labels.numpy() == labels + 1).all()
        assert alone.target.labels.tolist() == [whole.label] == [labels[scene.main]]
        assert (alone.target.boxes.numpy() == scene.boxes[scene.main]).all()
        assert whole.target is None and alone.mask is None
        assert sets[Task.CLASSIFY].objects(index).labels.tolist() == [whole.label]


def test_the_data_set_offers_what_every_data_set_does() -> None:
    data = Scenes("std", "valid")
    assert (data.name, data.format, data.split, len(data)) == ("scenes:std", "scenes", "val", 400)
    assert data.classes == CLASSES and data.size(0) == (128, 128) and data.identity(7) == "std/val/7"
    sample, scene = data[7], data.scene(7)
    assert sample.target is not None and sample.mask is None and sample.label is None
    assert (sample.image == scene.image).all()
    assert (sample.target.boxes.numpy() == scene.boxes).all()
    assert (sample.target.labels.numpy() == scene.labels).all() and not sample.target.ignore.any()
    assert sample.frame.original == sample.frame.size == (128, 128) and sample.frame.source == "std/val/7"
    assert (data.objects(7).boxes == sample.target.boxes).all()
    assert data.identity(-1) == "std/val/399"
    for wrong in (400, -401):
        with pytest.raises(IndexError):
            data[wrong]


def test_it_survives_pickling() -> None:
    data = Scenes("single", "test", count=9, seed=3, size=64)
    again = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert again.fingerprint == data.fingerprint
    assert (again[8].image == data[8].image).all()


def test_the_fingerprint_follows_every_option() -> None:
    options = [{}, {"level": "hard"}, {"split": "val"}, {"count": 5}, {"seed": 1}, {"size": 64}]
    assert len({Scenes(**option).fingerprint for option in options}) == len(options)  # type: ignore[arg-type]
    assert Scenes().fingerprint == Scenes(count=4000).fingerprint
    assert {split: len(Scenes(split=split)) for split in COUNTS} == {"train": 4000, "val": 400, "test": 400}


@pytest.mark.parametrize(
    ("name", "level"),
    [("scenes", "std"), ("scenes:std", "std"), ("scenes:hard", "hard"), ("scenes:single", "single")],
)
def test_names_open_their_level(name: str, level: str) -> None:
    data = open_scenes(name, "test", count=3, seed=2, size=64)
    assert (data.level, data.split, len(data), data.seed, data.side) == (level, "test", 3, 2, 64)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("scenes:hrad", "scenes:hard"),
        ("scenes:", "scenes:std"),
        ("scnes", "scenes"),
        ("scenes:one\n", "scenes"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(DataError, match=rf"did you mean '{nearest}") as caught:
        open_scenes(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"split": "tset"}, {"size": 16}, {"count": 0}, {"seed": -1}])
def test_unusable_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(DataError, match="scenes:std"):
        Scenes(**options)  # type: ignore[arg-type]
