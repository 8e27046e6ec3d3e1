"""R-CNN's last stage: a linear SVM and a ridge regression of boxes for each class, on the network's features.

Girshick et al. 2014, arXiv:1311.2524, sections 2.3 and 3.5, appendices B and C; numbers from the authors'
`rcnn_train.m` and `rcnn_train_bbox_regressor.m`. The solvers are scikit-learn's: liblinear, as the authors',
and a Cholesky factorisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from neocog.ops.boxes import iou
from neocog.ops.coder import BoxCoder
from neocog.types import Batch, Objects

NEGATIVE_BELOW = 0.3  # IoU with every object of the class, for the SVMs
REGRESS_ABOVE = 0.6  # IoU with an object, for the boxes
NORM = 20.0  # mean norm that features are scaled to
COST, POSITIVE_WEIGHT, BIAS = 0.001, 2.0, 10.0  # of liblinear
RIDGE = 1000.0
HARD, EASY = -1.0001, -1.2  # margins from which a negative is kept, and below which it is dropped
RETRAIN = 2000  # new hard negatives of a class that call for a new SVM
MOST_REGRESSED = 10_000  # regions of a class that its boxes are learnt from, the first ones

Look = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""images, boxes (R, 4), batch_index (R,) -> features (R, D) and the pooled map as rows (R, P)."""


