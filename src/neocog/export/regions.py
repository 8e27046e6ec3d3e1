"""Two-stage detectors for export: proposals in places of fixed number, and the regions that are there read.

Everything learnt, and every rule, is the model's own; what differs is that lists have no length of their own.
Letters as in `detections`; P places for the proposals of a picture, R regions over the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.export.detections import report, take
from neocog.export.operators import ABSENT, kept, roi_align, roi_pool
from neocog.export.pictures import Pictures
from neocog.models.fast_rcnn import FastRCNN
from neocog.models.faster_rcnn import FasterRCNN
from neocog.models.fpn import FPN
from neocog.models.rfcn import RFCN
from neocog.models.zero_shot import ZeroShot
from neocog.ops.anchors import grid_anchors
from neocog.ops.boxes import area, clip, shorter_side
from neocog.ops.roi import ps_roi_align_torch, ps_roi_pool_torch
from neocog.parts.fpn import SAMPLES, map_of
from neocog.parts.regions import Regions
from neocog.parts.rpn import RPN

Scored = tuple[Tensor, Tensor, Tensor]
"""The anchors (A, 4) of a map, their logits (B, A, 2) and deltas (B, A, 4)."""


def propose(rpn: RPN, maps: Sequence[Scored], limits: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B, P, 4) of each picture's proposals and whether they are there (B, P) bool.

    As `RPN.candidates` and `RPN.choose`, but nothing is compared by its sigmoid: where that is nearly 1, a
    runtime's rounding would decide.
    """
    options = rpn.options
    before, after = options.before_nms[1], options.after_nms[1]
    boxes, margins = [], []
    for anchors, logits, deltas in maps:
        margin, order = _best(logits[..., 0] - logits[..., 1], before)
        chosen = take(deltas, order), take(anchors[None].expand(order.shape[0], -1, -1), order)
        own = clip(rpn.coder.decode(*chosen), limits[:, None])
        there = (shorter_side(own) >= options.shortest) & (margin > -math.inf)
        rank = torch.arange(before, 0, -1, device=own.device, dtype=own.dtype)  # they are best first
        stay = kept(own, torch.where(there, rank, ABSENT)[:, None], options.nms)[:, 0]
        boxes.append(own)
        margins.append(torch.where(stay > 0, margin, -math.inf))
    margin, places = _best(torch.cat(margins, dim=1), after)
    return take(torch.cat(boxes, dim=1), places), margin > -math.inf


def propose_on(model: Any, maps: Mapping[str, Tensor], limits: Tensor) -> tuple[Tensor, Tensor]:
    """`propose` of a model whose RPN reads one of these maps."""
    seen, rpn = maps[model.options.level], model.rpn
    anchors = grid_anchors(rpn.base, (seen.shape[2], seen.shape[3]), rpn.stride)
    return propose(rpn, [(anchors, *rpn.score(seen))], limits)


