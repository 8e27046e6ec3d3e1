"""YOLO: the contract, the paper's counts, its losses and decoding against plain loops, and that it learns."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.references import yolo as plain
from tests.references.some_cells import as_lists, random_cells, some_batch

from neocog.backbones.darknet import LAYERS, Darknet
from neocog.cli.training import run_options
from neocog.data import loader
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.errors import UsageError
from neocog.models.yolo import YOLO, PassThrough, YOLOOptions, with_anchors
from neocog.plan import Machine, RunOptions
from neocog.predict import load
from neocog.run import Run
from neocog.testing import CASES, FULL, check_detector, check_learns, make_batch
from neocog.types import Batch, Objects
from neocog.zoo import MODELS, create

TWO = ((30.0, 30.0), (45.0, 60.0))
KINDS: dict[str, dict[str, Any]] = {
    "version 1": {},
    "giou": {"loss": "giou"},
    "anchors": {"anchors": TWO},
    "giou with anchors": {"loss": "giou", "anchors": TWO},
    "pass-through": {"passthrough": "p2", "passthrough_channels": 8},
    "coarse": {"level": "c4", "loss": "giou"},
}


def build(classes: int = 2, **changes: Any) -> Any:
    torch.manual_seed(0)
    options = replace(MODELS["yolo"].options("compact", 96), **changes)
    return create("yolo", classes, "compact", options)


def thin_darknet(classes: int = 2, side: int = 96) -> YOLO:
    """The paper's network with a sixteenth of its channels."""
    torch.manual_seed(0)
    layers = [None if layer is None else (layer[0], layer[1] // 16, layer[2]) for layer in LAYERS]
    return YOLO(Darknet(layers), classes, YOLOOptions(side=side, hidden=128))


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: str) -> None:
    check_detector(build(3, **KINDS[kind]))


@pytest.mark.parametrize("backbone", ["vgg16", "resnet18"])
def test_contract_on_other_backbones(backbone: str) -> None:
    torch.manual_seed(0)
    check_detector(create("yolo", 2, backbone))


def test_contract_of_the_fully_connected_end() -> None:
    check_detector(thin_darknet())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "coarse"])
def test_learns_one_batch_by_heart(kind: str) -> None:
    check_learns(build(**KINDS[kind]))


def test_parameters_of_the_paper() -> None:
    """7 x 7 cells, 2 boxes, 20 classes: 271,703,550 in all, 205,524,992 of them in the first dense layer."""
    with torch.device("meta"):
        model: Any = create("yolo", 20, "darknet")
    assert sum(p.numel() for p in model.parameters()) == 271_703_550
    assert sum(p.numel() for p in model.head.hidden.parameters()) == 205_524_992
    assert model.head.output.out_features == 1470
    output = model(make_batch([[]], size=448).to(torch.device("meta")))
    assert output.cells.shape == (7, 7)
    assert output.cells.boxes.shape == (1, 49, 2, 4)


def test_the_connected_end_sees_pictures_of_one_size() -> None:
    model: Any = thin_darknet().eval()
    with pytest.raises(UsageError, match="sees 128 x 128 px, not 144 x 144"):
        model(make_batch([FULL], size=144))
    with pytest.raises(UsageError, match="multi_scale needs hidden=0"):
        YOLO(model.backbone, 2, YOLOOptions(multi_scale=True))


def test_decoding_of_version_1_is_the_papers() -> None:
    model = build(3, score=0.2, nms=0.5, most=1000)
    batch = some_batch().without_targets()
    cells = random_cells(batch, 8, 2, 3)
    with torch.inference_mode():
        output = replace(model.eval()(batch), cells=cells)
        found = model.decode(output, batch)
    for image, size in enumerate(batch.sizes):
        expected = plain.decode_v1(as_lists(cells, image), cells.shape, size, 8, 96, 0.2, 0.5)
        assert len(found[image]) == len(expected) > 50
        assert found[image].scores.tolist() == pytest.approx([one[1] for one in expected], rel=1e-5)
        clear = [n for n, one in enumerate(expected) if one[1] < 1]  # above, ties hide the order
        assert found[image].labels[clear].tolist() == [expected[n][0] for n in clear]
        torch.testing.assert_close(
            found[image].boxes[clear], torch.tensor([expected[n][2] for n in clear]), rtol=1e-4, atol=1e-3
        )


