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

from neocog.ops.assign import assign
from neocog.ops.nms import batched_nms, nms
from neocog.ops.roi import ps_roi_align, ps_roi_pool, roi_align, roi_pool
from neocog.types import Objects

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

    def pair(name: str, mine: Pool, other: Pool) -> list[Case]:
        label = f"{name} {count // 1000}k"
        return _both_ways(label, (mine, ours, slope_last), (other, theirs, slope))

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


class Maps(NamedTuple):
    """Score maps of R-FCN, and the regions that are read from them."""

    name: str
    images: int
    regions: int  # an image
    bins: int  # a side
    classes: int  # with background
    size: tuple[int, int]  # cells
    stride: int
    shortest: int  # pixels of a side of a region
    longest: int

    def boxes(self) -> tuple[Tensor, Tensor]:
        """Boxes (R, 4) and their images (R,), on whole cells, where torchvision's average is the paper's.

        Theirs rounds to cells, and does not read the last row and column.
        """
        draw = torch.Generator().manual_seed(4)
        count, most = self.images * self.regions, torch.tensor(self.size[::-1]) - 1
        sides = _sizes(count, self.shortest, self.longest, draw) / self.stride
        whole = torch.minimum(sides.round().clamp(min=1), most)
        start = (torch.rand(count, 2, generator=draw) * (most - whole + 1)).floor()
        return torch.cat([start, start + whole], 1) * self.stride, torch.arange(count) % self.images


VOTES = (
    Maps("R-FCN's, 7 x 7, 21 classes, 38 x 50", 1, 300, 7, 21, (38, 50), 16, 32, 400),
    Maps("compact's, 3 x 3, 11 classes, 16 x 16", 16, 130, 3, 11, (16, 16), 8, 12, 80),
)


def vote_cases(case: Maps) -> list[Case]:
    """Position-sensitive pooling: an average, and bilinear samples."""
    draw = torch.Generator().manual_seed(5)
    boxes, index = case.boxes()
    rois, last = torch.cat([index[:, None].float(), boxes], 1), boxes - torch.tensor([0.0, 0, 1, 1])
    bins, scale = (case.bins, case.bins), 1 / case.stride
    theirs = torch.randn(case.images, case.classes * case.bins**2, *case.size, generator=draw)
    slope = torch.randn(len(boxes), case.classes, *bins, generator=draw)

    def ours(maps: Tensor) -> Tensor:
        """The maps of each bin side by side, channels last; theirs are those of each class."""
        split = maps.view(case.images, case.classes, case.bins**2, *case.size).transpose(1, 2)
        return split.reshape(maps.shape).contiguous(memory_format=torch.channels_last)

    def same(a: Any, b: Any) -> bool:
        return _close(a[0], b[0]) and _close(a[1], ours(b[1]))

    slope_last = slope.contiguous(memory_format=torch.channels_last)
    cases = []
    for label, mine, other in (
        (
            "PS-RoI pool",
            lambda f: ps_roi_pool(f, last, index, bins, scale),
            lambda f: torchvision.ops.ps_roi_pool(f, rois, bins, scale),
        ),
        (
            "PS-RoIAlign",
            lambda f: ps_roi_align(f, boxes, index, bins, scale),
            lambda f: torchvision.ops.ps_roi_align(f, rois, bins, scale),
        ),
    ):
        sides = (mine, ours(theirs), slope_last), (other, theirs, slope)
        cases += _both_ways(f"{label}, {case.name}", *sides, same)
    return cases


def assign_case(count: int, objects: int) -> Case:
    """Give each anchor of an RPN its object: torchvision's box_iou and Matcher, as its RPN calls them."""
    boxes, _ = uniform(count, 6)
    truth = uniform(objects, 7)[0]
    target = Objects(truth, torch.zeros(objects).long(), torch.zeros(objects, dtype=torch.bool))
    matcher = torchvision.models.detection._utils.Matcher(0.7, 0.3, allow_low_quality_matches=True)
    return Case(
        f"RPN assignment, {count // 1000}k anchors, {objects} objects",
        lambda: assign(boxes, target, positive=0.7, negative=0.3, force_best=True),
        lambda: matcher(torchvision.ops.box_iou(truth, boxes)),
        torch.equal,
    )


Pool = Callable[[Tensor], Tensor]
Side = tuple[Pool, Tensor, Tensor]  # a pooling, its features, and the slope of what comes out


def _both_ways(
    label: str, ours: Side, theirs: Side, same: Callable[[Any, Any], bool] | None = None
) -> list[Case]:
    """A pooling forward, and forward with its gradient."""

    def step(pool: Pool, features: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        leaf = features.detach().requires_grad_()
        pooled = pool(leaf)
        pooled.backward(slope)
        assert leaf.grad is not None
        return pooled.detach(), leaf.grad

    return [
        Case(f"{label} forward", lambda: ours[0](ours[1]), lambda: theirs[0](theirs[1]), _close),
        Case(
            f"{label} forward + backward",
            lambda: step(*ours),
            lambda: step(*theirs),
            same or (lambda a, b: _close(a[0], b[0]) and _close(a[1], b[1])),
        ),
    ]


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
    cases += [case for maps in VOTES for case in vote_cases(maps)]
    cases += [assign_case(17_100, 8), assign_case(21_546, 40)]
    print(f"{'operator':66}{'ours ms':>10}{'torchvision ms':>16}{'ratio':>8}")
    for case in cases:
        if options.only.lower() in case.name.lower():
            ours, theirs = measure(case, max(options.repeats, 7))
            print(f"{case.name:66}{ours:10.2f}{theirs:16.2f}{theirs / ours:8.1f}", flush=True)


if __name__ == "__main__":
    main()
