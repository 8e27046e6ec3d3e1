"""From a value inside a network back to pixels, under three rules of the ReLU.

Zeiler and Fergus 2014 (arXiv:1311.2901) go back from one activation through a "deconvnet", layer by layer.
All its layers but two are what autograd does anyway:

    forward                      back in a deconvnet                            autograd
    convolution with W           transposed convolution with W, no bias         the same
    max-pooling                  unpooling: to the switch, 0 elsewhere          the same
    sum of two branches          to both                                        the same
    BatchNorm in evaluation      times its fixed scale                          the same
    contrast normalisation       divided by the scale of the forward pass       more; replaced here
    ReLU                         ReLU of what comes back                        replaced here

Where poolings overlap and chose one place twice, both add up what comes back. So a projection is autograd
with the ReLU's rule changed. With R what comes back and x what went in:

    gradient   R [x > 0]          Simonyan et al. 2013, arXiv:1312.6034
    deconvnet  R [R > 0]          Zeiler and Fergus
    guided     R [x > 0] [R > 0]  Springenberg et al. 2014, arXiv:1412.6806

A leaky ReLU of slope s has s where a bracket has 0. Other nonlinearities keep their gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Literal["gradient", "deconvnet", "guided"]

RELUS = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
LEAKY_RELUS = {F.leaky_relu, F.leaky_relu_}
_IN_PLACE = {torch.relu_, Tensor.relu_, F.leaky_relu_}


class Rectifiers(TorchFunctionMode):
    """While it is entered, ReLUs that run have this rule in their backward pass, however they are called.

    Values of the forward pass stay as they are; operations in place stay in place.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if self.rule != "gradient":
            if func in RELUS:
                return self._rectified(
                    _argument(args, given, 0, "input"), 0.0, _in_place(func, args, given, 1)
                )
            if func in LEAKY_RELUS:
                slope = _argument(args, given, 1, "negative_slope", 0.01)
                return self._rectified(
                    _argument(args, given, 0, "input"), slope, _in_place(func, args, given, 2)
                )
            if func is F.local_response_norm:
                return _scaled(*args, **given)
        return func(*args, **given)

    def _rectified(self, x: Tensor, slope: float, in_place: bool) -> Tensor:
        y: Tensor = _Rectified.apply(x, slope, self.rule)  # type: ignore[no-untyped-call]
        return x.copy_(y) if in_place else y


def _argument(args: Sequence[Any], kwargs: dict[str, Any], place: int, name: str, default: Any = None) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)


def _in_place(func: Any, args: Sequence[Any], kwargs: dict[str, Any], place: int) -> bool:
    return func in _IN_PLACE or bool(_argument(args, kwargs, place, "inplace", False))


class _Rectified(torch.autograd.Function):
    """The (leaky) ReLU of x, with the brackets of a rule in its backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, rule: Rule) -> Tensor:
        ctx.slope, ctx.rule = slope, rule
        ctx.save_for_backward(x > 0)
        return F.leaky_relu(x, slope) if slope else F.relu(x)

    @staticmethod
    def backward(ctx: Any, *signals: Any) -> Any:
        (signal,), (active,) = signals, ctx.saved_tensors
        back = F.leaky_relu(signal, ctx.slope) if ctx.slope else F.relu(signal)
        if ctx.rule == "guided":
            back = torch.where(active, back, ctx.slope * back)
        return back, None, None


def _scaled(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Local response normalisation whose scale is a constant of the backward pass."""
    squares = F.pad(input.detach().square().flatten(2)[:, None], (0, 0, size // 2, (size - 1) // 2))
    means = F.avg_pool2d(squares, (size, 1), stride=1)[:, 0].view_as(input)
    return input / (k + alpha * means) ** beta


def back_project(
    network: Callable[[Tensor], Tensor], images: Tensor, rule: Rule = "gradient"
) -> tuple[Tensor, Tensor]:
    """The values (N,) that `network` computes of images (B, C, H, W), and what each of them projects back to.

    The second is (N, B, C, H, W): for `gradient` the derivatives. A projection starts from 1; as the rules
    are homogeneous, one that starts from an activation, as in the paper, is the activation times it.
    """
    pixels = images.detach().clone().requires_grad_()
    with torch.enable_grad(), Rectifiers(rule):
        values = network(pixels)
    back = [torch.autograd.grad(value, pixels, retain_graph=True)[0] for value in values]
    return values.detach(), torch.stack(back) if back else pixels.new_zeros(0, *pixels.shape)
