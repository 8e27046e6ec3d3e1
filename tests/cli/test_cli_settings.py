"""`--set name=value`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neocog.cli.settings import apply_settings, setting_names
from neocog.errors import UsageError


@dataclass(frozen=True)
class Inner:
    nms: float = 0.7
    sizes: tuple[int, ...] = (32, 64)

    def __post_init__(self) -> None:
        if not 0 <= self.nms <= 1:
            raise ValueError(f"nms must lie in [0, 1], got {self.nms}")


@dataclass(frozen=True)
class Outer:
    steps: int = 10
    align: bool = False
    name: str = "a"
    pool: Literal["max", "align"] = "max"
    limit: float | None = None
    rpn: Inner = field(default_factory=Inner)


def test_names_are_dotted_and_in_order() -> None:
    assert setting_names(Outer()) == ["steps", "align", "name", "pool", "limit", "rpn.nms", "rpn.sizes"]


def test_settings_change_what_they_name_and_nothing_else() -> None:
    before = Outer()
    after = apply_settings(
        before, ["rpn.nms=0.6", "steps=3", "align=true", "pool=align", "rpn.sizes=[8, 16]"]
    )
    assert after == Outer(steps=3, align=True, pool="align", rpn=Inner(0.6, (8, 16)))
    assert before == Outer()
    assert apply_settings(before, []) is before


def test_later_settings_win_and_null_empties() -> None:
    assert apply_settings(Outer(), ["limit=2", "limit=null"]).limit is None
    assert apply_settings(Outer(), ["steps=1", "steps=2"]).steps == 2


@pytest.mark.parametrize(
    ("text", "value"), [("b", "b"), ("1", "1"), ("a=b", "a=b"), ("", ""), ('"x y"', "x y"), ("true", "true")]
)
def test_text_needs_no_quotes(text: str, value: str) -> None:
    assert apply_settings(Outer(), [f"name={text}"]).name == value


@given(
    st.integers(-(10**12), 10**12),
    st.floats(0, 1),
    st.lists(st.integers(0, 999), max_size=4),
    st.text(),
)
def test_every_value_comes_through(steps: int, nms: float, sizes: list[int], name: str) -> None:
    settings = [f"steps={steps}", f"rpn.nms={nms!r}", f"rpn.sizes={sizes}", f"name={json.dumps(name)}"]
    assert apply_settings(Outer(), settings) == Outer(steps=steps, name=name, rpn=Inner(nms, tuple(sizes)))


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [("rpn.nsm=0.5", "rpn.nms"), ("step=3", "steps"), ("nms=1", "rpn.nms"), ("rpn=1", "rpn.nms"), ("=1", "")],
)
def test_an_unknown_name_gets_the_nearest(setting: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"the nearest is '{nearest}"):
        apply_settings(Outer(), [setting])


WRONG = (
    "steps=2.5 steps=many steps=true steps= steps=null align=1 align=yes pool=mean limit=NaN limit=Infinity"
)
WRONG_INSIDE = "rpn.nms=high rpn.nms=1.5 rpn.sizes=8 rpn.sizes=[8,1.5]"


@pytest.mark.parametrize("setting", [*WRONG.split(), *WRONG_INSIDE.split()])
def test_a_value_of_another_type_is_one_line(setting: str) -> None:
    with pytest.raises(UsageError, match=r"^--set ") as caught:
        apply_settings(Outer(), [setting])
    assert setting in str(caught.value) and "\n" not in str(caught.value)


def test_a_setting_without_a_value() -> None:
    with pytest.raises(UsageError, match="write name=value"):
        apply_settings(Outer(), ["steps"])
