"""Operators that ONNX has as one and plain torch does not: torch operators that an export turns into them.

Called without an export they compute, by the library's own functions, what the ONNX operators do, so that a
network made for export can be run and tested in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.ops import roi
from neocog.ops.nms import batched_nms

ABSENT = -1.0
"""The score of what is not there: a place that pads a picture's list, or a box that was dropped."""

LEAST = -0.5
"""Scores above it are of something: between ABSENT and 0."""


@torch.library.custom_op(
    "neocog::kept", mutates_args=(), schema="(Tensor boxes, Tensor scores, float iou) -> Tensor"
)
def kept(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Which boxes non-maximum suppression keeps: 1 or 0 for each (G, K, N) of the scores.

    boxes (G, N, 4) in G groups, scores (G, K, N) of each as K classes; boxes see those of their group and
    class alone. Scores below 0 are of none.
    """
    group, label, place = torch.nonzero(scores > LEAST, as_tuple=True)
    among = group * scores.shape[1] + label
    keep = batched_nms(boxes[group, place], scores[group, label, place], among, iou)
    mask = torch.zeros_like(scores)
    mask[group[keep], label[keep], place[keep]] = 1.0
    return mask


@torch.library.custom_op(
    "neocog::roi_align",
    mutates_args=(),
    schema="(Tensor maps, Tensor boxes, Tensor images, int cells, float scale, int samples, bool aligned) "
    "-> Tensor",
)
def roi_align(
    maps: Tensor, boxes: Tensor, images: Tensor, cells: int, scale: float, samples: int, aligned: bool
) -> Tensor:
    """`neocog.ops.roi.roi_align` to (R, C, cells, cells)."""
    return roi.roi_align(maps, boxes, images, (cells, cells), scale, samples, aligned).contiguous()


@torch.library.custom_op(
    "neocog::roi_pool",
    mutates_args=(),
    schema="(Tensor maps, Tensor boxes, Tensor images, int cells, float scale) -> Tensor",
)
def roi_pool(maps: Tensor, boxes: Tensor, images: Tensor, cells: int, scale: float) -> Tensor:
    """`neocog.ops.roi.roi_pool` to (R, C, cells, cells)."""
    return roi.roi_pool(maps, boxes, images, (cells, cells), scale).contiguous()


@kept.register_fake
def _(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    return torch.empty_like(scores)


@roi_align.register_fake
@roi_pool.register_fake
def _(maps: Tensor, boxes: Tensor, images: Tensor, cells: int, *options: Any) -> Tensor:
    return maps.new_empty(boxes.shape[0], maps.shape[1], cells, cells)


def translations(drops_equal: bool = False) -> dict[Callable[..., Any], Callable[..., Any]]:
    """What an export writes for these operators, and for torch's adaptive mean of maps of any size.

    `drops_equal`: for a runtime that drops a box whose IoU is the threshold, which ONNX keeps.
    """
    from onnxscript import opset18

    op: Any = opset18  # its types know single operators, not what they become together

    def number(value: float) -> Any:
        return op.Constant(value_floats=[value])

    def onnx_kept(boxes: Any, scores: Any, iou: float) -> Any:
        every, limit = op.Shape(boxes, start=1, end=2), number(_limit(iou, drops_equal))
        chosen = op.NonMaxSuppression(boxes, scores, every, limit, number(LEAST))  # (n, 3)
        ones = op.Expand(number(1.0), op.Shape(chosen, start=0, end=1))
        return op.ScatterND(op.Expand(number(0.0), op.Shape(scores)), chosen, ones)

    def onnx_align(
        maps: Any, boxes: Any, images: Any, cells: int, scale: float, samples: int, aligned: bool
    ) -> Any:
        return op.RoiAlign(
            maps,
            boxes,
            images,
            coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
            mode="avg",
            output_height=cells,
            output_width=cells,
            sampling_ratio=samples,
            spatial_scale=scale,
        )

    def onnx_pool(maps: Any, boxes: Any, images: Any, cells: int, scale: float) -> Any:
        column = op.Unsqueeze(op.Cast(images, to=_FLOAT), op.Constant(value_ints=[1]))
        regions = op.Concat(column, boxes, axis=1)
        return op.MaxRoiPool(maps, regions, pooled_shape=[cells, cells], spatial_scale=scale)

    def averages(maps: Any, axis: int, cells: int) -> Any:
        """Weights (cells, n) of the means: cell i is that of cells floor(i n / cells) to ceil of the next."""
        side = op.Shape(maps, start=axis, end=axis + 1)
        steps = op.Constant(value_ints=list(range(cells)))
        count, one = op.Constant(value_ints=[cells]), op.Constant(value_ints=[1])
        first = op.Div(op.Mul(steps, side), count)
        end = op.Div(op.Sub(op.Add(op.Mul(op.Add(steps, one), side), count), one), count)
        first, end = op.Unsqueeze(first, one), op.Unsqueeze(end, one)
        scalar = op.Constant(value_int=0), op.Squeeze(side), op.Constant(value_int=1)
        place = op.Range(*scalar)
        inside = op.And(op.GreaterOrEqual(place, first), op.Less(place, end))
        return op.Div(op.Cast(inside, to=_FLOAT), op.Cast(op.Sub(end, first), to=_FLOAT))

    def onnx_mean(maps: Any, output_size: list[int]) -> Any:
        rows, columns = averages(maps, 2, output_size[0]), averages(maps, 3, output_size[1])
        return op.MatMul(op.MatMul(rows, maps), op.Transpose(columns, perm=[1, 0]))

    return {
        torch.ops.neocog.kept.default: onnx_kept,
        torch.ops.neocog.roi_align.default: onnx_align,
        torch.ops.neocog.roi_pool.default: onnx_pool,
        torch.ops.aten._adaptive_avg_pool2d.default: onnx_mean,
        torch.ops.aten.adaptive_avg_pool2d.default: onnx_mean,
    }


def _limit(iou: float, drops_equal: bool) -> float:
    """The float32 that divides IoUs as `iou` does: no larger; or the next, where equal ones are dropped."""
    near = np.float32(iou)
    if float(near) > iou:
        near = np.nextafter(near, np.float32(-1))
    return float(np.nextafter(near, np.float32(2)) if drops_equal else near)


_FLOAT = 1
"""ONNX's number of float32."""
