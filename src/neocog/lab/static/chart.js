// Curves on axes.

import { number, svg } from "./dom.js";

/** Round numbers, about `most` of them, between two numbers. */
export function ticks(from, to, most = 4) {
  const rough = (to - from) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((one) => one * power >= rough) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** Axes in a box of the picture: x and y are [from, to]. Gives their parts, and where numbers lie; `lines`: how many across, about. */
export function axes({ left, top, wide, high, x, y, places, lines = 4 }) {
  const across = (value) => left + ((value - x[0]) / (x[1] - x[0])) * wide;
  const up = (value) => top + high - ((value - y[0]) / (y[1] - y[0])) * high;
  const levels = ticks(...y, lines), digits = Math.max(0, -Math.floor(Math.log10(levels[1] - levels[0]) + 1e-9));
  const parts = [
    ...levels.flatMap((value) => [
      svg("line", { x1: left, x2: left + wide, y1: up(value), y2: up(value), class: Math.abs(value) < 1e-9 ? "axis" : "grid" }),
      svg("text", { x: left - 8, y: up(value) + 4, "text-anchor": "end", "font-size": 12, class: "muted" }, number(value, digits))]),
    ...places.map((value) =>
      svg("text", { x: across(value), y: top + high + 20, "text-anchor": "middle", "font-size": 12, class: "muted" }, number(value)))];
  return { across, up, parts };
}

/** The path through points [x, y], at where `axes` has them. */
export function path(points, { across, up }) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${across(x).toFixed(1)} ${up(y).toFixed(1)}`).join("");
}
