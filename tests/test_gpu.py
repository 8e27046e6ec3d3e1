"""On a GPU: the operators' plain torch versions there, every model, training, and the way several GPUs meet.

A check of its own, `pytest -m gpu`, which fails where there is no GPU: what passed was run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from neocog.cli import main
from neocog.cli.training import run_options
from neocog.distributed.norm import synchronise
from neocog.distributed.peers import ALONE, Group, Peers
from neocog.ops.assign import assign
from neocog.ops.convolve import convolve
from neocog.ops.nms import batched_nms
from neocog.ops.ps_roi import ps_roi_align, ps_roi_pool
from neocog.ops.roi_align import roi_align
from neocog.ops.roi_pool import roi_pool
from neocog.plan import Machine, RunOptions
from neocog.predict import load
from neocog.run import Run
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.train import Training, TrainOptions, fit
from neocog.types import Objects, Task
from neocog.zoo import MODELS, create

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
DETECTORS = [name for name, entry in MODELS.items() if entry.task is Task.DETECT]


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """No shortened f32 in products and convolutions: what is compared with the CPU is the algorithm."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def small(name: str, classes: int = 2) -> Any:
    torch.manual_seed(0)
    return create(name, classes, "compact", MODELS[name].options("compact", 96))


def some_regions(count: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Maps (2, 36, 24, 24), regions (count, 4) and the image of each."""
    torch.manual_seed(1)
    corners = torch.rand(count, 2) * 150
    boxes = torch.cat([corners, corners + 1 + torch.rand(count, 2) * 90], 1)
    return torch.randn(2, 36, 24, 24), boxes, torch.randint(0, 2, (count,))


@pytest.mark.parametrize("pool", [roi_align, roi_pool, ps_roi_align, ps_roi_pool])
def test_pooling_gives_what_the_kernels_of_the_cpu_give(pool: Any) -> None:
    features, boxes, index = some_regions()
    results = []
    for device in ("cpu", "cuda"):
        given = features.to(device).requires_grad_()
        pooled = pool(given, boxes.to(device), index.to(device), (3, 3), 1 / 8)
        (slope,) = torch.autograd.grad(pooled.square().sum(), given)
        results.append((pooled.cpu(), slope.cpu()))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


def test_suppression_and_assignment_are_those_of_the_cpu() -> None:
    _, boxes, groups = some_regions(3000)
    scores = torch.rand(len(boxes)).round(decimals=2)  # with equals
    kept = [batched_nms(boxes.to(d), scores.to(d), groups.to(d), 0.5).cpu() for d in ("cpu", "cuda")]
    assert torch.equal(*kept) and 100 < len(kept[0]) < 2900
    objects = Objects(boxes[:40] + torch.rand(40, 4), groups[:40], torch.arange(40) % 10 == 0)
    found = [
        assign(boxes.to(d), objects.to(torch.device(d)), positive=0.7, negative=0.3, force_best=True).cpu()
        for d in ("cpu", "cuda")
    ]
    assert torch.equal(*found) and {-2, -1} < set(found[0].tolist())


@pytest.mark.parametrize("name", DETECTORS)
def test_every_model_keeps_its_contract(name: str) -> None:
    check_detector(small(name, 3).to(GPU))


@pytest.mark.parametrize("name", ["faster-rcnn", "r-fcn", "ssd", "yolo"])
def test_learns_one_batch_by_heart(name: str) -> None:
    check_learns(small(name).to(GPU))


@pytest.mark.parametrize("name", DETECTORS)
def test_losses_and_gradients_are_those_of_the_cpu(name: str) -> None:
    """Of three pictures, one empty: what is learnt from is drawn for the picture, not the device."""
    model, batch = small(name), make_batch([FULL, FULL[:1], []])
    results = []
    for device in ("cpu", "cuda"):
        here, given = copy.deepcopy(model).to(device), batch.to(torch.device(device))
        losses = here.loss(here(given), given)
        torch.stack(list(losses.values())).sum().backward()
        slopes = {n: p.grad.cpu() for n, p in here.named_parameters() if p.grad is not None}
        results.append(({n: value.item() for n, value in losses.items()}, slopes))
    (losses, slopes), (other_losses, other_slopes) = results
    assert losses == pytest.approx(other_losses, rel=1e-4)
    assert slopes.keys() == other_slopes.keys()
    norm = torch.stack([value.norm() for value in slopes.values()]).norm()
    gap = torch.stack([(slopes[n] - other_slopes[n]).norm() for n in slopes]).norm()
    assert gap < 1e-3 * norm


def options_of(name: str, **training: Any) -> RunOptions:
    data = "scenes:pairs" if name == "zero-shot" else "scenes"
    return run_options(
        name, data, backbone=None, size=None, train_split="train", val_split="none", weights=None,
        settings=[], given={"steps": 12, "batch": 8} | training,
    )  # fmt: skip


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_trains_and_predicts_as_on_the_cpu(name: str, precision: str, tmp_path: Path) -> None:
    """In both precisions; a run of the GPU is one of the CPU too: its best f32 scores agree."""
    if small(name).search is not None:
        pytest.skip("searches 4,000 pictures for regions first")
    run = Run(tmp_path / "run", options_of(name, precision=precision), Machine(device=GPU, workers=1))
    losses = [sum(moment.step.losses.values()) for moment in run]
    assert len(losses) == 12 and losses[-1] < losses[0]
    batch = make_batch([[], []], 128)
    found, expected = (
        load(tmp_path / "run", device, "f32").run(batch.without_targets())[0] for device in ("cuda", "cpu")
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.scores[:5], theirs.scores[:5], rtol=1e-3, atol=1e-4)


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    machine = Machine(device=GPU, workers=1)
    run = Run(tmp_path, options_of("yolo"), machine)
    for moment in run:
        if moment.step.number == 5:
            run.stop()
    assert run.stopped
    again = Run(tmp_path, options_of("yolo"), machine, resume=True)
    assert [moment.step.number for moment in again] == list(range(run.training.step + 1, 13))
    states = again.training.optimizer.state.values()
    assert {value.device.type for state in states for value in state.values() if value.ndim} == {"cuda"}


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    train = ["train", "yolo", "--data", "scenes", "--steps", "20", "--val-split", "none", "--out", str(out)]
    assert main([*train, "--device", "cuda"]) == 0
    assert main(["evaluate", str(out), "--data", "scenes", "--split", "test", "--device", "cuda"]) == 0
    assert main(["doctor"]) == 0
    assert "cuda:0" in capsys.readouterr().out


@pytest.fixture
def one_of_a_group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    """A group of a single process that meets itself by NCCL, as the processes of several GPUs do."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29581")
    dist.init_process_group("cpu:gloo,cuda:nccl", rank=0, world_size=1)
    yield Group(0, 1, torch.device("cuda", 0))
    dist.destroy_process_group()


