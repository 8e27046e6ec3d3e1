"""Zero-shot detection: classes are known by vectors, so that one can be found that was never shown.

Bansal, Sikka, Sharma, Chellappa, Divakaran 2018, arXiv:1804.04340. The features of a region are projected to
where the label vectors live, and the cosine with each of them takes the place of a score with weights of its
own. Regions come from Faster R-CNN (the paper's came from Edge Boxes, warped), and one set of offsets serves
every class, for an unseen one has none.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.data.label_vectors import LabelVectors, Vector, read_vectors
from neocog.errors import DataError, UsageError
from neocog.models.faster_rcnn import FasterRCNN, FasterRCNNOptions
from neocog.ops.ranges import check_range
from neocog.parts.candidates import Candidates, suppress
from neocog.parts.heads import Head
from neocog.parts.regions import Regions, box_losses, scored_candidates
from neocog.parts.rpn import RPNOutput
from neocog.types import Batch, Detections, Features, Task

Among = Literal["all", "seen", "unseen"]
"""Which classes may be predicted."""


@dataclass(frozen=True)
class ZeroShotOptions:
    """Defaults: the paper's loss, with its static background ("SB"); "LAB" is the latent one.

    The paper assigns latent words in rounds of training; here every step assigns anew, by the network as it
    is.
    """

    embeddings: str = ""  # a file to read label vectors from, {name: [numbers]}; "": the data's own
    unseen: tuple[str, ...] | str = ()  # classes that are not learnt from; text divides them by commas
    background: Literal["static", "latent"] = "static"  # one vector, or the vocabulary, whichever is nearest
    loss: Literal["margin", "softmax"] = "margin"  # the paper's, or cross-entropy
    margin: float = 1.0  # by which the cosine with the own vector is to exceed every other
    temperature: float = 0.05  # cosines are divided by it before a softmax
    reconstruction: float = 0.0  # weight of the squared error with which the vectors give the features back
    calibration: float = 0.0  # taken from the cosines of seen classes where unseen ones compete with them
    vectors: tuple[Vector, ...] = ()  # of the classes, as they were read; (): an axis for each
    unseen_labels: tuple[int, ...] = ()  # `unseen` as they stand in the data
    vocabulary: tuple[Vector, ...] = ()  # of the words read that are no class
    detector: FasterRCNNOptions = FasterRCNNOptions()

    def __post_init__(self) -> None:
        if isinstance(self.unseen, str):
            names = tuple(name.strip() for name in self.unseen.split(",") if name.strip())
            object.__setattr__(self, "unseen", names)
        check_range(self, 0, 2, "margin")
        check_range(self, 1e-3, 10, "temperature")
        check_range(self, 0, 1e3, "reconstruction")
        check_range(self, -2, 2, "calibration")
        if self.detector.training != "joint":
            raise ValueError("detector.training must be joint")
        if self.detector.regions.hard:
            raise ValueError("detector.regions.hard must be false: hard regions are mined by class scores")
        every = self.vectors + self.vocabulary
        sizes = [math.hypot(*vector) for vector in every]
        if len({len(vector) for vector in every}) > 1 or not all(0 < size < math.inf for size in sizes):
            raise ValueError("vectors must be of one length, finite and not zero")


@dataclass(frozen=True, slots=True)
class ZeroShotOutput:
    features: Features
    rpn: RPNOutput
    regions: Regions
    hidden: Tensor  # (R, F) what the head makes of each region
    projected: Tensor  # (R, D) the same among the vectors
    cosines: Tensor  # (R, K + M) with the classes, then with what stands for the background
    deltas: Tensor  # (R, 4) for any class


class ZeroShot(nn.Module):
    """Faster R-CNN up to a region's features, a linear projection, cosines with vectors.

    K classes, M vectors of background, D numbers a vector, R regions over the batch.
    """

    task = Task.DETECT
    search = None  # its regions come from the features
    words: Tensor  # (K + M, D) of unit length
    is_unseen: Tensor  # (K,) bool

    def __init__(self, backbone: Backbone, classes: int, options: ZeroShotOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or ZeroShotOptions()
        self.classes = classes
        self.register_buffer("words", _words(options, classes), persistent=False)
        self.register_buffer("is_unseen", _mask(options.unseen_labels, classes), persistent=False)
        self.detector = FasterRCNN(backbone, 1, options.detector)  # one set of offsets
        self.detector.classes = classes  # but regions keep their labels
        head: Any = self.detector.head
        width: int = head.logits.in_features
        head.logits = nn.Identity()  # features come out in place of scores
        self.project = nn.Linear(width, self.words.shape[1], bias=False)

    @property
    def unseen(self) -> tuple[int, ...]:
        """Labels of the classes that are not learnt from."""
        return self.options.unseen_labels

    @property
    def backbone(self) -> Backbone:
        return self.detector.backbone

    @property
    def head(self) -> Head:
        return self.detector.head

    def forward(self, batch: Batch) -> ZeroShotOutput:
        found = self.detector(batch)
        projected = self.project(found.logits).float()
        with torch.autocast(projected.device.type, enabled=False):  # bf16 keeps too little of a cosine
            cosines = F.normalize(projected, dim=1) @ self.words.T
        return ZeroShotOutput(
            found.features, found.rpn, found.regions, found.logits, projected, cosines, found.deltas
        )

    def loss(self, output: ZeroShotOutput, batch: Batch) -> dict[str, Tensor]:
        """Faster R-CNN's losses, with `classes` over the cosines; raises ValueError for an unseen object.

        Objects of unseen classes must come marked as ignored (`neocog.data.unseen`).
        """
        regions = output.regions
        assert regions.labels is not None
        count = max(batch.total(len(regions)), 1)
        losses = self.detector.rpn.loss(output.rpn, batch)
        losses["classes"] = self._class_loss(output.cosines, regions.labels) / count
        boxes = box_losses(regions, output.deltas, self.classes, self.detector.coder)
        losses["boxes"] = boxes.sum() / count
        if self.options.reconstruction:
            again = output.projected @ self.project.weight  # a linear autoencoder of tied weights
            error = (output.hidden - again).square().sum() / count
            losses["reconstruction"] = self.options.reconstruction * error
        return losses

    def _class_loss(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Over seen classes and background, summed over the regions."""
        background = labels == self.classes
        if self.is_unseen[labels[~background]].any():
            raise ValueError("an object of an unseen class was to be learnt from: mark it as ignored")
        nearest = cosines[:, self.classes :].detach().argmax(dim=1)  # one of one, or the latent word
        labels = torch.where(background, self.classes + nearest, labels)
        unseen = self._over_words(self.is_unseen)
        if self.options.loss == "softmax":
            scaled = cosines / self.options.temperature
            return F.cross_entropy(scaled.masked_fill(unseen, -math.inf), labels, reduction="sum")
        own = cosines.gather(1, labels[:, None])
        short = F.relu(self.options.margin - own + cosines).masked_fill(unseen, 0.0)
        return short.scatter(1, labels[:, None], 0.0).sum()

    def candidates(self, output: ZeroShotOutput, batch: Batch, among: Among = "all") -> Candidates:
        """Every region as every class that it may be, before suppression."""
        scores, least = self.scores(output.cosines, among), self.options.detector.regions.score
        return scored_candidates(output.regions, scores, output.deltas, self.detector.coder, batch, least)

    def decode(self, output: ZeroShotOutput, batch: Batch) -> list[Detections]:
        """Detections of each image among all classes, in pixels of the network's input, best first."""
        return self.decode_among("all", output, batch)

    def decode_among(self, among: Among, output: ZeroShotOutput, batch: Batch) -> list[Detections]:
        """The same where only seen, or only unseen classes can be predicted."""
        options, found = self.options.detector.regions, self.candidates(output, batch, among)
        return suppress(found, len(batch), self.classes, options.nms, options.most)

    def scores(self, cosines: Tensor, among: Among) -> Tensor:
        """Cosines (R, K + M) to the shares (R, K) of the classes that may be predicted, beside background."""
        if among == "all":
            cosines = cosines - self.options.calibration * self._over_words(~self.is_unseen)
        else:
            out = self.is_unseen if among == "seen" else ~self.is_unseen
            cosines = cosines.masked_fill(self._over_words(out), -math.inf)
        return (cosines / self.options.temperature).softmax(dim=1)[:, : self.classes]

    def _over_words(self, mask: Tensor) -> Tensor:
        """A mask of classes (K,) as one of all words (K + M,), false for the background."""
        return F.pad(mask, (0, len(self.words) - self.classes))


