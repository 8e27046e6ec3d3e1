// A shape on a larger map that can be pushed, and how far the pooled map follows.

import { agreement, farthest } from "./api.js";
import { board } from "./board.js";
import { axes, path } from "./chart.js";
import { choice, html, number, picture, svg, whole, width } from "./dom.js";
import { pooled } from "./operators.js";

const SIZE = 16, CELL = 18, MOST = 4;
const SHAPES = {
  seven: ["a seven", ["11111111", "00000011", "00000110", "00001100", "00011000", "00110000", "01100000", "01100000"]],
  ring: ["a ring", ["00111100", "01100110", "11000011", "10000001", "10000001", "11000011", "01100110", "00111100"]],
  point: ["a point", ["00000000", "00000000", "00000000", "00010000", "00000000", "00000000", "00000000", "00000000"]],
  block: ["a block", ["00000000", "01111110", "01111110", "01111110", "01111110", "01111110", "01111110", "00000000"]],
};

/** The map with the shape moved from its middle. */
function placed(shape, down, right) {
  const lines = (SHAPES[shape] ?? SHAPES.seven)[1], from = (SIZE - lines.length) / 2;
  return Array.from({ length: SIZE }, (_, r) => Array.from({ length: SIZE }, (_, c) => Number(lines[r - from - down]?.[c - from - right] ?? 0)));
}

/** How far a map is from what it was: |B − A| / |A|, and how many cells are as they were. */
function change(before, after) {
  const a = before.flat(), b = after.flat(), norm = (values) => Math.sqrt(values.reduce((sum, one) => sum + one * one, 0));
  return { distance: norm(a.map((one, i) => b[i] - one)) / Math.max(norm(a), 1e-12), same: a.filter((one, i) => Math.abs(b[i] - one) < 1e-9).length, cells: a.length };
}

/** Every so-many-th cell: what a stride without pooling leaves, of as many cells as the pooled map has. */
function strided(values, stride, cells) {
  return Array.from({ length: cells }, (_, r) => Array.from({ length: cells }, (_, c) => values[r * stride][c * stride]));
}

/** A section with `show(state)`; `set` changes the state. */
export function push(set) {
  const told = html("p", { class: "sum", role: "status" }), agrees = agreement(), place = html("figure");
  let now = { down: 0, right: 0 };
  const within = (value) => whole(value, -MOST, MOST);
  const to = (down, right) => { now = { down: within(down), right: within(right) }; set(now); }; // a second push may come before the first is shown
  const move = (down, right) => to(now.down + down, now.right + right);
  const large = board("large", { move }), small = board("small");
  const shapes = choice("shape", Object.entries(SHAPES).map(([key, [text]]) => [key, text]), "seven", (shape) => set({ shape }));
  const button = (text, name, act) => html("button", { type: "button", "aria-label": name, onclick: act }, text);
  const table = html("tbody");
  const section = html("section", {}, html("h2", {}, "Push a shape"),
    html("p", { class: "idea" }, "A convolution follows a shift. Pooling hides one, as long as the largest value stays in its window. Push by the buttons, or by the arrow keys on the map."),
    html("div", { class: "controls" }, shapes, html("div", { class: "pushes", role: "group", "aria-label": "push the shape" },
      button("←", "left", () => move(0, -1)), button("↑", "up", () => move(-1, 0)), button("↓", "down", () => move(1, 0)), button("→", "right", () => move(0, 1)),
      button("back", "back to the middle", () => to(0, 0)))),
    html("div", { class: "side" }, large, small, html("table", { class: "numbers" },
      html("thead", {}, html("tr", {}, ["map", "cells that stayed", "distance"].map((text) => html("th", { scope: "col" }, text)))), table)),
    told, agrees, place);

  section.show = ({ shape, down, right, kind, kernel, stride }) => {
    now = { down: within(down), right: within(right) };
    shapes.show(shape);
    const maps = (rows, columns) => {
      const map = placed(shape, rows, columns), { values } = pooled(map, kind, kernel, stride);
      return { map, pooled: values, strided: strided(map, stride, values.length) };
    };
    const before = maps(0, 0), after = maps(now.down, now.right), found = {};
    for (const name of Object.keys(before)) found[name] = change(before[name], after[name]);
    const names = { map: "the map", pooled: `pooled (${kind})`, strided: `every ${stride === 1 ? "cell" : `${stride}${["", "", "nd", "rd", "th"][stride]} cell`}, not pooled` };
    table.replaceChildren(...Object.entries(names).map(([key, name]) => html("tr", {}, html("th", { scope: "row" }, name),
      html("td", {}, `${found[key].same} of ${found[key].cells}`), html("td", { "data-distance": key }, number(found[key].distance, 2)))));
    const differs = (key, r, c) => Math.abs(before[key][r][c] - after[key][r][c]) > 1e-9;
    const marks = (key, at) => after[key].flatMap((line, r) => line.flatMap((_, c) => (differs(key, r, c) ? [svg("rect", { ...at(r, c, 2), class: "changed" })] : [])));
    large.show(`the map, ${SIZE} × ${SIZE}`, after.map, { side: CELL, digits: -1, limit: 1.4, label: `A shape on a map of ${SIZE} by ${SIZE} cells, pushed ${words(now)}.`, over: (at) => marks("map", at) });
    const wide = after.pooled.length;
    small.show(`pooled, ${wide} × ${wide}`, after.pooled, { side: Math.min(CELL * stride, 44), digits: -1, limit: 1.4, label: `The pooled map, ${wide} by ${wide}.`, over: (at) => marks("pooled", at) });
    told.textContent = `Pushed ${words(now)}. Framed are the cells that changed: ${found.map.cells - found.map.same} of the map, ${found.pooled.cells - found.pooled.same} of the pooled map.`;
    agrees.compare("pool", { values: after.map, kind, kernel, stride }, (answer) => farthest(after.pooled, answer.values));
    place.replaceChildren(curves(before, maps, names, now, width(section)));
  };
  return section;
}

