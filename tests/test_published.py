"""Published detectors: named, fetched once, converted, and used like any model of one's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from neocog.backbones.resnet import resnet18
from neocog.backbones.weights import WORDS, PublishedWeights
from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.errors import CheckpointError, NeocogError, UsageError
from neocog.predict import Predictor, load
from neocog.published import (
    COCO_CLASSES,
    IMAGENET_CLASSES,
    TRAINED,
    PublishedModel,
    convert_model,
    read_model,
)
from neocog.zoo import MODELS, create

NAME = "tiny"
SPLIT = Scenes("std", "test", count=3)
CLASSES = ("unused 1", *reversed(SPLIT.classes), "unused 9")
OPTIONS = replace(MODELS["faster-rcnn-fpn"].options("compact", 96), shorter=True)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not all(name.startswith("their.") for name in state):
        raise ValueError("not a tiny one")
    return {name.removeprefix("their."): value for name, value in state.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model: Any = create("faster-rcnn-fpn", CLASSES, "compact", OPTIONS)
    model.head.logits.weight.data *= 200  # so that something is found
    torch.save({f"their.{name}": value for name, value in model.state_dict().items()}, tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> Iterator[list[str]]:
    """The file as published by a server on this machine; what was asked of it."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    url = f"http://127.0.0.1:{server.server_port}/{file.name}"
    published = PublishedWeights(url, digest, file.stat().st_size / 2**20)
    entry = PublishedModel(
        published, "coco", "faster-rcnn-fpn", "compact", (64, 96), OPTIONS, renamed, "a test", classes=CLASSES
    )
    monkeypatch.setitem(TRAINED, NAME, entry)
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield asked
    server.shutdown()
    server.server_close()


def picture(height: int = 80, width: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(first: Predictor, second: Predictor) -> bool:
    one, other = first.predict(picture()), second.predict(picture())
    assert len(one) > 0
    return np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)


