// Convolution in two dimensions: a kernel over a small picture, cell by cell, and over a photograph.

import { agreement, farthest } from "../api.js";
import { board } from "../board.js";
import { choice, html, number, slider, svg, whole } from "../dom.js";
import { correlated, question, sideOf, window } from "../operators.js";
import { photograph } from "../photograph.js";

const PICTURES = {
  cross: ["a diagonal stroke", "1100000 1110000 0111000 0011100 0001110 0000111 0000011"],
  square: ["a square", "0000000 0111110 0100010 0100010 0100010 0111110 0000000"],
  seven: ["a seven", "0000000 0111110 0000110 0001100 0011000 0011000 0000000"],
  point: ["a point", "0000000 0000000 0000000 0001000 0000000 0000000 0000000"],
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
  "0 0 -1 0 0 0 -1 -2 -1 0 -1 -2 16 -2 -1 0 -1 -2 -1 0 0 0 -1 0 0": "5 × 5: Laplacian of a bell",
  "1 4 6 4 1 4 16 24 16 4 6 24 36 24 6 4 16 24 16 4 1 4 6 4 1": "5 × 5: bell (times 256)",
};

export default {
  id: "plane",
  name: "Convolution in 2-D",
  title: "Convolution in two dimensions",
  idea: "A kernel lies on the picture; the products are added; the sum is one cell of the result. Point at a cell of the result, or move with the arrow keys. Click cells of the picture to draw, or press Enter on them. As in a network's layers, the kernel lies as it is written, not mirrored.",
  alone: true,
  defaults: { picture: "cross", drawn: "", kernel: "1 0 1 0 1 0 1 0 1", stride: 1, padding: 0, dilation: 1, row: 0, column: 0, view: "colours" },

  mount(body, first, set) {
    const sum = html("p", { class: "sum", "aria-live": "polite" }), agrees = agreement(), photo = photograph((view) => set({ view }));
    const pen = { row: 0, column: 0 };
    let now; // what the page shows: values, kernel, result and the chosen row and column
    const draw = (r, c) => set({ drawn: now.values.map((line, i) => line.map((v, j) => (i === r && j === c ? 1 - v : v)).join("")).join("") });
    const source = board("in", {
      press: draw,
      move: (rows, columns) => {
        pen.row = (pen.row + rows + 7) % 7;
        pen.column = (pen.column + columns + 7) % 7;
        set({});
      },
      enter: () => draw(pen.row, pen.column),
    });
    const target = board("out", {
      point: (row, column) => set({ row, column }),
      move: (rows, columns) => {
        const { result: { length, 0: line } } = now;
        if (length) set({ row: (now.row + rows + length) % length, column: (now.column + columns + line.length) % line.length });
      },
    });
    const presets = choice("kernel", [...Object.entries(KERNELS), ["", "own"]], first.kernel, (kernel) => kernel && set({ kernel }));
    const sides = choice("its size", [[3, "3 × 3"], [5, "5 × 5"]], 3, (side) => set({ kernel: resized(now.kernel, Number(side)).join(" ") }));
    const drawings = choice("picture", Object.entries(PICTURES).map(([key, [text]]) => [key, text]), first.picture, (value) => set({ picture: value, drawn: "" }));
    const sliders = {
      stride: slider("stride", { min: 1, max: 3, value: first.stride, change: (value) => set({ stride: value, row: 0, column: 0 }) }),
      padding: slider("padding", { min: 0, max: 2, value: first.padding, change: (value) => set({ padding: value, row: 0, column: 0 }) }),
      dilation: slider("dilation", { min: 1, max: 3, value: first.dilation, change: (value) => set({ dilation: value, row: 0, column: 0 }) }),
    };
    const table = html("table", { class: "kernel" });
    let inputs = [];
    body.append(
      html("div", { class: "controls" }, drawings, presets, sides, ...Object.values(sliders)),
      html("div", { class: "side" }, source, target, html("div", {}, html("h2", {}, "Kernel"), table)),
      sum, agrees, photo);

    function weights(kernel) {
      const side = sideOf(kernel);
      if (inputs.length !== kernel.length) {
        inputs = kernel.map((_, k) => html("input", {
          inputmode: "decimal", "aria-label": `weight in row ${Math.floor(k / side) + 1}, column ${(k % side) + 1}`,
          oninput: () => set({ kernel: inputs.map((one) => Number(one.value.replace("−", "-")) || 0).join(" ") }),
        }));
        table.replaceChildren(html("tbody", {}, Array.from({ length: side }, (_, r) =>
          html("tr", {}, inputs.slice(side * r, side * (r + 1)).map((one) => html("td", {}, one))))));
      }
      inputs.forEach((one, k) => { if (document.activeElement !== one) one.value = kernel[k]; });
    }

    return (state) => {
      const values = read(state), kernel = weightsOf(state.kernel), side = sideOf(kernel);
      const options = { stride: whole(state.stride, 1, 3), padding: whole(state.padding, 0, 2), dilation: whole(state.dilation, 1, 3) };
      const result = correlated(values, kernel, options);
      const last = Math.max(result.length - 1, 0), row = whole(state.row, 0, last), column = whole(state.column, 0, last);
      now = { values, kernel, result, row, column };
      weights(kernel);
      presets.show(state.kernel in KERNELS ? state.kernel : "");
      sides.show(side);
      drawings.show(state.picture);
      for (const [name, one] of Object.entries(sliders)) one.show(options[name]);
      showSource(now, side, options);
      showTarget(now);
      sum.textContent = result.length ? told(now, side, options) : "The kernel does not fit: give it more padding or less dilation.";
      if (result.length) agrees.compare("filter", question(values, kernel, options), (answer) => farthest(result, answer.values));
      else agrees.forget();
      photo.show(kernel, options, state.view);
    };

    function showSource({ values, result, row, column }, side, options) {
      const { padding } = options;
      const seen = result.length ? window(values, row, column, side, options) : [];
      source.show(`picture, ${values.length} × ${values.length}`, values, {
        limit: 2, margin: padding, label: `A picture of ${values.length} by ${values.length} cells; marked is what the chosen cell sees.`,
        over: (at) => {
          const whole = { ...at(-padding, -padding), width: at(0, values.length + padding).x - at(0, -padding).x, height: at(values.length + padding, 0).y - at(-padding, 0).y };
          return [
            padding ? svg("rect", { ...whole, class: "rim" }) : null,
            ...seen.map((cell) => svg("rect", { ...at(cell.y, cell.x, 1.5), class: "window" })),
            svg("rect", { ...at(pen.row, pen.column, 6), class: "pen" }),
          ].filter(Boolean);
        },
      });
    }

    function showTarget({ result, row, column }) {
      const all = result.flat(), size = `${result.length} × ${result.length}`;
      target.show(`result, ${size}`, result, {
        limit: Math.max(...all.map(Math.abs), 1e-9), signed: all.some((value) => value < 0),
        label: result.length ? `The result, ${size}. Chosen is row ${row + 1}, column ${column + 1}, with the value ${number(result[row][column], 2)}.` : "No result: the kernel does not fit.",
        over: (at) => (result.length ? [svg("rect", { ...at(row, column), class: "window" })] : []),
      });
    }
  },
};

