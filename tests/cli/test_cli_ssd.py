"""SSD from the command line: its augmentation by name, stretched pictures, and what a run keeps of both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from neocog.cli import main
from neocog.data.dataset import Dataset
from neocog.data.digits import Digits
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.models.ssd import SSDOptions
from neocog.plan import AUGMENTATIONS, default_augmentation
from neocog.predict import Predictor, load
from neocog.transforms.geometry import Resize
from neocog.types import blank_batch
from neocog.zoo import create

SMALL = ["--size", "64", "--steps", "2", "--val-split", "none", "--threads", "1", "--workers", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("data") / "shapes"
    write_dataset({name: Scenes("std", name, count=4) for name in ("train", "test")}, target, "coco")
    return target


def test_a_run_trains_is_measured_and_predicts(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "ssd", "--data", str(folder), "--set", "stretch=true", *SMALL]
    assert main([*words, "--out", str(out)]) == 0
    options = json.loads((out / "run.json").read_text())["options"]
    assert options["augmentation"]["patches"] and options["augmentation"]["zoom_out"] == 1
    assert options["options"]["side"] == 64
    assert main(["evaluate", str(out), "--split", "test", "--threads", "1"]) == 0
    assert "voc_map50" in json.loads((out / "evaluation.json").read_text())["metrics"]
    predictor = load(out)
    assert predictor.transform.geometry == (Resize((64, 64)),)
    found = predictor.predict(np.full((40, 90, 3), 99, np.uint8))
    assert (found.boxes <= [90, 40, 90, 40]).all()


def test_augmentation_is_chosen_by_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "run"
    words = ["train", "ssd", "--data", str(folder), "--out", str(out), *SMALL]
    assert main([*words, "--augment", "zoom-out"]) == 0
    chosen = json.loads((out / "run.json").read_text())["options"]["augmentation"]
    assert chosen["patches"] and chosen["zoom_out"] == 4 and chosen["scale"] is None
    assert main([*words, "--overwrite", "--augment", "patchs"]) == 2
    assert "did you mean 'patches'" in capsys.readouterr().err


def test_defaults_suit_model_and_data() -> None:
    """SSD's own for photographs; generated pictures, and other models, stay as they are."""
    scenes: Dataset = Scenes("std", "train", count=1)
    photographs: Any = SimpleNamespace(format="voc")
    assert not default_augmentation(scenes, "ssd").patches
    assert default_augmentation(photographs, "ssd").patches
    assert not default_augmentation(photographs, "faster-rcnn").patches
    for name in AUGMENTATIONS:
        patches = name in ("patches", "zoom-out")
        assert default_augmentation(scenes, "faster-rcnn", name).patches == patches
        assert default_augmentation(scenes, "ssd", name).vertical_flip == (patches or name == "usual")


def test_characters_are_never_flipped() -> None:
    """A flipped 2 is none; what a turn lays bare behind a white digit is as black as the rest."""
    digits, files = Digits("train"), cast(Dataset, SimpleNamespace(format="idx"))
    chosen = default_augmentation(digits, "notes-digit")
    assert not chosen.flip and not chosen.vertical_flip and not chosen.colour and chosen.rotation > 0
    recipe = chosen.recipe((28, 28))
    sample = replace(digits[3], image=np.zeros((28, 28, 3), np.uint8))
    assert not recipe(sample).image.any()
    untouched = default_augmentation(files, "notes-digit").recipe((28, 28))
    np.testing.assert_array_equal(untouched(digits[3]).image, digits[3].image)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_the_papers_network_is_used_in_either_precision(precision: str) -> None:
    torch.manual_seed(0)
    thin = SSDOptions(dense=16, extras=(16, 16, 16, 16))
    model = create("ssd", 2, "vgg16", thin)
    predictor = Predictor(model, "ab", (96, 96), precision=precision)
    found, _ = predictor.run(blank_batch((96, 96)))
    assert len(found) == 1 and torch.isfinite(found[0].boxes).all()
