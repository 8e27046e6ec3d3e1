"""Torchvision's SSD300 and ours with its weights find the same. Needs torchvision (`pytest -m oracle`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neocog.models.torchvision_ssd import OPTIONS
from neocog.predict import load
from neocog.published import COCO_CLASSES, TRAINED, convert_model
from neocog.types import Batch, Frame, SampleKey

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Their network with random values, so large that many detections of several classes survive."""
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(3)
    model = detection.ssd300_vgg16(weights=None, weights_backbone=None).eval()
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    for layer in layers:
        torch.nn.init.kaiming_normal_(layer.weight)
        torch.nn.init.normal_(layer.bias, std=0.1)
    model.backbone.scale_weight.data.uniform_(5, 40)
    return model


def pictures() -> torch.Tensor:
    """Noise of several sizes, as pictures have."""
    generator = torch.Generator().manual_seed(0)
    coarse = [torch.rand(2, 3, n, n, generator=generator) for n in (3, 20, 300)]
    parts = [torch.nn.functional.interpolate(one, size=(300, 300), mode="bilinear") for one in coarse]
    return sum(parts) / 3  # type: ignore[return-value]


@pytest.mark.filterwarnings("ignore")
def test_finds_what_torchvision_finds(theirs: Any, tmp_path: Path) -> None:
    images = pictures()
    calibrate(theirs, images)
    file = tmp_path / "ssd300.pth"
    torch.save(theirs.state_dict(), file)
    convert_model("ssd300_vgg16", file, tmp_path / "model")
    ours = load(tmp_path / "model", precision="f32").model
    with torch.inference_mode():
        wanted = theirs(list(images))
        sizes = ((300, 300),) * 2
        keys = tuple(SampleKey(0, 0, n) for n in range(2))
        batch = Batch(images, sizes, None, tuple(Frame(s, s) for s in sizes), keys)
        found = ours.decode(ours(batch), batch)
    for own, other in zip(found, wanted, strict=True):
        assert len(other["boxes"]) >= 50 and len(other["labels"].unique()) >= 5
        assert len(own) == len(other["boxes"])
        assert torch.equal(own.labels + 1, other["labels"])
        assert (own.boxes - other["boxes"]).abs().max() <= 0.01
        assert (own.scores - other["scores"]).abs().max() <= 1e-4
        assert own.scores.std() > 0.02  # they differ from each other


def calibrate(model: Any, images: torch.Tensor) -> None:
    """Scale the last layers, channel by channel: no class, and no offset, is much larger than the others."""
    seen: dict[torch.nn.Module, torch.Tensor] = {}
    heads = [*model.head.classification_head.module_list, *model.head.regression_head.module_list]
    hooks = [m.register_forward_hook(lambda m, _, out: seen.update({m: out})) for m in heads]
    with torch.inference_mode():
        model(list(images))
    for hook in hooks:
        hook.remove()
    for number, layer in enumerate(heads):
        size = 1.5 if number < len(heads) // 2 else 1.0
        factor = size / seen[layer].std(dim=(0, 2, 3)).clamp(min=1e-3)
        layer.weight.data *= factor[:, None, None, None]
        layer.bias.data = (layer.bias.data - seen[layer].mean(dim=(0, 2, 3))) * factor


def test_options_and_classes_are_torchvisions(theirs: Any) -> None:
    detection = pytest.importorskip("torchvision.models.detection")
    weights = detection.SSD300_VGG16_Weights.COCO_V1
    published = TRAINED["ssd300_vgg16"].file
    assert published.url == weights.url
    assert published.megabytes == weights.meta["_file_size"]
    names = weights.meta["categories"][1:]
    assert len(names) == len(COCO_CLASSES) == 90 == len(set(COCO_CLASSES))
    for number, (ours, other) in enumerate(zip(COCO_CLASSES, names, strict=True), 1):
        assert ours == (f"unused {number}" if other == "N/A" else other)
    assert tuple(theirs.anchor_generator.scales) == OPTIONS.scales
    assert theirs.anchor_generator.clip == OPTIONS.limit
    limits = theirs.score_thresh, theirs.nms_thresh, theirs.topk_candidates, theirs.detections_per_img
    assert limits == (OPTIONS.score, OPTIONS.nms, OPTIONS.candidates, OPTIONS.most)