def test_the_padding_of_a_batch_changes_nothing() -> None:
    """A picture alone, and beside a larger one: but for what convolutions see of the padding."""
    model = build(3).eval()
    batch = some_batch().without_targets()
    with torch.inference_mode():
        output = model(batch)
    assert not output.cells.inside[1].view(12, 12)[:, 10:].any()
    assert output.cells.inside[1].view(12, 12)[:, :10].all()
    loud = replace(output.cells, confidences=torch.full_like(output.cells.confidences, 9.0))
    loud = replace(loud, logits=torch.ones_like(loud.logits))
    for result, (_, width) in zip(model.decode(replace(output, cells=loud), batch), batch.sizes, strict=True):
        assert (result.boxes[:, 0] < width).all()


def test_passing_through_is_pixel_unshuffle() -> None:
    """Channel c of the four cells that become one: channels 4c to 4c + 3, row by row."""
    torch.manual_seed(0)
    model: Any = build(passthrough="p2", passthrough_channels=6, norm=False)
    assert isinstance(model.through, PassThrough)
    fine = torch.rand(1, 48, 8, 6)
    with torch.no_grad():
        passed = model.through(fine)
        thin = torch.nn.functional.leaky_relu(model.through.conv(fine), 0.1)
    assert passed.shape == (1, 24, 4, 3)
    for channel in range(6):
        for place, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            assert torch.equal(passed[:, 4 * channel + place], thin[:, channel, row::2, column::2])


def test_what_passes_through_reaches_the_output() -> None:
    model = build(passthrough="p2", passthrough_channels=8).eval()
    batch = make_batch([FULL]).without_targets()
    with torch.inference_mode():
        before = model(batch).cells.confidences
        model.through.conv.weight.zero_()
        assert not torch.equal(before, model(batch).cells.confidences)


@pytest.mark.parametrize("name", ["c4", "p3"])
def test_a_map_that_is_not_finer_does_not_pass_through(name: str) -> None:
    with pytest.raises(UsageError, match=f"passthrough={name} is not a finer map than p3"):
        build(passthrough=name)


def test_anchors_start_as_their_sizes_in_the_middle_of_each_cell() -> None:
    """Outputs of 0 are the priors."""
    model = build(anchors=TWO).eval()
    torch.nn.init.zeros_(model.head.output.weight)
    with torch.inference_mode():
        cells = model(make_batch([FULL])).cells
    assert cells.boxes[0, 12 * 3 + 2].tolist() == [[5.0, 13.0, 35.0, 43.0], [-2.5, -2.0, 42.5, 58.0]]


def test_anchors_are_found_in_the_boxes_that_training_sees() -> None:
    """At the input's size, without ignored ones, and only where nobody gave them."""

    class Data:
        name, split = "two", "train"

        def __len__(self) -> int:
            return 4

        def size(self, index: int) -> tuple[int, int]:
            return (100, 200)

        def objects(self, index: int) -> Objects:
            side = 20.0 if index % 2 else 80.0
            boxes = torch.tensor([[0.0, 0.0, side, side / 2], [0.0, 0.0, 7.0, 99.0]])
            return Objects(boxes, torch.tensor([0, 0]), torch.tensor([False, True]))

    data: Any = Data()
    options = replace(MODELS["yolo"].options("compact", 96), anchors=2)
    assert with_anchors(options, data, (100, 100)).anchors == ((10.0, 5.0), (40.0, 20.0))
    given = replace(options, anchors=TWO)
    assert with_anchors(given, data, (100, 100)) == given
    with pytest.raises(UsageError, match="3 sizes are to be found among 2 different ones"):
        with_anchors(replace(options, anchors=3), data, (100, 100))
    with pytest.raises(UsageError, match="anchors=2: their sizes were not found"):
        create("yolo", 2, "compact", options)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"anchors": 65}, "anchors must lie in"),
        ({"anchors": ((0.0, 3.0),)}, "anchors must be sizes"),
        ({"boxes": 0}, "boxes must lie in"),
        ({"nms": 1.5}, "nms must lie in"),
        ({"channels": 0}, "channels must lie in"),
    ],
)
def test_options_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(YOLOOptions(), **changes)