def _words(options: ZeroShotOptions, classes: int) -> Tensor:
    """The vectors of the classes and of the background (K + M, D), of unit length.

    The paper's static background is [1, 0, ..., 0] among word vectors, which hardly meets a class; among
    attributes it would be one of them. Here it has an axis of its own.
    """
    if options.vectors and len(options.vectors) != classes:
        raise UsageError(f"{len(options.vectors)} label vectors for {classes} classes")
    if options.background == "latent" and not options.vocabulary:
        raise UsageError(
            "background=latent takes its words from names in the embeddings that are no class: there are none"
        )
    own = torch.tensor(options.vectors, dtype=torch.float32) if options.vectors else torch.eye(classes)
    if options.background == "static":
        own = F.pad(own, (0, 1))
        own = torch.cat([own, F.one_hot(torch.tensor([own.shape[1] - 1]), own.shape[1])])
    else:
        own = torch.cat([own, torch.tensor(options.vocabulary)])
    return F.normalize(own, dim=1)


def with_vectors(options: ZeroShotOptions, classes: Sequence[str], data: Any) -> ZeroShotOptions:
    """Options with the vectors filled in: of the file they name, of the data, or as they are already there.

    `data` may have `label_vectors`; with a file and no unseen classes named, those of the data stay unseen.
    Raises UsageError where there are no vectors, or for an unseen class that is none; DataError for a file
    that lacks a class.
    """
    own: LabelVectors | None = getattr(data, "label_vectors", None)
    if options.embeddings:
        table, source = read_vectors(Path(options.embeddings)), options.embeddings
    elif own is not None:
        table, source = dict(own.vectors), data.name
    elif options.vectors or data is None:
        return replace(options, unseen_labels=_labels(options.unseen, classes))
    else:
        raise UsageError(
            f"zero-shot knows classes by vectors, and {data.name} brings none: give --set embeddings=FILE, "
            'JSON such as {"cat": [0.1, 0.2], ...}, and --set unseen=NAME,NAME; or --data scenes:pairs'
        )
    missing = [name for name in classes if name not in table]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{source}: no vector of the class '{missing[0]}'{more}")
    unseen = options.unseen or (() if own is None else own.unseen)
    return replace(
        options,
        embeddings="",
        unseen=unseen,
        vectors=tuple(table[name] for name in classes),
        unseen_labels=_labels(unseen, classes),
        vocabulary=tuple(vector for name, vector in table.items() if name not in classes),
    )


def _labels(names: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Where these classes stand. Raises UsageError for one that is none, and if they are all."""
    for name in names:
        if name not in classes:
            nearest = difflib.get_close_matches(name, classes, n=1, cutoff=0.0)[0]
            raise UsageError(f"unseen: there is no class '{name}'; the nearest is '{nearest}'")
    if len(set(names)) == len(classes):
        raise UsageError("unseen: these are all the classes, and nothing is left to learn from")
    return tuple(sorted({classes.index(name) for name in names}))


def _mask(labels: Sequence[int], classes: int) -> Tensor:
    mask = torch.zeros(classes, dtype=torch.bool)
    mask[list(labels)] = True
    return mask
