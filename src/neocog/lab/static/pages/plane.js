// Convolution in two dimensions: a kernel over a small picture, cell by cell.

import { agreement, farthest } from "../api.js";
import { choice, colour, html, isLight, number, picture, slider, svg } from "../dom.js";

const PICTURES = {
  cross: ["a diagonal stroke", [
    "1100000", "1110000", "0111000", "0011100", "0001110", "0000111", "0000011"]],
  square: ["a square", [
    "0000000", "0111110", "0100010", "0100010", "0100010", "0111110", "0000000"]],
  seven: ["a seven", [
    "0000000", "0111110", "0000110", "0001100", "0011000", "0011000", "0000000"]],
  point: ["a point", [
    "0000000", "0000000", "0000000", "0001000", "0000000", "0000000", "0000000"]],
};
const KERNELS = {
  "1 0 1 0 1 0 1 0 1": "diagonal cross",
  "-1 -1 -1 -1 8 -1 -1 -1 -1": "Laplacian (8)",
  "0 -1 0 -1 4 -1 0 -1 0": "Laplacian (4)",
  "-1 0 1 -2 0 2 -1 0 1": "Sobel, across",
  "-1 -2 -1 0 0 0 1 2 1": "Sobel, down",
  "1 1 1 1 1 1 1 1 1": "sum of nine",
  "0 -1 0 -1 5 -1 0 -1 0": "sharpen",
  "0 0 0 0 1 0 0 0 0": "nothing",
};
const SIDE = 36;

/** The cells of a 3x3 kernel on a picture: what they read, and where in the picture (null: a zero of the padding). */
export function window(values, row, column, { stride, padding, dilation }) {
  const cells = [];
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      const y = row * stride - padding + i * dilation, x = column * stride - padding + j * dilation;
      const inside = y >= 0 && x >= 0 && y < values.length && x < values[0].length;
      cells.push({ y, x, value: inside ? values[y][x] : 0, inside });
    }
  }
  return cells;
}

/** How many windows fit along an axis. */
export function fits(size, { stride, padding, dilation }) {
  return Math.max(0, Math.floor((size + 2 * padding - 2 * dilation - 1) / stride) + 1);
}

/** The cross-correlation with a kernel of nine weights. */
export function correlated(values, kernel, options) {
  const rows = fits(values.length, options), columns = fits(values[0].length, options);
  return Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) =>
    window(values, r, c, options).reduce((sum, cell, k) => sum + cell.value * kernel[k], 0)));
}

function cells(values, x, y, { limit, signed, name, pressed, chosen }) {
  return values.flatMap((line, r) => line.map((value, c) => {
    const shade = colour(value, limit, signed);
    const at = { x: x + c * SIDE, y: y + r * SIDE, width: SIDE, height: SIDE };
    const digits = Number.isInteger(value) ? 0 : 1;
    return svg("g", {},
      svg("rect", { ...at, class: "cell", fill: `rgb(${shade})` }),
      svg("text", { x: at.x + SIDE / 2, y: at.y + SIDE / 2 + 5, "text-anchor": "middle", "font-size": 14, class: isLight(shade) ? "dark-ink" : "light-ink" }, number(value, digits)),
      svg("rect", { ...at, class: "hit", "data-cell": `${name}-${r}-${c}`, onclick: () => pressed?.(r, c), onpointerenter: () => chosen?.(r, c) }));
  }));
}

