"""The nouns of the library, and every convention they follow.

Letters: B images, C channels, H height, W width, K classes (background not counted), N objects in an
image, R regions over the batch, A anchors.

Images: on the disk side an image is a uint8 RGB array (H, W, 3) (`Sample.image`); on the network side it is
float32 RGB in [0, 1], (3, H, W) (`Batch.images`). Mean and standard deviation belong to the backbone.

Boxes: float32 (N, 4), `x0 y0 x1 y1` in pixels, continuous and half-open: width = x1 - x0, and the pixel in
column c covers [c, c + 1). Sampling uses half-pixel centres (`align_corners=False`).

Labels: int64 in 0..K-1. Background exists only as the last column of logits. `Objects.ignore` marks what
the metrics must neither reward nor punish (VOC difficult, COCO crowd).

Masks: uint8 (H, W); pixel value v is class v of the data set, which counts background among its classes where
there is one (VOC's class 0); 255 is ignored.

What a network answers is one of `Detections`, `Segmentation`, `Classification`, `Localization` and
`Reconstruction`; each follows its picture's `Frame` back to the original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED_PIXEL = 255


class Task(StrEnum):
    """What a model answers: which target it learns from and which metric judges it."""

    DETECT = "detect"
    SEGMENT = "segment"
    CLASSIFY = "classify"
    LOCALIZE = "localize"
    RECONSTRUCT = "reconstruct"


@dataclass(frozen=True, slots=True)
class SampleKey:
    """Names one use of one sample. All its randomness follows from these and the operation's name."""

    seed: int
    epoch: int
    index: int


def _expect(name: str, value: Tensor, shape: tuple[int | None, ...], dtype: torch.dtype) -> None:
    """Raise ValueError unless `value` has this dtype and shape (None: any length)."""
    matches = value.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(value.shape, shape, strict=True)
    )
    if not matches or value.dtype != dtype:
        wanted = ", ".join("n" if want is None else str(want) for want in shape)
        raise ValueError(
            f"{name}: expected {dtype} of shape ({wanted}), got {value.dtype} of shape {tuple(value.shape)}"
        )


@dataclass(frozen=True, slots=True)
class Objects:
    """What is there: the ground truth of one image."""

    boxes: Tensor  # (N, 4) float32, pixels
    labels: Tensor  # (N,) int64
    ignore: Tensor  # (N,) bool: difficult or crowd

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _expect("Objects.boxes", self.boxes, (None, 4), torch.float32)
        _expect("Objects.labels", self.labels, (count,), torch.int64)
        _expect("Objects.ignore", self.ignore, (count,), torch.bool)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Tensor) -> Objects:
        """The objects that a mask or an index tensor selects."""
        return Objects(self.boxes[index], self.labels[index], self.ignore[index])

    @classmethod
    def empty(cls) -> Self:
        return cls(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))

    def to(self, device: torch.device) -> Objects:
        return Objects(self.boxes.to(device), self.labels.to(device), self.ignore.to(device))


@dataclass(frozen=True, slots=True)
class Proposals:
    """Where something may be: boxes without a class, best first."""

    boxes: Tensor  # (R, 4) float32, pixels
    scores: Tensor  # (R,) float32

    def __post_init__(self) -> None:
        _expect("Proposals.boxes", self.boxes, (None, 4), torch.float32)
        _expect("Proposals.scores", self.scores, (len(self.boxes),), torch.float32)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Tensor) -> Proposals:
        """The proposals that a mask or an index tensor selects."""
        return Proposals(self.boxes[index], self.scores[index])

    def to(self, device: torch.device) -> Proposals:
        return Proposals(self.boxes.to(device), self.scores.to(device))


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector says is there, best first."""

    boxes: Tensor  # (N, 4) float32, pixels
    scores: Tensor  # (N,) float32 in [0, 1], descending
    labels: Tensor  # (N,) int64

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _expect("Detections.boxes", self.boxes, (None, 4), torch.float32)
        _expect("Detections.scores", self.scores, (count,), torch.float32)
        _expect("Detections.labels", self.labels, (count,), torch.int64)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Tensor) -> Detections:
        """The detections that a mask or an index tensor selects."""
        return Detections(self.boxes[index], self.scores[index], self.labels[index])

    @classmethod
    def empty(cls) -> Self:
        return cls(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))

    def to(self, device: torch.device) -> Detections:
        return Detections(self.boxes.to(device), self.scores.to(device), self.labels.to(device))

    def to_original(self, frame: Frame) -> Detections:
        """From pixels of the network's input to those of the original picture, clipped to it."""
        return Detections(frame.to_original(self.boxes), self.scores, self.labels)


