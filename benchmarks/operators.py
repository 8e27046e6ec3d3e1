"""Our region operators against torchvision's C++ ones on one thread: `python benchmarks/operators.py`.

Both sides get the same numbers in the memory layout each was written for (ours channels last, torchvision's
channels first) and are first checked to agree. Turns alternate, ours then theirs; a turn is one call that
does not count and then enough calls for the clock. The table gives medians over the turns of the processor
time of a call, which neighbours on the machine disturb least. Ratio: theirs / ours.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import torch
from torch import Tensor

from neocog.ops.nms import batched_nms, nms
from neocog.ops.roi import roi_align, roi_pool

try:
    import torchvision
except ImportError:
    print("benchmarks/operators.py needs torchvision beside torch, to compare with: pip install torchvision")
    sys.exit(2)

PICTURE = (800, 1088)  # height and width in pixels of the picture the boxes lie in
MAP = (50, 68)  # its feature map at 1/16
CHANNELS = 256
IOU = 0.5


class Case(NamedTuple):
    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    agree: Callable[[Any, Any], bool]


def clustered(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Boxes (count, 4) scattered about 100 objects, as a detector gives them, and distinct scores."""
    draw = torch.Generator().manual_seed(seed)
    objects = torch.randint(0, 100, (count,), generator=draw)
    centres, sizes = _centres(100, draw), _sizes(100, 24, 384, draw)
    noise = torch.randn(count, 4, generator=draw)
    centre = centres[objects] + 0.12 * noise[:, :2] * sizes[objects]
    size = sizes[objects] * (0.12 * noise[:, 2:]).exp()
    return torch.cat([centre - size / 2, centre + size / 2], 1), torch.randperm(count, generator=draw) / count


def uniform(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Boxes (count, 4) of all sizes anywhere in the picture, and distinct scores."""
    draw = torch.Generator().manual_seed(seed)
    centre, size = _centres(count, draw), _sizes(count, 16, 256, draw)
    return torch.cat([centre - size / 2, centre + size / 2], 1), torch.randperm(count, generator=draw) / count


def _centres(count: int, draw: torch.Generator) -> Tensor:
    return torch.rand(count, 2, generator=draw) * torch.tensor([PICTURE[1], PICTURE[0]])


def _sizes(count: int, least: int, most: int, draw: torch.Generator) -> Tensor:
    """Widths and heights (count, 2), log-uniform, with aspect ratios between 1/2 and 2."""
    side = least * (most / least) ** torch.rand(count, 1, generator=draw)
    stretch = 2 ** (torch.rand(count, 1, generator=draw) - 0.5)
    return torch.cat([side * stretch, side / stretch], 1)


def nms_case(kind: Callable[[int], tuple[Tensor, Tensor]], count: int) -> Case:
    boxes, scores = kind(count)
    return Case(
        f"NMS {count // 1000}k {kind.__name__}",
        lambda: nms(boxes, scores, IOU),
        lambda: torchvision.ops.nms(boxes, scores, IOU),
        torch.equal,
    )


def batched_case(count: int) -> Case:
    boxes, scores = clustered(count)
    groups = torch.randint(0, 80, (count,), generator=torch.Generator().manual_seed(1))
    return Case(
        f"batched NMS {count // 1000}k, 80 classes",
        lambda: batched_nms(boxes, scores, groups, IOU),
        lambda: torchvision.ops.batched_nms(boxes, scores, groups, IOU),
        torch.equal,
    )


def region_cases(count: int) -> list[Case]:
    """Align and max-pool `count` proposals of one picture to 7 x 7."""
    draw = torch.Generator().manual_seed(2)
    boxes = _inside(uniform(count, 3)[0])
    index = torch.zeros(count, dtype=torch.int64)
    rois = torch.cat([index[:, None].float(), boxes], 1)
    theirs = torch.randn(1, CHANNELS, *MAP, generator=draw)
    ours = theirs.contiguous(memory_format=torch.channels_last)
    slope = torch.randn(count, CHANNELS, 7, 7, generator=draw)
    slope_last = slope.contiguous(memory_format=torch.channels_last)

    def step(pool: Callable[[Tensor], Tensor], features: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        leaf = features.detach().requires_grad_()
        pooled = pool(leaf)
        pooled.backward(slope)
        assert leaf.grad is not None
        return pooled.detach(), leaf.grad

    def pair(name: str, mine: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor]) -> list[Case]:
        label = f"{name} {count // 1000}k"
        return [
            Case(f"{label} forward", lambda: mine(ours), lambda: other(theirs), _close),
            Case(
                f"{label} forward + backward",
                lambda: step(mine, ours, slope_last),
                lambda: step(other, theirs, slope),
                lambda a, b: _close(a[0], b[0]) and _close(a[1], b[1]),
            ),
        ]

    align_2 = pair(
        "RoIAlign, 2x2 samples,",
        lambda f: roi_align(f, boxes, index, (7, 7), 1 / 16, 2),
        lambda f: torchvision.ops.roi_align(f, rois, (7, 7), 1 / 16, 2, aligned=True),
    )
    align_0 = pair(
        "RoIAlign, adaptive,",
        lambda f: roi_align(f, boxes, index, (7, 7), 1 / 16),
        lambda f: torchvision.ops.roi_align(f, rois, (7, 7), 1 / 16, aligned=True),
    )
    pool = pair(
        "RoI max-pool",
        lambda f: roi_pool(f, boxes, index, (7, 7), 1 / 16),
        lambda f: torchvision.ops.roi_pool(f, rois, (7, 7), 1 / 16),
    )
    return align_2 + align_0 + pool


def _inside(boxes: Tensor) -> Tensor:
    limit = torch.tensor([PICTURE[1], PICTURE[0]] * 2)
    return torch.minimum(boxes.clamp(min=0), limit)


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal up to the order in which float32 terms are added."""
    return bool(torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max())))


