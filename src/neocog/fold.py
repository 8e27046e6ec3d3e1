"""Batch normalisation folded into the layer before it: the same function, with fewer passes over memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.utils.hooks import RemovableHandle

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_FUSE: dict[type[nn.Module], Callable[[Any, Any], nn.Module]] = {
    nn.Conv2d: fuse_conv_bn_eval,
    nn.Linear: fuse_linear_bn_eval,
}


def fold_batchnorm(model: nn.Module, run: Callable[[nn.Module], object]) -> nn.Module:
    """Fold, in place, every BatchNorm that reads a convolution or linear layer directly; returns the model.

    What reads what is seen in one forward pass, `run(model)`, not guessed from names. A layer whose output
    something else reads too, or that runs twice, must not be folded; no network here has one. The model must
    be in evaluation mode; outputs change by rounding only.
    """
    produced: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensor is kept, so that its id stays its own
    pairs: dict[nn.Module, nn.Module] = {}

    def after(module: nn.Module, _: Any, output: Tensor) -> None:
        produced[id(output)] = (module, output)

    def before(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in produced:
            pairs[norm] = produced[id(inputs[0])][0]

    hooks = []
    for module in model.modules():
        if type(module) in _FUSE:
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, _NORMS):
            hooks.append(module.register_forward_pre_hook(before))
    run_hooked(model, run, hooks)
    replaced: dict[nn.Module, nn.Module] = {}
    for norm, layer in pairs.items():
        replaced[layer] = _FUSE[type(layer)](layer, norm)
        replaced[norm] = nn.Identity()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in replaced:
                setattr(parent, name, replaced[child])
    return model


def run_hooked(
    model: nn.Module, run: Callable[[nn.Module], object], hooks: Iterable[RemovableHandle]
) -> None:
    """`run(model)` without gradients, and then take these hooks off it, whatever happens."""
    try:
        with torch.inference_mode():
            run(model)
    finally:
        for hook in hooks:
            hook.remove()