@dataclass(frozen=True, slots=True)
class Classification:
    """What a classifier says of one picture."""

    scores: Tensor  # (K,) float32 in [0, 1], sum 1

    def __post_init__(self) -> None:
        _expect("Classification.scores", self.scores, (None,), torch.float32)

    @property
    def label(self) -> int:
        return int(self.scores.argmax())

    def to(self, device: torch.device) -> Classification:
        return Classification(self.scores.to(device))

    def to_original(self, frame: Frame) -> Classification:
        """Itself: it names no place."""
        return self


@dataclass(frozen=True, slots=True)
class Localization:
    """The one main object of a picture: what it is and where."""

    scores: Tensor  # (K,) float32 in [0, 1], sum 1
    box: Tensor  # (4,) float32 x0 y0 x1 y1, pixels

    def __post_init__(self) -> None:
        _expect("Localization.scores", self.scores, (None,), torch.float32)
        _expect("Localization.box", self.box, (4,), torch.float32)

    @property
    def label(self) -> int:
        return int(self.scores.argmax())

    def to(self, device: torch.device) -> Localization:
        return Localization(self.scores.to(device), self.box.to(device))

    def to_original(self, frame: Frame) -> Localization:
        """From pixels of the network's input to those of the original picture, clipped to it."""
        return Localization(self.scores, frame.to_original(self.box[None])[0])


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A class for every pixel of a picture."""

    scores: Tensor  # (K, H, W) float32 in [0, 1], sum 1 over the classes

    def __post_init__(self) -> None:
        _expect("Segmentation.scores", self.scores, (None, None, None), torch.float32)

    @property
    def labels(self) -> Tensor:
        """(H, W) uint8: the class with the highest score, the first of several."""
        return self.scores.max(dim=0).indices.to(torch.uint8)  # three times as fast as argmax

    def to(self, device: torch.device) -> Segmentation:
        return Segmentation(self.scores.to(device))

    def to_original(self, frame: Frame) -> Segmentation:
        """From pixels of the network's input to those of the original picture: scores mix, labels do not."""
        if frame.matrix == IDENTITY and frame.original == frame.size:
            return self
        return Segmentation(frame.sample_original(self.scores))


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A picture as its code gives it back."""

    image: Tensor  # (3, H, W) float32 in [0, 1]
    code: Tensor  # (D,) float32: what the picture was made of

    def __post_init__(self) -> None:
        _expect("Reconstruction.image", self.image, (3, None, None), torch.float32)
        _expect("Reconstruction.code", self.code, (None,), torch.float32)

    def to(self, device: torch.device) -> Reconstruction:
        return Reconstruction(self.image.to(device), self.code.to(device))

    def to_original(self, frame: Frame) -> Reconstruction:
        """Itself: it is the network's input once more, in that size."""
        return self


Answer = Detections | Segmentation | Classification | Localization | Reconstruction
"""What a network says of one picture."""


Matrix = tuple[float, float, float, float, float, float]
"""An affine map (a, b, c, d, e, f): x' = a x + b y + c, y' = d x + e y + f."""

IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _map_boxes(matrix: Matrix, boxes: Tensor) -> Tensor:
    """Axis-aligned bounds of boxes (N, 4) under an affine map."""
    a, b, c, d, e, f = matrix
    x0, y0, x1, y1 = boxes.unbind(-1)
    xs = torch.stack([a * x + b * y + c for x in (x0, x1) for y in (y0, y1)])
    ys = torch.stack([d * x + e * y + f for x in (x0, x1) for y in (y0, y1)])
    return torch.stack([xs.amin(0), ys.amin(0), xs.amax(0), ys.amax(0)], dim=-1)


