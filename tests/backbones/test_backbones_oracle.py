"""The same weights give the outputs of torchvision's networks. Needs torchvision (`pytest -m oracle`)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from neocog.backbones import alexnet, resnet, vgg
from neocog.backbones.weights import PUBLISHED, load_weights

pytestmark = pytest.mark.oracle

TAPS = {  # our map: torchvision's module
    "alexnet": {
        "conv1": "features.1",
        "pool1": "features.2",
        "conv2": "features.4",
        "pool2": "features.5",
        "conv3": "features.7",
        "conv4": "features.9",
        "conv5": "features.11",
        "pool5": "features.12",
    },
    "vgg16": {
        "conv1_2": "features.3",
        "pool3": "features.16",
        "conv4_3": "features.22",
        "pool4": "features.23",
        "conv5_3": "features.29",
        "pool5": "features.30",
    },
    **{
        name: {"conv1": "relu", "pool1": "maxpool"} | {f"layer{i}": f"layer{i}" for i in range(1, 5)}
        for name in ("resnet18", "resnet34", "resnet50", "resnet101")
    },
}


def randomise(model: nn.Module) -> None:
    """Statistics, scales and biases that differ from one channel to the next."""
    generator = torch.Generator().manual_seed(1)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.4, 0.8, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            part.running_mean.normal_(0, 0.2, generator=generator)
        bias = getattr(part, "bias", None)
        if isinstance(bias, torch.Tensor):
            bias.data.normal_(0, 0.1, generator=generator)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert theirs.std() > 1e-3  # something came through


@pytest.mark.parametrize(("name", "size"), [(name, 64 if name == "vgg16" else 96) for name in TAPS])
def test_outputs_and_names_are_torchvisions(name: str, size: int, tmp_path: Path):
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = getattr(models, name)(weights=None).eval()
    randomise(theirs)
    file = tmp_path / f"{name}.pth"
    torch.save(theirs.state_dict(), file)
    ours = getattr({"vgg16": vgg, "alexnet": alexnet}.get(name, resnet), name)(1000)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    load_weights(name, ours.eval(), file)
    file.unlink()

    images = torch.rand(2, 3, size, size + 5)
    taps: dict[str, torch.Tensor] = {}
    for level, module in TAPS[name].items():
        # The first use of each, copied: a later layer may work in place.
        theirs.get_submodule(module).register_forward_hook(
            lambda _, __, out, level=level: None if level in taps else taps.update({level: out.clone()})
        )
    with torch.no_grad():
        expected = theirs((images - ours.mean) / ours.std)
        maps = ours(images).maps
        assert_close(ours.logits(images), expected)
    for level in TAPS[name]:
        assert_close(maps[level], taps[level])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_torchvisions(name: str):
    models = pytest.importorskip("torchvision.models")
    reference = models.get_model_weights(name).IMAGENET1K_V1
    assert PUBLISHED[name].url == reference.url
    assert PUBLISHED[name].megabytes == reference.meta["_file_size"]
