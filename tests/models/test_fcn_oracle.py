"""Torchvision's FCN and ours with its weights say the same. Needs torchvision (`pytest -m oracle`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neocog.predict import load
from neocog.published import IMAGENET_CLASSES, TRAINED, VOC_CLASSES
from neocog.types import blank_batch

pytestmark = pytest.mark.oracle


def randomise(model: nn.Module) -> None:
    """Statistics, scales and biases that differ from one channel to the next."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.4, 0.8)
            nn.init.uniform_(part.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.normal_(part.running_mean, 0.0, 0.2)  # type: ignore[arg-type]
            nn.init.normal_(part.bias, 0.0, 0.1)


@pytest.mark.parametrize("size", [(120, 200), (97, 131)])
@torch.inference_mode()
def test_logits_are_torchvisions(size: tuple[int, int], tmp_path: Path) -> None:
    """Of the file as it is published, folded and loaded as a user loads it."""
    segmentation: Any = pytest.importorskip("torchvision.models.segmentation")
    torch.manual_seed(0)
    theirs = segmentation.fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True).eval()
    randomise(theirs)
    file = tmp_path / "fcn.pth"
    torch.save(theirs.state_dict(), file)
    ours = load("fcn-dilated", weights=file, precision="f32")
    images = torch.rand(1, 3, *size)
    mean, std = ours.model.backbone.mean, ours.model.backbone.std
    expected = theirs((images - mean) / std)["out"]
    found = ours.model(replace(blank_batch(size), images=images)).logits
    assert expected.std(dim=(2, 3)).min() > 1e-3  # they differ from place to place
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_table_states_what_torchvision_does() -> None:
    models: Any = pytest.importorskip("torchvision.models")
    weights = models.segmentation.FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
    entry = TRAINED["fcn_resnet50"]
    assert entry.file.url == weights.url and entry.file.megabytes == weights.meta["_file_size"]
    assert list(VOC_CLASSES[1:]) == weights.meta["categories"][1:]
    assert weights.transforms().resize_size == [min(entry.size)]
    classifiers = [name for name, entry in TRAINED.items() if entry.data == "imagenet"]
    assert len(classifiers) == 6
    for name in classifiers:
        weights = models.get_model_weights(name).IMAGENET1K_V1
        assert TRAINED[name].file.url == weights.url
        assert list(IMAGENET_CLASSES) == weights.meta["categories"]


@pytest.mark.parametrize("size", [(256, 256), (300, 400), (513, 333), (180, 640)])
def test_classifiers_see_what_torchvisions_see(size: tuple[int, int], tmp_path: Path) -> None:
    """The same middle of a picture, to a grey level: they round twice where we resample once."""
    models: Any = pytest.importorskip("torchvision.models")
    import numpy as np
    from PIL import Image

    file = tmp_path / "resnet18.pth"
    torch.manual_seed(0)
    torch.save(models.resnet18(weights=None).state_dict(), file)
    ours = load("resnet18", weights=file, precision="f32")
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
    seen = ours.prepare(pixels).images
    preset = models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    wanted = preset(Image.fromarray(pixels))[None] * ours.model.backbone.std + ours.model.backbone.mean
    assert seen.shape == wanted.shape == (1, 3, 224, 224)
    assert float((seen - wanted).abs().max()) <= 1.01 / 255
