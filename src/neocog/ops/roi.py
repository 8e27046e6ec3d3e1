"""Region pooling: each box's part of a feature map, resampled to a fixed grid."""

from neocog.ops.ps_roi import ps_roi_align, ps_roi_align_torch, ps_roi_pool, ps_roi_pool_torch
from neocog.ops.roi_align import roi_align, roi_align_maps, roi_align_torch
from neocog.ops.roi_pool import roi_pool, roi_pool_torch

__all__ = [
    "ps_roi_align",
    "ps_roi_align_torch",
    "ps_roi_pool",
    "ps_roi_pool_torch",
    "roi_align",
    "roi_align_maps",
    "roi_align_torch",
    "roi_pool",
    "roi_pool_torch",
]