function words({ down, right }) {
  const said = [[right, "right", "left"], [down, "down", "up"]].filter(([by]) => by).map(([by, more, less]) => `${Math.abs(by)} ${by > 0 ? more : less}`);
  return said.join(" and ") || "nowhere";
}

/** The distance over pushes to the left and to the right. */
function curves(before, maps, names, { down, right }, room) {
  const pushes = Array.from({ length: 2 * MOST + 1 }, (_, i) => i - MOST), high = 150, beside = room >= 600;
  const found = pushes.map((by) => [by, maps(down, by)]);
  const lines = Object.keys(names).map((key) => found.map(([by, after]) => [by, change(before[key], after[key]).distance]));
  const scale = axes({ left: 40, top: 34, wide: beside ? 400 : room - 60, high, x: [-MOST, MOST], y: [0, 1.05 * Math.max(1.5, ...lines.flat().map(([, y]) => y))], places: pushes });
  const label = `The distance of the map, of the pooled map and of every so-many-th cell from what they were, over pushes of ${-MOST} to ${MOST} cells.`;
  const legend = Object.values(names).flatMap((name, i) => {
    const [x, y] = beside ? [470, 50 + 24 * i] : [44, high + 90 + 22 * i];
    return [svg("line", { x1: x, x2: x + 22, y1: y, y2: y, class: "curve", stroke: `var(--series-${i})` }), svg("text", { x: x + 30, y: y + 4, "font-size": 13 }, name)];
  });
  return picture(beside ? 680 : room, high + (beside ? 80 : 150), label,
    svg("text", { x: 0, y: 16, "font-weight": 600 }, "distance |B − A| / |A|"), ...scale.parts,
    svg("line", { x1: scale.across(right), x2: scale.across(right), y1: 34, y2: 34 + high, class: "axis", "stroke-dasharray": "3 4" }),
    ...lines.flatMap((line, i) => [
      svg("path", { class: "curve", stroke: `var(--series-${i})`, d: path(line, scale) }),
      svg("circle", { r: 4, cx: scale.across(right), cy: scale.up(line[right + MOST][1]), fill: `var(--series-${i})` })]),
    ...legend, svg("text", { x: scale.across(0), y: high + 72, "text-anchor": "middle", "font-size": 12, class: "muted" }, "cells to the right"));
}
