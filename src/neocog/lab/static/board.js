// A map of numbers as cells that can be pointed at, and moved over by the arrow keys.

import { colour, isLight, number, picture, svg } from "./dom.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const TITLE = 26;

/**
 * A picture with `show(title, values, options)`.
 *
 * It tells `press(row, column)` of clicks, `point(row, column)` of where the pointer is, `move(rows, columns)`
 * of arrow keys and `enter()` of Enter and the space bar. `name` goes to `data-cell`.
 */
export function board(name, { press, point, move, enter } = {}) {
  const drawn = picture(0, 0, name);
  const told = (listener) => (event) => {
    const [, row, column] = event.target.dataset.cell?.split("-").map(Number) ?? [];
    if (row !== undefined) listener(row, column);
  };
  if (press) drawn.addEventListener("click", told(press));
  if (point) for (const kind of ["click", "pointerover"]) drawn.addEventListener(kind, told(point));
  if (move) {
    drawn.setAttribute("tabindex", 0);
    drawn.addEventListener("keydown", (event) => {
      const step = STEPS[event.key], enters = enter && (event.key === "Enter" || event.key === " ");
      if (!step && !enters) return;
      event.preventDefault();
      if (step) move(...step);
      else enter();
    });
  }

  /**
   * `limit` and `signed` are of the colours, or `fill(row, column)` gives another; `margin` is left around, in
   * cells; `over(at)` gives what lies on top, with at(row, column, inset) as a cell's place.
   */
  drawn.show = (title, values, { label = title, side = 36, margin = 0, limit = 1, signed = false, digits = 1, fill, over }) => {
    const rows = values.length, columns = rows ? values[0].length : 0;
    const at = (row, column, inset = 0) => ({
      x: (column + margin) * side + inset + 1, y: (row + margin) * side + inset + TITLE, width: side - 2 * inset, height: side - 2 * inset,
    });
    const cells = values.flatMap((line, r) => line.flatMap((value, c) => {
      const box = at(r, c), shade = fill ? null : colour(value, limit, signed);
      const cell = svg("rect", { ...box, class: `cell${press || point ? " hit" : ""}`, fill: fill ? fill(r, c) : `rgb(${shade})`, "data-cell": `${name}-${r}-${c}`, "data-value": value });
      if (digits < 0) return [cell];
      const ink = shade && (isLight(shade) ? "dark-ink" : "light-ink");
      return [cell, svg("text", { x: box.x + side / 2, y: box.y + side / 2 + 5, "text-anchor": "middle", "font-size": 14, class: ink }, number(value, Number.isInteger(value) ? 0 : digits))];
    }));
    const wide = Math.max((columns + 2 * margin) * side, margin * side + 9 * title.length) + 2, high = (rows + 2 * margin) * side + TITLE + 2;
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, "aria-label": label })) drawn.setAttribute(key, value);
    drawn.replaceChildren(svg("text", { x: 1 + margin * side, y: 16, "font-weight": 600 }, title), ...cells, ...(over?.(at) ?? []));
  };
  return drawn;
}