def test_a_named_detector_is_fetched_once(requests: list[str], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = load("coco:tiny", progress=lambda done, size: told.append((done, size)))
    assert first.classes == CLASSES and told[-1][0] == told[-1][1] > 0
    assert same(first, load("coco:tiny"))
    assert requests == ["/tiny.pth"]
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["tiny.pth"]


def test_a_file_becomes_a_model_folder_without_the_network(
    requests: list[str], file: Path, tmp_path: Path
) -> None:
    assert convert_model(NAME, file, tmp_path / "model") > 100
    assert not requests
    card = (tmp_path / "model" / "README.md").read_text()
    assert "a test" in card and SPLIT.classes[0] in card and "unused" not in card
    loaded = load(tmp_path / "model")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest in card
    assert loaded.config["source"] == {"as": NAME, "file": "tiny.pth", "sha256": digest}
    assert same(loaded, load("coco:tiny"))


def test_pictures_are_fitted_whichever_way_they_are_held(requests: list[str]) -> None:
    predictor = load("coco:tiny")
    sizes = []
    for shape in ((80, 120), (120, 80), (40, 400)):
        sample = replace(SPLIT[0], image=picture(*shape), target=None)
        sizes.append(predictor.transform(sample).image.shape[:2])
    assert sizes == [(64, 96), (96, 64), (10, 96)]


def test_the_command_line(requests: list[str], file: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "found", tmp_path / "model"
    Image.fromarray(picture()).save(tmp_path / "one.png")
    words = ["--conf", "0.01", "--threads", "1", "--out"]
    assert main(["predict", "coco:tiny", str(tmp_path / "one.png"), *words, str(out)]) == 0
    found = json.loads((out / "predictions.json").read_text())
    assert found["model"] == "coco:tiny" and found["images"][0]["detections"]
    assert main(["convert-weights", str(file), str(model), "--as", NAME]) == 0
    again = tmp_path / "again"
    assert main(["predict", str(model), str(tmp_path / "one.png"), *words, str(again)]) == 0
    assert json.loads((again / "predictions.json").read_text())["images"] == found["images"]


def test_a_models_name_and_a_word_or_a_file_stand_for_a_run(
    requests: list[str], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its authors' name or by ours; a file needs no network, whatever it is called."""
    monkeypatch.delitem(TRAINED, "fasterrcnn_resnet50_fpn")
    own = file.rename(tmp_path / "mine.pth")
    first = load("faster-rcnn-fpn", weights=own)
    assert not requests and first.config["source"]["file"] == "mine.pth"
    own.rename(file)
    assert same(first, load("tiny", weights="coco")) and same(first, load("coco:faster-rcnn-fpn"))
    assert requests == ["/tiny.pth"]
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture()).save("one.png")
    (tmp_path / "faster-rcnn-fpn").mkdir()
    (tmp_path / "faster-rcnn-fpn" / "run.json").write_text("not of this model")
    words = ["faster-rcnn-fpn", "--weights", "coco", "--threads", "1"]
    assert main(["predict", *words, "one.png", "--conf", "0.01"]) == 0
    found = json.loads(Path("predictions", "predictions.json").read_text())
    assert found["weights"] == "coco" and found["images"][0]["detections"]
    assert Path("predictions", "one.png").is_file()
    write_dataset({"test": SPLIT}, tmp_path / "data", "coco")
    assert main(["evaluate", *words, "--data", "data"]) == 0
    assert main(["evaluate", *words]) == 2
    assert [one.name for one in (tmp_path / "faster-rcnn-fpn").iterdir()] == ["run.json"]


def test_training_starts_from_all_of_it_but_the_layers_of_classes(
    requests: list[str],
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delitem(TRAINED, "fasterrcnn_resnet50_fpn")
    write_dataset({"train": SPLIT}, tmp_path / "data", "coco")
    words = ["train", "faster-rcnn-fpn", "--weights", "coco", "--data", str(tmp_path / "data")]
    words += ["--steps", "1", "--val-split", "none", "--threads", "1", "--workers", "0", "--lr", "1e-9"]
    assert main([*words, "--set", "canonical=64", "--out", str(tmp_path / "run")]) == 0
    assert "published weights but head.deltas, head.logits\n" in capsys.readouterr().out
    options = json.loads((tmp_path / "run" / "run.json").read_text())["options"]
    assert options["backbone"] == "compact" and options["size"] == [64, 96] and options["options"]["shorter"]
    given = torch.load(file, weights_only=True)
    trained = load_file(tmp_path / "run" / "model" / "model.safetensors")
    for name, value in trained.items():
        if not name.startswith("head."):  # which the step changes: its BatchNorm counts
            torch.testing.assert_close(value, given[f"their.{name}"], rtol=0, atol=1e-4)
    assert len(trained["head.logits.weight"]) == len(SPLIT.classes) + 1
    out = ["--out", str(tmp_path / "other")]
    assert main([*words, "--set", "channels=32", *out]) == 2
    assert "does not fit" in capsys.readouterr().err
    assert main([*words, "--backbone", "resnet18", *out]) == 2
    assert main(["train", "yolo", *words[2:], *out]) == 2
    assert "no coco weights are published for 'yolo'" in capsys.readouterr().err


def test_a_classifier_names_what_the_middle_of_a_picture_shows(tmp_path: Path) -> None:
    """From a file without BatchNorm's counters, as those of 2017 are."""
    torch.manual_seed(0)
    state = {n: v for n, v in resnet18(1000).state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "resnet18.pth")
    predictor = load("resnet18", weights=tmp_path / "resnet18.pth")
    assert predictor.classes == IMAGENET_CLASSES
    assert predictor.prepare(picture(300, 500)).images.shape == (1, 3, 224, 224)
    wide = picture(100, 300)
    wide[:, :94], wide[:, 206:] = 0, 0  # what the middle leaves out
    answers = [predictor.predict(one) for one in (picture(100, 300), wide)]
    assert answers[0].name in IMAGENET_CLASSES
    assert np.array_equal(answers[0].scores, answers[1].scores)


def test_evaluation_asks_only_for_the_classes_of_the_data(
    requests: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, result = tmp_path / "data", tmp_path / "result.json"
    write_dataset({"test": SPLIT}, data, "coco")
    words = ["--threads", "1", "--json", str(result)]
    assert main(["evaluate", "coco:tiny", "--data", str(data), *words]) == 0
    assert list(json.loads(result.read_text())["per_class"]) == list(SPLIT.classes)
    said = f"of the model's {len(CLASSES)} classes only these {len(SPLIT.classes)} count"
    assert said in capsys.readouterr().out


def test_a_detector_among_fewer_classes(requests: list[str]) -> None:
    predictor = load("coco:tiny")
    every = predictor.predict(picture())
    few = (CLASSES[2], CLASSES[0])
    found = predictor.among(few).predict(picture())
    assert found.names == [name for name in every.names if name in few]
    assert 0 < len(found) < len(every) and set(found.labels) <= {0, 1}
    assert predictor.predict(picture()).names == every.names
    with pytest.raises(UsageError, match="does not know the class 'zebra'"):
        predictor.among(["zebra"])


def refused(call: Any, kind: type[NeocogError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_is_refused_is_one_line(requests: list[str], file: Path, tmp_path: Path) -> None:
    refused(lambda: load("coco:tiyn"), UsageError, "'tiyn'", "did you mean 'tiny'?")
    refused(lambda: read_model("tiyn", file), UsageError, "did you mean 'tiny'?")
    refused(lambda: convert_model(NAME, file, tmp_path), UsageError, "exists already")
    refused(lambda: load("tiny", weights="imagenet"), UsageError, "unknown published model 'tiny'")
    refused(
        lambda: load("faster-rcnn", weights="coco"),
        UsageError,
        "no coco weights are published for 'faster-rcnn': there are for ",
        "faster-rcnn-fpn",
    )
    refused(lambda: load("tiny", weights="cocoo"), UsageError, "'cocoo': did you mean 'coco'?", "give a file")
    refused(lambda: load("ssd"), CheckpointError, "ssd: no such run; for a published model give weights")
    refused(lambda: load("tiny", weights="no/such.pth"), CheckpointError, "no/such.pth: no such file")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    refused(lambda: read_model(NAME, tmp_path / "other.pth"), CheckpointError, "not a tiny one")
    state = torch.load(file, weights_only=True)
    name = "their.head.logits.weight"
    for wrong in (torch.zeros(2, 2), torch.full_like(state[name], torch.nan)):
        torch.save(state | {name: wrong}, tmp_path / "wrong.pth")
        refused(lambda: read_model(NAME, tmp_path / "wrong.pth"), CheckpointError, "'head.logits.weight'")
    assert main(["convert-weights", str(file), str(tmp_path / "new"), "--as", NAME, "--key", "x"]) == 2
    assert not (tmp_path / "new").exists()


def test_the_table_states_what_the_files_are() -> None:
    for name, entry in TRAINED.items():
        assert (
            entry.file.file.startswith(name)
            and entry.data in WORDS
            and entry.file.file.endswith(f"-{entry.file.sha256}.pth")
        )
        assert entry.file.url.startswith("https://download.pytorch.org/models/")
        assert entry.model in MODELS and entry.backbone in MODELS[entry.model].backbones


def test_the_classes_of_imagenet_are_a_thousand_names() -> None:
    assert len(set(IMAGENET_CLASSES)) == len(IMAGENET_CLASSES) == 1000
    assert [IMAGENET_CLASSES[n] for n in (0, 281, 999)] == ["tench", "tabby", "toilet tissue"]


def test_labels_are_coco_ids_less_one() -> None:
    assert len(COCO_CLASSES) == 90
    unused = [label + 1 for label, name in enumerate(COCO_CLASSES) if name.startswith("unused")]
    assert unused == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    ids = {"person": 1, "cat": 17, "stop sign": 13, "chair": 62, "tv": 72, "toothbrush": 90}
    assert all(COCO_CLASSES[number - 1] == name for name, number in ids.items())