def measure(case: Case, repeats: int) -> tuple[float, float]:
    """Median milliseconds of processor time of ours and theirs, after checking that they agree."""
    if not case.agree(case.ours(), case.theirs()):
        raise SystemExit(f"{case.name}: the two do not agree")
    sides = [(run, _calls(run)) for run in (case.ours, case.theirs)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for (run, calls), record in zip(sides, seconds, strict=True):
            run()  # the other side's turn has emptied the caches and given memory back to the system
            record.append(_seconds(run, calls) / calls)
    return 1000 * statistics.median(seconds[0]), 1000 * statistics.median(seconds[1])


def _calls(run: Callable[[], Any]) -> int:
    """How many calls make up some 20 ms, long enough for the clock."""
    return max(1, round(0.02 / max(_seconds(run, 1), 1e-6)))


def _seconds(run: Callable[[], Any], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="runs of each, at least 7 (default 9)")
    parser.add_argument("--only", default="", help="measure only the cases whose name contains this text")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"1 thread, medians of {max(options.repeats, 7)}; Python {platform.python_version()}, torch "
        f"{torch.__version__}, torchvision {torchvision.__version__}, numba {numba.__version__}, "
        f"{platform.machine()}, boxes in {PICTURE[1]} x {PICTURE[0]} px, map {CHANNELS} x {MAP[0]} x {MAP[1]}"
    )
    cases = [nms_case(kind, count) for kind in (clustered, uniform) for count in (1000, 10000, 50000)]
    cases += [batched_case(count) for count in (1000, 10000, 50000)]
    cases += region_cases(1000) + region_cases(2000)
    print(f"{'operator':44}{'ours ms':>10}{'torchvision ms':>16}{'ratio':>8}")
    for case in cases:
        if options.only.lower() in case.name.lower():
            ours, theirs = measure(case, max(options.repeats, 7))
            print(f"{case.name:44}{ours:10.2f}{theirs:16.2f}{theirs / ours:8.1f}", flush=True)


if __name__ == "__main__":
    main()
