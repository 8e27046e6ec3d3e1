// Parameter sharing: which inputs a unit sees, which weights are the same, and how many are left.

import { counts } from "../counts.js";
import { html, number, picture, slider, svg, whole } from "../dom.js";

const LAYERS = {
  dense: ["fully connected", "each unit sees every input", "each line is a weight of its own"],
  local: ["locally connected", "each unit sees a window", "each line is a weight of its own"],
  convolution: ["convolution", "each unit sees a window", "a colour is one weight, shared by all units"],
};
const PITCH = 26, RISE = 110, CELL = 20;

/** For each unit and input the number of the weight between them, from 1; 0: none. */
function weights(layer, inputs, kernel) {
  const units = inputs - kernel + 1;
  return Array.from({ length: units }, (_, unit) => Array.from({ length: inputs }, (_, input) => {
    if (layer === "dense") return unit * inputs + input + 1;
    const tap = input - unit;
    if (tap < 0 || tap >= kernel) return 0;
    return layer === "local" ? unit * kernel + tap + 1 : tap + 1;
  }));
}

export default {
  id: "sharing",
  name: "Sharing",
  title: "Parameter sharing",
  idea: "A convolution gives up two things of a fully connected layer: a unit sees only a window, and all units have the same weights. Point at a unit, or choose one by the arrow keys.",
  alone: true,
  defaults: { inputs: 7, kernel: 3, unit: 2, side: 1000, window: 10, filters: 1, bias: 0 },

  mount(body, first, set) {
    const controls = {
      inputs: slider("inputs", { min: 4, max: 12, value: first.inputs, change: (inputs) => set({ inputs }) }),
      kernel: slider("kernel", { min: 1, max: 4, value: first.kernel, change: (kernel) => set({ kernel }) }),
    };
    const told = html("p", { class: "sum", role: "status" }), counted = counts(set);
    let now = { unit: 0, units: 1 };
    const graphs = Object.keys(LAYERS).map((layer) => {
      const drawn = picture(0, 0, LAYERS[layer][0]);
      drawn.setAttribute("tabindex", 0);
      drawn.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        set({ unit: (now.unit + step + now.units) % now.units });
      });
      for (const kind of ["click", "pointerover"]) drawn.addEventListener(kind, ({ target }) => target.dataset.unit && set({ unit: Number(target.dataset.unit) }));
      return [layer, drawn];
    });
    body.append(html("div", { class: "controls" }, ...Object.values(controls)), html("div", { class: "side" }, graphs.map(([, drawn]) => drawn)), told, counted);

    return (state) => {
      const inputs = whole(state.inputs, 4, 12), kernel = whole(state.kernel, 1, 4), units = inputs - kernel + 1;
      now = { unit: whole(state.unit, 0, units - 1), units };
      controls.inputs.show(inputs);
      controls.kernel.show(kernel);
      for (const [layer, drawn] of graphs) show(drawn, layer, weights(layer, inputs, kernel), now.unit);
      told.textContent = `Unit ${now.unit + 1} of ${units}: fully connected it has ${inputs} weights of its own, locally connected ${kernel}; in the convolution it has the same ${kernel} as every other unit.`;
      counted.show(state);
    };
  },
};

/** The connections, and below them the same as a matrix: a row a unit, a column an input. */
function show(drawn, layer, links, chosen) {
  const [title, first, second] = LAYERS[layer], inputs = links[0].length, units = links.length, count = new Set(links.flat().filter(Boolean)).size;
  const wide = Math.max(inputs * PITCH, 270) + 4, shift = (inputs - units) / 2;
  const colourOf = (link) => (layer === "convolution" ? `var(--series-${link - 1})` : "var(--quiet)");
  const below = (i) => [14 + PITCH * i, 60 + RISE], above = (u) => [14 + PITCH * (u + shift), 60];
  const pairs = links.flatMap((line, unit) => line.flatMap((link, input) => (link ? [{ unit, input, link }] : [])));
  const lines = [...pairs.filter((one) => one.unit !== chosen), ...pairs.filter((one) => one.unit === chosen)].map(({ unit, input, link }) => {
    const [x1, y1] = above(unit), [x2, y2] = below(input), own = unit === chosen;
    return svg("line", { x1, y1, x2, y2, stroke: own && layer !== "convolution" ? "var(--accent)" : colourOf(link), "stroke-width": own ? 3.5 : layer === "convolution" ? 2 : 1.1, opacity: own ? 1 : 0.75 });
  });
  const dot = ([x, y], more) => svg("circle", { cx: x, cy: y, r: 8, ...more });
  const top = 60 + RISE + 56;
  const cells = links.flatMap((line, unit) => line.map((link, input) => svg("rect", {
    x: 1 + input * CELL, y: top + unit * CELL, width: CELL, height: CELL, class: "cell", "data-unit": unit, "data-weight": `${layer}-${unit}-${input}-${link}`,
    fill: !link ? "var(--surface)" : unit === chosen && layer !== "convolution" ? "var(--accent)" : colourOf(link),
  })));
  const label = `${title}: ${inputs} inputs, ${units} units, ${pairs.length} connections, ${count} weights.`;
  const high = top + units * CELL + 8;
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, "aria-label": label })) drawn.setAttribute(key, value);
  drawn.replaceChildren(
    svg("text", { x: 1, y: 16, "font-weight": 600 }, `${title}: ${number(count)} weights`), svg("text", { x: 1, y: 36, "font-size": 12, class: "muted" }, first),
    ...lines, ...links.map((_, u) => dot(above(u), { class: u === chosen ? "unit chosen" : "unit", "data-unit": u })), ...links[0].map((_, i) => dot(below(i), { class: "unit" })),
    svg("text", { x: 1, y: 60 + RISE + 32, "font-size": 12, class: "muted" }, second),
    ...cells, svg("rect", { x: 1, y: top + chosen * CELL, width: inputs * CELL, height: CELL, class: "window" }));
}
