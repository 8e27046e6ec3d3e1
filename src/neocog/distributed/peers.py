"""The processes of one job, and how they meet.

All of them must call the methods of `Peers` in the same order. Those of a process by itself cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.data.loader import Loader
from neocog.errors import DataError, DeviceError
from neocog.types import Batch, Frame, Objects, Proposals, SampleKey

T = TypeVar("T")

LOST = (
    "another process of this run has ended or cannot be reached; start all of them again "
    "(with --resume, train, predict and compare go on from what was saved)"
)


class Peers:
    """The processes of one job, as one of them sees them. This class itself: a process alone."""

    rank, size = 0, 1

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")  # the one that this process works on

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    @property
    def share(self) -> tuple[int, int]:
        """What a `Loader` is given as `share`."""
        return self.rank, self.size

    def total(self, count: int) -> int:
        """A count, summed over all processes."""
        return count

    def gather(self, value: T) -> list[T]:
        """The value that each process has, in their order."""
        return [value]

    def spread(self, value: T) -> T:
        """The value that the first process has."""
        return value

    def any(self, value: bool) -> bool:
        """Whether it is so in one of the processes."""
        return value

    def deal(self, count: int) -> Iterator[int]:
        """The numbers below `count`, each in one of the processes: whoever is free takes the next."""
        return iter(range(count))

    def wait_for_all(self) -> None:
        """Return when all processes have come here. Others may take their time, unlike for a meeting."""

    def clock(self, seconds: float) -> float:
        """What the first process measured: budgets of time need one clock."""
        return seconds

    def require_same(self, value: object, what: str) -> None:
        """Raise DataError unless all processes have the same value."""

    def together(self, loader: Loader) -> Iterable[Batch]:
        """This process's part of each step's batch, for a loader of its `share`."""
        return loader

    def whole(self, batch: Batch) -> Batch:
        """The batch with the frames of all processes' pictures, for a message."""
        return batch

    def start_alike(self, model: nn.Module) -> None:
        """Give the model the weights that the first process's has."""

    def add_up(self, parameters: Sequence[nn.Parameter], losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sum gradients over all processes, in place, and losses, which are returned."""
        return losses


ALONE = Peers()


class Group(Peers):
    """One of several processes. Each method is a meeting: DeviceError if another process is gone."""

    def __init__(self, rank: int, size: int, device: torch.device, store: Any = None) -> None:
        """`store`: where all of them can count, for `deal`."""
        super().__init__(device)
        self.rank, self.size = rank, size
        self._store, self._deals, self._waits = store, 0, 0
        self.idle = False  # nothing of this step's batch is here: this process only keeps the others company
        self._known_faults = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Group:
        return self  # a copied network still has the same company

    def total(self, count: int) -> int:
        value = torch.tensor(0 if self.idle else count)
        with _meeting():
            dist.all_reduce(value)
        return int(value)

    def end(self) -> None:
        """The last meeting, without tensors: gloo's thread frees those of a meeting a little later, for which
        it needs the interpreter; where that has ended meanwhile, the process aborts."""
        with _meeting():
            dist.barrier()

    def gather(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.size
        with _meeting():
            dist.all_gather_object(values, value)
        return values

    def spread(self, value: T) -> T:
        values = [value]
        with _meeting():
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def any(self, value: bool) -> bool:
        return bool(self.rows(torch.tensor([int(value)])).any())

    def deal(self, count: int) -> Iterator[int]:
        self._deals += 1
        while (number := self._count(f"deal/{self._deals}", 1) - 1) < count:
            yield number

    def wait_for_all(self) -> None:
        self._waits += 1
        came = self._count(f"wait/{self._waits}", 1)
        while came < self.size:
            time.sleep(0.1)
            came = self._count(f"wait/{self._waits}", 0)

    def _count(self, key: str, more: int) -> int:
        """What all processes have counted under this key, with so many more."""
        with _meeting():
            return int(self._store.add(key, more))

    def clock(self, seconds: float) -> float:
        value = torch.tensor(seconds, dtype=torch.float64)
        with _meeting():
            dist.broadcast(value, src=0)
        return float(value)

    def require_same(self, value: object, what: str) -> None:
        for rank, other in enumerate(self.gather(value)):
            if other != value:
                raise DataError(f"{what}: not the same in process {rank} as in process {self.rank}")

    def rows(self, row: Tensor) -> Tensor:
        """The row that each process has, one under another."""
        table = [torch.empty_like(row) for _ in range(self.size)]
        with _meeting():
            dist.all_gather(table, row)
        return torch.stack(table)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        with _meeting():
            dist.all_reduce(value)
        return value

    def together(self, loader: Loader) -> Iterator[Batch]:
        """Padded as the whole batch would be. A process that has nothing of a step is given a blank picture.

        A step of which no process has anything is passed over. Raises DataError, in all processes, when all
        that they could not read is too much.
        """
        for batch in loader:
            row = torch.tensor([len(batch), *batch.images.shape[-2:], len(loader.faulty)])
            pictures, heights, widths, faults = self.rows(row).T.tolist()
            if any(count != self._known_faults for count in faults):
                every = {
                    index: line for own in self.gather(dict(loader.faulty)) for index, line in own.items()
                }
                self._known_faults = len(every)  # the same in all processes, though loaders read on meanwhile
                loader.note(every.items())
            if not any(pictures):
                continue
            self.idle = len(batch) == 0
            size = (max(heights), max(widths))
            own = _blank(size, batch.step) if self.idle else _padded(batch, size)
            yield replace(own, total=self.total)

    def whole(self, batch: Batch) -> Batch:
        frames = self.gather(() if self.idle else batch.frames)
        return replace(batch, frames=tuple(frame for own in frames for frame in own))

    @torch.no_grad()
    def start_alike(self, model: nn.Module) -> None:
        for value in model.state_dict().values():
            received = value.contiguous()
            with _meeting():
                dist.broadcast(received, src=0)
            value.copy_(received)

    @torch.no_grad()
    def add_up(self, parameters: Sequence[nn.Parameter], losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """One sum over everything. A parameter that no process has a gradient of keeps none."""
        values = torch.stack(list(losses.values()))
        there = values.new_tensor([parameter.grad is not None for parameter in parameters])
        gradients = [
            parameter.new_zeros(parameter.numel()) if parameter.grad is None else parameter.grad.flatten()
            for parameter in parameters
        ]
        flat = torch.cat([values, there, *gradients])
        if self.idle:
            flat.zero_()
        sizes = [len(values), len(parameters), *(parameter.numel() for parameter in parameters)]
        values, there, *gradients = torch.split(self.sum(flat), sizes)
        for parameter, used, gradient in zip(parameters, there.tolist(), gradients, strict=True):
            if used:
                parameter.grad = torch.empty_like(parameter).copy_(gradient.view_as(parameter))
        return dict(zip(losses, values.unbind(), strict=True))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (C,) float32 of each channel of x (N, C, ...), and the number of values in it."""
        own = 0 if self.idle else x.numel() // x.shape[1]
        row = torch.zeros(2 * x.shape[1] + 1, dtype=torch.float64, device=x.device)
        if own:
            variance, mean = torch.var_mean(wide(x), all_but_channels(x), correction=0)
            torch.cat([mean.double(), variance.double(), row.new_tensor([own])], out=row)
        table = self.rows(row)
        counts = table[:, -1:]
        means, variances = table[:, :-1].chunk(2, dim=1)
        count = counts.sum().clamp(min=1)
        mean = (means * counts).sum(0) / count
        variance = ((variances + (means - mean).square()) * counts).sum(0) / count
        dtype = wide(x).dtype
        return mean.to(dtype), variance.to(dtype), count.to(dtype)


def _padded(batch: Batch, size: tuple[int, int]) -> Batch:
    """The same pictures with more padding."""
    height, width = batch.images.shape[-2:]
    if (height, width) == size:
        return batch
    return replace(batch, images=F.pad(batch.images, (0, size[1] - width, 0, size[0] - height)))


def _blank(size: tuple[int, int], step: int) -> Batch:
    """One black picture without objects or proposals."""
    frame, key = Frame(size, size), SampleKey(0, 0, 0)
    nothing = Proposals(torch.zeros(0, 4), torch.zeros(0))
    images = torch.zeros(1, 3, *size)
    return Batch(images, (size,), (Objects.empty(),), (frame,), (key,), step, proposals=(nothing,))


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32, or float64 where they are."""
    return x if x.dtype == torch.float64 else x.float()


def all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.ndim)]


@contextmanager
def _meeting() -> Iterator[None]:
    """Turn the failure of a meeting into one line."""
    try:
        yield
    except RuntimeError as error:
        raise DeviceError(LOST) from error
