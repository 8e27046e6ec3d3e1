"""The last steps of a detector without lists whose length depends on the pictures, as an exported file needs.

Every picture has the same places for boxes, and what is not there has the score ABSENT.

Letters: B pictures, N places a picture, K classes, D the boxes of a place: K, or 1 for all classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.export.operators import ABSENT, LEAST, kept


def best(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The highest scores (..., N) of each row, best first, and their places: both (..., most).

    Where there are fewer, ABSENT fills up; those places lie from N on.
    """
    padded = F.pad(scores, (0, most), value=ABSENT)
    found, places = padded.topk(most, dim=-1)
    return found, places


def take(boxes: Tensor, places: Tensor) -> Tensor:
    """Boxes (B, most, 4) at places (B, most) of boxes (B, N, 4); from N on they are 0."""
    padded = F.pad(boxes, (0, 0, 0, places.shape[-1]))
    return padded.gather(1, places[..., None].expand(-1, -1, 4))


def report(boxes: Tensor, scores: Tensor, nms: float, most: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Suppress boxes (B, N, D, 4) of scores (B, N, K) within each picture and class, and list the best.

    Returns, picture by picture and best first, boxes (n, 4), scores (n,), labels (n,) and pictures (n,).
    """
    classes, shared = scores.shape[2], boxes.shape[2] == 1
    of_class = scores.transpose(1, 2)  # (B, K, N)
    if shared:
        stay = kept(boxes[:, :, 0], of_class, nms)
    else:
        grouped = boxes.transpose(1, 2).flatten(0, 1)  # (B K, N, 4)
        stay = kept(grouped, of_class.flatten(0, 1)[:, None], nms).view(of_class.shape)
    scores = torch.where(stay.transpose(1, 2) > 0, scores, ABSENT)
    found, places = best(scores.flatten(1), most)
    image, rank = torch.nonzero(found > LEAST).unbind(1)
    place = places[image, rank]
    where, label = place // classes, place % classes
    return boxes[image, where, 0 if shared else label], found[image, rank], label, image
