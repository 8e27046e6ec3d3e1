"""The stream follows from the seed alone; faults leave a hole and nothing else; workers change nothing."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from neocog.data.loader import Loader, evaluation_batches
from neocog.data.packing import collate
from neocog.errors import DataError, UsageError
from neocog.transforms.recipes import evaluation_recipe, training_recipe
from neocog.types import Batch, Frame, Objects, Sample, SampleKey, Task

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

TRAIN = training_recipe((48, 64))
JUDGE = evaluation_recipe((48, 64))


@dataclass(frozen=True)
class Memory:
    """A data set made up on the spot: picture i is noise of seed i, with i % 4 objects."""

    count: int = 11
    broken: tuple[int, ...] = ()
    with_targets: bool = True
    name: str = "memory"
    format: str = "memory"
    split: str = "train"
    task: Task = Task.DETECT
    classes: tuple[str, ...] = ("a", "b")
    fingerprint: str = "none"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self.broken:
            raise DataError(f"{self.identity(index)}: cannot be read; remove it")
        image = np.random.default_rng(index).integers(0, 256, (*self.size(index), 3), dtype=np.uint8)
        frame = Frame(self.size(index), self.size(index), source=self.identity(index))
        return Sample(image, self.objects(index) if self.with_targets else None, frame)

    def identity(self, index: int) -> str:
        return f"picture {index}"

    def size(self, index: int) -> tuple[int, int]:
        return (60, 80) if index % 3 else (80, 70)

    def objects(self, index: int) -> Objects:
        corners = torch.rand(index % 4, 2, generator=torch.Generator().manual_seed(index)) * 30
        boxes = torch.cat([corners, corners + 25], dim=1)
        return Objects(boxes, torch.full((index % 4,), index % 2), torch.zeros(index % 4, dtype=torch.bool))


def same(a: Batch, b: Batch) -> bool:
    assert a.targets is not None and b.targets is not None
    return (
        torch.equal(a.images, b.images)
        and (a.sizes, a.frames, a.keys, a.step) == (b.sizes, b.frames, b.keys, b.step)
        and all(
            torch.equal(x.boxes, y.boxes)
            and torch.equal(x.labels, y.labels)
            and torch.equal(x.ignore, y.ignore)
            for x, y in zip(a.targets, b.targets, strict=True)
        )
    )


def test_batches_are_the_same_bits_whatever_the_workers() -> None:
    alone = list(Loader(Memory(), TRAIN, batch_size=4, seed=3, steps=7))
    assert [batch.step for batch in alone] == list(range(7))
    for workers in (1, 2):
        batches = list(Loader(Memory(), TRAIN, batch_size=4, seed=3, steps=7, workers=workers))
        assert len(batches) == 7 and all(map(same, alone, batches))


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_is_starting_later(workers: int) -> None:
    whole = list(Loader(Memory(), TRAIN, batch_size=4, steps=9))
    rest = list(Loader(Memory(), TRAIN, batch_size=4, steps=9, start_step=5, workers=workers))
    assert len(rest) == 4 and all(map(same, whole[5:], rest))


def test_every_picture_is_seen_equally_often() -> None:
    """11 pictures in batches of 4: 11 steps are 4 epochs exactly, and no batch is short at a border."""
    batches = list(Loader(Memory(), TRAIN, batch_size=4, steps=11))
    keys = [key for batch in batches for key in batch.keys]
    assert {len(batch) for batch in batches} == {4}
    assert Counter(key.index for key in keys) == dict.fromkeys(range(11), 4)
    for epoch in range(4):
        assert sorted(key.index for key in keys if key.epoch == epoch) == list(range(11))
    orders = {tuple(key.index for key in keys if key.epoch == epoch) for epoch in range(4)}
    assert len(orders) == 4


def test_seeds_give_other_orders_and_draws() -> None:
    one, two = (next(iter(Loader(Memory(), TRAIN, batch_size=11, seed=seed))) for seed in (0, 1))
    assert [key.index for key in one.keys] != [key.index for key in two.keys]
    assert {key.seed for key in two.keys} == {1}


def test_a_batch_larger_than_the_data_runs_over_epochs() -> None:
    (batch,) = Loader(Memory(count=3), TRAIN, batch_size=7, steps=1)
    assert [key.epoch for key in batch.keys] == [0, 0, 0, 1, 1, 1, 2]


def test_an_endless_stream_has_no_length() -> None:
    endless = Loader(Memory(), TRAIN, batch_size=4)
    assert len(list(itertools.islice(endless, 5))) == 5
    with pytest.raises(TypeError, match="endless"):
        len(endless)
    assert len(Loader(Memory(), TRAIN, batch_size=4, start_step=2, steps=7)) == 5


def test_layout_of_a_batch() -> None:
    data = Memory()
    (batch,) = itertools.islice(evaluation_batches(data, lambda sample: sample, batch_size=4), 1)
    assert batch.images.shape == (4, 3, 96, 96) and batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.sizes == ((80, 70), (60, 80), (60, 80), (80, 70))
    assert batch.targets is not None
    for place in range(4):
        sample, (height, width) = data[place], batch.sizes[place]
        want = torch.from_numpy(sample.image).permute(2, 0, 1).float() / 255
        assert torch.equal(batch.images[place, :, :height, :width], want)
        assert not batch.images[place, :, height:].any() and not batch.images[place, :, :, width:].any()
        assert torch.equal(batch.targets[place].boxes, data.objects(place).boxes)
        assert torch.equal(batch.targets[place].labels, data.objects(place).labels)
        assert batch.frames[place] == sample.frame
    assert next(iter(evaluation_batches(data, JUDGE, batch_size=1, stride=1))).images.shape[2:] == (48, 42)


def test_collating_gives_the_loader_s_batch() -> None:
    data = Memory(count=3)
    (batch,) = evaluation_batches(data, JUDGE, batch_size=3)
    samples = [replace(JUDGE(data[place]), key=batch.keys[place]) for place in range(3)]
    assert same(collate(samples), batch)
    mixed = collate([samples[0], replace(samples[1], target=None)], stride=1, step=9)
    assert mixed.targets is None and mixed.step == 9 and mixed.images.shape == (2, 3, 48, 64)


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_goes_once_in_order_and_again(workers: int) -> None:
    loader = evaluation_batches(Memory(), JUDGE, batch_size=4, workers=workers)
    assert len(loader) == 3
    first, second = list(loader), list(loader)
    assert [len(batch) for batch in first] == [4, 4, 3]
    assert [key for batch in first for key in batch.keys] == [SampleKey(0, 0, index) for index in range(11)]
    assert len(second) == 3 and all(map(same, first, second))


def test_an_abandoned_iteration_leaves_the_next_whole() -> None:
    loader = evaluation_batches(Memory(count=40), JUDGE, batch_size=2, workers=2)
    whole = list(loader)
    next(iter(loader))
    assert all(map(same, whole, loader)) and len(list(loader)) == 20


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_picture_leaves_a_hole_and_nothing_else(workers: int) -> None:
    whole = list(Loader(Memory(), TRAIN, batch_size=4, steps=8))
    loader = Loader(Memory(broken=(5,)), TRAIN, batch_size=4, steps=8, workers=workers)
    for full, holed in zip(whole, loader, strict=True):
        kept = [place for place, key in enumerate(full.keys) if key.index != 5]
        assert holed.step == full.step and holed.keys == tuple(full.keys[place] for place in kept)
        assert full.targets is not None and holed.targets is not None
        for place, original in enumerate(kept):
            height, width = holed.sizes[place]
            ours, theirs = holed.images[place], full.images[original]
            assert torch.equal(ours[:, :height, :width], theirs[:, :height, :width])
            assert torch.equal(holed.targets[place].boxes, full.targets[original].boxes)
    assert loader.faults == ["picture 5: cannot be read; remove it"]


def test_an_empty_batch_is_passed_over() -> None:
    steps = [batch.step for batch in evaluation_batches(Memory(broken=(4,)), JUDGE, batch_size=1)]
    assert steps == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("workers", [0, 1])
def test_more_than_a_tenth_unreadable_stops(workers: int) -> None:
    bearable = Loader(Memory(count=20, broken=(1, 2)), JUDGE, batch_size=4, steps=20, workers=workers)
    assert sum(len(batch) for batch in bearable) == 72 and len(bearable.faults) == 2
    with pytest.raises(DataError, match=r"^memory: 3 of 20 images cannot be read[^\n]*picture \d+[^\n]*$"):
        list(Loader(Memory(count=20, broken=(1, 2, 4)), JUDGE, batch_size=4, steps=5, workers=workers))


def test_more_than_a_tenth_of_the_objects_stops() -> None:
    said = r"^memory: 2 of 20 images cannot be read, and with them 6 of 30 objects, more than 10%;"
    with pytest.raises(DataError, match=said):
        list(evaluation_batches(Memory(count=20, broken=(3, 7)), JUDGE, batch_size=4))


class Rare(Memory):
    """Only picture 5 shows an `a`."""

    def objects(self, index: int) -> Objects:
        return replace(super().objects(index), labels=torch.full((index % 4,), int(index != 5)))


def test_a_class_that_vanishes_stops() -> None:
    list(evaluation_batches(Rare(count=20, broken=(9,)), JUDGE, batch_size=4))
    with pytest.raises(DataError, match=r"1 of 20 images .*, and with them every object of class 'a';"):
        list(evaluation_batches(Rare(count=20, broken=(5,)), JUDGE, batch_size=4))


def test_nothing_to_read_is_an_error() -> None:
    with pytest.raises(DataError, match="no images in the split 'train'"):
        Loader(Memory(count=0), TRAIN, batch_size=2)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": -1}, {"start_step": -1}, {"stride": 0}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="loader: needs"):
        Loader(Memory(), TRAIN, **{"batch_size": 2, **options})


@pytest.mark.parametrize("workers", [0, 1])
def test_prediction_has_no_targets(workers: int) -> None:
    (batch,) = evaluation_batches(Memory(count=3, with_targets=False), JUDGE, batch_size=3, workers=workers)
    assert batch.targets is None and len(batch) == 3


@dataclass(frozen=True)
class Counted(Memory):
    """Notes which pictures are read, and gives a mask that no batch needs."""

    reads: list[int] = field(default_factory=list)

    def __getitem__(self, index: int) -> Sample:
        self.reads.append(index)
        sample = super().__getitem__(index)
        return replace(sample, mask=np.zeros(sample.image.shape[:2], np.uint8))


@pytest.mark.parametrize("rooms", [0, 4, 11])
def test_training_keeps_the_pictures_there_is_room_for(rooms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three epochs read a picture that is kept once, any other thrice; the batches are the same bits."""
    largest = 80 * 70 * 4  # a picture and its mask
    monkeypatch.setattr("neocog.data.loader.MEMORY", rooms * largest)
    data = Counted()
    batches = list(Loader(data, TRAIN, batch_size=11, steps=3))
    assert all(map(same, Loader(Memory(), TRAIN, batch_size=11, steps=3), batches))
    read = sorted(Counter(data.reads).values())
    assert read.count(1) >= rooms and set(read) <= {1, 3} and len(read) == 11
    assert rooms > 0 or read == [3] * 11


