"""`neocog figures`: what it lists, draws and refuses; and the figures of trained models."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from tests.references.figures.layout import require_legible

from neocog import run_figures
from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.explain.heatmap import Sliding
from neocog.pictures.figures import FIGURES
from neocog.predict import load
from neocog.run_figures import RUN_FIGURES
from neocog.types import Task

Captured = pytest.CaptureFixture[str]
QUICK = ["--steps", "3", "--threads", "1"]
SEGMENTING = ["fcn-32s", "fcn-16s", "fcn-8s", "deconvnet"]
MEASURES = {"boundary_f1": "test_boundary_f1", "mean_iou": "test_mean_iou"}
SPOILT: dict[str, tuple[tuple[str, Callable[[Any], Any]], ...]] = {
    "heat-map": (
        ("class_map", lambda cells: 1 - cells),
        ("heat_over", lambda heat: 1 - heat),
        ("peak", lambda at: (at[0] + 16, at[1])),
        ("log_odds", lambda odds: -odds),
    ),
    "fcn-variants": (
        ("load", lambda _: _Blind()),
        ("record", lambda found: replace(found, boundary=np.ones_like(found.boundary))),
    ),
}


class _Blind:
    """A model that sees discs everywhere."""

    def predict(self, image: np.ndarray) -> _Blind:
        self.mask = np.ones(image.shape[:2], np.uint8)
        return self


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the figures of trained models are drawn from, trained for three steps, and their data."""
    home = tmp_path_factory.mktemp("runs")
    for format, task in (("voc", Task.DETECT), ("masks", Task.SEGMENT)):
        splits = {name: Scenes("std", name, 6, size=64, task=task) for name in ("train", "val", "test")}
        write_dataset(splits, home / format, format)
        (home / format / "classes.txt").write_text("\n".join(splits["train"].classes) + "\n")
    single = ["--data", "scenes:single", "--size", "64", "--val-split", "none"]
    for words in (
        ["compare", *SEGMENTING, "--data", str(home / "masks"), "--out", str(home / "segment"), *QUICK],
        [
            "compare",
            "r-cnn",
            "faster-rcnn",
            "--data",
            str(home / "voc"),
            "--out",
            str(home / "detect"),
            *QUICK,
        ],
        ["train", "compact", *single, "--out", str(home / "classify"), *QUICK],
    ):
        assert main(words) == 0
    sources = {"rcnn-table": "detect", "heat-map": "classify", "masks": "masks"}
    sources |= {"fcn-variants": "segment", "fcn-against-deconvnet": "segment"}
    return {name: home / folder for name, folder in sources.items()}


