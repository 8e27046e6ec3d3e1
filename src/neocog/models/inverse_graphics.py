"""DC-IGN: a picture as a code whose first units are azimuth, elevation and light, and back again.

Kulkarni, Whitney, Kohli, Tenenbaum 2015, arXiv:1503.03167. A variational auto-encoder whose mini-batches are
groups of pictures in which one thing changes: all units but that one's are clamped to their mean over the
group, so that only it can carry the change, and are pulled towards that mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.backbone import Backbone
from neocog.errors import UsageError
from neocog.ops.ranges import check_range
from neocog.types import Batch, Features, Reconstruction, Task

Shape = tuple[int, ...]


@dataclass(frozen=True)
class InverseGraphicsOptions:
    """Defaults: the network of the paper, for pictures of 150 px. All sizes follow from these."""

    side: int = 150  # pixels
    encoder: tuple[int, ...] = (96, 48, 24)  # channels of its convolutions, each before a 2x2 max-pooling
    encoder_kernels: tuple[int, ...] = (5, 5, 5)
    code: int = 200  # units
    start: int = 24  # channels of the map that the code becomes
    decoder: tuple[int, ...] = (48, 96, 96, 1)  # of its convolutions, each after doubling the map
    decoder_kernels: tuple[int, ...] = (7, 7, 7, 7)
    group: int = 20  # consecutive pictures of the data in which one thing changes
    clamp: Literal["mean", "first"] = "mean"  # to what of the group: the paper's, or its code's first picture
    invariance: float = 0.01  # pull of a clamped unit towards the mean; the authors' code has 0
    log_variance: float = -2.0  # of a unit before training: with 0, noise drowns what a code says at first
    stretch: bool = True  # pictures are brought to exactly the side, whatever their shape
    entangled: bool = False  # clamp nothing: the baseline

    def __post_init__(self) -> None:
        """Raises ValueError where a number is out of range or the kernels do not fit the side."""
        check_range(self, 8, 1024, "side")
        check_range(self, 1, 4096, "encoder", "decoder", "code", "start")
        check_range(self, 1, 63, "encoder_kernels", "decoder_kernels")
        check_range(self, 1, 10_000, "group")
        check_range(self, 0, 1000, "invariance")
        check_range(self, -20, 20, "log_variance")
        for part in ("encoder", "decoder"):
            if len(getattr(self, part)) != len(getattr(self, f"{part}_kernels")):
                raise ValueError(f"{part} and {part}_kernels must have as many numbers")
        if self.decoder[-1] != 1:
            raise ValueError(f"decoder must end in the 1 channel of a grey picture, got {self.decoder}")
        self.encoder_sides(), self.decoder_sides()

    def encoder_sides(self) -> list[int]:
        """The side of the picture, and of every pooled map."""
        sides = [self.side]
        for kernel in self.encoder_kernels:
            sides.append((sides[-1] - kernel + 1) // 2)
            if sides[-1] < 1:
                raise ValueError(f"encoder_kernels {self.encoder_kernels} leave nothing of {self.side} px")
        return sides

    def decoder_sides(self) -> list[int]:
        """The side of the map that the code becomes, and of what each convolution gives."""
        sides = [self.side]
        for kernel in reversed(self.decoder_kernels):
            half, odd = divmod(sides[-1] + kernel - 1, 2)
            if odd or kernel % 2 == 0:
                raise ValueError(
                    f"decoder_kernels {self.decoder_kernels} do not end in {self.side} px: kernels must be "
                    f"odd and what they give even; one of {kernel} would have to give {sides[-1]}"
                )
            sides.append(half)
        return sides[::-1]


SMALL = InverseGraphicsOptions(
    side=64,
    encoder=(16, 32, 32),
    encoder_kernels=(5, 3, 3),
    code=32,
    start=32,
    decoder=(32, 32, 16, 1),
    decoder_kernels=(3, 3, 3, 5),
    invariance=10.0,  # 0.01 is too little to be felt beside the loss of a sum over pixels
)
"""The counterpart for pictures of 64 px, which learns on a CPU in minutes."""


def layer_table(options: InverseGraphicsOptions) -> list[tuple[str, Shape]]:
    """Every layer in order, and the shape of what it gives for one picture."""
    table: list[tuple[str, Shape]] = []
    stages = zip(options.encoder, options.encoder_kernels, pairwise(options.encoder_sides()), strict=True)
    for number, (channels, kernel, (side, pooled)) in enumerate(stages, 1):
        table.append((f"conv{number}", (channels, side - kernel + 1, side - kernel + 1)))
        table.append((f"pool{number}", (channels, pooled, pooled)))
    sides = options.decoder_sides()
    table += [("mean", (options.code,)), ("log_variance", (options.code,))]
    table.append(("map", (options.start, sides[0], sides[0])))
    last = options.start
    for number, (channels, (side, after)) in enumerate(zip(options.decoder, pairwise(sides), strict=True), 1):
        table.append((f"double{number}", (last, 2 * side, 2 * side)))
        table.append((f"deconv{number}", (channels, after, after)))
        last = channels
    return table


@dataclass(frozen=True, slots=True)
class InverseGraphicsOutput:
    features: Features  # the encoder's maps
    mean: Tensor  # (B, D) float32, as the encoder gives it
    log_variance: Tensor  # (B, D) float32
    clamped_mean: Tensor  # (B, D) with the units that may not change in their group clamped
    clamped_log_variance: Tensor  # (B, D)
    code: Tensor  # (B, D): drawn from these two in training, the mean otherwise
    logits: Tensor  # (B, 1, H, W) float32: the picture, before the sigmoid


class Encoder(Backbone):
    """Pictures made grey, then valid convolutions, each followed by 2x2 max-pooling and ReLU."""

    def __init__(self, options: InverseGraphicsOptions) -> None:
        names = [f"pool{number}" for number in range(1, len(options.encoder) + 1)]
        strides = {name: 2**number for number, name in enumerate(names, 1)}
        super().__init__(
            dict(zip(names, options.encoder, strict=True)), strides, mean=(0.0,) * 3, std=(1.0,) * 3
        )
        widths = zip(pairwise((1, *options.encoder)), options.encoder_kernels, strict=True)
        self.convs = nn.ModuleDict(
            {
                name: nn.Conv2d(inputs, outputs, kernel)
                for name, ((inputs, outputs), kernel) in zip(names, widths, strict=True)
            }
        )

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        cells, maps = grey(images), {}
        for name, conv in self.convs.items():
            cells = maps[name] = F.relu(F.max_pool2d(conv(cells), 2))
            if name == until:
                break
        return Features(maps)


def grey(images: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) as the mean of their channels (B, 1, H, W)."""
    return images.mean(dim=1, keepdim=True)


