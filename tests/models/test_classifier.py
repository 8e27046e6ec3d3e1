"""Classifiers: their contract, their published counts, and what their options change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.backbones.lenet import LeNet5
from neocog.backbones.resnet import resnet18
from neocog.backbones.vgg import vgg16
from neocog.defaults import BACKBONES
from neocog.errors import UsageError
from neocog.models.classifier import (
    Classifier,
    ClassifierOptions,
    ClassifierOutput,
    classifier_from_torchvision,
)
from neocog.ops.arithmetic import conv_parameters, dense_parameters, local_parameters
from neocog.ops.summary import summarize
from neocog.parts.dense import DenseHead, map_size
from neocog.testing import check_classifier, check_classifier_learns, labelled, make_batch
from neocog.transforms.geometry import Resize
from neocog.types import Batch, Features, Task, blank_batch
from neocog.zoo import DETECTING, MODELS, create, resized, usual_side

CLASSIFIERS = [name for name, entry in MODELS.items() if entry.task == Task.CLASSIFY]

PUBLISHED = {  # with so many classes: what it has, at its usual size
    "notes-digit": (10, 2_255),
    "notes-pattern": (3, 129_731),
    "lenet5": (10, 61_706),
    "alexnet": (1000, 61_100_840),
    "vgg16": (1000, 138_357_544),
    "resnet18": (1000, 11_689_512),
    "resnet34": (1000, 21_797_672),
    "resnet50": (1000, 25_557_032),
    "resnet101": (1000, 44_549_160),
    "darknet": (1000, 23_428_136),
}


def small(name: str, side: int, **changes: Any) -> Any:
    """The classifier of three classes with narrow dense layers, for small pictures."""
    options = MODELS[name].options(name, side)
    if len(options.hidden) == 2:
        options = replace(options, hidden=(16, 12))
    torch.manual_seed(0)
    return create(name, 3, options=replace(options, **changes))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *(("notes-digit", 28), ("notes-pattern", 32), ("lenet5", 32), ("alexnet", 80), ("vgg16", 40)),
        *(("resnet18", 64), ("compact", 64)),
    ],
)
def test_every_classifier_keeps_the_contract(name: str, side: int) -> None:
    check_classifier(small(name, side))


@pytest.mark.parametrize("first", ["local", "dense"])
def test_without_shared_weights_it_keeps_the_contract(first: Any) -> None:
    check_classifier(small("notes-digit", 28, first=first))
    check_classifier(small("compact", 32, first=first))


@pytest.mark.parametrize(("name", "side"), [("notes-digit", 28), ("lenet5", 32), ("compact", 32)])
def test_it_learns_a_batch_by_heart(name: str, side: int) -> None:
    check_classifier_learns(small(name, side))


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name: str) -> None:
    classes, parameters = PUBLISHED[name]
    with torch.device("meta"):
        model = create(name, classes)
    summary = summarize(model, blank_like(name))
    assert summary.parameters == parameters == sum(row.parameters for row in summary.rows)


def blank_like(name: str) -> Batch:
    side = usual_side(name, name)
    return blank_batch((side, side)).to(torch.device("meta"))


def layers(name: str, classes: int) -> list[int]:
    """Parameters of each layer that has some, in order."""
    with torch.device("meta"):
        rows = summarize(create(name, classes), blank_like(name)).rows
    return [row.parameters for row in rows if row.parameters]


def test_counts_of_each_layer_are_the_published_ones() -> None:
    assert layers("notes-digit", 10) == [180 + 5, 450 + 10, 1_600 + 10]
    assert layers("notes-pattern", 3) == [4_736, 50_208, 50_208, 24_579]
    assert layers("lenet5", 10) == [156, 2_416, 48_120, 10_164, 850]
    convolutions = [1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080, 1_180_160, *[2_359_808] * 5]
    assert layers("vgg16", 1000) == [*convolutions, 102_764_544, 16_781_312, 4_097_000]
    assert layers("alexnet", 1000)[5:] == [37_752_832, 16_781_312, 4_097_000]


def test_lenet_of_1998_has_60_000_trainable_parameters_before_its_output() -> None:
    options = ClassifierOptions("pool2", side=32, pool=0, hidden=(120, 84), activation="tanh")
    model = Classifier(LeNet5(original=True), 10, options)
    parameters = sum(weight.numel() for weight in model.parameters())
    output = model.head.linear[-1]
    assert parameters - output.weight.numel() - output.bias.numel() == 60_000
    check_classifier(model)


def test_sharing_is_worth_what_the_arithmetic_says() -> None:
    counts = {}
    for first in ("convolution", "local", "dense"):
        model = small("notes-digit", 28, first=first)
        counts[first] = sum(weight.numel() for weight in model.backbone.conv1.parameters())
    assert counts == {
        "convolution": conv_parameters(1, 5, 6),
        "local": local_parameters(5 * 12 * 12, 6),
        "dense": dense_parameters(28 * 28, 5 * 12 * 12),
    }


def test_the_loss_is_cross_entropy_with_smoothing() -> None:
    model = small("notes-digit", 28, smoothing=0.1)
    batch = labelled(make_batch([[]] * 4, 28), 3)
    output = model(batch)
    spread = 0.1 / 3 + 0.9 * F.one_hot(batch.labels, 3)  # type: ignore[arg-type]
    expected = -(spread * output.logits.log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(model.loss(output, batch)["classes"], expected.mean())


def test_a_step_shared_by_processes_adds_up() -> None:
    model = small("notes-digit", 28)
    batch = labelled(make_batch([[]] * 4, 28), 3)
    assert batch.labels is not None
    whole = model.loss(model(batch), batch)["classes"]
    parts = []
    for rows in (slice(0, 1), slice(1, 4)):
        part = replace(batch, images=batch.images[rows], sizes=batch.sizes[rows], labels=batch.labels[rows])
        parts.append(model.loss(model(part), replace(part, total=lambda count: 4))["classes"])
    torch.testing.assert_close(sum(parts), whole)


def test_a_step_without_pictures_has_a_loss_of_zero_with_a_gradient() -> None:
    model = small("notes-digit", 28)
    batch = replace(make_batch([[]], 28), sizes=(), labels=torch.zeros(0, dtype=torch.int64))
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = model.loss(ClassifierOutput(Features({}), logits, logits), batch)["classes"]
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None


def test_a_batch_without_labels_teaches_nothing_but_is_answered() -> None:
    model = small("lenet5", 32).eval()
    batch = make_batch([[]], 32).without_targets()
    output = model(batch)
    with pytest.raises(ValueError, match="pictures with labels"):
        model.loss(output, batch)
    (answer,) = model.decode(output, batch)
    assert answer.label == int(output.logits.argmax())
    torch.testing.assert_close(answer.scores, output.logits[0].softmax(dim=0))


def test_a_flattened_map_takes_one_size_and_says_so() -> None:
    with pytest.raises(UsageError, match="sees 28 x 28 px, not 40 x 40"):
        small("notes-digit", 28)(make_batch([[]], 40))
    with pytest.raises(UsageError, match="8 x 8 px are too small for NotesDigit's conv2"):
        small("notes-digit", 8)
    with pytest.raises(UsageError, match="no feature map 'layer9'"):
        Classifier(resnet18(), 3, ClassifierOptions("layer9"))


def test_the_size_of_a_map_is_found_without_computing_it() -> None:
    backbone = resnet18()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert map_size(backbone, "layer4", 224) == (512, 7, 7)
    assert map_size(vgg16(), "pool5", 97) == (512, 3, 3)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [
        *({"side": 0}, {"pool": -1}, {"hidden": (3, 0)}, {"dropout": 1.0}, {"smoothing": 1.5}),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClassifierOptions(**wrong)


def test_dropout_stands_where_the_papers_have_it() -> None:
    kinds = [[type(part) for part in small(name, 96).head] for name in ("vgg16", "alexnet")]
    linear, relu, dropout = nn.Linear, nn.ReLU, nn.Dropout
    assert kinds == [[linear, relu, dropout] * 2 + [linear], [dropout, linear, relu] * 2 + [linear]]
    assert [part.p for part in small("vgg16", 96).head if isinstance(part, dropout)] == [0.5, 0.5]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_pictures_are_resized_to_exactly_the_size_and_not_padded(name: str) -> None:
    entry = MODELS[name]
    assert entry.backbones == (name,)
    options = entry.options(name, usual_side(name, name))
    assert resized(options, (64, 48)) == Resize((64, 48))
    assert options.side == usual_side(name, name)
    assert Classifier.padding == 1
    assert set(BACKBONES[name].whole) == {"optimizer", "lr", "batch"}


def test_usual_sizes_are_those_of_the_papers() -> None:
    usual = {name: usual_side(name, name) for name in CLASSIFIERS}
    assert usual == dict.fromkeys(CLASSIFIERS, 224) | {"notes-digit": 28, "notes-pattern": 128, "lenet5": 32}


def test_detectors_do_not_run_on_the_small_nets() -> None:
    added = {"notes-digit", "notes-pattern", "lenet5", "alexnet", "thin", "dc-ign"}
    assert set(DETECTING) == set(BACKBONES) - added
    for entry in MODELS.values():
        assert entry.task != Task.DETECT or not added & set(entry.backbones)
    with pytest.raises(UsageError, match="unknown backbone of ssd 'alexnet'"):
        create("ssd", 3, "alexnet")


@pytest.mark.parametrize(("name", "taken"), [("same", 3), ("other classes", 2), ("other width", 1)])
def test_dense_layers_of_a_published_file_are_taken_as_far_as_they_fit(name: str, taken: int) -> None:
    theirs = {"classifier.1": (6, 8), "classifier.4": (5, 6), "classifier.6": (4, 5)}
    dense = {f"{key}.weight": torch.rand(shape) for key, shape in theirs.items()}
    dense |= {f"{key}.bias": torch.rand(shape[0]) for key, shape in theirs.items()}
    head = DenseHead(8, (6, 7 if name == "other width" else 5), 3 if name == "other classes" else 4)
    before = [layer.weight.clone() for layer in head.linear]
    assert head.start_from(dense)
    for number, (layer, key) in enumerate(zip(head.linear, theirs, strict=True)):
        expected = dense[f"{key}.weight"] if number < taken else before[number]
        assert torch.equal(layer.weight, expected)
    assert not DenseHead(9, (6,), 4).start_from(dense)
    assert not head.start_from({})
    broken = dense | {"classifier.1.bias": torch.full((6,), torch.nan)}
    assert not head.start_from(broken)


def test_torchvisions_names_become_ours() -> None:
    with torch.device("meta"):
        for name, build in (("resnet18", resnet18), ("vgg16", vgg16)):
            theirs = build(1000).state_dict()
            ours = classifier_from_torchvision(theirs)
            wanted = create(name, 1000).state_dict()
            assert {key: value.shape for key, value in ours.items()} == {
                key: value.shape for key, value in wanted.items()
            }
        with pytest.raises(ValueError, match="no dense layers"):
            classifier_from_torchvision(vgg16().state_dict())
