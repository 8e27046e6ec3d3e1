"""Books that balance, one line a fault, and the rules for stopping."""

from __future__ import annotations

import json

import pytest

from neocog.data.report import Fault, Outcome, Report
from neocog.errors import DataError


def books(files: int = 100, bad_files: int = 0, annotations: int = 100, bad: int = 0) -> Report:
    report = Report("pets, train")
    report.files_seen, report.files_used = files, files - bad_files
    report.annotations_seen, report.annotations_used = annotations, annotations - bad
    report.class_seen["cat"], report.class_used["cat"] = annotations, annotations - bad
    for number in range(bad_files):
        report.skip(f"{number}.jpg", "truncated")
    for number in range(bad):
        report.drop("a.xml", f"object {number}", "box has zero area")
    return report


def test_lines_say_where_what_and_what_was_done() -> None:
    assert Fault("a.txt", "line 3", "box has zero area", "", Outcome.DROPPED).line == (
        "a.txt:line 3: box has zero area (annotation left out)"
    )
    assert Fault("a.jpg", "", "truncated", "copy it again", Outcome.SKIPPED_FILE).line == (
        "a.jpg: truncated (file left out; copy it again)"
    )
    assert "\n" not in Fault("a\nb\udcff.jpg", "", "odd\rname", "", Outcome.NOTED).line


def test_losses_up_to_a_tenth_are_allowed() -> None:
    for report in (books(), books(bad_files=10), books(bad=10)):
        assert report.balanced
        report.judge()


@pytest.mark.parametrize("report", [books(bad_files=11), books(bad=11)])
def test_more_than_a_tenth_stops(report: Report) -> None:
    with pytest.raises(DataError, match=r"^pets, train: .* of 100 .*more than 10%; first: .*") as stopped:
        report.judge()
    assert "\n" not in str(stopped.value)


def test_strict_allows_no_loss() -> None:
    books().judge(strict=True)
    noted = books()
    noted.note("a.jpg", "", "PNG content in a .jpg name")
    noted.fix("a.txt", "line 1", "box reaches outside the image", "clipped")
    noted.judge(strict=True)
    for report in (books(bad_files=1), books(bad=1)):
        with pytest.raises(DataError, match="strict"):
            report.judge(strict=True)


def test_a_class_must_not_vanish() -> None:
    report = books(bad=1)
    report.class_seen["dog"] = 1
    with pytest.raises(DataError, match="every annotation of class 'dog' is lost"):
        report.judge()


def test_an_empty_split_stops() -> None:
    with pytest.raises(DataError, match="the split is empty"):
        Report().judge()


def test_reasons_of_the_whole_split_come_first() -> None:
    report = books(bad=50)
    report.stops.append("labels folder not found?")
    with pytest.raises(DataError, match=r"^pets, train: labels folder not found\?"):
        report.judge()


def test_lines_are_limited_but_counted() -> None:
    report = books(bad=50)
    lines = report.lines(limit=20)
    assert len(lines) == 21 and lines[-1] == "... 50 in all: box has zero area (annotation left out)"
    assert report.counts() == [("annotation left out", "box has zero area", 50)]


def test_it_goes_into_json_and_merges() -> None:
    report = books(bad=3)
    report.merge(books(bad_files=2))
    assert report.balanced and report.files_seen == 200
    found = json.loads(json.dumps(report.to_dict()))
    assert found["files"] == {"seen": 200, "used": 198, "lost": {"truncated": 2}}
    assert found["annotations"]["lost"] == {"box has zero area": 3}
    assert found["classes"]["cat"] == {"seen": 200, "used": 197}
