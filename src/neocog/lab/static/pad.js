// A function that is drawn: samples at even places, with straight lines between them.

import { html, number, svg } from "./dom.js";
import { axes, path } from "./chart.js";

const WIDE = 340, HIGH = 150, BOX = { left: 34, top: 8, wide: 296, high: 112 };

/** A field on which the pointer draws, and whose samples the arrow keys move; it has `show(values)`. */
export function pad(name, places, change) {
  const scale = axes({ ...BOX, x: [places[0], places.at(-1)], y: [-1, 1], places: places.filter(Number.isInteger) });
  const curve = svg("path", { class: "curve" });
  const dots = places.map((place, i) => svg("circle", {
    r: 6, cx: scale.across(place), class: "dot", role: "slider", tabindex: i ? -1 : 0, "aria-label": `${name} at ${number(place, 2)}`,
    "aria-orientation": "vertical", "aria-valuemin": -1, "aria-valuemax": 1, onkeydown: (event) => key(event, i),
  }));
  const drawn = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, width: WIDE, height: HIGH, role: "group", "aria-label": `${name}, drawn`, class: "pad" },
    ...scale.parts, curve, ...dots);
  let now = [], last = null;

  function key(event, i) {
    const step = { ArrowUp: 0.05, ArrowDown: -0.05, PageUp: 0.25, PageDown: -0.25 }[event.key];
    const next = dots[i + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? NaN)];
    if (step) change(now = now.map((value, k) => (k === i ? rounded(value + step) : value)));
    else if (next) focus(next);
    else return;
    event.preventDefault();
  }

  function focus(dot) {
    for (const one of dots) one.setAttribute("tabindex", one === dot ? 0 : -1);
    dot.focus();
  }

  /** Set the samples that the pointer passed since it was last seen. */
  function draw(event) {
    if (!event.buttons) return;
    const box = drawn.getBoundingClientRect();
    const x = (((event.clientX - box.left) / box.width) * WIDE - BOX.left) / BOX.wide, y = (((event.clientY - box.top) / box.height) * HIGH - BOX.top) / BOX.high;
    const at = Math.min(places.length - 1, Math.max(0, Math.round(x * (places.length - 1)))), value = rounded(1 - 2 * y);
    const from = event.type === "pointermove" && last ? last : { at, value }, steps = Math.abs(at - from.at);
    const values = [...now];
    for (let step = 0; step <= steps; step++) {
      const share = steps ? step / steps : 1;
      values[Math.round(from.at + share * (at - from.at))] = rounded(from.value + share * (value - from.value));
    }
    last = { at, value };
    now = values;
    change(values);
  }

  drawn.addEventListener("pointerdown", (event) => {
    drawn.setPointerCapture(event.pointerId);
    draw(event);
  });
  drawn.addEventListener("pointermove", draw);
  const field = html("figure", {}, html("figcaption", {}, `Draw ${name}, or move its samples by the arrow keys`), drawn);
  field.show = (values, stroke) => {
    now = values;
    curve.setAttribute("d", path(places.map((place, i) => [place, values[i]]), scale));
    curve.setAttribute("stroke", stroke);
    dots.forEach((dot, i) => {
      dot.setAttribute("cy", scale.up(values[i]));
      dot.setAttribute("aria-valuenow", values[i]);
    });
  };
  return field;
}

const rounded = (value) => Math.min(1, Math.max(-1, Math.round(20 * value) / 20));