export default {
  id: "plane",
  name: "Convolution in 2-D",
  title: "Convolution in two dimensions",
  idea: "A kernel lies on the picture; the products are added; the sum is one cell of the result. Point at a cell of the result, or move with the arrow keys. Click cells of the picture to draw.",
  defaults: { picture: "cross", drawn: "", kernel: "1 0 1 0 1 0 1 0 1", stride: 1, padding: 0, dilation: 1, row: 0, column: 0 },

  mount(body, first, set) {
    const place = html("figure"), sum = html("p", { class: "sum", "aria-live": "polite" }), agrees = agreement();
    const inputs = Array.from({ length: 9 }, (_, k) => html("input", {
      inputmode: "decimal", "aria-label": `weight in row ${Math.floor(k / 3) + 1}, column ${k % 3 + 1}`,
      oninput: () => set({ kernel: inputs.map((one) => Number(one.value) || 0).join(" ") }),
    }));
    const presets = choice("kernel", [...Object.entries(KERNELS), ["", "own"]], first.kernel, (value) => value && set({ kernel: value }));
    const drawings = choice("picture", Object.entries(PICTURES).map(([key, [text]]) => [key, text]), first.picture, (value) => set({ picture: value, drawn: "" }));
    const sliders = {
      stride: slider("stride", { min: 1, max: 3, value: first.stride, change: (value) => set({ stride: value, row: 0, column: 0 }) }),
      padding: slider("padding", { min: 0, max: 2, value: first.padding, change: (value) => set({ padding: value, row: 0, column: 0 }) }),
      dilation: slider("dilation", { min: 1, max: 3, value: first.dilation, change: (value) => set({ dilation: value, row: 0, column: 0 }) }),
    };
    body.append(
      html("div", { class: "controls" }, drawings, presets, ...Object.values(sliders)),
      html("div", { class: "side" }, place,
        html("div", {}, html("h2", {}, "Kernel"),
          html("table", { class: "kernel" }, [0, 1, 2].map((r) => html("tr", {}, [0, 1, 2].map((c) => html("td", {}, inputs[3 * r + c])))))),
        html("div", {}, html("h2", {}, "One cell"), sum, agrees)));
    let asked = "";

    return (state) => {
      const values = read(state), kernel = state.kernel.split(" ").map(Number);
      const options = { stride: state.stride, padding: state.padding, dilation: state.dilation };
      const result = correlated(values, kernel, options);
      const rows = result.length, columns = rows ? result[0].length : 0;
      const row = Math.min(state.row, Math.max(rows - 1, 0)), column = Math.min(state.column, Math.max(columns - 1, 0));
      inputs.forEach((one, k) => { if (document.activeElement !== one) one.value = kernel[k]; });
      presets.show(state.kernel in KERNELS ? state.kernel : "");
      drawings.show(state.picture);
      for (const [name, one] of Object.entries(sliders)) one.show(state[name]);
      place.replaceChildren(drawn(values, kernel, result, { row, column }, options, {
        draw: (r, c) => set({ drawn: values.map((line, i) => line.map((v, j) => (i === r && j === c ? 1 - v : v)).join("")).join("") }),
        choose: (r, c) => set({ row: r, column: c }),
      }));
      place.firstChild.setAttribute("tabindex", 0);
      place.firstChild.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        if (!step || !rows) return;
        event.preventDefault();
        set({ row: (row + step[0] + rows) % rows, column: (column + step[1] + columns) % columns });
        requestAnimationFrame(() => place.firstChild.focus());
      });
      sum.textContent = rows ? told(values, kernel, row, column, options, result[row][column]) : "The kernel does not fit: give it more padding or less dilation.";
      const key = JSON.stringify([values, kernel, options]);
      if (rows && key !== asked) {
        asked = key;
        const { padding, ...rest } = options;
        const padded = padding ? pad(values, padding) : values;
        const grid = [0, 3, 6].map((at) => kernel.slice(at, at + 3));
        agrees.compare("filter", { values: padded, kernel: grid, ...rest, padding: "none" }, (answer) => farthest(result, answer.values));
      }
    };
  },
};

function read(state) {
  const lines = state.drawn.length === 49 && /^[01]+$/.test(state.drawn)
    ? Array.from({ length: 7 }, (_, r) => state.drawn.slice(7 * r, 7 * r + 7))
    : (PICTURES[state.picture] ?? PICTURES.cross)[1];
  return lines.map((line) => [...line].map(Number));
}

function pad(values, margin) {
  const wide = values[0].length + 2 * margin, empty = () => Array.from({ length: margin }, () => Array(wide).fill(0));
  return [...empty(), ...values.map((line) => [...Array(margin).fill(0), ...line, ...Array(margin).fill(0)]), ...empty()];
}

function told(values, kernel, row, column, options, total) {
  const products = window(values, row, column, options).map((cell, k) => `${number(cell.value)}·${number(kernel[k], Number.isInteger(kernel[k]) ? 0 : 2)}`);
  return `Row ${row + 1}, column ${column + 1}: ${products.join(" + ")} = ${number(total, Number.isInteger(total) ? 0 : 2)}`;
}

function drawn(values, kernel, result, at, options, on) {
  const margin = 2 * SIDE, top = margin + 24, size = values.length * SIDE, right = margin * 2 + size + 20;
  const rows = result.length, columns = rows ? result[0].length : 0;
  const limit = Math.max(...result.flat().map(Math.abs), 1e-9);
  const signed = result.flat().some((value) => value < 0);
  const parts = [
    svg("text", { x: margin, y: 18, "font-weight": 600 }, `picture, ${values.length} × ${values[0].length}`),
    svg("text", { x: right, y: 18, "font-weight": 600 }, `result, ${rows} × ${columns}`),
  ];
  if (options.padding) {
    const p = options.padding * SIDE;
    parts.push(svg("rect", { x: margin - p, y: top - p, width: size + 2 * p, height: size + 2 * p, class: "empty" }));
  }
  parts.push(...cells(values, margin, top, { limit: 2, signed: false, name: "in", pressed: on.draw }));
  parts.push(...cells(result, right, top, { limit, signed, name: "out", pressed: on.choose, chosen: on.choose }));
  if (rows) {
    for (const cell of window(values, at.row, at.column, options)) {
      parts.push(svg("rect", { x: margin + cell.x * SIDE + 1.5, y: top + cell.y * SIDE + 1.5, width: SIDE - 3, height: SIDE - 3, class: "window", "pointer-events": "none" }));
    }
    parts.push(svg("rect", { x: right + at.column * SIDE, y: top + at.row * SIDE, width: SIDE, height: SIDE, class: "window", "pointer-events": "none" }));
  }
  const label = rows
    ? `A picture of ${values.length} by ${values[0].length} cells and the result of ${rows} by ${columns}. Chosen is row ${at.row + 1}, column ${at.column + 1}, with the value ${number(result[at.row][at.column], 2)}.`
    : "A picture on which the kernel does not fit.";
  return picture(right + Math.max(columns, 3) * SIDE + 4, top + size + margin + 4, label, ...parts);
}
