"""`scenes[:std|hard|single|pairs|solids]`: a generated data set, always there, with exact truth.

Of one scene the tasks take: DETECT its objects; SEGMENT the class of every pixel, background being class 0;
LOCALIZE its main object, the one with the most pixels in sight; CLASSIFY the class of that object. The solids
are of another kind, and stand in `solids.py`.
"""

from __future__ import annotations

import hashlib
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.data.dataset import Dataset
from neocog.data.digits import Digits
from neocog.data.files import printable, split_name
from neocog.data.label_vectors import PAIRS, LabelVectors, pair_vectors
from neocog.data.render import LEVELS, TEXTURES, VERSION, Scene, render_scene
from neocog.data.shapes import CLASSES
from neocog.data.solids import Solids
from neocog.errors import DataError
from neocog.types import Frame, Objects, Sample, SampleKey, Task

TASKS = (Task.DETECT, Task.SEGMENT, Task.CLASSIFY, Task.LOCALIZE)
"""What a scene can be the truth for."""

BACKGROUND = "background"
"""Class 0 of masks."""

OWN_TASKS = {"solids": Task.RECONSTRUCT, "digits": Task.CLASSIFY}
"""Generated sets that are no scenes, and what each serves."""

NAMES = tuple(f"scenes:{level}" for level in (*LEVELS, *OWN_TASKS))

COUNTS = {"train": 4000, "val": 400, "test": 400}


def _nearest(word: str, names: tuple[str, ...]) -> str:
    """The name most like a word."""
    return get_close_matches(word, names, n=1, cutoff=0.0)[0]


class Scenes:
    """One split of the generated scenes: a `Dataset`. Nothing is stored; every scene is drawn when asked for.

    `level` is `std` (1 to 6 objects of 20 to 64 px, 2 distractors), `hard` (1 to 7 of 12 to 64 px, 3),
    `single` (one of 32 to 96 px, 2) or `pairs` (1 to 4 of 28 to 64 px, 2). A class is a shape; in `pairs` it
    is a shape in a texture, such as `disc-stripes`, known by its `label_vectors`, and a fifth of the classes
    is met in the test split only. `count` is 4,000 / 400 / 400 for train / val / test by default; more or
    fewer leave the others as they are. Raises DataError for an unknown level or split, or sizes too small.
    """

    format = "scenes"

    def __init__(
        self,
        level: str = "std",
        split: str = "train",
        count: int | None = None,
        seed: int = 0,
        size: int = 128,
        task: Task = Task.DETECT,
    ) -> None:
        split = split_name(split)
        if task not in TASKS:
            raise DataError(f"scenes hold no truth for the task '{task.value}'")
        if level not in LEVELS:
            nearest = _nearest(f"scenes:{level}", NAMES)
            raise DataError(f"no generated data set 'scenes:{printable(level)}': did you mean '{nearest}'?")
        if split not in COUNTS:
            nearest = _nearest(split, tuple(COUNTS))
            raise DataError(f"scenes:{level} has no split '{printable(split)}': did you mean '{nearest}'?")
        if size < 32 or (count is not None and count < 1) or seed < 0:
            raise DataError(
                f"scenes:{level}: size {size}, count {count}, seed {seed}: give a size of at least 32, "
                "a count of at least 1 and a seed of at least 0"
            )
        self.level, self.split, self.seed, self.side = level, split, seed, size
        self.count = COUNTS[split] if count is None else count
        self.task = task
        names = PAIRS if level == "pairs" else CLASSES
        self.classes = (BACKGROUND, *names) if task is Task.SEGMENT else names
        self.label_vectors: LabelVectors | None = pair_vectors() if level == "pairs" else None
        """What the classes are known by besides their pictures."""
        hidden = self.label_vectors if split != "test" else None
        self.absent: tuple[str, ...] = () if hidden is None else hidden.unseen
        """Classes that no picture of this split shows."""

    @property
    def name(self) -> str:
        return f"scenes:{self.level}"

    @property
    def fingerprint(self) -> str:
        parts = [self.format, VERSION, self.level, self.split, self.count, self.seed, self.side]
        if self.task is not Task.DETECT:
            parts.append(self.task.value)
        return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()

    def __len__(self) -> int:
        return self.count

    def scene(self, index: int) -> Scene:
        """One scene with all its truth: attributes, angles, sizes and the mask of every object."""
        return render_scene(self.level, self.split, self._valid(index), self.seed, self.side)

    def __getitem__(self, index: int) -> Sample:
        """The image, and what the task takes of the scene."""
        scene = self.scene(index)
        frame = Frame(self.size(index), self.size(index), source=self.identity(index))
        key = SampleKey(self.seed, 0, index)
        if self.task is Task.CLASSIFY:
            return Sample(scene.image, None, frame, key=key, label=int(self._labels(scene)[scene.main]))
        mask = self._mask(scene) if self.task is Task.SEGMENT else None
        return Sample(scene.image, self._objects(scene), frame, mask, key=key)

    def identity(self, index: int) -> str:
        return f"{self.level}/{self.split}/{self._valid(index)}"

    def size(self, index: int) -> tuple[int, int]:
        self._valid(index)
        return (self.side, self.side)

    def objects(self, index: int) -> Objects:
        """The objects of one image, which takes drawing it (about a millisecond)."""
        return self._objects(self.scene(index))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """(H, W) class of every pixel, where the task is SEGMENT."""
        return self._mask(self.scene(index))

    def _objects(self, scene: Scene) -> Objects:
        boxes, labels = torch.from_numpy(scene.boxes), torch.from_numpy(self._labels(scene))
        every = Objects(boxes, labels, torch.zeros(len(boxes), dtype=torch.bool))
        alone = self.task in (Task.LOCALIZE, Task.CLASSIFY)
        return every[torch.tensor([scene.main])] if alone else every

    def _mask(self, scene: Scene) -> NDArray[np.uint8]:
        return np.append(0, self._labels(scene)).astype(np.uint8)[scene.instances]

    def _labels(self, scene: Scene) -> NDArray[np.int64]:
        """(N,) class of each object, counted as the task counts them."""
        shape, texture = scene.attributes[:, 0], scene.attributes[:, 2]
        labels = shape * len(TEXTURES) + texture if self.level == "pairs" else shape
        return labels + 1 if self.task is Task.SEGMENT else labels.copy()

    def _valid(self, index: int) -> int:
        if not -self.count <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        return int(index) % self.count


def open_scenes(
    name: str,
    split: str = "train",
    count: int | None = None,
    seed: int = 0,
    size: int | None = None,
    task: Task = Task.DETECT,
) -> Dataset:
    """A split of `scenes` (the level `std`) or `scenes:LEVEL`; of `scenes:solids` or `scenes:digits`, which
    serve one task each.

    `size` is 128 pixels by default, 64 of solids and 28 of digits; `count` and `seed` do nothing to these.
    Raises DataError, naming the nearest name.
    """
    head, colon, level = name.partition(":")
    if head != "scenes":
        nearest = _nearest(name, ("scenes", *NAMES))
        raise DataError(f"no generated data set '{printable(name)}': did you mean '{nearest}'?")
    own = OWN_TASKS.get(level)
    if own is None:
        return Scenes(level if colon else "std", split, count, seed, size or 128, task)
    if task not in (Task.DETECT, own):  # the first is what is asked for where no task is named
        raise DataError(f"scenes:{level} hold no truth for the task '{task.value}', but for '{own.value}'")
    return Digits(split, size or 28) if level == "digits" else Solids(split, count, seed, size or 64)
