"""Bad options on the command line: of part E of the catalogue (62)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BadCall:
    """Words of `neocog train`, and what is said of them."""

    id: str
    words: tuple[str, ...]
    pattern: str


def setting(text: str, pattern: str) -> BadCall:
    return BadCall(text, ("--set", text), pattern)


CALLS = [
    setting("rpn.nsm=0.5", "there is no option 'rpn.nsm'; the nearest is 'rpn.nms'"),
    setting("hiden=64", "there is no option 'hiden'; the nearest is 'hidden'"),
    setting("rpn=1", "the nearest is 'rpn"),
    setting("rpn.nms", "write name=value"),
    setting('rpn.nms="0.6"', "valid number"),
    setting("rpn.nms=NaN", "--set rpn.nms=NaN: "),
    setting("rpn.nms=1e999", "--set rpn.nms=1e999: "),
    setting("rpn.nms=1.5", r"nms must lie in \[0, 1\], got 1.5"),
    setting("rpn.scales=[]", "scales must hold a number at least"),
    setting("rpn.scales=[0]", "scales must lie in"),
    setting("rpn.samples=0", "samples must lie in"),
    setting("rpn.before_nms=[0, 0]", "before_nms must lie in"),
    setting("regions.samples=-1", "samples must lie in"),
    setting("regions.most=0", "most must lie in"),
    setting("hidden=-1", "hidden must lie in"),
    setting("hidden=0", "give hidden a width above 0"),
    setting("hidden=2.5", "valid integer"),
    setting("pool=0", "pool must lie in"),
    setting("dropout=1", "dropout must lie in"),
    setting("level=p9", "no feature map 'p9'"),
    setting("region_level=nowhere", "no feature map 'nowhere'"),
    setting("align=maybe", "--set align=maybe: "),
    BadCall("model", ("--model",), "no such option|No such option"),
    BadCall("lr-nan", ("--lr", "nan"), "--lr must be positive and finite"),
    BadCall("lr-zero", ("--lr", "0"), "--lr must be positive"),
    BadCall("lr-text", ("--lr", "fast"), "'--lr': "),
    BadCall("batch", ("--batch", "0"), "'--batch': "),
    BadCall("size", ("--size", "8"), "'--size': "),
    BadCall("budgets", ("--minutes", "1"), "give one budget"),
    BadCall("device", ("--device", "gpu"), "no device 'gpu'"),
    BadCall("precision", ("--precision", "f64"), "f64"),
    BadCall("backbone", ("--backbone", "resnet51"), "did you mean 'resnet50'"),
    BadCall("split", ("--train-split", "training"), "no split 'training'"),
    BadCall("val-split", ("--val-split", "valid2"), "no split 'valid2'"),
]