def _best(margins: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The highest margins (B, N) of each picture and their places: (B, most). Minus infinity fills up."""
    found, places = F.pad(margins, (0, most), value=-math.inf).topk(most, dim=-1)
    return found, places


class Faster:
    """Faster R-CNN: how regions are proposed, and what is said of them."""

    def __init__(self, model: FasterRCNN) -> None:
        self.model, self.coder, self.options = model, model.coder, model.options.regions

    def propose(self, batch: Any) -> tuple[Any, Tensor, Tensor]:
        """What regions are read from, the proposals' boxes (B, P, 4), and whether they are there (B, P)."""
        model = self.model
        maps = model.backbone(batch.images, until=model.last).maps
        return maps[model.options.region_level], *propose_on(model, maps, batch.limits)

    def look(self, seen: Any, regions: Regions) -> tuple[Tensor, Tensor]:
        """Scores (R, K) and deltas (R, 4 D) of regions."""
        logits, deltas = self.head(seen, regions)
        return logits.softmax(dim=1)[:, :-1], deltas

    def head(self, seen: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """What the head makes of the regions: logits (R, K + 1), or features, and deltas."""
        model = self.model
        options: Any = model.options
        where = (seen, regions.boxes, regions.images, options.pool, 1 / model.stride)
        pooled = roi_align(*where, 0, True) if options.align else roi_pool(*where)
        if not options.hidden:
            pooled = model.backbone.after(getattr(options, "region_level", options.level), pooled)
        found: tuple[Tensor, Tensor] = model.head(pooled)
        return found


class Fast(Faster):
    """Fast R-CNN: regions come with the pictures (B, P, 4), those without area filling up."""

    model: Any

    def propose(self, batch: Any) -> tuple[Any, Tensor, Tensor]:
        seen = self.model.backbone(batch.images, until=self.model.options.level)
        return seen.maps[self.model.options.level], batch.regions, area(batch.regions) > 0


class ByVectors(Faster):
    """Zero-shot detection: Faster R-CNN's features, and cosines with the classes' vectors."""

    def __init__(self, model: ZeroShot) -> None:
        super().__init__(model.detector)
        self.whole = model

    def look(self, seen: Any, regions: Regions) -> tuple[Tensor, Tensor]:
        whole = self.whole
        hidden, deltas = self.head(seen, regions)
        cosines = F.normalize(whole.project(hidden), dim=1) @ whole.words.T
        return whole.scores(cosines, "all"), deltas


class PositionSensitive:
    """R-FCN."""

    def __init__(self, model: RFCN) -> None:
        self.model, self.coder, self.options = model, model.coder, model.options.regions

    def propose(self, batch: Any) -> tuple[Any, Tensor, Tensor]:
        model = self.model
        maps = model.backbone(batch.images, until=model.last).maps
        reduced = model.reduce(maps[model.options.score_level])
        read = model.scores(reduced), model.offsets(reduced)
        return read, *propose_on(model, maps, batch.limits)

    def look(self, seen: Any, regions: Regions) -> tuple[Tensor, Tensor]:
        model = self.model
        bins = (model.options.bins, model.options.bins)
        pool = ps_roi_align_torch if model.options.align else ps_roi_pool_torch
        logits, deltas = (
            pool(maps, regions.boxes, regions.images, bins, 1 / model.stride).mean(dim=(2, 3))
            for maps in seen
        )
        return logits.softmax(dim=1)[:, :-1], deltas


class Pyramid:
    """Faster R-CNN on a feature pyramid."""

    def __init__(self, model: FPN) -> None:
        self.model, self.coder, self.options = model, model.coder, model.options.regions

    def propose(self, batch: Any) -> tuple[Any, Tensor, Tensor]:
        model = self.model
        features = model.backbone(self.canvas(batch), until=model.last)
        pyramid = model.pyramid([features.maps[name] for name in model.options.maps])
        size = (batch.images.shape[2], batch.images.shape[3])
        maps = [
            (model.rpn.anchors(place, one, size), *model.rpn.shared.score(one))
            for place, one in enumerate(pyramid)
        ]
        return pyramid, *propose(model.rpn.shared, maps, batch.limits)

    def canvas(self, batch: Any) -> Tensor:
        """The pictures with the backbone's mean around them, as `FPN.canvas` lays it."""
        images: Tensor = batch.images
        rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
        height, width = batch.given[:, :1], batch.given[:, 1:]
        inside = (rows < height)[:, None, :, None] & (columns < width)[:, None, None]
        return torch.where(inside, images, self.model.backbone.mean)

    def look(self, seen: Any, regions: Regions) -> tuple[Tensor, Tensor]:
        model, options = self.model, self.model.options
        which = map_of(regions.boxes, model.strides, options.canonical)
        pooled = seen[0].new_zeros(regions.boxes.shape[0], options.channels, options.pool, options.pool)
        for place, (maps, stride) in enumerate(zip(seen, model.strides, strict=False)):
            own = torch.nonzero(which == place).squeeze(1)
            where = regions.boxes[own], regions.images[own]
            read = roi_align(maps, *where, options.pool, 1 / stride, SAMPLES, options.aligned)
            pooled = pooled.index_put((own,), read)
        logits, deltas = model.head(pooled)
        return logits.softmax(dim=1)[:, :-1], deltas


class RegionDetector(nn.Module):
    """Pictures to detections by way of regions, for export."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.parts: Any = _PARTS[type(model)](model)

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        return self.detect(Pictures(images, sizes))

    def detect(self, batch: Any) -> tuple[Tensor, ...]:
        """Boxes (n, 4), scores (n,), labels (n,) and pictures (n,)."""
        parts, options = self.parts, self.parts.options
        seen, proposed, there = parts.propose(batch)
        image, place = torch.nonzero(there).unbind(1)
        regions = Regions(proposed[image, place], image)
        scores, deltas = parts.look(seen, regions)
        boxes = parts.coder.decode(deltas.unflatten(1, (-1, 4)), regions.boxes[:, None])
        boxes = clip(boxes, batch.limits[image][:, None])  # (R, D, 4)
        count, places = there.shape
        table = scores.new_full((count, places, scores.shape[1]), ABSENT)
        table = table.index_put((image, place), torch.where(scores > options.score, scores, ABSENT))
        where = boxes.new_zeros(count, places, *boxes.shape[1:]).index_put((image, place), boxes)
        return report(where, table, options.nms, options.most)


class GivenRegionDetector(RegionDetector):
    """The same with regions (B, P, 4) from outside."""

    def forward(self, images: Tensor, sizes: Tensor, regions: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        return self.detect(Pictures(images, sizes, regions))


_PARTS: dict[type[nn.Module], Any] = {
    FasterRCNN: Faster,
    FastRCNN: Fast,
    ZeroShot: ByVectors,
    RFCN: PositionSensitive,
    FPN: Pyramid,
}
