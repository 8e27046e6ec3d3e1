"""Giving a model away: what is written, what the hub is asked to do, and what goes wrong on the way."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from neocog.cards import model_card
from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.hub import FILES, prepare_gift
from neocog.predict import load
from neocog.types import Task
from neocog.weights import load_model, save_model
from neocog.zoo import MODELS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, with a validation."""
    root = tmp_path_factory.mktemp("push")
    write_dataset({name: Scenes("std", name, count=4) for name in ("train", "val")}, root / "shapes", "coco")
    words = [
        "--size",
        "64",
        "--steps",
        "2",
        "--threads",
        "1",
        "--workers",
        "0",
        "--precision",
        "f32",
        "--out",
        str(root / "run"),
    ]
    assert main(["train", "ssd", "--data", str(root / "shapes"), *words]) == 0
    return root / "run"


def test_a_folder_holds_what_is_given_away_and_nothing_of_this_machine(run: Path, tmp_path: Path) -> None:
    out, result = tmp_path / "given", tmp_path / "result.json"
    words = ["--licence", "cc-by-4.0", "--dataset", "me/shapes", "--json", str(result)]
    assert main(["push", str(run), "--out", str(out), *words]) == 0
    assert sorted(one.name for one in out.iterdir()) == sorted(FILES)
    told = json.loads(result.read_text())
    assert told["files"] == {name: (out / name).stat().st_size for name in FILES}
    assert told["removed"] == [] and told["folder"] == str(out) and told["address"] is None
    for name in ("config.json", "README.md"):
        text = (out / name).read_text()
        assert str(run.parent) not in text and str(Path.home()) not in text
    assert load(out).classes == load(run).classes


def test_the_card_is_the_hubs_and_tells_what_the_run_knows(run: Path, tmp_path: Path) -> None:
    assert main(["push", str(run), "--out", str(tmp_path / "given"), "--licence", "cc-by-4.0"]) == 0
    card = ModelCard.load(tmp_path / "given" / "README.md")
    fields = card.data.to_dict()
    assert fields["license"] == "cc-by-4.0" and fields["library_name"] == "neocog"
    assert fields["pipeline_tag"] == "object-detection" and fields["tags"] == ["neocog", "ssd", "compact"]
    measured = json.loads((run / "evaluation.json").read_text())
    wanted = {n: v for n, v in measured["metrics"].items() if v is not None and math.isfinite(v)}
    results = card.data.eval_results or []
    assert {one.metric_type: one.metric_value for one in results} == wanted
    assert {(one.dataset_name, one.dataset_split) for one in results} == {("shapes", "val")}
    for told in ("2 steps", "seed 0", "64 x 64 px", "(4 images)", "few pictures: 4", "in f32"):
        assert told in card.text, told
    for name in load(run).classes:
        assert f"| {name} | " in card.text
    assert "license" not in ModelCard.load(run / "model" / "README.md").data.to_dict()


def test_limits_are_those_of_the_run(run: Path) -> None:
    """What was skipped, what could not be read, and what was never shown, are counted and named."""
    document = json.loads((run / "run.json").read_text())
    assert "left out" not in model_card(document, None) and "vectors" not in model_card(document, None)
    document["data"]["report"] |= {
        "files": {"lost": {"broken": 2}},
        "annotations": {"lost": {"a": 1, "b": 3}},
    }
    document["unreadable"] = ["one.png: truncated"]
    document["options"]["options"]["unseen"] = ["disc"]
    card = model_card(document, None)
    assert "2 files and 4 annotations of the training data could not be used" in card
    assert "1 pictures could not be read" in card and "by vectors alone: disc" in card
    assert "model-index" not in card


@pytest.mark.parametrize("task", Task)
def test_every_task_has_a_card(run: Path, task: Task) -> None:
    document = json.loads((run / "run.json").read_text()) | {"task": task.value}
    assert "\npipeline_tag: " in str(ModelCard(model_card(document, None)).data)
    assert task in {entry.task for entry in MODELS.values()}


