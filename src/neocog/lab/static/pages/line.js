// Convolution in one dimension: two functions, one of which is mirrored and moved.

import { ask } from "../api.js";
import { choice, html, number, picture, slider, svg } from "../dom.js";

const FROM = -4, TO = 4, STEPS = 400;
const PLACES = Array.from({ length: STEPS + 1 }, (_, i) => FROM + (i * (TO - FROM)) / STEPS);
const SHAPES = [["box", "box"], ["triangle", "triangle"], ["gaussian", "bell (Gaussian)"], ["exponential", "decay (exponential)"], ["step", "step"]];
const WIDE = 720, LEFT = 40, HIGH = 150;

/** The value of a shape at x, as the library defines them. */
export function value({ kind, width, centre }, x) {
  const from = x - centre;
  if (kind === "box") return Math.abs(from) <= width / 2 ? 1 : 0;
  if (kind === "triangle") return Math.max(0, 1 - (2 * Math.abs(from)) / width);
  if (kind === "gaussian") return Math.exp(-0.5 * (from / width) ** 2) / (width * Math.sqrt(2 * Math.PI));
  if (kind === "exponential") return x >= 0 ? Math.exp(-x / width) : 0;
  return from >= 0 ? 1 : 0;
}

const across = (x) => LEFT + ((x - FROM) / (TO - FROM)) * (WIDE - LEFT - 10);

function axes(top, upper) {
  const bottom = top + HIGH, parts = [];
  for (let x = FROM; x <= TO; x++) {
    parts.push(svg("line", { x1: across(x), x2: across(x), y1: bottom, y2: bottom + 5, class: "axis" }),
      svg("text", { x: across(x), y: bottom + 20, "text-anchor": "middle", "font-size": 12, class: "muted" }, number(x)));
  }
  for (const y of [0, upper / 2, upper]) {
    const at = bottom - (y / upper) * HIGH;
    parts.push(svg("line", { x1: LEFT, x2: WIDE - 10, y1: at, y2: at, class: y ? "grid" : "axis" }),
      svg("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end", "font-size": 12, class: "muted" }, number(y, 2)));
  }
  return parts;
}

function steps(values, top, upper) {
  return PLACES.map((x, i) => `${i ? "L" : "M"}${across(x).toFixed(1)} ${(top + HIGH - (values[i] / upper) * HIGH).toFixed(1)}`).join("");
}

export default {
  id: "line",
  name: "Convolution in 1-D",
  title: "Convolution in one dimension",
  idea: "Mirror g, move it to t, multiply by f, and take the area: that is one value of f ∗ g. Drag t, on the slider or on the picture.",
  defaults: { f: "box", fwidth: 1, g: "box", gwidth: 1, t: 0.5 },

  mount(body, first, set) {
    const place = html("figure"), area = html("p", { class: "sum", role: "status" });
    const controls = {
      f: choice("f", SHAPES, first.f, (kind) => set({ f: kind })),
      fwidth: slider("width of f", { min: 0.25, max: 3, step: 0.05, value: first.fwidth, format: (v) => v.toFixed(2), change: (v) => set({ fwidth: v }) }),
      g: choice("g", SHAPES, first.g, (kind) => set({ g: kind })),
      gwidth: slider("width of g", { min: 0.25, max: 3, step: 0.05, value: first.gwidth, format: (v) => v.toFixed(2), change: (v) => set({ gwidth: v }) }),
      t: slider("t", { min: FROM, max: TO, step: 0.02, value: first.t, format: (v) => number(v, 2), change: (v) => set({ t: v }) }),
    };
    body.append(html("div", { class: "controls" }, ...Object.values(controls)), place, area);
    let curve = null, asked = "";

    function update(state) {
      for (const [name, control] of Object.entries(controls)) control.show(state[name]);
      const shapes = { f: { kind: state.f, width: state.fwidth, centre: 0 }, g: { kind: state.g, width: state.gwidth, centre: 0 } };
      const key = JSON.stringify(shapes);
      if (key !== asked) {
        asked = key;
        curve = null;
        ask("integral", { ...shapes, t: PLACES }).then((answer) => {
          curve = answer.values;
          update(state);
        }).catch((error) => {
          if (error.name !== "AbortError") area.textContent = error.message;
        });
      }
      draw(state, shapes);
    }

    function draw(state, { f, g }) {
      const fs = PLACES.map((tau) => value(f, tau)), gs = PLACES.map((tau) => value(g, state.t - tau));
      const product = fs.map((one, i) => one * gs[i]);
      const upper = Math.max(...fs, ...gs, 1e-9) * 1.1, top = 30, second = top + HIGH + 74;
      const parts = [
        svg("text", { x: 0, y: 16, "font-weight": 600 }, "f(τ), g(t − τ) and their product"), ...axes(top, upper),
        svg("path", { class: "area", d: `${steps(product, top, upper)}L${across(TO)} ${top + HIGH}L${across(FROM)} ${top + HIGH}Z` }),
        svg("path", { class: "curve", stroke: "var(--series-0)", d: steps(fs, top, upper) }),
        svg("path", { class: "curve", stroke: "var(--series-1)", d: steps(gs, top, upper) }),
        svg("text", { x: 0, y: second - 16, "font-weight": 600 }, "(f ∗ g)(t)"),
      ];
      if (curve) {
        const most = Math.max(...curve, 1e-9) * 1.1;
        const count = Math.min(STEPS, Math.max(0, Math.round(((state.t - FROM) / (TO - FROM)) * STEPS)));
        const now = curve[count] + ((state.t - PLACES[count]) * ((curve[count + 1] ?? curve[count]) - curve[count])) / ((TO - FROM) / STEPS);
        parts.push(...axes(second, most),
          svg("path", { class: "curve", stroke: "var(--quiet)", "stroke-dasharray": "2 4", d: steps(curve, second, most) }),
          svg("path", { class: "curve accent", d: PLACES.slice(0, count + 1).map((x, i) => `${i ? "L" : "M"}${across(x).toFixed(1)} ${(second + HIGH - (curve[i] / most) * HIGH).toFixed(1)}`).join("") }),
          svg("circle", { cx: across(state.t), cy: second + HIGH - (now / most) * HIGH, r: 5, class: "accent-fill" }));
        area.textContent = `(f ∗ g)(${number(state.t, 2)}) = ${number(now, 3)}, by the library; the shaded area, summed by this page: ${number(sum(product), 3)}`;
      }
      const label = `f is a ${state.f}, g a ${state.g}, mirrored and moved to t = ${number(state.t, 2)}; below, their convolution.`;
      const drawn = picture(WIDE, second + HIGH + 30, label, ...parts);
      const drag = (event) => {
        if (!event.buttons) return;
        const box = drawn.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * WIDE;
        const t = FROM + ((x - LEFT) / (WIDE - LEFT - 10)) * (TO - FROM);
        set({ t: Math.round(Math.min(TO, Math.max(FROM, t)) * 50) / 50 });
      };
      place.onpointerdown = place.onpointermove = drag;
      place.replaceChildren(drawn);
    }
    return update;
  },
};

/** The trapezoidal rule. */
function sum(values) {
  const step = (TO - FROM) / STEPS;
  return values.reduce((total, one, i) => total + one * (i && i < STEPS ? step : step / 2), 0);
}
