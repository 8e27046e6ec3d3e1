"""From a data set to batches: the order, the workers, and what happens to a picture that cannot be read.

Training reads an endless stream: the permutations of epoch 0, 1, 2, ... one after another, cut into batches
of equal size. A batch may run over the border of two epochs, so every picture is seen equally often and none
is dropped. The number of a step is its place in that stream; it names the batch completely, and resuming is
starting at a later step. Nothing depends on the number of workers.

Of a data set with a `group`, such as the solids, so many consecutive pictures stay together and in order:
groups are permuted, cut into batches and divided among processes, never what is in them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from neocog.data.dataset import Dataset, group_of
from neocog.data.packing import Packed, pack, unpack
from neocog.data.workers import Pool, WorkerDied
from neocog.errors import DataError, UsageError
from neocog.ops.rng import generator
from neocog.types import Batch, Sample, SampleKey

MEMORY = 512 << 20
"""Bytes of decoded pictures that training keeps, over all workers; what is over is read again."""

FAULT_LIMIT = 0.1
"""The share of a data set's pictures that may be unreadable before loading stops."""


CHANGE = 10
"""Steps between two draws of a transform, where there are several (Redmon and Farhadi 2017, YOLOv2)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Several transforms, such as to several sizes, of which the samples of one step all get the same."""

    transforms: tuple[Callable[[Sample], Sample], ...]
    seed: int

    def at(self, step: int) -> Callable[[Sample], Sample]:
        """The one that this step uses: it follows from the seed and the step's number alone."""
        if len(self.transforms) == 1:
            return self.transforms[0]
        draw = generator(SampleKey(self.seed, step // CHANGE, 0), "transform")
        return self.transforms[int(draw.integers(len(self.transforms)))]


class Loader:
    """Batches of one data set. Iterating starts at `start_step` each time; one iteration at a time.

    A picture that cannot be read is left out of its batch and noted once in `faulty`; a batch of which
    nothing is left is not given, and its step number is passed over. Neither changes any other batch.
    """

    faulty: dict[int, str]  # pictures that could not be read, by their place in the data set, and why

    def __init__(
        self,
        dataset: Dataset,
        transform: Callable[[Sample], Sample] | Drawn,
        *,
        batch_size: int,
        seed: int = 0,
        workers: int = 0,
        start_step: int = 0,
        steps: int | None = None,
        stride: int = 32,
        shuffle: bool = True,
        share: tuple[int, int] = (0, 1),
        strict: bool = False,
        only: Sequence[int] | None = None,
    ) -> None:
        """`steps` is where the stream ends (counted from 0, not from `start_step`); None never ends.

        With `shuffle` off the stream is one pass in the data set's order, under epoch 0, and its last batch
        may be smaller. Images are padded to the largest of their batch, rounded up to a multiple of `stride`.

        `share` is (number, how many) of the processes that read the stream together: each step's pictures are
        divided among them, and a batch of which nothing is left is given, empty. With `shuffle` off they take
        turns, a whole batch each.

        With `strict`, the first picture that cannot be read ends an iteration by DataError.

        `only`: with `shuffle` off, the steps that are wanted, in order, in place of all.

        With `shuffle`, a batch must hold whole groups of the data set: UsageError if it cannot.
        """
        if batch_size < 1 or workers < 0 or start_step < 0 or stride < 1:
            raise UsageError(
                f"loader: needs batch_size and stride of 1 or more, workers and start_step of 0 or more; got "
                f"batch_size={batch_size}, stride={stride}, workers={workers}, start_step={start_step}"
            )
        if len(dataset) == 0:
            raise DataError(f"{dataset.name}: no images in the split '{dataset.split}'; choose another split")
        self.faulty = {}
        self._seen: np.ndarray | None = None  # objects of each class; counted when a picture is lost
        self._count = len(dataset)
        self._dataset, self._strict = dataset, strict
        if not shuffle:
            one_pass = math.ceil(self._count / batch_size)
            steps = one_pass if steps is None else min(steps, one_pass)
        group = _group(dataset, batch_size) if shuffle else 1
        self._plan = _Plan(self._count, batch_size, seed, start_step, steps, shuffle, share, group, only)
        self._gives_empty = shuffle and share[1] > 1
        memory = MEMORY // max(workers, 1) if shuffle else 0  # one pass reads nothing twice
        drawn = transform if isinstance(transform, Drawn) else Drawn((transform,), seed)
        self._reader = _Reader(_Memory(dataset, memory), drawn, stride)
        self._workers = workers
        self._idle: Pool[_Request, Packed] | None = None

    def __len__(self) -> int:
        """Steps that an iteration passes; TypeError for an endless stream."""
        return len(self._plan)

    @property
    def faults(self) -> list[str]:
        """One line for each picture that could not be read."""
        return list(self.faulty.values())

    def __iter__(self) -> Iterator[Batch]:
        """Raises DataError when a worker dies, or when more than a tenth of all pictures cannot be read."""
        if self._workers == 0:
            return self._batches(map(self._reader, self._plan))
        # An iteration that runs to its end leaves its processes to the next; any other ends them. They are
        # started here, as a process should not be forked from a thread.
        pool, self._idle = self._idle or Pool(self._reader, self._workers), None
        return _one_ahead(self._batches(self._answers(pool)))

    def _batches(self, answers: Iterator[Packed]) -> Iterator[Batch]:
        for packed in answers:
            self.note(packed.faults)
            if packed.keys or self._gives_empty:
                yield unpack(packed)

    def _answers(self, pool: Pool[_Request, Packed]) -> Iterator[Packed]:
        try:
            yield from pool.map(self._plan)
        except WorkerDied as death:
            pool.close()
            raise DataError(
                f"{self._dataset.name}: a loader process died ({death}), most likely for want of memory; use "
                f"fewer --workers or a smaller --batch"
            ) from death
        except BaseException:
            pool.close()
            raise
        self._idle = pool

    def note(self, faults: Iterable[tuple[int, str]]) -> None:
        """Add to what could not be read, here or in another process; DataError if it is too much.

        As where annotations are read, too much is a tenth of the images or of the objects, or all of a class.
        """
        known = len(self.faulty)
        for index, message in faults:
            self.faulty.setdefault(index, message)
        if len(self.faulty) == known:
            return
        if self._strict:
            raise DataError(f"{self.faults[0]} (strict reading allows none)")
        why = self._too_much()
        if why:
            raise DataError(
                f"{self._dataset.name}: {why}; run `neocog data check` on it. The last: {self.faults[-1]}"
            )

    def _too_much(self) -> str | None:
        """Why what is left must not be used."""
        gone = f"{len(self.faulty)} of {self._count} images cannot be read"
        if len(self.faulty) > FAULT_LIMIT * self._count:
            return f"{gone}, more than {FAULT_LIMIT:.0%}"
        lost = self._objects_of_classes(self.faulty)
        if not lost.any():
            return None
        seen = self._seen if self._seen is not None else self._objects_of_classes(range(self._count))
        self._seen = seen
        if lost.sum() > FAULT_LIMIT * seen.sum():
            return f"{gone}, and with them {lost.sum()} of {seen.sum()} objects, more than {FAULT_LIMIT:.0%}"
        vanished = np.flatnonzero((lost == seen) & (seen > 0))
        if len(vanished):
            return f"{gone}, and with them every object of class '{self._dataset.classes[vanished[0]]}'"
        return None

    def _objects_of_classes(self, images: Iterable[int]) -> np.ndarray:
        """How many objects of each class these images have."""
        count = np.zeros(len(self._dataset.classes), np.int64)
        for index in images:
            count += np.bincount(self._dataset.objects(index).labels.numpy(), minlength=len(count))
        return count


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, while a thread receives the next one: it waits for a pipe, and needs little of the CPU."""
    with ThreadPoolExecutor(1) as receiver:
        coming = receiver.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = receiver.submit(next, batches, None)
            yield batch


def evaluation_batches(
    dataset: Dataset,
    transform: Callable[[Sample], Sample],
    *,
    batch_size: int,
    workers: int = 0,
    stride: int = 32,
    share: tuple[int, int] = (0, 1),
    strict: bool = False,
    only: Sequence[int] | None = None,
) -> Loader:
    """Every picture once, in the data set's order, under epoch 0; the last batch may be smaller.

    `only`: the batches that are wanted, by their numbers from 0, in place of all.
    """
    return Loader(
        dataset,
        transform,
        batch_size=batch_size,
        workers=workers,
        stride=stride,
        shuffle=False,
        share=share,
        strict=strict,
        only=only,
    )


def _group(dataset: Dataset, batch_size: int) -> int:
    """The data set's group, if batches of this size can be made of it."""
    group = group_of(dataset)
    if batch_size % group:
        raise UsageError(
            f"{dataset.name}: pictures stay together in groups of {group}, and batches of {batch_size} would "
            f"cut them; give a --batch that is a multiple of {group}"
        )
    if len(dataset) % group:
        raise DataError(f"{dataset.name}: {len(dataset)} pictures are not whole groups of {group}")
    return group


class _Request(NamedTuple):
    """What one step asks for."""

    step: int
    keys: tuple[SampleKey, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which samples each step uses, computed from the step's number alone."""

    count: int
    batch_size: int
    seed: int
    start: int
    stop: int | None
    shuffle: bool
    share: tuple[int, int]
    group: int = 1  # consecutive samples that stay together; divides `count` and `batch_size`
    only: Sequence[int] | None = None  # steps of one pass

    def __len__(self) -> int:
        if self.stop is None:
            raise TypeError("an endless loader has no length; give it `steps`")
        if self.only is not None:
            return len(self.only[self.share[0] :: self.share[1]])
        return len(range(self._first(), self.stop, self._turns()))

    def _turns(self) -> int:
        return 1 if self.shuffle else self.share[1]

    def _first(self) -> int:
        return self.start + (self.share[0] - self.start) % self._turns()

    def __iter__(self) -> Iterator[_Request]:
        group, groups = self.group, self.count // self.group
        epoch, order = -1, np.arange(groups)
        number, processes = self.share if self.shuffle else (0, 1)
        steps = itertools.count(self._first(), self._turns())
        for step in steps if self.only is None else self.only[self.share[0] :: self.share[1]]:
            if self.stop is not None and step >= self.stop:
                return
            first, end = (
                step * self.batch_size + place * (self.batch_size // group) // processes * group
                for place in (number, number + 1)
            )
            end = end if self.shuffle else min(end, self.count)
            keys = []
            for position in range(first, end):
                if self.shuffle and position // self.count != epoch:
                    epoch = position // self.count
                    order = generator(SampleKey(self.seed, epoch, 0), "order").permutation(groups)
                whole, within = divmod(position % self.count, group)
                index = int(order[whole]) * group + within
                keys.append(SampleKey(self.seed, max(0, epoch), index))
            yield _Request(step, tuple(keys))


class _Memory:
    """Samples of a data set, kept as they were first read until there is no room for more.

    Nothing is ever put out for something newer: over a permutation of everything that would only cost.
    """

    def __init__(self, dataset: Dataset, room: int) -> None:
        self._dataset, self._room = dataset, room
        self._kept: dict[int, Sample] = {}

    def __getitem__(self, index: int) -> Sample:
        """The picture that is kept cannot be written to."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        sample = self._dataset[index]
        arrays = [sample.image] if sample.mask is None else [sample.image, sample.mask]
        size = sum(array.nbytes for array in arrays)
        if size <= self._room:
            self._room -= size
            for array in arrays:
                array.setflags(write=False)
            self._kept[index] = sample
        return sample


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads, transforms and packs one step's samples: what a worker does."""

    samples: _Memory
    transform: Drawn
    stride: int

    def __call__(self, request: _Request) -> Packed:
        samples, faults = [], []
        transform = self.transform.at(request.step)
        for key in request.keys:
            try:
                samples.append(transform(replace(self.samples[key.index], key=key)))
            except DataError as error:
                faults.append((key.index, str(error)))
        return pack(request.step, samples, tuple(faults), self.stride)