def test_a_model_folder_keeps_its_own_card_and_loses_paths(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, weights = load_model(run)
    config["source"] = {"file": str(tmp_path / "secret" / "vectors.json"), "windows": "C:\\me\\a.pth"}
    config["classes"] = ["/m/01", *config["classes"][1:]]  # a class of that name is no path
    save_model(tmp_path / "model", config, weights, "---\nlibrary_name: neocog\n---\n\nMy words.\n")
    out = tmp_path / "out"
    assert main(["push", str(tmp_path / "model"), "--out", str(out), "--licence", "mit"]) == 0
    assert load_model(out)[0]["source"] == {"file": "vectors.json", "windows": "a.pth"}
    assert load_model(out)[0]["classes"][0] == "/m/01"
    assert "secret/vectors.json only the name is given away" in capsys.readouterr().out
    card = (out / "README.md").read_text()
    assert card == "---\nlibrary_name: neocog\nlicense: mit\n---\n\nMy words.\n"


def test_the_hub_is_asked_for_exactly_that(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def create(self: HfApi, repo: str, **words: Any) -> str:
        asked.append((repo, words))
        assert self.token is True
        return f"https://hub.example/{repo}"

    def send(self: HfApi, **words: Any) -> None:
        asked.append((words["repo_id"], words))
        assert sorted(one.name for one in Path(words["folder_path"]).iterdir()) == sorted(FILES)

    monkeypatch.setattr(HfApi, "create_repo", create)
    monkeypatch.setattr(HfApi, "upload_folder", send)
    assert main(["push", str(run), "--to", "me/shapes", "--private"]) == 0
    assert [name for name, _ in asked] == ["me/shapes"] * 2
    assert asked[0][1] == {"private": True, "exist_ok": True}
    assert asked[1][1]["allow_patterns"] == list(FILES)
    assert not Path(asked[1][1]["folder_path"]).exists()
    said = capsys.readouterr().out
    assert "https://hub.example/me/shapes" in said and "no --licence" in said


class _Response:
    status_code = 403
    headers: dict[str, str] = {}  # noqa: RUF012
    request = None


def failures() -> list[tuple[Exception, int, str]]:
    transport = HfHubHTTPError.__bases__[0]
    response: Any = _Response()
    return [
        (LocalTokenNotFoundError("none"), 2, "set HF_TOKEN"),
        (HfHubHTTPError("forbidden", response=response), 2, "refused by the hub (HTTP 403)"),
        (transport("no route\nto host"), 4, "not uploaded (no route to host)"),
        (ConnectionError("offline"), 4, "not uploaded (offline)"),
    ]


@pytest.mark.parametrize("number", range(4))
def test_what_goes_wrong_is_one_line(
    number: int, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code, words = failures()[number]

    def create(self: HfApi, repo: str, **_: Any) -> str:
        raise error

    monkeypatch.setattr(HfApi, "create_repo", create)
    assert main(["push", str(run), "--to", "me/shapes"]) == code
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_usage(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["push", str(run)]) == 2
    assert main(["push", str(run), "--to", "a/b", "--out", str(out)]) == 2
    assert main(["push", str(run), "--to", "no such/name"]) == 2
    assert "such as ORG/NAME" in capsys.readouterr().err
    assert main(["push", str(run), "--out", str(run)]) == 2
    assert main(["push", str(tmp_path / "none"), "--out", str(out)]) == 4
    config, weights = load_model(run)
    save_model(tmp_path / "model", config, weights, "no fields")
    assert main(["push", str(tmp_path / "model"), "--out", str(out)]) == 4
    assert "not a model card" in capsys.readouterr().err
    assert not out.exists()


def test_a_damaged_run_is_not_given_away(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "run"
    gift = prepare_gift(run, other / "model")
    assert gift.sizes.keys() == set(FILES)
    for text in ("{", "[]", "{}", '{"options": 3, "data": {}, "task": "detect"}'):
        (other / "run.json").write_text(text)
        assert main(["push", str(other), "--out", str(tmp_path / "out")]) == 4
        assert "run.json: damaged" in capsys.readouterr().err
