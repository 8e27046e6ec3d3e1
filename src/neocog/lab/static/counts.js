// How many weights three kinds of layer have for a picture and as many units.

import { agreement } from "./api.js";
import { html, number, picture, slider, svg, whole, width } from "./dom.js";

const NAMES = { dense: "fully connected", local: "locally connected", convolution: "convolution" };
const FORMULAS = { dense: "units · inputs", local: "units · k²", convolution: "filters · k²" };

/** Weights of a layer that gives `filters` maps of the size of its grey picture. */
function counted({ side, window, filters, bias }) {
  const pixels = side * side, units = pixels * filters;
  return { dense: units * (pixels + bias), local: units * (window * window + bias), convolution: filters * (window * window + bias) };
}

/** A section with `show(state)`; `set` changes the state. */
export function counts(set) {
  const agrees = agreement(120), place = html("figure"), rows = html("tbody"), told = html("p", { role: "status" });
  const biases = html("input", { type: "checkbox", onchange: () => set({ bias: Number(biases.checked) }) });
  const controls = {
    side: slider("picture, pixels a side", { min: 1, max: 1000, value: 1000, change: (side) => set({ side }) }),
    window: slider("kernel k", { min: 1, max: 31, value: 10, change: (window) => set({ window }) }),
    filters: slider("filters", { min: 1, max: 100, value: 1, change: (filters) => set({ filters }) }),
  };
  const section = html("section", {}, html("h2", {}, "How many weights?"),
    html("div", { class: "controls" }, ...Object.values(controls), html("label", { class: "check" }, biases, "with biases")),
    told, place, html("table", { class: "numbers" },
      html("thead", {}, html("tr", {}, ["layer", "weights", "in float32"].map((text) => html("th", { scope: "col" }, text)))), rows), agrees);

  section.show = (state) => {
    const asked = { side: whole(state.side, 1, 1000), window: whole(state.window, 1, 31), filters: whole(state.filters, 1, 100), bias: state.bias ? 1 : 0 };
    const found = counted(asked), units = asked.side ** 2 * asked.filters;
    for (const [name, control] of Object.entries(controls)) control.show(asked[name]);
    biases.checked = Boolean(asked.bias);
    told.textContent = `${asked.side} × ${asked.side} pixels, and ${grouped(units)} units: ${asked.filters === 1 ? "one map" : `${asked.filters} maps`} of the picture's size.`;
    rows.replaceChildren(...Object.entries(found).map(([key, count]) => html("tr", {},
      html("th", { scope: "row" }, NAMES[key], html("small", {}, asked.bias ? FORMULAS[key].replace(/inputs|k²/, "($& + 1)") : FORMULAS[key])),
      html("td", { "data-count": key }, grouped(count)), html("td", {}, bytes(4 * count)))));
    place.replaceChildren(bars(found, width(section)));
    const { bias, window, ...rest } = asked;
    agrees.compare("parameters", { ...rest, kernel: window, bias: Boolean(bias) }, (answer) =>
      Math.max(...Object.keys(found).map((key) => Math.abs(found[key] - answer[key]))));
  };
  return section;
}

/** A whole number with its digits in threes. */
const grouped = (value) => value.toLocaleString("en");

function bytes(count) {
  const power = Math.min(5, Math.floor(Math.log10(count) / 3)), share = count / 1000 ** power;
  return `${number(share, share < 10 && power ? 1 : 0)} ${["bytes", "kB", "MB", "GB", "TB", "PB"][power]}`;
}

/** Bars on a scale of powers of ten. */
function bars(found, room) {
  const left = 130, wide = Math.min(560, room - left - 20), most = Math.max(3, Math.ceil(Math.log10(Math.max(...Object.values(found))))), step = Math.ceil(most / (wide / 60));
  const across = (power) => left + (power / most) * wide, parts = [];
  for (let power = 0; power <= most; power += step) {
    parts.push(svg("line", { x1: across(power), x2: across(power), y1: 6, y2: 112, class: "grid" }),
      svg("text", { x: across(power), y: 130, "text-anchor": "middle", "font-size": 12, class: "muted" }, power ? "10" : "1", power ? svg("tspan", { dy: -5, "font-size": 9 }, power) : ""));
  }
  Object.entries(found).forEach(([key, count], i) => {
    const y = 10 + 36 * i;
    parts.push(svg("text", { x: left - 8, y: y + 18, "text-anchor": "end", "font-size": 13 }, NAMES[key]),
      svg("rect", { x: left, y, width: Math.max(2, across(Math.log10(count)) - left), height: 26, rx: 3, fill: key === "convolution" ? "var(--accent)" : "var(--quiet)" }));
  });
  const label = `On a scale of powers of ten: ${Object.entries(found).map(([key, count]) => `${NAMES[key]} ${grouped(count)}`).join(", ")} weights.`;
  return picture(left + wide + 20, 136, label, ...parts);
}