def told(words: list[str], code: int, capsys: Captured) -> str:
    """The one line that a command ends with on standard error."""
    capsys.readouterr()
    assert main(["figures", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("neocog: ")
    return line


def test_the_list_says_what_each_needs(tmp_path: Path, capsys: Captured) -> None:
    assert main(["figures", "--json", str(tmp_path / "list.json")]) == 0
    listed = json.loads((tmp_path / "list.json").read_text())
    assert list(listed) == [*FIGURES, *RUN_FIGURES]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["figure", "shows", "needs"] and "--out" in lines[-1]
    for name, line in zip(listed, lines[1:-1], strict=True):
        assert line.startswith(name) and listed[name]["title"] in line
        assert line.endswith(listed[name]["needs"] or "-")
    assert listed["heat-map"]["needs"] == "a run of a classifier on scenes:single"


def test_one_is_drawn_and_told_as_json(tmp_path: Path, capsys: Captured) -> None:
    words = ["figures", "pulse-smoothing", "--out", str(tmp_path), "--format", "svg,html", "--json", "-"]
    assert main(words) == 0
    captured = capsys.readouterr()
    (record,) = json.loads(captured.out).values()
    assert record["files"] == [str(tmp_path / "pulse-smoothing.svg")]  # a still has no page
    drawn = ElementTree.fromstring((tmp_path / "pulse-smoothing.svg").read_text())
    assert drawn.get("aria-label") == record["alt"]
    assert captured.err == f"pulse-smoothing: {tmp_path / 'pulse-smoothing.svg'}\n"


def test_without_names_all_but_those_of_trained_models(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {name: FIGURES[name] for name in ("pulse-smoothing", "binary-image")}
    monkeypatch.setattr("neocog.pictures.figures.FIGURES", some)
    assert main(["figures", "--out", str(tmp_path), "--format", "svg"]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == set(some)
    last = capsys.readouterr().out.splitlines()[-1]
    assert "--run" in last and all(name in last for name in RUN_FIGURES)


def test_wrong_words(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("")
    out = ["--out", str(tmp_path / "new")]
    assert "did you mean 'heat-map'?" in told(["heatmap", *out], 2, capsys)
    assert "unknown format 'pgn': did you mean 'png'?" in told(["heat-map", "--format", "svg,pgn"], 2, capsys)
    assert "is a file" in told(["binary-image", "--out", str(tmp_path / "file")], 2, capsys)
    assert "is a file" in told(["binary-image", "--out", str(tmp_path / "file" / "x")], 2, capsys)
    run = ["--run", str(tmp_path), *out]
    assert "none is named" in told(["binary-image", *run], 2, capsys)
    assert "2 are named" in told(["heat-map", "rcnn-table", *run], 2, capsys)
    assert "nothing is trained" in told(["heat-map", "--minutes", "1", *run], 2, capsys)
    assert "no figure of trained models" in told(["binary-image", "--minutes", "1", *out], 2, capsys)
    assert "no such run" in told(["heat-map", "--run", str(tmp_path / "missing"), *out], 4, capsys)
    assert not (tmp_path / "new").exists()


def test_runs_of_the_wrong_kind(runs: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    def refused(name: str, run: Path) -> str:
        return told([name, "--run", str(run), "--out", str(tmp_path / "out")], 4, capsys)

    segment = runs["fcn-variants"]
    assert "no model in it" in refused("heat-map", segment)
    assert "is no classifier of scenes" in refused("heat-map", segment / "fcn-8s-compact-seed0")
    assert "compare.json: is not there" in refused("rcnn-table", runs["heat-map"])
    assert "segment, not detect" in refused("rcnn-table", segment)
    assert "detect, not segment; neocog compare fcn-32s" in refused("fcn-variants", runs["rcnn-table"])
    table = json.loads((segment / "compare.json").read_text())
    table["rows"] = [row for row in table["rows"] if row["model"] != "deconvnet"]
    (tmp_path / "compare.json").write_text(json.dumps(table))
    assert "has no row of deconvnet" in refused("fcn-against-deconvnet", tmp_path)
    assert "fcn-32s-compact-seed0: no such run" in refused("fcn-variants", tmp_path)
    broken = json.loads((segment / "compare.json").read_text())
    broken["rows"][0] |= {"seeds": [], "ms_per_image": {"total": float("nan"), "proposals": None}}
    for text in (
        "",
        "[]",
        json.dumps(broken),
        '{"task": "segment"}',
        json.dumps(table | {"rows": [{"model": "fcn-8s"}]}),
    ):
        (tmp_path / "compare.json").write_text(text)
        assert "damaged, or not a file of ours" in refused("fcn-variants", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", RUN_FIGURES)
def test_those_of_trained_models_are_whole(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    assert main(["figures", name, "--run", str(runs[name]), "--out", str(tmp_path)]) == 0
    figure = RUN_FIGURES[name].draw(runs[name])
    assert figure.name == name and figure.width <= 960
    require_legible(figure)
    assert (tmp_path / f"{name}.svg").read_text() == figure.svg  # the same bytes again
    assert (tmp_path / f"{name}.png").stat().st_size > 1000
    assert ElementTree.fromstring(figure.svg).get("aria-label") == figure.alt


@pytest.mark.parametrize(
    ("name", "function", "spoil"), [(n, *one) for n, all_ in SPOILT.items() for one in all_]
)
def test_they_change_with_what_computes_them(
    name: str, function: str, spoil: Any, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, right = RUN_FIGURES[name].draw(runs[name]).svg, getattr(run_figures, function)
    monkeypatch.setattr(run_figures, function, lambda *given, **named: spoil(right(*given, **named)))
    assert RUN_FIGURES[name].draw(runs[name]).svg != before


def test_the_table_is_that_of_the_comparison(runs: dict[str, Path], tmp_path: Path) -> None:
    table = json.loads((runs["rcnn-table"] / "compare.json").read_text())
    figure = run_figures.rcnn_table(runs["rcnn-table"])
    rows = table["rows"]
    for key, name in (("ap50", "voc_map50"), ("ap", "coco_ap")):
        assert figure.values[key].tolist() == [row["metrics"][name]["mean"] for row in rows]
    assert figure.values["parameters"].tolist() == [row["parameters"] for row in rows]
    assert figure.values["seconds"].tolist() == [row["train_seconds"] for row in rows]
    assert figure.values["ms"].tolist() == [row["ms_per_image"]["total"] for row in rows]
    assert figure.values["searching"][0] == rows[0]["ms_per_image"]["proposals"]
    assert np.isnan(figure.values["searching"][1])
    rows[1]["metrics"]["voc_map50"]["mean"] = 0.875
    (tmp_path / "compare.json").write_text(json.dumps(table))
    changed = run_figures.rcnn_table(tmp_path / "compare.json")
    assert ">0.875</text>" in changed.svg and ">0.875</text>" not in figure.svg


def test_the_heat_is_the_softmax_of_every_window(runs: dict[str, Path]) -> None:
    values = run_figures.heat_map(runs["heat-map"]).values
    predictor = load(runs["heat-map"], precision="f32")
    data = Scenes("std", "test", size=128)
    found = [index for index in range(20) if len({*data.objects(index).labels.tolist()}) >= 3]
    index = next(i for i in found if len({*data.objects(i).labels.tolist()}) == len(data.objects(i)))
    sliding = Sliding(predictor.model)
    _, logits = sliding(data[index].image)
    shares = softmax(logits.numpy(), axis=0)
    labels = data.objects(index).labels.tolist()
    surest = max(labels, key=lambda label: shares[label].max())
    np.testing.assert_allclose(values["cells"], shares[surest], rtol=1e-4)
    boxes = data.objects(index).boxes[torch.tensor([label == surest for label in labels])]
    assert (values["boxes"] == boxes.numpy()).all()
    row, column = divmod(int(shares[surest].argmax()), shares.shape[2])
    peak = [sliding.offset + place * sliding.stride for place in (column, row)]
    assert values["peak"].tolist() == peak
    assert values["heat"].shape == (128, 128)


@pytest.mark.parametrize("name", ["fcn-variants", "fcn-against-deconvnet"])
def test_the_masks_are_what_the_models_answer(name: str, runs: dict[str, Path]) -> None:
    values = RUN_FIGURES[name].draw(runs[name]).values
    table = json.loads((runs[name] / "compare.json").read_text())
    shown = [key.removeprefix("mask ") for key in values if key.startswith("mask ")]
    assert shown == (SEGMENTING[:3] if name == "fcn-variants" else SEGMENTING[2:])
    rows = {row["model"]: row for row in table["rows"]}
    data = Scenes("std", "test", 6, size=64, task=Task.SEGMENT)
    (index,) = [i for i in range(6) if (data.mask(i) == values["truth"]).all()]
    for place, model in enumerate(shown):
        predictor = load(runs[name] / f"{model}-{rows[model]['backbone']}-seed0")
        assert (predictor.predict(data[index].image).mask == values[f"mask {model}"]).all()
        for metric, key in MEASURES.items():
            assert values[key][place] == rows[model]["metrics"][metric]["mean"]


def test_what_is_needed_is_trained_first_and_gone_on_with(tmp_path: Path, capsys: Captured) -> None:
    words = ["figures", "heat-map", "--minutes", "0.01", "--threads", "1", "--out", str(tmp_path)]
    assert main([*words, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["heat-map"]["run"] == str(tmp_path / "heat-map-run")
    assert "compact on compact, 128 px" in captured.err and "val: top1" in captured.err
    first = (tmp_path / "heat-map.svg").read_text()
    assert main([*words, "--format", "svg"]) == 0
    assert "resumed at step" in capsys.readouterr().out
    assert (tmp_path / "heat-map.svg").read_text() == first


def test_a_comparison_is_trained_first_and_never_again(
    runs: dict[str, Path], tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = RUN_FIGURES["fcn-against-deconvnet"]
    monkeypatch.setitem(RUN_FIGURES, entry.name, entry._replace(data=str(runs["masks"])))
    words = [entry.name, "--minutes", "0.001", "--threads", "1", "--out", str(tmp_path), "--format", "svg"]
    assert main(["figures", *words]) == 0
    assert "deconvnet-thin-seed0" in capsys.readouterr().out
    assert (tmp_path / f"{entry.name}.svg").is_file()
    assert "exists already; draw from it with --run" in told(words, 2, capsys)
