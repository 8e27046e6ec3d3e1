"""R-CNN's crops: equal to a slow obvious version, and the context where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.references.crops import crop

from neocog.ops import warp_regions as module
from neocog.ops.warp_regions import warp_regions

FILL = torch.tensor([0.25, 0.5, 0.75])
boxes = st.tuples(st.floats(-5, 25), st.floats(-5, 25), st.floats(0.1, 30), st.floats(0.1, 30))


@settings(max_examples=60, deadline=None)
@given(boxes, st.integers(3, 20), st.integers(0, 3), st.integers(0, 2**31))
def test_equals_the_reference(
    corner_and_size: tuple[float, float, float, float], side: int, context: int, seed: int
) -> None:
    x, y, w, h = (float(np.float32(v)) for v in corner_and_size)
    context = min(context, (side - 1) // 2)
    image = torch.rand(1, 3, 17, 23, generator=torch.Generator().manual_seed(seed))
    box = torch.tensor([[x, y, x + w, y + h]])
    got = warp_regions(image, box, torch.zeros(1, dtype=torch.int64), side=side, context=context, fill=FILL)
    corners = tuple(box[0].tolist())
    wanted = crop(image[0].permute(1, 2, 0).double().numpy(), corners, side, context)  # type: ignore[arg-type]
    wanted = np.where(np.isnan(wanted), FILL.double().numpy(), wanted)
    agree = np.isclose(got[0].permute(1, 2, 0).numpy(), wanted, atol=1e-4).all(axis=2)
    # float32 and float64 may round a corner that lies on a half to either side
    assert agree.all() or _on_a_half(corners, side / (side - 2 * context))


def _on_a_half(box: tuple[float, ...], scale: float) -> bool:
    centres = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    halves = (box[2] - box[0]) / 2 * scale, (box[3] - box[1]) / 2 * scale
    corners = [c + s * h for c, h in zip(centres, halves, strict=True) for s in (-1, 1)]
    return any(abs(corner + 0.5 - round(corner + 0.5)) < 1e-4 for corner in corners)


def test_kernel_equals_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 40, 50, generator=draw)
    corners = torch.rand(200, 2, generator=draw) * 60 - 10
    regions = torch.cat([corners, corners + 1 + 40 * torch.rand(200, 2, generator=draw)], 1)
    index = torch.randint(0, 2, (200,), generator=draw)
    fast = warp_regions(images, regions, index, side=16, context=2, fill=FILL)
    monkeypatch.setattr(module, "use_kernels", lambda tensor: False)
    slow = warp_regions(images, regions, index, side=16, context=2, fill=FILL)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-6)


def test_context_surrounds_the_region() -> None:
    """A white box on black, 16 of 224 pixels of context: the crop is white but for a border of 16."""
    image = torch.zeros(1, 3, 300, 300)
    image[:, :, 50:242, 20:212] = 1  # 192 pixels: a crop of 224 needs no scaling
    region = torch.tensor([[20.0, 50.0, 212.0, 242.0]])
    crops = warp_regions(image, region, torch.tensor([0]), side=224, context=16, fill=FILL)
    assert (crops[0, :, 16:-16, 16:-16] == 1).all()
    crops[0, :, 16:-16, 16:-16] = 0
    assert (crops == 0).all()


def test_outside_takes_the_fill() -> None:
    image = torch.ones(1, 3, 20, 20)
    crops = warp_regions(
        image, torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.tensor([0]), side=28, context=4, fill=FILL
    )
    assert torch.equal(crops[0, :, 0, 0], FILL)
    assert (crops[0, :, 4:-4, 4:-4] == 1).all()


def test_wants_something_of_the_crop() -> None:
    with pytest.raises(ValueError, match="context of 8 pixels leaves nothing of a crop of 16"):
        warp_regions(
            torch.ones(1, 3, 8, 8), torch.ones(1, 4), torch.tensor([0]), side=16, context=8, fill=FILL
        )