def test_a_group_on_gpus_trains_as_a_process_alone(one_of_a_group: Group) -> None:
    """Through NCCL's sums, the synchronised BatchNorm and the meetings of small things by gloo."""
    assert one_of_a_group.gather("x") == ["x"] and one_of_a_group.total(3) == 3
    assert first_losses(one_of_a_group) == pytest.approx(first_losses(ALONE), rel=2e-3)


def first_losses(peers: Peers) -> list[float]:
    model = small("yolo").to(GPU).to(memory_format=torch.channels_last)
    synchronise(model, peers)
    options = TrainOptions(steps=3, lr=1e-3, precision="f32")
    batch = make_batch([FULL, FULL[1:]])
    training = Training(model, options, 3, peers)
    batches = (replace(batch, step=step) for step in range(3))
    return [sum(step.losses.values()) for step in fit(training, batches)]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.float32, torch.complex128])
def test_convolution(dtype: torch.dtype) -> None:
    """Every method gives on the GPU what it gives on the CPU, by few taps and by many, with gradients."""
    torch.manual_seed(2)
    for shape, taps in (((300,), (5,)), ((4000,), (900,)), ((40, 50), (3, 4)), ((40, 50), (11, 12))):
        x, h = (
            9 * torch.randn(size, dtype=torch.complex64 if dtype.is_complex else torch.float32)
            for size in (shape, taps)
        )
        x, h = x.to(dtype), h.to(dtype)
        for method in ("auto", "direct", "fft", "overlap-add"):
            a, b = x.to(GPU), h.to(GPU)
            if dtype.is_floating_point or dtype.is_complex:
                a.requires_grad_()
            result = convolve(a, b, "same", method)
            expected = convolve(x, h, "same", "direct")
            assert result.device.type == "cuda"
            near = 1e-3 * float(expected.abs().max()) if dtype != torch.int64 else 0
            torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=near)
            if a.requires_grad:
                (grad,) = torch.autograd.grad(result.abs().float().square().mean(), a)
                assert bool(grad.isfinite().all())
