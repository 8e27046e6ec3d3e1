"""Reports: one valid, self-contained, accessible page, whatever the text."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from neocog.errors import DiskError
from neocog.pictures.axes import Axis
from neocog.pictures.charts import bar_chart
from neocog.pictures.report import Page, write_page

VOID = {"meta", "img"}


class Outline(HTMLParser):
    """Elements with their attributes, and the text of each; fails where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.content: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.content.append((self._open[-1] if self._open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [data for name, data in self.content if name == tag]


def sample_page() -> Page:
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    columns = ["model", "AP", "time (ms)", "steps"]
    return (
        Page("Results", "400 images")
        .numbers({"AP": "0.5", "time (ms)": "20"})
        .heading("Test")
        .paragraph("All on one thread.")
        .table("By model", columns, [["a", 0.5, 20.25, 1200], ["b", None, 4000.0, 7]])
        .figure(bar_chart("AP", {"cat": 0.5}, Axis("AP")), "AP of one class", "Higher is better.")
        .heading("Pictures", 3)
        .figure(picture, "four by four")
    )


def test_page_is_complete_and_accessible() -> None:
    page = Outline(sample_page().render())
    assert page.all("html")[0]["lang"] == "en"
    assert page.text("title")[0] == "Results"
    assert [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)] == ["h1", "h2", "h3"]
    assert page.text("caption") == ["By model"]
    assert [item["scope"] for item in page.all("th")] == ["col"] * 4 + ["row"] * 2
    assert [item["alt"] for item in page.all("img")] == ["four by four"]
    assert page.all("svg")[0]["role"] == "img" and page.all("svg")[0]["aria-label"] == "AP"
    assert {"name": "viewport", "content": "width=device-width,initial-scale=1"} in page.all("meta")
    regions = [item for item in page.all("div") if item.get("role") == "region"]
    assert all(item["tabindex"] == "0" and item["aria-label"] for item in regions) and len(regions) == 2


def test_page_needs_nothing_from_outside() -> None:
    html = sample_page().render()
    page = Outline(html)
    assert not page.all("script") and not page.all("link") and "@import" not in html
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert links and all(link is not None and link.startswith("data:") for link in links)
    assert "url(" not in html
    assert "default-src 'none'" in str(page.all("meta"))


def test_numbers_stand_right_with_equal_decimals() -> None:
    page = Outline(sample_page().render())
    assert page.text("td") == ["0.500", "20.2", "1,200", "4,000.0", "7"]
    assert page.text("span") == ["–"]
    assert [item.get("class") for item in page.all("th")] == [None, "n", "n", "n", None, None]
    assert [item.get("class") for item in page.all("td")] == ["n"] * 6


def test_mixed_and_negative_columns() -> None:
    html = Page("t").table("c", ["a", "b", "c"], [["x", "text", -0.25], ["y", 3, 0.0]]).render()
    page = Outline(html)
    assert page.text("td") == ["text", "−0.250", "3", "0.000"]
    assert [item.get("class") for item in page.all("td")] == [None, "n", None, "n"]


def test_picture_survives() -> None:
    source = Outline(sample_page().render()).all("img")[0]["src"]
    assert source is not None
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert (np.asarray(picture) == np.arange(48).reshape(4, 4, 3)).all()


def shape(page: Page) -> list[tuple[str, list[str]]]:
    """Tags and names of attributes, without the parts that an empty text leaves out."""
    elements = Outline(page.render()).elements
    return [(tag, list(attributes)) for tag, attributes in elements if tag not in ("p", "figcaption")]


@given(st.text())
@example("</td><script>alert(1)</script>")
@example("' onload='x\" onload=\"y")
def test_any_text_stays_text(content: str) -> None:
    page = Page(content, content).heading(content).paragraph(content).numbers({content: content})
    page = page.table(content, [content], [[content]]).figure(Image.new("RGB", (1, 1)), content, content)
    plain = Page("t", "t").heading("t").paragraph("t").numbers({"t": "t"})
    plain = plain.table("t", ["t"], [["t"]]).figure(Image.new("RGB", (1, 1)), "t", "t")
    assert shape(page) == shape(plain)
    page.render().encode()


def test_same_parts_give_the_same_bytes() -> None:
    assert sample_page().render() == sample_page().render()


def test_faults_of_the_caller_are_named() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        Page("t").table("c", ["a", "b"], [["x"]])
    with pytest.raises(ValueError, match="level"):
        Page("t").heading("h", 1)


def test_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(path, "old")
    write_page(path, sample_page().render())
    assert path.read_text(encoding="utf-8") == sample_page().render()
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(DiskError, match="missing"):
        write_page(tmp_path / "missing" / "report.html", "x")