class InverseGraphics(nn.Module):
    """Encoder -> mean and variance of a code -> clamped, drawn -> decoder.

    Label k of a group, below the last, says that only unit k may change in it; the last, that all units
    but those may. Groups are told apart by the places of their pictures in the data, so a batch may hold
    several, but must hold all that a step has of a group: a `Loader` sees to both.
    """

    task = Task.RECONSTRUCT
    search = None
    padding = 1  # pictures must come in exactly their size

    def __init__(self, classes: int = 4, options: InverseGraphicsOptions | None = None) -> None:
        """Raises UsageError where the code has no unit left for the last kind of group."""
        super().__init__()
        self.options = options = options or InverseGraphicsOptions()
        if not 1 <= classes <= options.code:
            raise UsageError(f"code={options.code}: {classes} kinds of change need as many units")
        self.classes, self.backbone = classes, Encoder(options)
        inner = options.encoder[-1] * options.encoder_sides()[-1] ** 2
        self.mean = nn.Linear(inner, options.code)
        self.log_variance = nn.Linear(inner, options.code)
        self.first_side = options.decoder_sides()[0]
        self.map = nn.Linear(options.code, options.start * self.first_side**2)
        widths = zip(pairwise((options.start, *options.decoder)), options.decoder_kernels, strict=True)
        self.decoder = nn.ModuleList(
            DoublingConv(inputs, outputs, kernel) for (inputs, outputs), kernel in widths
        )
        units = torch.arange(options.code)
        kinds = torch.arange(classes)[:, None]
        self._initialise()
        self.register_buffer("active", units.clamp(max=classes - 1) == kinds, persistent=False)

    def _initialise(self) -> None:
        """N(0, 0.01) of the dense layers to the code, as published; elsewhere He et al. 2015, for ReLUs."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        last = self.decoder[-1]
        assert isinstance(last, nn.Conv2d)
        for weight in (self.mean.weight, self.log_variance.weight, last.weight):
            nn.init.normal_(weight, std=0.01)
        nn.init.constant_(self.log_variance.bias, self.options.log_variance)

    active: Tensor  # (K, D) bool: the units that may change in a group of each kind

    def forward(self, batch: Batch) -> InverseGraphicsOutput:
        """With labels, which say what changes in each group, codes are clamped and drawn.

        Raises UsageError for pictures of another size.
        """
        side = self.options.side
        if batch.images.shape[2:] != (side, side):
            height, width = batch.images.shape[2:]
            raise UsageError(f"the network takes pictures of {side}x{side} px, not {height}x{width}")
        features = self.backbone(batch.images)
        flat = list(features.maps.values())[-1].flatten(1)
        mean, log_variance = self.mean(flat).float(), self.log_variance(flat).float()
        if batch.labels is None:
            logits = self.draw(mean)
            return InverseGraphicsOutput(features, mean, log_variance, mean, log_variance, mean, logits)
        used_mean, used_log_variance = mean, log_variance
        if not self.options.entangled:
            active, groups = self.active[batch.labels], self._groups(batch)
            pull = self.options.invariance / max(batch.total(len(batch)), 1)  # as the loss is divided
            used_mean, used_log_variance = (
                clamp(values, active, groups, pull, self.options.clamp) for values in (mean, log_variance)
            )
        code = used_mean + torch.exp(used_log_variance / 2) * torch.randn_like(used_mean)
        logits = self.draw(code)
        return InverseGraphicsOutput(features, mean, log_variance, used_mean, used_log_variance, code, logits)

    def draw(self, code: Tensor) -> Tensor:
        """Codes (B, D) as logits (B, 1, H, W) of their pictures."""
        side = self.first_side
        cells = F.relu(self.map(code)).view(-1, self.options.start, side, side)
        cells = cells.contiguous(memory_format=torch.channels_last)
        for conv in self.decoder[:-1]:
            cells = F.relu(conv(cells))
        logits: Tensor = self.decoder[-1](cells)
        return logits.float()

    def loss(self, output: InverseGraphicsOutput, batch: Batch) -> dict[str, Tensor]:
        """`reconstruction`: binary cross-entropy summed over the pixels; `kl`: divergence of the code from
        N(0, 1), summed over its units. Both are means over the step's pictures."""
        pictures = max(batch.total(len(batch)), 1)
        mean, log_variance = output.clamped_mean, output.clamped_log_variance
        wrong = F.binary_cross_entropy_with_logits(output.logits, grey(batch.images), reduction="sum")
        apart = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return {"reconstruction": wrong / pictures, "kl": apart / pictures}

    def decode(self, output: InverseGraphicsOutput, batch: Batch) -> list[Reconstruction]:
        """The picture that each code gives, in all three channels."""
        pictures = output.logits.sigmoid().expand(-1, 3, -1, -1)
        return [Reconstruction(*pair) for pair in zip(pictures, output.code, strict=True)]

    def _groups(self, batch: Batch) -> Tensor:
        """(B,) int64: the number of each picture's group in this batch."""
        names = [(key.epoch, key.index // self.options.group) for key in batch.keys]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        places = [numbers[name] for name in names]
        return torch.tensor(places, dtype=torch.int64, device=batch.images.device)


class DoublingConv(nn.Conv2d):
    """A valid convolution, of an odd kernel k, of a map (B, C, H, W) whose cells were each repeated 2x2.

    Each output depends on `k // 2 + 1` cells a side of the map itself. So they are computed there, by four
    kernels, one for each place in a repeated cell, whose weights are sums of this one's: a third of the work.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel)
        place, tap = torch.arange(2)[:, None, None], torch.arange(kernel // 2 + 1)[None, :, None]
        sums = (place + torch.arange(kernel)) // 2 == tap  # (2, k // 2 + 1, k)
        self.register_buffer("sums", sums.float(), persistent=False)

    sums: Tensor

    def forward(self, cells: Tensor) -> Tensor:
        kernels = torch.einsum("xsh,ytw,oihw->oxyist", self.sums, self.sums, self.weight).flatten(0, 2)
        assert self.bias is not None
        found = F.conv2d(cells, kernels, self.bias.repeat_interleave(4))
        return F.pixel_shuffle(found, 2)


def clamp(values: Tensor, active: Tensor, groups: Tensor, pull: float, to: str = "mean") -> Tensor:
    """Codes (B, D), but where they are not `active` (B, D), those of their whole group.

    `groups` (B,) numbers the groups from 0; `to` is `mean` or `first`. Gradients of active units pass as they
    are; that of any other unit becomes `pull` times its distance from the group's mean, whatever the loss.
    """
    if not len(values):
        return values
    with torch.no_grad():
        members = groups == torch.arange(int(groups.max()) + 1, device=groups.device)[:, None]  # (G, B)
        shares = members / members.sum(dim=1, keepdim=True)
        means = (shares[:, :, None] * values).sum(dim=1)[groups]
        firsts = members.int().argmax(dim=1)[groups]
        centre = values[firsts] if to == "first" else means
    clamped: Tensor = _Clamp.apply(values, centre, means, active, pull)  # type: ignore[no-untyped-call]
    return clamped


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, centre: Tensor, means: Tensor, active: Tensor, pull: float
    ) -> Tensor:
        ctx.save_for_backward(values - means, active)
        ctx.pull = pull
        return torch.where(active, values, centre)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        away, active = ctx.saved_tensors
        return torch.where(active, gradient, ctx.pull * away), None, None, None, None