def test_a_picture_that_is_kept_cannot_be_written_to() -> None:
    def spoil(sample: Sample) -> Sample:
        sample.image[:] = 0
        return sample

    with pytest.raises(ValueError, match="read-only"):
        list(Loader(Memory(), spoil, batch_size=2, steps=1))


def test_an_evaluation_keeps_nothing() -> None:
    data = Counted()
    loader = evaluation_batches(data, JUDGE, batch_size=4)
    assert all(map(same, list(loader), list(loader)))
    assert data.reads == [*range(11), *range(11)]


class Threads(Memory):
    """Notes in each source how many threads PyTorch would use where it is read."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return replace(sample, frame=replace(sample.frame, source=str(torch.get_num_threads())))


def test_workers_use_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (batch,) = evaluation_batches(Threads(count=2), JUDGE, batch_size=2, workers=1)
    finally:
        torch.set_num_threads(before)
    assert {frame.source for frame in batch.frames} == {"1"}


class Deadly(Memory):
    """Picture 5 kills the process that reads it, as the kernel does when memory is short."""

    def __getitem__(self, index: int) -> Sample:
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_the_death_of_a_worker_is_one_clear_error() -> None:
    with pytest.raises(DataError, match=r"^memory: a loader process died \(killed by SIGKILL\)[^\n]*$"):
        for _ in evaluation_batches(Deadly(), JUDGE, batch_size=1, workers=1):
            pass


class Buggy(Memory):
    def __getitem__(self, index: int) -> Sample:
        raise RuntimeError("a bug in the reader")


@pytest.mark.parametrize("workers", [0, 1])
def test_other_errors_pass_through(workers: int) -> None:
    with pytest.raises(RuntimeError, match="a bug in the reader"):
        next(iter(evaluation_batches(Buggy(), JUDGE, batch_size=1, workers=workers)))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_generator_is_left_alone(workers: int) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(Loader(Memory(), TRAIN, batch_size=4, steps=3, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_workers_receive_can_be_pickled() -> None:
    """Where processes are spawned, not forked, the reader and the plan travel."""
    loader = Loader(Memory(), TRAIN, batch_size=4, steps=2)
    reader, plan = pickle.loads(pickle.dumps((loader._reader, loader._plan)))  # noqa: S301
    for request, batch in zip(plan, loader, strict=True):
        assert reader(request).keys == batch.keys
