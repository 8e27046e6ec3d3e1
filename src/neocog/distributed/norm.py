"""BatchNorm over the batches of all processes. (torch's own refuses tensors on the CPU.)"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from neocog.distributed.peers import Group, Peers, all_but_channels, wide


class _SynchronisedNorm(_BatchNorm):
    group: Group

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            mean, variance, count = self.group.moments(x)
            self.num_batches_tracked.add_(1)
            share = self.momentum if self.momentum is not None else 1 / int(self.num_batches_tracked)
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), share)
        result: Tensor = _Normalise.apply(
            x, self.weight, self.bias, mean, variance, count, self.eps, self.group
        )  # type: ignore[no-untyped-call]
        return result


class _SynchronisedNorm1d(_SynchronisedNorm, nn.BatchNorm1d):
    pass


class _SynchronisedNorm2d(_SynchronisedNorm, nn.BatchNorm2d):
    pass


class _Normalise(torch.autograd.Function):
    """Normalisation by given moments, with the gradient that also flows through them, in all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
        group: Group,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps, ctx.group = eps, group
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        shape, over = [1, -1, *[1] * (x.ndim - 2)], all_but_channels(x)
        inverse = torch.rsqrt(variance + ctx.eps)
        given = wide(grad)
        normal = (wide(x) - mean.view(shape)) * inverse.view(shape)
        own = torch.stack([given.sum(over), (given * normal).sum(over)])
        if ctx.group.idle:
            own.zero_()
        first, second = ctx.group.sum(own.clone()) / count
        result = given - normal.mul_(second.view(shape)) - first.view(shape)
        result *= (weight * inverse).view(shape)
        return result.to(x.dtype), own[1], own[0], None, None, None, None, None


_NORMS: dict[type[nn.Module], type[_SynchronisedNorm]] = {
    nn.BatchNorm1d: _SynchronisedNorm1d,
    nn.BatchNorm2d: _SynchronisedNorm2d,
}


def synchronise(model: nn.Module, peers: Peers) -> None:
    """Make every BatchNorm inside `model` one over all processes, in place; the tensors stay the same.

    Names in the state dict stay, and so does what the model computes in evaluation.
    """
    if not isinstance(peers, Group):
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in _NORMS:
                setattr(parent, name, _synchronised(child, peers))


def _synchronised(norm: Any, group: Group) -> nn.Module:
    if not (norm.affine and norm.track_running_stats):
        raise ValueError("synchronise: a BatchNorm without weights or without running statistics")
    result = _NORMS[type(norm)](norm.num_features, norm.eps, norm.momentum, device="meta")
    result.load_state_dict(norm.state_dict(keep_vars=True), assign=True)
    result.group = group
    return result.train(norm.training)
