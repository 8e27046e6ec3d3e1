"""Zero-shot detection from the command line: vectors from a file, unseen classes, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neocog.cli import main
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset

SMALL = ["--size", "64", "--threads", "1", "--workers", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("data") / "shapes"
    counts = {"train": 8, "val": 2, "test": 6}
    write_dataset({name: Scenes("std", name, count=n) for name, n in counts.items()}, target, "coco")
    return target


@pytest.fixture(scope="module")
def vectors(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("vectors") / "vectors.json"
    names = (*open_data(folder).classes, "blob", "sky")
    table = {
        name: [float(place % 4 == k) + 0.1 * place for k in range(4)] for place, name in enumerate(names)
    }
    file.write_text(json.dumps(table))
    return file


def train(folder: Path, out: Path, *more: str) -> int:
    words = ["train", "zero-shot", "--data", str(folder), "--out", str(out), "--steps", "2", *SMALL]
    return main([*words, *more])


@pytest.mark.parametrize("background", ["static", "latent"])
def test_train_evaluate_predict(
    background: str, folder: Path, vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--set", f"embeddings={vectors}", "--set", "unseen=square, ring"]
    out = tmp_path / "run"
    assert train(folder, out, *settings, "--set", f"background={background}") == 0
    data = open_data(folder)
    labels = [int(k) for index in range(len(data)) for k in data.objects(index).labels]
    count = sum(labels.count(data.classes.index(name)) for name in ("square", "ring"))
    line = f"{count} objects of unseen classes are ignored in split train: square, ring"
    assert count > 0 and line in capsys.readouterr().out
    config = json.loads((out / "model" / "config.json").read_text())["config"]["options"]
    assert config["unseen"] == ["square", "ring"] and config["embeddings"] == ""
    assert len(config["vectors"]) == 10 and len(config["vocabulary"]) == 2

    moved = vectors.rename(vectors.with_suffix(".moved"))  # the run needs nothing but itself
    try:
        assert main(["evaluate", str(out), "--threads", "1"]) == 0
        assert "only unseen classes" in capsys.readouterr().out
        metrics = json.loads((out / "evaluation.json").read_text())["metrics"]
        kinds = ("seen", "unseen", "gzsd_seen", "gzsd_unseen", "gzsd_harmonic")
        for kind in kinds:
            for name in ("map50", "recall100", "mean_recall100"):
                assert 0 <= metrics[f"{kind}_{name}"] <= 1
        words = ["evaluate", str(out), "--threads", "1", "--set", "calibration=0.1", "--json", "-"]
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)["metrics"].keys() == metrics.keys()
        picture = next((folder).rglob("*.png"))
        assert main(["predict", str(out), str(picture), "--out", str(tmp_path / "found")]) == 0
    finally:
        moved.rename(vectors)


def test_a_test_can_bring_other_vectors(folder: Path, vectors: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "run", tmp_path / "other.json"
    assert train(folder, out, "--set", f"embeddings={vectors}", "--val-split", "none") == 0
    table: dict[str, Any] = json.loads(vectors.read_text())
    del table["ring"]
    other.write_text(json.dumps(table))
    assert main(["evaluate", str(out), "--threads", "1", "--set", f"embeddings={vectors}"]) == 0
    assert main(["evaluate", str(out), "--threads", "1", "--set", f"embeddings={other}"]) == 3


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ([], 2, "brings none: give --set embeddings=FILE"),
        (["embeddings={vectors}", "unseen=rong"], 2, "no class 'rong'; the nearest is 'ring'"),
        (["embeddings={vectors}.nowhere"], 3, "nowhere"),
        (["embeddings={lacking}"], 3, "no vector of the class 'ring'"),
        (["embeddings={vectors}", "detector.training=alternating"], 2, "must be joint"),
        (["embeddings={vectors}", "detector.regions.hard=true"], 2, "regions.hard must be false"),
        (["embeddings={classes}", "background=latent"], 2, "no class: there are none"),
    ],
)
def test_what_cannot_be_is_one_line(
    settings: list[str],
    code: int,
    words: str,
    folder: Path,
    vectors: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table: dict[str, Any] = json.loads(vectors.read_text())
    files = {"vectors": vectors, "lacking": tmp_path / "lacking.json", "classes": tmp_path / "classes.json"}
    files["lacking"].write_text(json.dumps({k: v for k, v in table.items() if k != "ring"}))
    files["classes"].write_text(json.dumps({k: v for k, v in table.items() if k not in ("blob", "sky")}))
    given = [word for setting in settings for word in ("--set", setting.format(**files))]
    assert train(folder, tmp_path / "run", *given) == code
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_is_resumed_with_the_same_vectors_only(
    folder: Path, vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "run", tmp_path / "other.json"
    same = ["--set", f"embeddings={vectors}"]
    assert train(folder, out, *same) == 0
    assert train(folder, out, *same, "--resume") == 0
    other.write_text(vectors.read_text().replace("1.0", "2.0", 1))
    capsys.readouterr()
    assert train(folder, out, "--set", f"embeddings={other}", "--resume") == 2
    err = capsys.readouterr().err
    assert "was started with options.vectors" in err and len(err) < 500
