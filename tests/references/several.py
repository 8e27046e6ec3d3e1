"""What each of several processes does in tests/test_distributed.py: `python several.py CHECK PATH`.

Started as torchrun starts it: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set. An assertion that fails
in any of them fails the test.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from neocog.cli import main
from neocog.cli.training import run_options
from neocog.data.loader import Loader
from neocog.data.scenes import Scenes
from neocog.distributed.connect import connect
from neocog.distributed.norm import synchronise
from neocog.distributed.peers import ALONE, Group, Peers
from neocog.distributed.shared import require_shared
from neocog.errors import DataError, NeocogError, UsageError
from neocog.evaluate import evaluate
from neocog.plan import Machine
from neocog.predict import STRIDE, Predictor
from neocog.proposals.search import SearchOptions
from neocog.propose import with_proposals
from neocog.run import Run
from neocog.train import Training, TrainOptions, fit
from neocog.transforms.recipes import training_recipe
from neocog.types import Batch, Frame, Objects, Sample
from neocog.zoo import MODELS, create


@dataclass(frozen=True)
class Ragged:
    """Pictures of three shapes, some of which cannot be read."""

    count: int = 40
    broken: tuple[int, ...] = (5, 17, 31)
    name: str = "ragged"
    format: str = "memory"
    split: str = "train"
    classes: tuple[str, ...] = ("a", "b")
    fingerprint: str = "none"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self.broken:
            raise DataError(f"{self.identity(index)}: cannot be read; remove it")
        image = np.random.default_rng(index).integers(0, 256, (*self.size(index), 3), dtype=np.uint8)
        frame = Frame(self.size(index), self.size(index), source=self.identity(index))
        return Sample(image, self.objects(index), frame)

    def identity(self, index: int) -> str:
        return f"picture {index}"

    def size(self, index: int) -> tuple[int, int]:
        return [(64, 40), (64, 64), (40, 64)][index % 3]

    def objects(self, index: int) -> Objects:
        boxes = torch.tensor([[4.0, 6.0, 30.0, 34.0]])
        return Objects(boxes, torch.tensor([index % 2]), torch.zeros(1, dtype=torch.bool))


def loader(data: Any, batch: int, steps: int, peers: Peers, workers: int = 0) -> Loader:
    return Loader(
        data,
        training_recipe((64, 64)),
        batch_size=batch,
        seed=3,
        steps=steps,
        stride=STRIDE,
        workers=workers,
        share=peers.share,
    )


def check_norm(peers: Peers) -> None:
    """Outputs, gradients and statistics are those of the whole batch, however it is shared."""
    assert isinstance(peers, Group)
    generator = torch.Generator().manual_seed(0)
    for shape in ((7, 3, 4, 5), (9, 3)):
        x = torch.randn(shape, generator=generator, dtype=torch.float64) * 2 + 5
        pull = torch.randn(shape, generator=generator, dtype=torch.float64)
        norm = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(3).double()
        nn.init.normal_(norm.weight, generator=generator)
        for cut, idle in ((5, False), (1, False), (shape[0], False), (shape[0], True)):
            ours, theirs = nn.Sequential(copy.deepcopy(norm)), copy.deepcopy(norm)
            names, place = list(ours.state_dict()), ours[0].weight.data_ptr()
            synchronise(ours, peers)
            assert list(ours.state_dict()) == names and ours[0].weight.data_ptr() == place
            own = slice(0, cut) if peers.first else slice(cut, None)
            given, whole = x[own].clone(), x.clone()
            force = pull[own]
            peers.idle = idle and not peers.first
            if peers.idle:  # its picture must not count
                given, force = torch.full_like(x[:1], 1e3), torch.zeros_like(x[:1])
            given.requires_grad_(), whole.requires_grad_()
            result, expected = ours(given), theirs(whole)
            (result * force).sum().backward()
            (expected * pull).sum().backward()
            if not peers.idle:
                torch.testing.assert_close(result, expected[own])
                torch.testing.assert_close(given.grad, whole.grad[own])  # type: ignore[index]
            for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(peers.sum(mine.grad.clone()), other.grad)  # type: ignore[union-attr]
            for mine_, other_ in zip(ours.buffers(), theirs.buffers(), strict=True):
                torch.testing.assert_close(mine_, other_)
            peers.idle = False
            rest = ours.eval()(x), theirs.eval()(x)
            torch.testing.assert_close(*rest)


def check_meetings(peers: Peers) -> None:
    assert isinstance(peers, Group)
    assert peers.gather(peers.rank) == list(range(peers.size))
    assert peers.spread(f"from {peers.rank}") == "from 0"
    assert peers.any(peers.rank == 1) and not peers.any(False)
    assert peers.total(10 + peers.rank) == sum(10 + rank for rank in range(peers.size))
    assert peers.clock(1.5 + peers.rank) == 1.5
    try:
        peers.require_same(peers.rank, "folder")
    except DataError as error:
        assert "folder: not the same in process" in str(error)
    else:
        raise AssertionError("a difference was not noticed")
    for count in (1, 20):
        mine = list(peers.deal(count))
        assert mine == sorted(mine)
        assert sorted(number for own in peers.gather(mine) for number in own) == list(range(count))
    for _ in range(2):
        peers.wait_for_all()
    with TemporaryDirectory() as own:
        require_shared(Path(peers.spread(own)), peers)
        peers.gather(None)
        try:
            require_shared(Path(own), peers)
        except UsageError as error:
            assert "process 1 does not see this folder of the first" in str(error)
        else:
            raise AssertionError("folders of their own were not noticed")
    some, none = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))
    if peers.rank == 1:
        some.grad = torch.full((2, 2), 3.0)
    summed = peers.add_up([some, none], {"a": torch.tensor(1.0 + peers.rank)})
    assert some.grad is not None and some.grad.eq(3).all() and none.grad is None
    assert summed["a"] == sum(range(1, peers.size + 1))


def check_shares(peers: Peers) -> None:
    """The shares of a step are its batch: no picture twice, none lost, padded alike, faults known to all."""
    for batch, workers in ((5, 1), (2, 0), (1, 0)):
        mine, whole = loader(Ragged(), batch, 41, peers, workers), loader(Ragged(), batch, 41, ALONE)
        for own, one in zip(peers.together(mine), whole, strict=True):
            idle = own.frames[0].source == ""
            assert own.step == one.step
            parts = peers.gather(() if idle else own.keys)
            assert tuple(key for part in parts for key in part) == one.keys
            assert own.images.shape[-2:] == one.images.shape[-2:]
            assert own.total(len(own)) == len(one) == len(peers.whole(own).frames)
            if not idle:
                place = one.keys.index(own.keys[0])
                assert torch.equal(own.images, one.images[place : place + len(own)])
        assert sorted(mine.faults) == sorted(whole.faults) and len(mine.faults) == 3
    try:
        list(peers.together(loader(Ragged(broken=tuple(range(12, 20))), 6, 40, peers)))
    except DataError as error:
        assert "cannot be read, more than 10%" in str(error)
    else:
        raise AssertionError("too many faults were not noticed")


def backwards(batch: Batch) -> Batch:
    """The same pictures, the last first: sums over a batch round otherwise, and nothing else changes."""
    assert batch.targets is not None
    return replace(
        batch,
        images=batch.images.flip(0),
        sizes=batch.sizes[::-1],
        targets=batch.targets[::-1],
        frames=batch.frames[::-1],
        keys=batch.keys[::-1],
        proposals=batch.proposals and batch.proposals[::-1],
    )


def losses(
    peers: Peers,
    data: Any,
    batch: int,
    steps: int,
    options: TrainOptions,
    name: str = "faster-rcnn",
    double: bool = True,
    change: Callable[[Batch], Batch] = lambda batch: batch,
) -> list[float]:
    """The total loss of each step, in float64 (`double`) but for what Faster R-CNN itself rounds."""
    torch.manual_seed(0)
    model: Any = create(name, data.classes, "compact", MODELS[name].options("compact", 64))
    model = model.to(memory_format=torch.channels_last)
    if double:
        model.double().rpn.base = model.rpn.base.float()
    synchronise(model, peers)
    training = Training(model, options, steps, peers)
    batches = map(change, peers.together(loader(data, batch, steps, peers)))
    return [sum(step.losses.values()) for step in islice(fit(training, batches), steps)]


def check_losses(peers: Peers, steps: int) -> None:
    """The usual optimizer and rate, shares of 1 and 2 pictures: what one process computes with all three."""
    options = TrainOptions(steps=steps, batch=3, lr=1.5e-3, precision="f32")
    cases: list[tuple[Any, int, int]] = [(Scenes("std", "train", count=20), 3, steps), (Ragged(), 1, 6)]
    for data, batch, many in cases:
        several = losses(peers, data, batch, many, options)
        assert several == peers.spread(several), "the processes saw different losses"
        alone = losses(ALONE, data, batch, many, options) if peers.first else several
        worst = max(abs(a - b) / b for a, b in zip(several, alone, strict=True))
        if peers.first:
            print(f"{len(several)} losses, batch {batch}: largest relative difference {worst:.1e}")
        assert len(several) >= many - 3 and worst < 1e-4


def check_float32(peers: Peers, name: str, steps: int, lr: float) -> None:
    """Several processes change a loss no more than the order of the pictures does in one."""
    data = with_proposals(Scenes("std", "train", count=20), SearchOptions(), None)
    options = TrainOptions(steps=steps, batch=4, lr=lr, precision="f32")
    several = losses(peers, data, 4, steps, options, name, double=False)
    assert len(several) == steps
    if not peers.first:
        return
    alone = losses(ALONE, data, 4, steps, options, name, double=False)
    reordered = losses(ALONE, data, 4, steps, options, name, double=False, change=backwards)
    worst, rounding = (
        max(abs(a - b) / b for a, b in zip(other, alone, strict=True)) for other in (several, reordered)
    )
    print(
        f"{name}, {steps} losses in float32, lr {lr:g}: several processes differ from one by {worst:.1e}, "
        f"one from itself with its pictures in another order by {rounding:.1e}"
    )
    assert worst < max(1e-4, 10 * rounding)


def check_evaluation(peers: Peers) -> None:
    """The same predictions and numbers, in batches of three sizes."""
    data = Scenes("std", "val", count=7)
    torch.manual_seed(0)
    options = MODELS["faster-rcnn"].options("compact", 64)
    model = create("faster-rcnn", data.classes, "compact", options)
    predictor = Predictor(model, data.classes, (64, 64), precision="f32")
    for batch in (1, 3):
        several = evaluate(predictor, data, batch=batch, peers=peers)
        alone = evaluate(predictor, data, batch=batch)
        assert several.indices == alone.indices == tuple(range(7))
        assert several.metrics == alone.metrics
        for mine, other in zip(several.answers, alone.answers, strict=True):
            assert torch.equal(mine.boxes, other.boxes) and torch.equal(mine.scores, other.scores)


def part_of_a_run(out: Path, words: dict[str, Any], stop: int) -> None:
    """A run that is told to stop after a step, in the last process only."""
    with connect(torch.device("cpu")) as peers:
        run = Run(out, run_options(**words), Machine(peers.device, 0, peers=peers))
        for moment in run:
            if moment.step.number == stop - 1 and peers.rank == peers.size - 1:
                run.stop()
        assert run.stopped and run.training.step == stop


def everything(folder: Path) -> None:
    torch.set_num_threads(1)
    plan = json.loads((folder / "plan.json").read_text())
    with connect(torch.device("cpu")) as peers:
        for check in (check_norm, check_meetings, check_shares, check_evaluation):
            check(peers)
        check_losses(peers, plan["steps"])
    os.environ["MASTER_PORT"] = str(plan["ports"][0])
    part_of_a_run(folder / "stopped", plan["words"], plan["stop"])
    for port, words in zip(plan["ports"][1:], plan["commands"], strict=True):
        os.environ["MASTER_PORT"] = str(port)
        assert main(words) == 0


def endless(patience: float) -> int:
    """Meetings without end, until another process is gone. Says when one has happened."""
    try:
        with connect(torch.device("cpu"), patience) as peers:
            while True:
                peers.gather(None)
                print("met", flush=True)
                time.sleep(0.1)
    except NeocogError as error:
        print(f"neocog: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    if sys.argv[1] == "everything":
        everything(Path(sys.argv[2]))
    elif sys.argv[1] == "losses":
        torch.set_num_threads(1)
        with connect(torch.device("cpu")) as group:
            check_losses(group, int(sys.argv[2]))
    elif sys.argv[1] == "float32":
        torch.set_num_threads(1)
        with connect(torch.device("cpu")) as group:
            check_float32(group, sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        sys.exit(endless(float(sys.argv[2])))
