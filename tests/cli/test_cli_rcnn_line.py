"""The R-CNN line from the command line: one table, options of its papers, and tests with other options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.run import Run

SMALL = ["--size", "64", "--threads", "1", "--workers", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("data") / "shapes"
    splits = {name: Scenes("std", name, count=4) for name in ("train", "val", "test")}
    write_dataset(splits, target, "coco")
    return target


@pytest.fixture(scope="module")
def compared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "line"
    words = ["compare", "r-cnn", "fast-rcnn", "faster-rcnn", "--data", str(folder), "--steps", "4"]
    assert main([*words, *SMALL, "--out", str(out)]) == 0
    return out


def test_one_table_of_all_three(compared: Path) -> None:
    table = json.loads((compared / "compare.json").read_text())
    rows = {row["model"]: row for row in table["rows"]}
    assert list(rows) == ["r-cnn", "fast-rcnn", "faster-rcnn"]
    for name, row in rows.items():
        ms, faster = row["ms_per_image"], row["speedup_over_rcnn"]
        outside = name != "faster-rcnn"
        assert (ms["proposals"] is not None) == outside and (row["regions"] > 0) == outside
        assert ms["total"] == pytest.approx((ms["proposals"] or 0) + ms["network"] + ms["decode"], rel=0.5)
        assert faster["with_proposals"] == pytest.approx(rows["r-cnn"]["ms_per_image"]["total"] / ms["total"])
    assert rows["r-cnn"]["speedup_over_rcnn"] == {"with_proposals": 1, "without_proposals": 1}
    assert rows["r-cnn"]["gflops"] > rows["fast-rcnn"]["gflops"]
    page = (compared / "report.html").read_text()
    assert "Picture 1: the most objects." in page and "Sparse and crowded pictures" in page
    assert "x without proposals" in page and "how many times R-CNN takes as long" in page


def test_regions_are_kept_once_for_all(compared: Path, folder: Path) -> None:
    assert len(list((compared / "proposals").rglob("*.boxes"))) == 12  # three splits of four pictures
    assert not list(folder.rglob("*.boxes"))
    assert not (compared / "r-cnn-compact-seed0" / "proposals").exists()


def test_without_rcnn_nothing_is_compared_with_it(folder: Path, tmp_path: Path) -> None:
    words = ["compare", "faster-rcnn", "--data", str(folder), "--steps", "1", "--val-split", "none", *SMALL]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    (row,) = json.loads((tmp_path / "out" / "compare.json").read_text())["rows"]
    assert row["speedup_over_rcnn"] == {"with_proposals": None, "without_proposals": None}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the smallest objects" in page and "disagree" not in page  # one model has nobody to disagree with
    assert row["ms_per_image"]["proposals"] is None


def test_other_options_for_one_test(
    compared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = compared / "fast-rcnn-compact-seed0"
    before = (run / "evaluation.json").read_bytes()
    words = ["evaluate", str(run), "--threads", "1", "--json", str(tmp_path / "thin.json")]
    assert main([*words, "--set", "svd=[8,8]", "--set", "regions.nms=0.4"]) == 0
    assert json.loads((tmp_path / "thin.json").read_text())["images"] == 4
    assert (run / "evaluation.json").read_bytes() == before  # not the run's own numbers
    capfd.readouterr()
    assert main([*words, "--set", "hidden=100"]) == 4
    assert capfd.readouterr().err.count("\n") == 1
    assert main([*words, "--set", "regions.nmss=0.4"]) == 2
    assert "the nearest is 'regions.nms'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--pretrain", "1.5"], 2, "--pretrain"),
        (["--set", "context=32"], 2, "leaves nothing of a crop of 64"),
        (["--set", "search.mode=slow"], 2, "search.mode=slow"),
        (["--set", "scorer=forest"], 2, "scorer=forest"),
        (
            ["--set", "hidden=0", "--backbone", "vgg16", "--set", "level=conv9"],
            2,
            "has no feature map 'conv9'",
        ),
    ],
)
def test_what_cannot_be_is_told(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    train = ["train", "r-cnn", "--data", str(folder), "--steps", "1", *SMALL, "--out", str(tmp_path / "run")]
    assert main([*train, *words]) == code
    assert said in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_summary_says_what_a_region_costs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "r-cnn", "--size", "64", "--json", str(tmp_path / "sum.json")]) == 0
    assert "with one region; each more of them adds" in capfd.readouterr().out
    assert json.loads((tmp_path / "sum.json").read_text())["gflops_a_region"] > 0


def test_a_stop_during_the_search_keeps_what_was_found(folder: Path, tmp_path: Path) -> None:
    from neocog.cli.training import run_options
    from neocog.plan import Machine

    options = run_options(
        "fast-rcnn",
        str(folder),
        backbone=None,
        size=64,
        train_split="train",
        val_split="none",
        weights=None,
        settings=None,
        given={"steps": 2},
    )
    run = Run(tmp_path / "run", options, Machine(workers=0))
    for done, count in run.propose():
        assert count == 4
        if done == 2:
            run.stop()
    assert list(run) == [] and run.stopped
    assert 2 <= len(list((tmp_path / "run" / "proposals").rglob("*.boxes"))) <= 3
    again = Run(tmp_path / "run", options, Machine(workers=0), resume=True)
    assert [moment.step.number for moment in again] == [1, 2]
    assert len(list((tmp_path / "run" / "proposals").rglob("*.boxes"))) == 4
