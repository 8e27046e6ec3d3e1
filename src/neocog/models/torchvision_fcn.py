"""Torchvision's published FCN on ResNet-50 (`fcn_resnet50`) as options and weights of `DilatedFCN`.

It learnt COCO's pictures with the classes of PASCAL VOC. Its auxiliary scores serve training alone, and are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neocog.models.dilated_fcn import DilatedFCNOptions

OPTIONS = DilatedFCNOptions(shorter=True)

AUXILIARY = "aux_classifier."

_NAMES = {
    "backbone.": "backbone.",
    "classifier.0.": "conv.",
    "classifier.1.": "norm.",
    "classifier.4.": "scores.",
}
"""Theirs, at the beginning of a name: ours."""


def fcn_from_torchvision(state: Mapping[str, Tensor]) -> tuple[DilatedFCNOptions, dict[str, Tensor]]:
    """Options and state dict of a `DilatedFCN` on resnet50, from that of torchvision's `fcn_resnet50`.

    Any number of classes will do; background is their first class, as in masks. Raises ValueError for a key
    that is unknown.
    """
    converted: dict[str, Tensor] = {}
    for name, value in state.items():
        theirs = next((prefix for prefix in _NAMES if name.startswith(prefix)), None)
        if theirs is not None:
            converted[_NAMES[theirs] + name.removeprefix(theirs)] = value
        elif not name.startswith(AUXILIARY):
            raise ValueError(f"{name[:80]!r} is unknown: not an fcn_resnet50")
    return OPTIONS, converted
