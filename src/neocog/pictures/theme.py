"""Colours and type that the charts, the drawings and the reports share.

Quiet surface, one accent for what is active, and a palette for what has to be told apart. The palettes were
searched for the largest least distance (OKLab) between any two colours under normal, protan, deutan and
tritan vision (Machado et al. 2009), at a contrast of 3:1 or more to their surface; tests hold them to it.
"""

from __future__ import annotations

LIGHT = {
    "surface": "#fcfcfb",
    "ink": "#1c2126",
    "muted": "#59636e",
    "grid": "#e4e7ea",
    "axis": "#a9b1b9",
    "quiet": "#aab4be",
    "accent": "#2456c8",
}
DARK = {
    "surface": "#15181c",
    "ink": "#e7eaed",
    "muted": "#9ca6b0",
    "grid": "#2a3037",
    "axis": "#59636e",
    "quiet": "#5b6670",
    "accent": "#78a9fa",
}
SERIES_LIGHT = ("#192e94", "#e97013", "#016051", "#c5629f", "#905e01", "#269cd4", "#6855ca", "#6d1e0b")
SERIES_DARK = ("#3977c8", "#bd5e16", "#26c199", "#a65594", "#e7c955", "#90d6fa", "#c48be5", "#fa896c")
"""Blue, orange, green, pink, ochre, sky, violet, brown; the same places in both."""
MARKS = ("#34a6fb", "#eb9611", "#89fba9", "#e4aabe", "#ffd45f", "#64dbf8", "#ad80ca", "#e96872")
MARK_INK = "#0c0e10"
"""For boxes on photographs: bright, cased in the ink and lettered in it, at a contrast of 6:1 or more."""

FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour written #rrggbb as levels from 0 to 255."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue


def variables(selector: str) -> str:
    """CSS that gives `selector` the colours as variables (`--ink`, `--series-0`, ...), light or dark as the
    reader's system asks."""

    def block(colours: dict[str, str], series: tuple[str, ...]) -> str:
        named = {**colours, **{f"series-{i}": colour for i, colour in enumerate(series)}}
        return selector + "{" + "".join(f"--{name}:{colour};" for name, colour in named.items()) + "}"

    dark = block(DARK, SERIES_DARK)
    return f"{block(LIGHT, SERIES_LIGHT)}@media (prefers-color-scheme:dark){{{dark}}}"
