"""A batch with every kind of object, and what an untrained YOLO might say of it: for tests of its parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from tests.references.yolo import Object
from torch import Tensor

from neocog.ops.coder import CellCoder, PriorCoder
from neocog.ops.rng import generator
from neocog.parts.cells import Cells, inside_pictures, places_of
from neocog.testing import make_batch
from neocog.types import Batch


def some_batch(ignored: bool = True) -> Batch:
    """Two pictures of other sizes in one tensor; three objects want one cell, one is ignored, one is tiny."""
    rows = [
        [(4.0, 6.0, 40.0, 30.0, 1), (9.0, 9.0, 34.0, 26.0, 2), (50.0, 20.0, 90.0, 80.0, 0)],
        [(30.0, 40.0, 31.0, 40.5, 0), (1.0, 1.0, 79.0, 95.0, 1), (60.0, 60.0, 80.0, 96.0, 2)],
    ]
    batch = make_batch(rows)
    assert batch.targets is not None
    flags = (torch.tensor([False, False, ignored]), torch.tensor([False, ignored, False]))
    targets = [replace(target, ignore=flag) for target, flag in zip(batch.targets, flags, strict=True)]
    return replace(batch, targets=tuple(targets))


def random_cells(batch: Batch, stride: int, boxes: int, classes: int, priors: Tensor | None = None) -> Cells:
    """What an untrained network might say; some boxes come near the objects."""
    shape = batch.images.shape[-2] // stride, batch.images.shape[-1] // stride
    count = shape[0] * shape[1]
    random = torch.Generator().manual_seed(boxes)
    places = places_of(shape, batch.images.device)
    offsets = torch.randn(len(batch), count, boxes, 4, generator=random)
    if priors is None:
        decoded = CellCoder(stride, 96).decode(offsets, places[:, None])
    else:
        decoded = PriorCoder(stride).decode(offsets, places[:, None], priors)
    return Cells(
        shape,
        stride,
        places,
        inside_pictures(places, stride, batch),
        offsets.requires_grad_(),
        decoded,
        torch.randn(len(batch), count, boxes, generator=random).requires_grad_(),
        torch.randn(len(batch), count, 1 if priors is None else boxes, classes, generator=random),
    )


def as_lists(cells: Cells, image: int) -> list[dict[str, Any]]:
    """The cells of one picture, for the references."""
    found = []
    for cell in range(len(cells.places)):
        own = torch.cat([cells.offsets[image, cell], cells.confidences[image, cell, :, None]], dim=1)
        logits = cells.logits[image, cell]
        if len(logits) == len(own) > 1:
            own = torch.cat([own, logits], dim=1)
        found.append({"boxes": own.tolist(), "classes": logits[0].tolist()})
    return found


def as_objects(batch: Batch, image: int) -> list[Object]:
    """The objects of one picture in the order in which cells take them."""
    assert batch.targets is not None
    target = batch.targets[image]
    order = generator(batch.keys[image], "cells").permutation(len(target))
    rows = [
        (*box, label, ignored)
        for box, label, ignored in zip(
            target.boxes.tolist(), target.labels.tolist(), target.ignore.tolist(), strict=True
        )
    ]
    return [rows[place] for place in order]
