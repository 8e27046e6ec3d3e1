// Pooling: what is kept of each window, where it stood, and how little a push changes.

import { agreement, farthest } from "../api.js";
import { board } from "../board.js";
import { choice, html, number, slider, svg, whole } from "../dom.js";
import { pooled, unpooled } from "../operators.js";
import { push } from "../push.js";

const MAPS = {
  "1124567832101234": "4 × 4",
  "530217104862391745082613904725186430": "6 × 6",
  "0000000009999990000000900000090000009000000900000009000000000000": "8 × 8: a seven",
};

export default {
  id: "pooling",
  name: "Pooling",
  title: "Pooling",
  idea: "Of each window the largest value is kept, or the mean, and where in the window it stood is forgotten. The switches are that place: with them the values find their way back. Click cells of the map, or press Enter on them, to add one.",
  alone: true,
  defaults: { map: "1124567832101234", kind: "max", kernel: 2, stride: 2, row: 0, column: 0, shape: "seven", down: 0, right: 0 },

  mount(body, first, set) {
    const told = html("p", { class: "sum", role: "status" }), agrees = agreement(), pushed = push(set);
    const pen = { row: 0, column: 0 };
    let now;
    const add = (r, c) => set({ map: now.values.map((line, i) => line.map((v, j) => (i === r && j === c ? (v + 1) % 10 : v)).join("")).join("") });
    const source = board("in", {
      press: add,
      move: (rows, columns) => {
        const { length } = now.values;
        pen.row = (pen.row + rows + length) % length;
        pen.column = (pen.column + columns + length) % length;
        set({});
      },
      enter: () => add(pen.row, pen.column),
    });
    const target = board("out", {
      point: (row, column) => set({ row, column }),
      move: (rows, columns) => {
        const { length } = now.result.values;
        set({ row: (now.row + rows + length) % length, column: (now.column + columns + length) % length });
      },
    });
    const back = board("back");
    const controls = {
      map: choice("map", [...Object.entries(MAPS), ["", "own"]], first.map, (map) => map && set({ map })),
      kind: choice("keep", [["max", "the largest value"], ["mean", "the mean"]], first.kind, (kind) => set({ kind })),
      kernel: slider("kernel", { min: 1, max: 4, value: first.kernel, change: (kernel) => set({ kernel }) }),
      stride: slider("stride", { min: 1, max: 4, value: first.stride, change: (stride) => set({ stride }) }),
    };
    body.append(html("div", { class: "controls" }, ...Object.values(controls)), html("div", { class: "side" }, source, target, back), told, agrees, pushed);

    return (state) => {
      const kernel = whole(state.kernel, 1, 4), stride = whole(state.stride, 1, 4), kind = state.kind === "mean" ? "mean" : "max";
      const values = read(state.map), result = pooled(values, kind, kernel, stride), shown = { ...state, kernel, stride, kind };
      const last = result.values.length - 1;
      now = { values, result, row: whole(state.row, 0, last), column: whole(state.column, 0, last) };
      for (const [name, control] of Object.entries(controls)) control.show(shown[name]);
      controls.map.show(state.map in MAPS ? state.map : "");
      show(kernel, stride);
      told.textContent = sentence(now, shown);
      agrees.compare("pool", { values, kind, kernel, stride }, (answer) => (result.switches
        ? Math.max(farthest(result.values, answer.values), farthest(result.switches, answer.switches), farthest(unpooled(result, values.length, values.length), answer.unpooled))
        : farthest(result.values, answer.values)));
      pushed.show(shown);
    };

    function show(kernel, stride) {
      const { values, result, row, column } = now, size = values.length, apart = stride >= kernel;
      // of windows that overlap, those that keep the same cell have one colour
      const kept = [...new Set((result.switches ?? []).flat())];
      const tint = (r, c) => `var(--series-${(apart ? 3 * r + c : kept.indexOf(result.switches[r][c])) % 8})`;
      const tinted = (at) => (apart || result.switches ? result.values.flatMap((line, r) => line.map((_, c) => svg("rect", { ...at(r, c), class: "tint", fill: tint(r, c) }))) : []);
      const ring = (at, y, x, stroke) => svg("rect", { ...at(y, x, 5), class: "ring", stroke });
      const rings = (at) => (result.switches ?? []).flatMap((line, r) => line.map((place, c) => ring(at, Math.floor(place / size), place % size, tint(r, c))));
      const patch = (at, r, c) => ({ ...at(r * stride, c * stride), width: at(0, kernel).x - at(0, 0).x, height: at(kernel, 0).y - at(0, 0).y });
      source.show(`map, ${size} × ${size}`, values, {
        fill: () => "var(--surface)", label: `A map of ${size} by ${size} numbers; marked is the chosen window.`,
        over: (at) => [
          ...(apart ? tinted((r, c) => patch(at, r, c)) : []), ...rings(at), svg("rect", { ...patch(at, row, column), class: "window" }), svg("rect", { ...at(pen.row, pen.column, 9), class: "pen" }),
        ],
      });
      const wide = result.values.length;
      target.show(`pooled, ${wide} × ${wide}`, result.values, {
        digits: 2, fill: () => "var(--surface)", label: `The pooled map, ${wide} by ${wide}. Chosen is row ${row + 1}, column ${column + 1}, with the value ${number(result.values[row][column], 2)}.`,
        over: (at) => [...tinted(at), svg("rect", { ...at(row, column), class: "window" })],
      });
      back.toggleAttribute("hidden", !result.switches);
      if (result.switches) {
        const filled = unpooled(result, size, size);
        back.show("unpooled by the switches", filled, { fill: () => "var(--surface)", over: rings });
      }
    }
  },
};

function read(map) {
  const size = Math.sqrt(map.length), cells = /^\d+$/.test(map) && [4, 6, 8].includes(size) ? map : "1124567832101234";
  const side = Math.sqrt(cells.length);
  return Array.from({ length: side }, (_, r) => [...cells.slice(side * r, side * (r + 1))].map(Number));
}

function sentence({ values, result, row, column }, { kind, kernel, stride }) {
  const seen = Array.from({ length: kernel }, (_, i) => values[row * stride + i].slice(column * stride, column * stride + kernel)).flat();
  const value = number(result.values[row][column], 2).replace(/\.?0+$/, "");
  const overlap = stride < kernel ? " Windows overlap, so a cell may count in several of them." : stride > kernel ? " Between the windows lie cells that nobody sees." : "";
  if (kind === "mean") return `Window ${row + 1}, ${column + 1}: the mean of ${seen.join(", ")} is ${value}. A mean has no switches: every cell has a share in it.${overlap}`;
  const place = result.switches[row][column];
  return `Window ${row + 1}, ${column + 1}: the largest of ${seen.join(", ")} is ${value}. Its switch is ${place}: row ${Math.floor(place / values.length) + 1}, column ${(place % values.length) + 1}, counted from 0 row by row.${overlap}`;
}
