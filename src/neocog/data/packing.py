"""From samples to a batch, by way of a few flat arrays that travel fast between processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neocog.types import IGNORED_PIXEL, Batch, Frame, Objects, Proposals, Sample, SampleKey


def collate(samples: Sequence[Sample], *, stride: int = 32, step: int = 0) -> Batch:
    """One batch of these samples: padded with 0 at the right and the bottom to the largest, rounded up.

    It has targets when every sample has one.
    """
    return unpack(pack(step, samples, (), stride))


class Packed(NamedTuple):
    """A batch on its way between processes: a few flat arrays, which pickle as fast as they copy."""

    step: int
    images: np.ndarray  # (B, H, W, 3) uint8
    sizes: tuple[tuple[int, int], ...]
    frames: tuple[Frame, ...]
    keys: tuple[SampleKey, ...]
    objects: tuple[np.ndarray, np.ndarray, np.ndarray] | None  # boxes, labels, ignore of all objects
    counts: tuple[int, ...]  # objects of each image
    proposals: tuple[np.ndarray, np.ndarray] | None  # boxes and scores of all proposals
    proposal_counts: tuple[int, ...]
    masks: np.ndarray | None  # (B, H, W) uint8
    labels: np.ndarray | None  # (B,) int64
    faults: tuple[tuple[int, str], ...]


def pack(step: int, samples: Sequence[Sample], faults: tuple[tuple[int, str], ...], stride: int) -> Packed:
    sizes = tuple((sample.image.shape[0], sample.image.shape[1]) for sample in samples)
    height, width = (stride * math.ceil(max(sides) / stride) for sides in zip((0, 0), *sizes, strict=True))
    images = np.zeros((len(samples), height, width, 3), np.uint8)
    for place, sample in enumerate(samples):
        images[place, : sizes[place][0], : sizes[place][1]] = sample.image
    targets = [sample.target for sample in samples if sample.target is not None]
    proposals = [sample.proposals for sample in samples if sample.proposals is not None]
    return Packed(
        step,
        images,
        sizes,
        frames=tuple(sample.frame for sample in samples),
        keys=tuple(sample.key for sample in samples),
        objects=_flat(targets) if targets and len(targets) == len(samples) else None,
        counts=tuple(len(target) for target in targets),
        proposals=_flat_proposals(proposals) if proposals and len(proposals) == len(samples) else None,
        proposal_counts=tuple(len(proposal) for proposal in proposals),
        masks=_padded([sample.mask for sample in samples], images.shape[1:3]),
        labels=_labels([sample.label for sample in samples]),
        faults=faults,
    )


def _padded(masks: list[np.ndarray | None], size: tuple[int, ...]) -> np.ndarray | None:
    """The masks on one canvas each, ignored around them; None unless every picture has one."""
    there = [mask for mask in masks if mask is not None]
    if not there or len(there) < len(masks):
        return None
    canvas = np.full((len(there), *size), IGNORED_PIXEL, np.uint8)
    for place, mask in zip(canvas, there, strict=True):
        place[: mask.shape[0], : mask.shape[1]] = mask
    return canvas


def _labels(labels: list[int | None]) -> np.ndarray | None:
    """The labels as an array; None unless every picture has one."""
    there = [label for label in labels if label is not None]
    return np.array(there, np.int64) if there and len(there) == len(labels) else None


def _flat(targets: list[Objects]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, labels and ignore flags of all images, one after another."""
    return (
        torch.cat([target.boxes for target in targets]).numpy(),
        torch.cat([target.labels for target in targets]).numpy(),
        torch.cat([target.ignore for target in targets]).numpy(),
    )


def _flat_proposals(proposals: list[Proposals]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores of all images, one after another."""
    return (
        torch.cat([proposal.boxes for proposal in proposals]).numpy(),
        torch.cat([proposal.scores for proposal in proposals]).numpy(),
    )


def unpack(packed: Packed) -> Batch:
    """The batch: images float32 in [0, 1] with channels last in memory, targets as views of flat arrays."""
    targets = proposals = None
    if packed.objects is not None:
        targets = tuple(Objects(*fields) for fields in _split(packed.objects, packed.counts))
    if packed.proposals is not None:
        proposals = tuple(Proposals(*fields) for fields in _split(packed.proposals, packed.proposal_counts))
    images = packed.images.astype(np.float32)
    images /= 255  # as torch does, but on one thread: this runs beside a training step
    return Batch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2),
        sizes=packed.sizes,
        targets=targets,
        frames=packed.frames,
        keys=packed.keys,
        step=packed.step,
        proposals=proposals,
        masks=None if packed.masks is None else torch.from_numpy(packed.masks),
        labels=None if packed.labels is None else torch.from_numpy(packed.labels),
    )


def _split(flat: tuple[np.ndarray, ...], counts: tuple[int, ...]) -> Iterator[tuple[Tensor, ...]]:
    """Of each image in turn, its part of every flat array, as tensors that share its memory."""
    return zip(*(torch.split(torch.from_numpy(values), list(counts)) for values in flat), strict=True)