def test_sizes_of_multi_scale_training() -> None:
    """At 416 the paper's: 320 to 608 in steps of 32."""
    entry = MODELS["yolo"]
    options = replace(entry.options("compact", 416), multi_scale=True)
    assert entry.sizes(options, (416, 416)) == tuple((side, side) for side in range(320, 609, 32))
    assert entry.sizes(options, (128, 64))[0] == (96, 48)
    assert entry.sizes(replace(options, multi_scale=False), (416, 416)) == ((416, 416),)


def options(folder: Path, *settings: str, steps: int = 12) -> RunOptions:
    return run_options(
        "yolo",
        str(folder),
        backbone=None,
        size=64,
        train_split="train",
        val_split="val",
        weights=None,
        settings=list(settings),
        given={"batch": 4, "steps": steps, "seed": 3},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small VOC data set of generated scenes."""
    target = tmp_path_factory.mktemp("data") / "shapes"
    splits = {name: Scenes("std", name, count=count) for name, count in (("train", 12), ("val", 4))}
    write_dataset(splits, target, "voc")
    return target


def test_a_run_at_changing_sizes_is_taken_up_in_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anchors and sizes included; and the model is used without the data."""
    torch.set_num_threads(1)
    monkeypatch.setattr(loader, "CHANGE", 2)
    chosen = options(folder, "anchors=3", "multi_scale=true")
    machine, sides, forward = Machine(workers=0, save_steps=2), [], YOLO.forward

    def look(self: YOLO, batch: Batch) -> Any:
        if batch.targets is not None:
            sides.append(batch.images.shape[-1])
        return forward(self, batch)

    monkeypatch.setattr(YOLO, "forward", look)
    for _ in Run(tmp_path / "whole", chosen, machine):
        pass
    assert sides[1::2] == sides[2::2] and set(sides[1:]) == {64, 96}  # two steps each, after warming up
    for last in (3, 8, 12):
        run = Run(
            tmp_path / "left", options(folder, "anchors=3", "multi_scale=true"), machine, resume=last > 3
        )
        for moment in run:
            if moment.step.number == last:
                break
    files = ("model/model.safetensors", "metrics.jsonl", "last/weights.safetensors")
    for name in files:
        hashes = {
            hashlib.sha256((tmp_path / run / name).read_bytes()).hexdigest() for run in ("whole", "left")
        }
        assert len(hashes) == 1, name
    stored = json.loads((tmp_path / "whole" / "run.json").read_text())["options"]["options"]
    assert np.shape(stored["anchors"]) == (3, 2)
    predictor = load(tmp_path / "whole")
    assert predictor.model.options.anchors == chosen.options.anchors
    assert predictor.predict(np.zeros((40, 64, 3), np.uint8)).classes == Scenes("std").classes


@pytest.mark.parametrize("case", CASES)
def test_every_loss_of_every_case_is_named(case: str) -> None:
    batch = make_batch(CASES[case])
    names = {"version 1": {"boxes", "confidence", "background", "classes"}}
    names["anchors"], names["giou"] = names["version 1"], {"boxes", "objectness", "classes"}
    for kind, wanted in names.items():
        model = build(**KINDS[kind])
        losses = model.loss(model(batch), batch)
        assert set(losses) == wanted
        if not CASES[case][0] and len(batch) == 1:
            empty = {name for name, value in losses.items() if value == 0}
            assert empty == wanted - {"background", "objectness"}
