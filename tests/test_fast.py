"""A packed and fused network says what the plain one says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neocog import fast
from neocog.backbones.resnet import resnet18, resnet50
from neocog.defaults import BACKBONES
from neocog.fast import packed
from neocog.nested import named_tensors
from neocog.packed import PackedConv, usable
from neocog.predict import Predictor
from neocog.types import Batch, Features, Frame, Proposals, SampleKey, Task
from neocog.zoo import MODELS, create

pytestmark = pytest.mark.skipif(not usable(torch.float32), reason="this torch lacks oneDNN's operators")

NETWORKS = [
    *(("faster-rcnn", name) for name in ("compact", "resnet18")),
    *(("faster-rcnn-fpn", name) for name in ("compact", "resnet18")),
    *(("r-fcn", "compact"), ("r-cnn", "compact"), ("fast-rcnn", "compact"), ("ssd", "compact")),
    *(("yolo", "compact"), ("localizer", "compact"), ("fcn-8s", "compact"), ("fcn-32s", "resnet18")),
    *(("deconvnet", "thin"), ("dc-ign", "dc-ign"), ("lenet5", "lenet5"), ("notes-digit", "notes-digit")),
    *(("resnet18", "resnet18"), ("compact", "compact")),
]


def trained(name: str, backbone: str) -> Any:
    """A network with statistics far from their start, in evaluation mode."""
    torch.manual_seed(0)
    model: Any = create(name, 4, None if MODELS[name].alone else backbone).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.running_mean, 0, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.8, 1.5)  # type: ignore[arg-type]
    return model.to(memory_format=torch.channels_last)


def pictures(size: tuple[int, int], count: int) -> Batch:
    images = torch.rand(count, 3, *size).contiguous(memory_format=torch.channels_last)
    corners = torch.rand(count, 7, 2, 2) * torch.tensor([size[1] / 2, size[0] / 2])
    corners[:, :, 1] += corners[:, :, 0] + 8
    regions = tuple(Proposals(one.flatten(1), torch.zeros(7)) for one in corners)
    keys = tuple(SampleKey(0, 0, place) for place in range(count))
    return Batch(images, (size,) * count, None, (Frame(size, size),) * count, keys, proposals=regions)


def sides(model: Any) -> list[tuple[int, int]]:
    """Sizes of pictures that it takes: two different ones, where it is not made for one."""
    if model.task is Task.DETECT or (model.task is Task.SEGMENT and not hasattr(model.options, "side")):
        return [(64, 64), (96, 128)]
    side = getattr(model.options, "side", 64)
    return [(side, side)]


def tensors(value: Any) -> dict[str, Tensor]:
    return {name: one for name, one in named_tensors(value) if one.is_floating_point()}


@pytest.mark.parametrize(("name", "backbone"), NETWORKS)
@torch.inference_mode()
def test_every_intermediate_is_the_same(name: str, backbone: str) -> None:
    model = trained(name, backbone)
    own: Any = packed(model, lambda one: one(pictures(sides(model)[0], 1)))
    assert own is not model
    for size in sides(model):
        for count in (1, 3):
            batch = pictures(size, count)
            wanted, found = tensors(model(batch)), tensors(own(batch))
            assert all("features.maps" in place for place in wanted.keys() - found.keys())
            assert found.keys() <= wanted.keys()
            for place, value in wanted.items():
                if place not in found:  # nobody reads it
                    continue
                assert found[place].shape == value.shape, place
                scale = max(float(value.abs().max()), 1e-6) if value.numel() else 1.0
                torch.testing.assert_close(
                    found[place] / scale,
                    value / scale,
                    rtol=0,
                    atol=2e-5,
                    msg=lambda text, p=place: f"{p}: {text}",
                )


@pytest.mark.parametrize(("build", "sums"), [(resnet18, 8), (resnet50, 16)])
@torch.inference_mode()
def test_sums_and_rectifiers_are_inside_the_layers(build: Any, sums: int, monkeypatch: Any) -> None:
    backbone = build().eval().requires_grad_(False)
    for parent in list(backbone.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    backbone = backbone.to(memory_format=torch.channels_last)
    images = torch.rand(1, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    own: Any = packed(backbone, lambda one: one(images, until="layer4"))
    calls: list[tuple[bool, bool]] = []
    plain = PackedConv.__call__

    def counted(self: Any, x: Tensor, other: Any = None, relu: bool = False, into: bool = False) -> Tensor:
        calls.append((other is not None, relu))
        return plain(self, x, other, relu, into)

    monkeypatch.setattr(PackedConv, "__call__", counted)
    found = own(images, until="layer4")
    assert isinstance(found, Features)
    assert sum(added for added, _ in calls) == sums
    assert sum(relu for _, relu in calls) == len(calls) - 3 - (build is resnet50)  # but for the shortcuts'


@torch.inference_mode()
def test_another_call_than_the_traced_one() -> None:
    backbone = BACKBONES["compact"].build().eval().requires_grad_(False)
    images = torch.rand(1, 3, 64, 64)
    own: Any = packed(backbone, lambda one: one(images, until="c3"))
    assert list(own(images, until="c3").maps) == ["c2", "c3"]
    assert list(own(images).maps) == list(backbone(images).maps)
    torch.testing.assert_close(own(images).maps["p2"], backbone(images).maps["p2"], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_maps_that_nobody_reads_are_let_go() -> None:
    model = trained("faster-rcnn", "resnet18")
    own: Any = packed(model, lambda one: one(pictures((64, 64), 1)))
    batch = pictures((96, 64), 1)
    assert list(own(batch).features.maps) == [model.options.level]
    assert len(model(batch).features.maps) > 3


@torch.inference_mode()
def test_parameters_are_shared_and_stay_as_they_were() -> None:
    model = trained("ssd", "compact")
    before = copy.deepcopy(model.state_dict())
    own: Any = packed(model, lambda one: one(pictures((64, 64), 1)))
    own(pictures((64, 64), 1))
    for name, value in own.state_dict().items():
        assert value.data_ptr() == model.state_dict()[name].data_ptr()
        assert torch.equal(value, before[name])
    assert not any("forward" in vars(module) for module in model.modules())


def test_without_the_operators_the_network_stays(monkeypatch: Any) -> None:
    monkeypatch.setattr(fast, "usable", lambda dtype: False)
    model = trained("compact", "compact")
    assert packed(model, lambda one: None) is model


def test_the_predictor_runs_it_and_shows_the_plain_one() -> None:
    names = ("cat", "dog", "cow", "hen")
    model = trained("faster-rcnn", "compact")
    predictor = Predictor(model, names, (64, 64))
    batch = pictures((64, 64), 2)
    with torch.inference_mode():
        wanted = predictor.model.decode(predictor.model(batch), batch)
    for ours, plain in zip(predictor.run(batch)[0], wanted, strict=True):
        assert torch.equal(ours.labels, plain.labels) and len(ours) > 0
        torch.testing.assert_close(ours.scores, plain.scores, rtol=0, atol=1e-5)
    assert predictor.network is not predictor.model
    assert not any("forward" in vars(module) for module in predictor.model.modules())


def test_bf16_is_near_f32() -> None:
    if not usable(torch.bfloat16):
        pytest.skip("no bfloat16 here")
    model = trained("resnet18", "resnet18")
    f32, bf16 = (Predictor(model, list("abcd"), (64, 64), precision=name) for name in ("f32", "bf16"))
    batch = pictures((224, 224), 2)
    for one, other in zip(f32.run(batch)[0], bf16.run(batch)[0], strict=True):
        assert 0 < float((one.scores - other.scores).abs().max()) < 0.05
