"""The loss of every pixel and the answers, against torch's own cross-entropy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from neocog.parts.pixels import pixel_loss, segmentations
from neocog.testing import make_masked_batch


def test_the_loss_is_the_mean_over_pixels_that_count() -> None:
    torch.manual_seed(0)
    batch = make_masked_batch(2, 3)
    assert batch.masks is not None
    logits = torch.randn(2, 3, *batch.masks.shape[1:])
    expected = F.cross_entropy(logits, batch.masks.long(), ignore_index=255)
    torch.testing.assert_close(pixel_loss(logits, batch)["pixels"], expected)


def test_several_processes_divide_by_the_pixels_of_the_whole_step() -> None:
    torch.manual_seed(0)
    batch = make_masked_batch(2, 3)
    logits = torch.randn(2, 3, *batch.images.shape[2:])
    shared = replace(batch, total=lambda count: 4 * count)
    torch.testing.assert_close(4 * pixel_loss(logits, shared)["pixels"], pixel_loss(logits, batch)["pixels"])


def test_where_all_is_ignored_the_loss_is_zero_and_so_is_its_gradient() -> None:
    batch = make_masked_batch(1, 3)
    assert batch.masks is not None
    batch = replace(batch, masks=torch.full_like(batch.masks, 255))
    logits = torch.randn(1, 3, *batch.images.shape[2:], requires_grad=True)
    loss = pixel_loss(logits, batch)["pixels"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0 and logits.grad is not None and not logits.grad.any()


def test_a_batch_without_masks_is_refused() -> None:
    with pytest.raises(ValueError, match="masks"):
        pixel_loss(torch.zeros(1, 3, 96, 96), make_masked_batch(1, 3).without_targets())


def test_answers_are_the_softmax_without_padding() -> None:
    batch = make_masked_batch(2, 3)
    logits = torch.randn(2, 3, *batch.images.shape[2:])
    first, second = segmentations(logits, batch)
    assert first.scores.shape == (3, 96, 96) and second.scores.shape == (3, 96, 80)
    torch.testing.assert_close(second.scores, logits[1].softmax(0)[:, :, :80])
