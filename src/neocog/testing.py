"""Contracts that every model keeps, as functions: call them on your own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from neocog.ops.boxes import clip, iou, shorter_side
from neocog.types import IGNORED_PIXEL, Batch, Frame, Localization, Objects, Proposals, SampleKey


def make_batch(
    objects: list[list[tuple[float, float, float, float, int]]], size: int = 96, seed: int = 0
) -> Batch:
    """A batch of noise pictures with objects (x0, y0, x1, y1, label); every second picture is less wide.

    Each brings 30 proposals, for networks that take their regions from outside: its objects somewhat moved,
    and boxes anywhere. An empty one brings none.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = tuple((size, size if place % 2 == 0 else size - 16) for place in range(len(objects)))
    images = torch.rand(len(objects), 3, size, size, generator=generator)
    for image, (_, width) in zip(images, sizes, strict=True):
        image[:, :, width:] = 0
    targets, proposals = [], []
    for rows, (height, width) in zip(objects, sizes, strict=True):
        boxes = torch.tensor([row[:4] for row in rows], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([row[4] for row in rows], dtype=torch.int64)
        targets.append(Objects(boxes, labels, torch.zeros(len(rows), dtype=torch.bool)))
        moved = boxes.repeat(4, 1) + 8 * torch.rand(4 * len(rows), 4, generator=generator) - 4
        corners = torch.rand(30, 2, generator=generator) * size * 0.7
        anywhere = torch.cat([corners, corners + 4 + size * torch.rand(30, 2, generator=generator)], 1)
        limit = torch.tensor([width, height, width, height])
        found = clip(torch.cat([moved, anywhere]), limit)
        found = found[shorter_side(found) >= 1][: 30 if rows else 0]
        proposals.append(Proposals(found, torch.linspace(1, 0, len(found))))
    return Batch(
        images=images.to(memory_format=torch.channels_last),
        sizes=sizes,
        targets=tuple(targets),
        frames=tuple(Frame(one, one) for one in sizes),
        keys=tuple(SampleKey(seed, 0, place) for place in range(len(objects))),
        proposals=tuple(proposals),
    )


FULL = [(10.0, 10.0, 50.0, 60.0, 0), (30.0, 40.0, 70.0, 90.0, 1)]

CASES: dict[str, list[list[tuple[float, float, float, float, int]]]] = {
    "two images": [FULL, FULL[:1]],
    "one image": [FULL],
    "an empty image": [[]],
    "empty beside full": [[], FULL],
    "a tiny object": [[(5.0, 5.0, 5.5, 5.5, 1)]],
    "an object as large as the image": [[(0.0, 0.0, 96.0, 96.0, 0)]],
}


def check_detector(model: Any) -> None:
    """Assert what every detector promises, on batches with many, few and no objects.

    Losses are finite scalars with gradients; detections lie in the picture, labels in range, scores
    descending in [0, 1]; decoding twice gives the same; the batch stays as it was. `model` knows at least two
    classes, takes pictures of 96 pixels and may lie on any device.
    """
    for name, objects in CASES.items():
        batch = make_batch(objects).to(next(model.parameters()).device)
        before = batch.images.clone()
        _check_loss(model.train(), batch, name)
        _check_decode(model.eval(), batch.without_targets(), name)
        assert torch.equal(before, batch.images), f"{name}: the model changed its batch"


def labelled(batch: Batch, classes: int = 2) -> Batch:
    """The same batch with a class for each picture: 0, 1, ... in turn."""
    labels = torch.arange(len(batch), device=batch.images.device) % classes
    return replace(batch, labels=labels)


def check_classifier(model: Any, size: int | None = None) -> None:
    """Assert what every classifier promises: for one picture, for many, and for those without a label.

    Losses are finite scalars with gradients; the scores of each picture are those of the K classes, lie in
    [0, 1] and add up to 1; decoding twice gives the same; the batch stays as it was. `model` knows at least
    two classes and takes pictures of `size` pixels, or else of its options' `side`; one that averages its map
    takes others, too. It may lie on any device.
    """
    side: int = size or model.options.side
    fixed = not model.options.pool or model.options.first != "convolution"
    for one in (side,) if fixed else (side, side + 13):
        for count in (1, 5):
            name = f"{count} of {one} px"
            batch = labelled(make_batch([[]] * count, one)).to(next(model.parameters()).device)
            before = batch.images.clone()
            _check_loss(model.train(), batch, name)
            _check_scores(model.eval(), batch.without_targets(), name)
            assert torch.equal(before, batch.images), f"{name}: the model changed its batch"


def check_localizer(model: Any, size: int = 96) -> None:
    """Assert what every localizer promises: for pictures with an object, without one, with an ignored one.

    As `check_classifier`, and boxes lie in the picture with their corners in order. `model` knows at least
    two classes and takes pictures of `size` pixels.
    """
    scale = size / 96
    cases = {name: rows for name, rows in CASES.items() if all(len(row) <= 1 for row in rows)}
    cases |= {
        "an object each": [FULL[:1], FULL[1:]],
        "several objects": [FULL],
        "one beside none": [FULL[:1], []],
    }
    for name, objects in cases.items():
        scaled = [[(*(scale * side for side in row[:4]), row[4]) for row in rows] for rows in objects]
        batch = make_batch(scaled, size).to(next(model.parameters()).device)  # type: ignore[arg-type]
        assert batch.targets is not None
        ignored = tuple(replace(one, ignore=torch.ones_like(one.ignore)) for one in batch.targets)
        before = batch.images.clone()
        _check_loss(model.train(), replace(batch, targets=ignored), f"{name}, ignored")
        _check_loss(model, batch, name)
        _check_scores(model.eval(), batch.without_targets(), name)
        assert torch.equal(before, batch.images), f"{name}: the model changed its batch"


def check_learns(model: Any, steps: int = 60) -> None:
    """Assert that a detector of two classes learns one batch by heart: its best boxes become the objects.

    Others may follow them, such as regions that half cover an object, which were not all trained with.
    """
    batch = make_batch([FULL, FULL[1:]]).to(next(model.parameters()).device)
    found = _learn(model, batch, steps)
    for result, target in zip(found, batch.targets or (), strict=True):
        boxes, labels = result.boxes[: len(target)], result.labels[: len(target)]
        overlaps = iou(target.boxes, boxes) * (target.labels[:, None] == labels)
        assert (overlaps.amax(dim=1) > 0.7).all(), f"found {labels.tolist()} at {boxes.tolist()}"


def check_classifier_learns(model: Any, steps: int = 60, size: int | None = None) -> None:
    """Assert that a classifier learns four pictures by heart. `size` is that of `check_classifier`."""
    side: int = size or model.options.side
    batch = labelled(make_batch([[]] * 4, side)).to(next(model.parameters()).device)
    found = [answer.label for answer in _learn(model, batch, steps)]
    assert batch.labels is not None
    assert found == batch.labels.tolist(), f"found {found} for {batch.labels.tolist()}"


def check_localizer_learns(model: Any, steps: int = 60, size: int = 96) -> None:
    """Assert that a localizer learns two pictures by heart: their objects' classes and boxes (IoU > 0.7)."""
    device = next(model.parameters()).device
    scale = size / 96
    rows: Any = [[(*(scale * side for side in row[:4]), row[4])] for row in FULL]
    batch = make_batch(rows, size).to(device)
    for answer, target in zip(_learn(model, batch, steps), batch.targets or (), strict=True):
        overlap = float(iou(target.boxes, answer.box[None]))
        assert answer.label == int(target.labels) and overlap > 0.7, (
            f"found {answer.label} at {answer.box.tolist()}"
        )


def _learn(model: Any, batch: Batch, steps: int) -> Any:
    """What a model answers for a batch after so many steps on it."""
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        losses = model.loss(model(batch), batch)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    for module in model.modules():  # so few steps leave running statistics behind
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    with torch.inference_mode():
        return model.decode(model(batch.without_targets()), batch)


def _check_loss(model: Any, batch: Batch, name: str) -> None:
    model.zero_grad(set_to_none=True)
    losses = model.loss(model(batch), batch)
    assert losses, f"{name}: no losses"
    for key, value in losses.items():
        assert value.ndim == 0 and torch.isfinite(value), f"{name}: loss {key} is {value}"
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients, f"{name}: nothing has a gradient"
    assert all(torch.isfinite(gradient).all() for gradient in gradients), f"{name}: a gradient is not finite"


@torch.inference_mode()
def _check_decode(model: Any, batch: Batch, name: str) -> None:
    output = model(batch)
    results, again = model.decode(output, batch), model.decode(output, batch)
    assert len(results) == len(batch), f"{name}: {len(results)} results for {len(batch)} images"
    for result, repeated, (height, width) in zip(results, again, batch.sizes, strict=True):
        assert torch.equal(result.boxes, repeated.boxes), f"{name}: decoding twice differs"
        limit = result.boxes.new_tensor([width, height, width, height])
        assert (result.boxes >= 0).all() and (result.boxes <= limit).all(), (
            f"{name}: a box leaves the picture"
        )
        assert (result.boxes[:, 2:] >= result.boxes[:, :2]).all(), f"{name}: an inverted box"
        assert (result.labels >= 0).all() and (result.labels < model.classes).all(), (
            f"{name}: a label out of range"
        )
        assert (result.scores >= 0).all() and (result.scores <= 1).all(), f"{name}: a score outside [0, 1]"
        assert (result.scores[1:] <= result.scores[:-1]).all(), f"{name}: scores do not descend"


@torch.inference_mode()
def _check_scores(model: Any, batch: Batch, name: str) -> None:
    """What classifiers and localizers answer."""
    output = model(batch)
    results, again = model.decode(output, batch), model.decode(output, batch)
    assert len(results) == len(batch), f"{name}: {len(results)} results for {len(batch)} images"
    for result, repeated, (height, width) in zip(results, again, batch.sizes, strict=True):
        assert torch.equal(result.scores, repeated.scores), f"{name}: decoding twice differs"
        assert result.scores.shape == (model.classes,), f"{name}: {len(result.scores)} scores"
        assert (result.scores >= 0).all() and abs(float(result.scores.sum()) - 1) < 1e-5, (
            f"{name}: scores do not add up to 1"
        )
        if not isinstance(result, Localization):
            continue
        assert torch.equal(result.box, repeated.box), f"{name}: decoding twice differs"
        limit = result.box.new_tensor([width, height, width, height])
        assert (result.box >= 0).all() and (result.box <= limit).all(), f"{name}: a box leaves the picture"
        assert (result.box[2:] >= result.box[:2]).all(), f"{name}: an inverted box"


def make_masked_batch(count: int, classes: int, size: int = 96, seed: int = 0) -> Batch:
    """As `make_batch`, with masks of `classes`: every object a box of its class on background, class 0.

    Each picture has an ignored seam, and objects labelled in the classes of the masks. Boxes of one class are
    of one colour, so that there is something to learn.
    """
    scale = size / 96
    objects = [
        [
            (8 * scale, 8 * scale, 44 * scale, 60 * scale, 1 + place % (classes - 1)),
            (40 * scale, 32 * scale, 76 * scale, 88 * scale, 1 + (place + 1) % (classes - 1)),
        ]
        for place in range(count)
    ]
    batch = make_batch(objects, size, seed)
    masks = torch.full((count, *batch.images.shape[2:]), IGNORED_PIXEL, dtype=torch.uint8)
    images = batch.images.clone()
    for place, ((height, width), row) in enumerate(zip(batch.sizes, objects, strict=True)):
        masks[place, :height, :width] = 0
        for x0, y0, x1, y1, label in row:
            inside = slice(int(y0), min(int(y1), height)), slice(int(x0), min(int(x1), width))
            masks[place][inside] = label
            colour = torch.tensor([label & 1, label >> 1 & 1, label >> 2 & 1]).view(3, 1, 1)
            images[place][:, inside[0], inside[1]] = (
                0.2 * images[place][:, inside[0], inside[1]] + 0.8 * colour
            )
        masks[place, height // 2] = IGNORED_PIXEL
    return replace(batch, images=images, masks=masks)


def check_segmenter(model: Any) -> None:
    """Assert what every segmenter promises, on pictures of two sizes, odd ones, and empty or ignored masks.

    Losses are finite scalars with gradients; the scores of a pixel lie in [0, 1] and add up to 1; answers are
    as large as their pictures; decoding twice gives the same; the batch stays as it was. `model` knows at
    least two classes, takes pictures of 96 pixels and may lie on any device.
    """
    whole = make_masked_batch(2, model.classes)
    assert whole.masks is not None
    cases = {
        "two sizes": whole,
        "one picture": make_masked_batch(1, model.classes),
        "an odd size": make_masked_batch(2, model.classes, 77),
        "background alone": replace(whole, masks=torch.where(whole.masks == IGNORED_PIXEL, whole.masks, 0)),
        "all ignored": replace(whole, masks=torch.full_like(whole.masks, IGNORED_PIXEL)),
    }
    for name, batch in cases.items():
        batch = batch.to(next(model.parameters()).device)
        before = batch.images.clone()
        _check_loss(model.train(), batch, name)
        _check_pixels(model.eval(), batch.without_targets(), name)
        assert torch.equal(before, batch.images), f"{name}: the model changed its batch"


@torch.inference_mode()
def _check_pixels(model: Any, batch: Batch, name: str) -> None:
    output = model(batch)
    results, again = model.decode(output, batch), model.decode(output, batch)
    assert len(results) == len(batch), f"{name}: {len(results)} results for {len(batch)} pictures"
    for result, repeated, size in zip(results, again, batch.sizes, strict=True):
        scores = result.scores
        assert scores.shape == (model.classes, *size), f"{name}: scores {tuple(scores.shape)} for {size}"
        assert torch.equal(scores, repeated.scores), f"{name}: decoding twice differs"
        assert (scores >= 0).all() and (scores <= 1).all(), f"{name}: a score outside [0, 1]"
        assert ((scores.sum(0) - 1).abs() < 1e-4).all(), f"{name}: scores of a pixel do not add up to 1"


def check_segmenter_learns(model: Any, steps: int = 60, share: float = 0.9, lr: float = 2e-3) -> None:
    """Assert that a segmenter learns one batch by heart: this share of its pixels gets their class."""
    model.to(memory_format=torch.channels_last).train()
    batch = make_masked_batch(2, model.classes).to(next(model.parameters()).device)
    assert batch.masks is not None
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(model(batch), batch)["pixels"].backward()
        optimizer.step()
    model.eval()
    for module in model.modules():  # so few steps leave running statistics behind
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    with torch.inference_mode():
        found = model.decode(model(batch.without_targets()), batch)
    for result, mask in zip(found, batch.masks, strict=True):
        height, width = result.labels.shape
        counted = mask[:height, :width] != IGNORED_PIXEL
        right = (result.labels == mask[:height, :width])[counted].float().mean().item()
        assert right > share, f"{right:.3f} of the pixels have their class"
