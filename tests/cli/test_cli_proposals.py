"""`neocog proposals`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from neocog.cli import main
from neocog.cli.proposal_report import best_proposals
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.proposals.search import SearchOptions, selective_search
from neocog.types import Objects, Proposals

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures to search, and to spoil."""
    target = tmp_path / "shapes"
    write_dataset(
        {"train": Scenes("std", "train", 12, 0, 64), "val": Scenes("std", "val", 2, 0, 64)}, target, "voc"
    )
    return target


def pictures(folder: Path) -> list[Path]:
    names = (folder / "ImageSets" / "Main" / "train.txt").read_text().split()
    return [next((folder / "JPEGImages").glob(f"{name}.*")) for name in names]


def damage(path: Path) -> None:
    """Spoil the pixels only: that is seen when they are decoded, not when the data set is opened."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def fail(words: list[str], capsys: Captured) -> tuple[int, str]:
    code = main(["proposals", *words])
    return code, capsys.readouterr().err.splitlines()[-1]


def test_boxes_recall_and_report(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    out, data = tmp_path / "out", open_data(folder, "train")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["proposals", str(folder), "--out", str(out), "--most", "40", "--threads", "2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert sorted(path.name for path in out.iterdir()) == ["proposals.jsonl", "recall.json", "report.html"]
    lines = [json.loads(line) for line in (out / "proposals.jsonl").read_text().splitlines()]
    assert [line["image"] for line in lines] == [data.identity(index) for index in range(12)]
    found = selective_search(data[3].image, SearchOptions(most=40))
    assert lines[3]["boxes"] == found.boxes.tolist() and (lines[3]["width"], lines[3]["height"]) == (64, 64)
    told = json.loads((out / "recall.json").read_text())
    assert told["counts"][-1] == 40 and told["images"] == 12 and told["threads"] == 2 and not told["skipped"]
    assert told["options"]["mode"] == "fast" and told["ms_per_image"] > 0
    shown = capsys.readouterr().out
    assert "12 images" in shown and f"{told['recall']['0.5'][-1]:.3f}" in shown
    page = (out / "report.html").read_text()
    assert page.count("<img") == 8 and page.count("<svg") == 2 and "MABO" in page


def test_repeats_to_the_bit_whatever_the_threads(folder: Path, tmp_path: Path) -> None:
    for name, threads in (("a", "1"), ("b", "3")):
        words = [str(folder), "--out", str(tmp_path / name), "--mode", "quality", "--threads", threads]
        assert main(["proposals", *words, "--count", "5"]) == 0
    files = [(tmp_path / name / "proposals.jsonl").read_bytes() for name in "ab"]
    assert files[0] == files[1] and files[0].count(b"\n") == 5


def test_generated_scenes_and_json(tmp_path: Path, capsys: Captured) -> None:
    words = ["scenes", "--split", "val", "--count", "4", "--out", str(tmp_path / "out"), "--json", "-"]
    assert main(["proposals", *words]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads((tmp_path / "out" / "recall.json").read_text())
    assert json.loads(out)["data"] == "scenes:std" and "average recall" in err


def test_a_picture_that_cannot_be_read_is_skipped_and_counted(
    folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    bad = pictures(folder)[4]
    damage(bad)
    out = tmp_path / "out"
    assert main(["proposals", str(folder), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert bad.name in shown and "11 images, 1 skipped" in shown
    told = json.loads((out / "recall.json").read_text())
    assert len(told["skipped"]) == 1 and told["images"] == 11
    code, line = fail([str(folder), "--out", str(out), "--overwrite", "--strict"], capsys)
    assert code == 3 and bad.name in line


def test_too_many_that_cannot_be_read_stop_it(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    for bad in pictures(folder)[:2]:
        damage(bad)
    code, line = fail([str(folder), "--out", str(tmp_path / "out")], capsys)
    assert code == 3 and "more than 10% of 12 pictures cannot be read" in line


def test_out_is_exactly_the_folder(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    out, words = tmp_path / "out", ["scenes", "--count", "1", "--split", "val"]
    assert main(["proposals", *words, "--out", str(out)]) == 0
    assert fail([*words, "--out", str(out)], capsys)[0] == 2
    assert main(["proposals", *words, "--out", str(out), "--overwrite"]) == 0
    code, line = fail([str(folder), "--out", str(folder / "proposals")], capsys)
    assert code == 2 and "lies in the data set" in line and not (folder / "proposals").exists()
    code, line = fail([str(folder), "--out", str(folder), "--overwrite"], capsys)
    assert code == 2 and "lies in the data set" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mode", "qualty"], "did you mean 'quality'?"),
        (["--longest", "3"], "--longest must lie in [16, 8192], got 3"),
        (["--shortest", "2"], "--shortest must lie in [0, 1], got 2.0"),
        (["--most", "0"], "--most"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], told: str, tmp_path: Path, capsys: Captured) -> None:
    code, line = fail(["scenes", "--out", str(tmp_path / "out"), *words], capsys)
    assert code == 2 and told in line and not (tmp_path / "out").exists()


def test_the_best_proposals_are_those_of_largest_overlap() -> None:
    truth = Objects(
        torch.tensor([[0.0, 0, 10, 10], [20, 0, 40, 20], [0, 0, 5, 5]]),
        torch.tensor([1, 0, 1]),
        torch.tensor([False, False, True]),
    )
    found = Proposals(torch.tensor([[0.0, 0, 10, 5], [0, 0, 10, 8], [20, 0, 40, 20]]), torch.zeros(3))
    best = best_proposals(truth, found)
    assert best.boxes.tolist() == [[20, 0, 40, 20], [0, 0, 10, 8]] and best.labels.tolist() == [0, 1]
    assert best.scores.tolist() == pytest.approx([1, 0.8])
    assert len(best_proposals(truth, Proposals(torch.zeros(0, 4), torch.zeros(0)))) == 0
