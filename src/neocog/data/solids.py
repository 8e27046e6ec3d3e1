"""`scenes:solids`: sequences of pictures of a shaded solid, in each of which exactly one thing changes.

Kulkarni, Whitney, Kohli, Tenenbaum 2015, "Deep Convolutional Inverse Graphics Network", arXiv:1503.03167,
section 3.2, ask for such mini-batches: of azimuth, elevation, light or identity (`KINDS`), about 1:1:1:10 in
the paper, equally often in its authors' code, and so here by default.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from neocog.data.files import printable, split_name
from neocog.data.solids_render import RANGES, TRAITS, VERSION, Shape, render_solid
from neocog.errors import DataError
from neocog.ops.rng import generator
from neocog.types import Frame, Objects, Sample, SampleKey, Task

GROUP = 20
"""Pictures of a sequence."""

KINDS = (*RANGES, "shape")
"""What changes within a sequence; the label of its pictures is the place of its kind here."""

PAPER_RATIO, CODE_RATIO = (1, 1, 1, 10), (1, 1, 1, 1)
"""How often each kind occurs: in the paper, and in its authors' code."""

COUNTS = {"train": 24_000, "val": 480, "test": 960}
SOLIDS = {"train": 1000, "val": 100, "test": 100}
"""Solids of each split. No two splits share one."""


@dataclass(frozen=True, slots=True)
class Factors:
    """All that a picture follows from."""

    azimuth: float  # degrees, as are the next two; see `solids_render`
    elevation: float
    light: float
    shape: Shape  # (len(TRAITS),) in [0, 1]
    solid: int  # number of the shape among those of its split

    def render(self, size: int = 64) -> NDArray[np.uint8]:
        """The picture (size, size) uint8."""
        return render_solid(self.shape, self.azimuth, self.elevation, self.light, size)


@lru_cache(maxsize=8)
def shapes(split: str, seed: int = 0) -> NDArray[np.float64]:
    """The solids (N, len(TRAITS)) of a split, uniform in [0, 1]."""
    rng = generator(SampleKey(seed, 0, 0), f"solids/{split}/shapes")
    drawn = rng.random((SOLIDS[split], len(TRAITS)))
    drawn.flags.writeable = False
    return drawn


class Solids:
    """One split of the generated solids: a `Dataset`. Nothing is stored; each picture is drawn on demand.

    Picture i belongs to sequence i // 20. Within it, an angle that changes rises from one end of its range to
    the other, once somewhere in each twentieth of it; of a sequence of kind `shape` every picture shows
    another solid. `ratio` says how often each of `KINDS` occurs, in turn. `count`, a multiple of 20, is
    24,000 / 480 / 960 for train / val / test by default. Raises DataError for an unknown split, and for
    numbers that cannot be.
    """

    name, format, task, classes, group = "scenes:solids", "scenes", Task.RECONSTRUCT, KINDS, GROUP

    def __init__(
        self,
        split: str = "train",
        count: int | None = None,
        seed: int = 0,
        size: int = 64,
        ratio: tuple[int, int, int, int] = CODE_RATIO,
    ) -> None:
        split = split_name(split)
        if split not in COUNTS:
            raise DataError(f"scenes:solids has no split '{printable(split)}': there are {', '.join(COUNTS)}")
        self.count = COUNTS[split] if count is None else count
        if size < 16 or self.count < 1 or self.count % GROUP or seed < 0:
            raise DataError(
                f"scenes:solids: size {size}, count {count}, seed {seed}: give a size of at least 16, "
                f"a count that is a multiple of {GROUP} and a seed of at least 0"
            )
        if len(ratio) != len(KINDS) or min(ratio) < 0 or not any(ratio):
            raise DataError(f"scenes:solids: ratio {ratio}: give a number for each of {', '.join(KINDS)}")
        self.split, self.seed, self.side, self.ratio = split, seed, size, ratio
        self._turns = tuple(kind for kind, often in enumerate(ratio) for _ in range(often))

    @property
    def fingerprint(self) -> str:
        parts = (self.format, "solids", VERSION, self.split, self.count, self.seed, self.side, *self.ratio)
        return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()

    def __len__(self) -> int:
        return self.count

    def kind(self, index: int) -> int:
        """What changes in the sequence of this picture: a place in `KINDS`."""
        return self._turns[self._valid(index) // GROUP % len(self._turns)]

    def factors(self, index: int) -> Factors:
        """The truth of one picture."""
        sequence, place = divmod(self._valid(index), GROUP)
        rng = generator(SampleKey(self.seed, 0, sequence), f"solids/{self.split}")
        own, within = rng.random(len(RANGES)), (np.arange(GROUP) + rng.random(GROUP)) / GROUP
        solids = rng.permutation(SOLIDS[self.split])[:GROUP]
        kind = self.kind(index)
        if kind < len(RANGES):
            own[kind] = within[place]
            solids[:] = solids[0]
        low, high = np.array(list(RANGES.values())).T
        azimuth, elevation, light = (low + (high - low) * own).tolist()
        solid = int(solids[place])
        return Factors(azimuth, elevation, light, shapes(self.split, self.seed)[solid], solid)

    def __getitem__(self, index: int) -> Sample:
        """The picture, grey in all three channels, and the kind of its sequence."""
        grey = self.factors(index).render(self.side)
        image = np.repeat(grey[:, :, None], 3, axis=2)
        frame = Frame(self.size(index), self.size(index), source=self.identity(index))
        return Sample(image, None, frame, key=SampleKey(self.seed, 0, index), label=self.kind(index))

    def identity(self, index: int) -> str:
        return f"solids/{self.split}/{self._valid(index)}"

    def size(self, index: int) -> tuple[int, int]:
        self._valid(index)
        return (self.side, self.side)

    def objects(self, index: int) -> Objects:
        """None: the truth of a picture is the picture."""
        self._valid(index)
        return Objects.empty()

    def _valid(self, index: int) -> int:
        if not -self.count <= index < self.count:
            raise IndexError(f"picture {index} of {self.count}")
        return int(index) % self.count
