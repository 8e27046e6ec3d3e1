"""The arithmetic of convolution: sizes, receptive fields and counts of weights, along one axis.

Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285.
"""

from __future__ import annotations

from dataclasses import dataclass


def effective_kernel(kernel: int, dilation: int = 1) -> int:
    """Cells from the first to the last tap of a dilated kernel, both included."""
    _positive(kernel=kernel, dilation=dilation)
    return dilation * (kernel - 1) + 1


def conv_out(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Outputs of a convolution or pooling over `size` cells with `padding` zeros on both sides.

    `ceil_mode` rounds up, as pooling in Caffe does, but never starts a window beyond the padding's end.
    Raises ValueError for numbers below 1 (padding: below 0) and when not even one window fits.
    """
    _positive(size=size, stride=stride)
    if padding < 0:
        raise ValueError(f"padding is {padding}; it must be 0 or more")
    room = size + 2 * padding - effective_kernel(kernel, dilation)
    if room < 0:
        raise ValueError(
            f"a kernel of {effective_kernel(kernel, dilation)} does not fit {size} + 2 x {padding} cells"
        )
    out = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    starts_outside = ceil_mode and (out - 1) * stride >= size + padding
    return out - 1 if starts_outside else out


def transposed_out(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """Outputs of a transposed convolution, which undoes the size (not the values) of a convolution.

    Strided convolutions of several sizes have the same output; `output_padding` tells which one to return to.
    Raises ValueError for numbers below 1 (paddings: below 0), for an `output_padding` that is not below the
    stride or the dilation, and where nothing is left.
    """
    _positive(size=size, stride=stride)
    if padding < 0 or not 0 <= output_padding < max(stride, dilation):
        raise ValueError(
            f"padding is {padding} and output_padding {output_padding}; the first must be 0 or more, the "
            f"second from 0 to below the stride or the dilation ({max(stride, dilation)})"
        )
    out = (size - 1) * stride - 2 * padding + effective_kernel(kernel, dilation) + output_padding
    if out < 1:
        raise ValueError(f"a padding of {padding} leaves nothing of {out + 2 * padding} cells")
    return out


def same_padding(kernel: int, dilation: int = 1) -> int:
    """The padding that keeps the size at stride 1. Raises ValueError where both sides cannot be equal."""
    if effective_kernel(kernel, dilation) % 2 == 0:
        raise ValueError(f"an even kernel ({kernel}, dilation {dilation}) needs unequal padding")
    return (effective_kernel(kernel, dilation) - 1) // 2


@dataclass(frozen=True, slots=True)
class Field:
    """What part of the input a cell of some layer sees; the default is the input itself.

    Cell i sees `size` pixels around the pixel `start + i * jump` (pixel 0 is the first; add 0.5 for
    continuous coordinates).
    """

    size: int = 1
    jump: int = 1
    start: float = 0.0

    def then(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Field:
        """The field after one more convolution or pooling."""
        reach = effective_kernel(kernel, dilation) - 1
        return Field(
            self.size + reach * self.jump,
            self.jump * stride,
            self.start + (reach / 2 - padding) * self.jump,
        )

    def join(self, other: Field) -> Field:
        """The smallest field that covers both, where two paths meet. Raises ValueError if jumps differ."""
        if self.jump != other.jump:
            raise ValueError(f"paths with jumps {self.jump} and {other.jump} cannot meet")
        first = min(self.start - (self.size - 1) / 2, other.start - (other.size - 1) / 2)
        last = max(self.start + (self.size - 1) / 2, other.start + (other.size - 1) / 2)
        return Field(round(last - first) + 1, self.jump, (first + last) / 2)

    def span(self, index: int) -> tuple[int, int]:
        """First pixel and one past the last that cell `index` sees; outside the image lies padding."""
        first = round(self.start + index * self.jump - (self.size - 1) / 2)
        return first, first + self.size


def dense_parameters(inputs: int, outputs: int, bias: bool = True) -> int:
    """Weights of a layer in which every output sees every input."""
    return outputs * (inputs + bias)


def local_parameters(outputs: int, kernel: int, channels: int = 1, bias: bool = True) -> int:
    """Weights of a locally connected layer: each of `outputs` units has a kernel of its own."""
    return outputs * (kernel * kernel * channels + bias)


def conv_parameters(channels: int, filters: int, kernel: int, groups: int = 1, bias: bool = True) -> int:
    """Weights of a convolution: each filter is shared by all positions, whatever the size of the image.

    Raises ValueError where `groups` does not divide both channels and filters.
    """
    if channels % groups or filters % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels and {filters} filters")
    return filters * (kernel * kernel * (channels // groups) + bias)


def _positive(**numbers: int) -> None:
    """Raise ValueError, with its name, for a number below 1."""
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