@dataclass(frozen=True, slots=True)
class Frame:
    """How an original picture became the network's input, so that predictions find their way back."""

    original: tuple[int, int]  # (height, width) of the picture as shown (after EXIF rotation)
    size: tuple[int, int]  # (height, width) of the network's input, without batch padding
    matrix: Matrix = IDENTITY  # original -> input, in continuous pixel coordinates
    source: str = ""  # file or record, for messages

    def then(self, matrix: Matrix, size: tuple[int, int]) -> Frame:
        """This frame followed by one more affine map, giving a picture of `size` (height, width)."""
        a, b, c, d, e, f = matrix
        p, q, r, s, t, u = self.matrix
        product = (
            a * p + b * s,
            a * q + b * t,
            a * r + b * u + c,
            d * p + e * s,
            d * q + e * t,
            d * r + e * u + f,
        )
        return replace(self, size=size, matrix=product)

    @property
    def inverse(self) -> Matrix:
        """The map input -> original."""
        a, b, c, d, e, f = self.matrix
        det = a * e - b * d
        p, q, s, t = e / det, -b / det, -d / det, a / det
        return (p, q, -(p * c + q * f), s, t, -(s * c + t * f))

    def to_input(self, boxes: Tensor) -> Tensor:
        """Boxes (N, 4) of the original as boxes of the network's input (not clipped)."""
        return _map_boxes(self.matrix, boxes)

    def from_input(self, boxes: Tensor) -> Tensor:
        """Boxes (N, 4) of the network's input as boxes of the original (not clipped)."""
        return _map_boxes(self.inverse, boxes)

    def sample_original(self, maps: Tensor) -> Tensor:
        """Maps (C, H, W) over the network's input, read bilinearly at the original's pixels (C, h, w)."""
        a, b, c, d, e, f = self.matrix
        (height, width), (h, w) = maps.shape[-2:], self.original
        x = torch.arange(w, device=maps.device) + 0.5
        y = torch.arange(h, device=maps.device)[:, None] + 0.5
        across = (a * x + b * y + c) * (2 / width) - 1
        down = (d * x + e * y + f) * (2 / height) - 1
        grid = torch.stack([across, down], dim=-1)[None]
        return F.grid_sample(maps[None], grid, padding_mode="border", align_corners=False)[0]

    def to_original(self, boxes: Tensor) -> Tensor:
        """Boxes as `from_input` gives them, clipped to the original."""
        mapped = self.from_input(boxes)
        height, width = self.original
        limit = torch.tensor([width, height, width, height], dtype=mapped.dtype, device=mapped.device)
        return torch.minimum(mapped.clamp(min=0), limit)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with its truth, before it enters a batch."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    target: Objects | None
    frame: Frame
    mask: np.ndarray | None = None  # (H, W) uint8 class per pixel, 255 ignored
    key: SampleKey = SampleKey(0, 0, 0)
    proposals: Proposals | None = None  # found by something other than the network
    label: int | None = None  # class of the whole picture

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(
                f"Sample.image: expected uint8 of shape (H, W, 3), "
                f"got {self.image.dtype} of shape {self.image.shape}"
            )


def _of_this_batch(count: int) -> int:
    return count


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one step, padded at the right and the bottom to a common size."""

    images: Tensor  # (B, 3, H, W) float32 in [0, 1]
    sizes: tuple[tuple[int, int], ...]  # true (height, width) of each
    targets: tuple[Objects, ...] | None  # None at inference
    frames: tuple[Frame, ...]
    keys: tuple[SampleKey, ...]
    step: int = 0
    proposals: tuple[Proposals, ...] | None = None
    masks: Tensor | None = None  # (B, H, W) uint8 class per pixel, 255 ignored and in the padding
    labels: Tensor | None = None  # (B,) int64 class of each whole picture
    total: Callable[[int], int] = _of_this_batch
    """A count over these pictures -> over all pictures of the step, which several processes may share. Losses
    are divided by such totals, so that what the processes compute adds up to the loss of the whole step."""

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def limits(self) -> Tensor:
        """The true width, height, width, height of each picture (B, 4) float32: the largest corners."""
        return torch.tensor([[w, h, w, h] for h, w in self.sizes], device=self.images.device).float()

    def without_targets(self) -> Batch:
        return replace(self, targets=None, masks=None, labels=None)

    def to(self, device: torch.device) -> Batch:
        return replace(
            self,
            images=self.images.to(device),
            targets=None if self.targets is None else tuple(target.to(device) for target in self.targets),
            proposals=None if self.proposals is None else tuple(p.to(device) for p in self.proposals),
            masks=None if self.masks is None else self.masks.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


def blank_batch(size: tuple[int, int], regions: int = 0) -> Batch:
    """One grey picture of this (height, width) to try a network on, proposed as a whole so many times."""
    whole = torch.tensor([[0.0, 0.0, size[1], size[0]]]).repeat(regions, 1)
    return Batch(
        images=torch.full((1, 3, *size), 0.5),
        sizes=(size,),
        targets=None,
        frames=(Frame(size, size),),
        keys=(SampleKey(0, 0, 0),),
        proposals=(Proposals(whole, torch.zeros(regions)),),
    )


@dataclass(frozen=True, slots=True)
class Features:
    """What a backbone returns: maps by name, and the switches of its poolings where they were asked for."""

    maps: Mapping[str, Tensor]  # name -> (B, C, H / stride, W / stride)
    switches: Mapping[str, Tensor] = field(default_factory=dict)