function read({ drawn, picture }) {
  const cells = /^[01]{49}$/.test(drawn) ? drawn : (PICTURES[picture] ?? PICTURES.cross)[1].replaceAll(" ", "");
  return Array.from({ length: 7 }, (_, r) => [...cells.slice(7 * r, 7 * r + 7)].map(Number));
}

function weightsOf(text) {
  const kernel = text.split(" ").map((one) => Number(one) || 0);
  return kernel.length === 9 || kernel.length === 25 ? kernel : resized(kernel.slice(0, 1), 3);
}

/** The kernel with zeros around it, or its middle. */
function resized(kernel, side) {
  const from = sideOf(kernel), shift = (from - side) / 2;
  return Array.from({ length: side * side }, (_, k) => {
    const y = Math.floor(k / side) + shift, x = (k % side) + shift;
    return y >= 0 && x >= 0 && y < from && x < from ? kernel[from * y + x] : 0;
  });
}

function told({ values, kernel, result, row, column }, side, options) {
  const exact = (value) => number(value, Number.isInteger(value) ? 0 : 2);
  const cells = window(values, row, column, side, options).map((cell, k) => [cell.value, kernel[k]]);
  const listed = side > 3 ? cells.filter(([value, weight]) => value && weight) : cells;
  const products = listed.map(([value, weight]) => `${exact(value)}·${weight < 0 ? `(${exact(weight)})` : exact(weight)}`).join(" + ") || "0";
  return `Row ${row + 1}, column ${column + 1}: ${products} = ${exact(result[row][column])}${side > 3 ? " (products that are 0 left out)" : ""}`;
}
