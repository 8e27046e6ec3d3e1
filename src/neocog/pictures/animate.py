"""Pictures in order: as a GIF, and as a page of its own that plays, scrubs and steps."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from html import escape

from PIL import Image

from neocog.pictures.axes import STYLE
from neocog.pictures.svg import Element, clean, document, rect
from neocog.pictures.theme import FONT, variables

_HOLD = 4  # frames' time that the last one stays before a GIF begins again

_STYLE = (
    variables(":root")
    + "body{margin:0 auto;padding:12px;max-width:960px;"
    + f"background:var(--surface);color:var(--ink);font:14px {FONT}}}"
    + "svg{display:block;max-width:100%;height:auto}"
    + "#controls{display:flex;gap:8px;align-items:center;margin-top:8px}"
    + "#controls input{flex:1;accent-color:var(--accent)}"
    + "button{font:inherit;min-width:44px;min-height:32px;color:var(--ink);background:var(--surface);"
    + "border:1px solid var(--axis);border-radius:6px;cursor:pointer}"
    + "#caption{min-height:2.8em;margin:8px 0 0}"
)

_SCRIPT = """
const data = JSON.parse(document.getElementById("data").textContent);
const place = document.getElementById("frame"), caption = document.getElementById("caption");
const scrub = document.getElementById("scrub"), play = document.getElementById("play");
const last = data.frames.length - 1;
let at = last, timer = null;
function show(index) {
  at = Math.max(0, Math.min(last, index));
  place.innerHTML = data.frames[at];
  scrub.value = at;
  scrub.setAttribute("aria-valuetext", data.captions[at]);
  caption.textContent = data.captions[at];
}
function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}
function start() {
  if (at === last) show(0);
  play.textContent = "Pause";
  timer = setInterval(() => { show(at + 1); if (at === last) stop(); }, data.milliseconds);
}
play.addEventListener("click", () => (timer ? stop() : start()));
document.getElementById("back").addEventListener("click", () => { stop(); show(at - 1); });
document.getElementById("next").addEventListener("click", () => { stop(); show(at + 1); });
scrub.addEventListener("input", () => { stop(); show(Number(scrub.value)); });
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.target.tagName === "BUTTON") return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { stop(); show(at + step); }
  if (event.key === " ") { event.preventDefault(); play.click(); }
});
show(last);
"""


def gif_bytes(frames: Sequence[Image.Image], seconds: float) -> bytes:
    """A GIF that repeats; each frame stays for `seconds`, the last one longer."""
    colours = frames[-1].quantize(255, dither=Image.Dither.NONE)
    shown = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    each = round(1000 * seconds)
    buffer = io.BytesIO()
    shown[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=shown[1:],
        duration=[each] * (len(shown) - 1) + [_HOLD * each],
        loop=0,
        optimize=False,
    )
    return buffer.getvalue()


def page(
    name: str,
    alt: str,
    size: tuple[float, float],
    background: Element,
    frames: Sequence[Element],
    captions: Sequence[str],
    seconds: float,
) -> str:
    """HTML that holds everything it needs, opened at the last frame; without scripts it stays there."""
    data = {
        "frames": [str(frame) for frame in frames],
        "captions": list(captions),
        "milliseconds": round(1000 * seconds),
    }
    moving = Element("g", {"id": "frame"}, [frames[-1]])
    ground = rect(0, 0, *size, class_="surface")
    picture = document(*size, [ground, background, moving], label=alt, style=STYLE, class_="chart")
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    slider = f'<input id="scrub" type="range" min="0" max="{len(frames) - 1}" aria-label="Frame">'
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{clean(name)}</title><style>{_STYLE}</style></head><body><main>{picture}"
        '<div id="controls"><button id="play" type="button">Play</button>'
        '<button id="back" type="button" aria-label="One frame back">&#9664;</button>'
        f'{slider}<button id="next" type="button" aria-label="One frame on">&#9654;</button></div>'
        f'<p id="caption" aria-live="polite">{clean(captions[-1])}</p></main>'
        f'<script id="data" type="application/json">{_inside_script(json.dumps(data))}</script>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def embedded(html: str, title: str, height: float) -> str:
    """The page inside another one, such as a notebook, which neither changes."""
    style = f"width:100%;height:{round(height) + 130}px;border:0"
    return f'<iframe title="{clean(title)}" style="{style}" srcdoc="{escape(html)}"></iframe>'


def _inside_script(text: str) -> str:
    """JSON in which nothing ends the element around it."""
    return text.replace("<", "\\u003c")
