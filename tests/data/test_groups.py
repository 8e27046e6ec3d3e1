"""Pictures of a group stay together and in order, whatever is shuffled, cut, shared and resumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from neocog.data.loader import Loader, evaluation_batches
from neocog.errors import DataError, UsageError
from neocog.ops.rng import generator
from neocog.types import Batch, Frame, Objects, Sample, SampleKey, Task

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@dataclass(frozen=True)
class Sequences:
    """Grey pictures of value i; `group` of them belong together."""

    count: int = 35
    group: int = 5
    name: str = "sequences"
    format: str = "memory"
    split: str = "train"
    task: Task = Task.RECONSTRUCT
    classes: tuple[str, ...] = ("a", "b")
    fingerprint: str = "none"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        image = np.full((8, 8, 3), index, np.uint8)
        frame = Frame((8, 8), (8, 8), source=self.identity(index))
        return Sample(image, None, frame, label=index // self.group % 2)

    def identity(self, index: int) -> str:
        return f"picture {index}"

    def size(self, index: int) -> tuple[int, int]:
        return (8, 8)

    def objects(self, index: int) -> Objects:
        return Objects.empty()


def plain(sample: Sample) -> Sample:
    return sample


def stream(batches: list[Batch]) -> list[int]:
    return [key.index for batch in batches for key in batch.keys]


def test_groups_are_permuted_and_what_is_in_them_is_not() -> None:
    batches = list(Loader(Sequences(), plain, batch_size=10, seed=1, steps=7))
    order = np.array(stream(batches)).reshape(-1, 5)
    assert (order == order[:, :1] + np.arange(5)).all() and (order[:, 0] % 5 == 0).all()
    for epoch in (order[:7], order[7:]):
        assert sorted(epoch[:, 0]) == list(range(0, 35, 5))
    assert order[:7, 0].tolist() != sorted(order[:7, 0])
    assert order[:7, 0].tolist() != order[7:, 0].tolist()
    for batch in batches:
        assert batch.labels is not None and batch.targets is None
        assert batch.labels.tolist() == [key.index // 5 % 2 for key in batch.keys]


def test_a_group_of_one_is_the_order_there_always_was() -> None:
    """Epoch 0 is the permutation that its generator gives."""
    keys = stream(list(Loader(Sequences(group=1), plain, batch_size=5, seed=3, steps=7)))
    assert keys == generator(SampleKey(3, 0, 0), "order").permutation(35).tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_groups_resume_at_any_step(workers: int) -> None:
    whole = list(Loader(Sequences(), plain, batch_size=10, steps=9))
    rest = list(Loader(Sequences(), plain, batch_size=10, steps=9, start_step=4, workers=workers))
    assert stream(rest) == stream(whole[4:])
    assert [batch.step for batch in rest] == list(range(4, 9))


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_share_groups_and_cut_none(processes: int) -> None:
    whole = list(Loader(Sequences(), plain, batch_size=15, steps=7))
    parts = [
        list(Loader(Sequences(), plain, batch_size=15, steps=7, share=(number, processes)))
        for number in range(processes)
    ]
    for step, batch in enumerate(whole):
        shares = [stream([part[step]]) for part in parts]
        assert all(len(share) % 5 == 0 for share in shares)
        assert [index for share in shares for index in share] == [key.index for key in batch.keys]


def test_a_batch_that_cuts_groups_is_refused_in_training_only() -> None:
    with pytest.raises(UsageError, match="multiple of 5"):
        Loader(Sequences(), plain, batch_size=8)
    with pytest.raises(DataError, match="32 pictures are not whole groups of 5"):
        Loader(Sequences(count=32), plain, batch_size=10)
    assert stream(list(evaluation_batches(Sequences(), plain, batch_size=8))) == list(range(35))
