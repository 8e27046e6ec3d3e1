"""The pictures of an exported network: what it reads of a `Batch`, for any number and size of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Pictures:
    """A batch whose numbers are unknown until the file is used; networks read it as they read a `Batch`."""

    images: Tensor  # (B, 3, H, W) in [0, 1], padded at the right and the bottom
    given: Tensor | None = None  # (B, 2) int64, the true height and width of each
    regions: Tensor | None = None  # (B, P, 4) from outside, those without area filling up
    targets: None = None
    masks: None = None
    labels: None = None

    @property
    def sizes(self) -> tuple[tuple[int, int]]:
        """The size of them all: that of pictures which are of one size, and need no padding."""
        return ((self.images.shape[2], self.images.shape[3]),)

    @property
    def limits(self) -> Tensor:
        """The true width, height, width, height of each picture (B, 4) float32."""
        assert self.given is not None
        return self.given.flip(1).repeat(1, 2).to(self.images.dtype)