class LinearScorer(nn.Module):
    """Margins of K linear SVMs and 4K offsets by ridge regression. Empty until `take` gives it its fit."""

    svm_weight: Tensor
    svm_bias: Tensor
    ridge_weight: Tensor
    ridge_bias: Tensor
    is_fitted: Tensor

    def __init__(self, features: int, pooled: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("svm_weight", torch.zeros(classes, features))
        self.register_buffer("svm_bias", torch.zeros(classes))
        self.register_buffer("ridge_weight", torch.zeros(4 * classes, pooled))
        self.register_buffer("ridge_bias", torch.zeros(4 * classes))
        self.register_buffer("is_fitted", torch.zeros((), dtype=torch.int64))

    @property
    def fitted(self) -> bool:
        return bool(self.is_fitted)

    def forward(self, features: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Features (R, D) and pooled maps (R, ...) to margins (R, K) and deltas (R, 4K), float32."""
        margins = features.float() @ self.svm_weight.T + self.svm_bias
        return margins, pooled.flatten(1).float() @ self.ridge_weight.T + self.ridge_bias

    @torch.no_grad()
    def take(self, fit: Fit) -> None:
        """Become what `fit_scorer` found."""
        for name in ("svm_weight", "svm_bias", "ridge_weight", "ridge_bias"):
            value = getattr(fit, name)
            getattr(self, name).copy_(torch.from_numpy(value))
        self.is_fitted.fill_(1)


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights for features as the network gives them, all float32."""

    svm_weight: np.ndarray  # (K, D)
    svm_bias: np.ndarray  # (K,)
    ridge_weight: np.ndarray  # (4K, P)
    ridge_bias: np.ndarray  # (4K,)


@dataclass(slots=True)
class _ClassSVM:
    """What the SVM of one class learns from, and what it has learnt."""

    positives: np.ndarray  # (n, D)
    negatives: list[np.ndarray] = field(default_factory=list)
    fresh: int = 0  # negatives not yet learnt from
    weight: np.ndarray | None = None
    bias: float = 0.0

    def mine(self, features: np.ndarray, seed: int) -> None:
        """Keep the hard ones of these negatives (n, D), and learn anew once there are many."""
        if self.weight is not None:
            features = features[features @ self.weight + self.bias > HARD]
        if len(features):
            self.negatives.append(features)
            self.fresh += len(features)
        if self.weight is None or self.fresh > RETRAIN:
            self.learn(seed)

    def learn(self, seed: int) -> None:
        """Fit the SVM, then drop the negatives that it finds easy."""
        from sklearn.svm import LinearSVC

        if not len(self.positives) or not self.negatives:
            return
        negatives = np.concatenate(self.negatives)
        solver = LinearSVC(
            loss="hinge",
            C=COST,
            class_weight={1: POSITIVE_WEIGHT},
            intercept_scaling=BIAS,
            max_iter=10_000,
            random_state=seed,
        )
        rows = np.concatenate([self.positives, negatives])
        solver.fit(rows, np.repeat([1, 0], [len(self.positives), len(negatives)]))
        self.weight, self.bias = solver.coef_[0], float(solver.intercept_[0])
        self.negatives = [negatives[negatives @ self.weight + self.bias >= EASY]]
        self.fresh = 0


@dataclass(slots=True)
class _ClassBoxes:
    """The regions that the box regression of one class learns from."""

    rows: list[np.ndarray] = field(default_factory=list)  # pooled maps
    targets: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, boxes: Tensor, objects: Tensor, pooled: np.ndarray, coder: BoxCoder) -> None:
        """Keep the boxes (R, 4) that overlap one of the class's objects (n, 4) enough."""
        if len(objects) == 0 or self.count >= MOST_REGRESSED:
            return
        best, which = iou(boxes, objects).max(dim=1)
        near = torch.nonzero(best > REGRESS_ABOVE).squeeze(1)
        self.rows.append(pooled[near.numpy()])
        self.targets.append(coder.encode(objects[which[near]], boxes[near]).numpy())
        self.count += len(near)

    def learn(self, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Weights (4, P) and biases (4,) for maps as the network gives them.

        The authors whiten the four targets first. A ridge regression is linear in its targets, so that with
        one penalty for all this changes nothing, and it is left out.
        """
        from sklearn.linear_model import Ridge

        rows, targets = np.concatenate(self.rows) * scale, np.concatenate(self.targets)
        solver = Ridge(alpha=RIDGE, solver="cholesky").fit(rows, targets)
        return solver.coef_ * scale, solver.intercept_


@dataclass(slots=True)
class _Norms:
    """The factor that brings features to a mean norm of 20."""

    total: float = 0.0
    count: int = 0

    def add(self, rows: np.ndarray) -> None:
        self.total += float(np.linalg.norm(rows, axis=1).sum())
        self.count += len(rows)

    @property
    def scale(self) -> float:
        return NORM * self.count / self.total if self.total > 0 else 1.0


def fit_scorer(
    batches: Callable[[], Iterable[Batch]], look: Look, classes: int, coder: BoxCoder, seed: int = 0
) -> Fit:
    """Fit SVMs and box regressions on the pictures of `batches()`, with targets and proposals, read twice.

    An SVM's positives are the true boxes alone; its negatives are the proposals whose IoU with every object
    of the class is below 0.3, the hard ones of which are kept in one pass. Boxes are learnt from proposals
    with an IoU above 0.6. A class of which there is nothing to learn from never scores above 0.
    """
    true: list[list[np.ndarray]] = [[] for _ in range(classes)]
    feature_norms, map_norms = _Norms(), _Norms()
    for image, boxes, target in _pictures(batches()):
        real = target[~target.ignore]
        features, pooled = _look(look, image, torch.cat([real.boxes, boxes[:_SCALED_BY]]))
        feature_norms.add(features)
        map_norms.add(pooled)
        for row, label in zip(features, real.labels.tolist(), strict=False):
            true[label].append(row)
    svms = [_ClassSVM(np.array(rows).reshape(len(rows), -1) * feature_norms.scale) for rows in true]
    regressions = [_ClassBoxes() for _ in true]
    for image, boxes, target in _pictures(batches()):
        features, pooled = _look(look, image, boxes)
        for label, (svm, regression) in enumerate(zip(svms, regressions, strict=True)):
            own = target[target.labels == label]  # of ignored ones a negative keeps away, too
            best = iou(boxes, own.boxes).amax(dim=1) if len(own) else torch.zeros(len(boxes))
            svm.mine(features[(best < NEGATIVE_BELOW).numpy()] * feature_norms.scale, seed)
            regression.add(boxes, own.boxes[~own.ignore], pooled, coder)
    return _fitted(svms, regressions, feature_norms.scale, map_norms.scale, seed)


_SCALED_BY = 200
"""Proposals a picture whose features decide the scale."""


def _pictures(batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor, Objects]]:
    """Of each picture: itself (1, 3, H, W), the boxes proposed in it, and its objects."""
    for batch in batches:
        assert batch.targets is not None and batch.proposals is not None
        for place, (target, proposals) in enumerate(zip(batch.targets, batch.proposals, strict=True)):
            yield batch.images[place : place + 1], proposals.boxes, target


def _look(look: Look, image: Tensor, boxes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    index = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    features, pooled = look(image, boxes, index)
    return features.float().cpu().numpy(), pooled.float().cpu().numpy()


def _fitted(
    svms: list[_ClassSVM], regressions: list[_ClassBoxes], scale: float, map_scale: float, seed: int
) -> Fit:
    svm_rows, svm_biases, ridge_rows, ridge_biases = [], [], [], []
    features = next((svm.positives.shape[1] for svm in svms if svm.positives.shape[1]), 0)
    width = next((rows.shape[1] for one in regressions for rows in one.rows), 0)
    for svm, regression in zip(svms, regressions, strict=True):
        svm.learn(seed)
        svm_rows.append(np.zeros(features) if svm.weight is None else svm.weight * scale)
        svm_biases.append(-1.0 if svm.weight is None else svm.bias)
        weights, biases = (
            regression.learn(map_scale) if regression.count else (np.zeros((4, width)), np.zeros(4))
        )
        ridge_rows.append(weights)
        ridge_biases.append(biases)
    return Fit(
        np.stack(svm_rows).astype(np.float32),
        np.array(svm_biases, dtype=np.float32),
        np.concatenate(ridge_rows).astype(np.float32),
        np.concatenate(ridge_biases).astype(np.float32),
    )
