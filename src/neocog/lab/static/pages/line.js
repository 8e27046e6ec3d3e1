// Convolution in one dimension: two functions, one of which is mirrored and moved.

import { agreement, farthest } from "../api.js";
import { axes, path } from "../chart.js";
import { choice, html, number, picture, slider, svg, width } from "../dom.js";
import { area, evenly, made } from "../integral.js";
import { pad } from "../pad.js";

const FROM = -4, TO = 4, PLACES = evenly(FROM, TO, 0.02);
const SHAPES = [["box", "box"], ["triangle", "triangle"], ["gaussian", "bell (Gaussian)"], ["exponential", "decay (exponential)"], ["step", "step"], ["samples", "drawn by you"]];
const SAMPLES = evenly(-2, 2, 0.25);
const LEFT = 44, HIGH = 150, TOP = 34, SECOND = TOP + HIGH + 70;
const EDGE = 1e-9; // to both sides of a break, so that a step is drawn upright

export default {
  id: "line",
  name: "Convolution in 1-D",
  title: "Convolution in one dimension",
  idea: "g is mirrored: g(t − τ) runs backwards in τ. Move it to t, multiply by f, and take the area: that is one value of f ∗ g. Drag t, on the slider or on the picture.",
  alone: true,
  defaults: {
    f: "box", fwidth: 1, fdrawn: "0 0 0 0 0.1 0.4 0.8 1 0.9 0.5 0 -0.3 -0.4 -0.2 0 0 0",
    g: "exponential", gwidth: 1, gdrawn: "0 0 0 0 0 0 0 0 1 0.75 0.5 0.25 0 0 0 0 0", t: 0.5,
  },

  mount(body, first, set) {
    const place = html("figure"), told = html("p", { class: "sum", role: "status" }), agrees = agreement();
    const wide = (name) => slider(`width of ${name}`, { min: 0.25, max: 3, step: 0.05, value: first[`${name}width`], format: (v) => v.toFixed(2), change: (v) => set({ [`${name}width`]: v }) });
    const controls = {
      f: choice("f", SHAPES, first.f, (kind) => set({ f: kind })),
      fwidth: wide("f"),
      g: choice("g", SHAPES, first.g, (kind) => set({ g: kind })),
      gwidth: wide("g"),
      t: slider("t", { min: FROM, max: TO, step: 0.02, long: true, value: first.t, format: (v) => number(v, 2), change: (v) => set({ t: v }) }),
    };
    const pads = {
      f: pad("f", SAMPLES, (values) => set({ fdrawn: values.join(" ") })),
      g: pad("g", SAMPLES, (values) => set({ gdrawn: values.join(" ") })),
    };
    body.append(html("div", { class: "controls" }, ...Object.values(controls)), html("div", { class: "side" }, pads.f, pads.g), place, told, agrees);
    let drawn = "", shapes, curve;

    place.onpointerdown = place.onpointermove = (event) => {
      if (!event.buttons) return;
      const box = place.firstChild.getBoundingClientRect();
      const t = FROM + ((event.clientX - box.left - LEFT) / (box.width - LEFT - 10)) * (TO - FROM);
      set({ t: Math.round(Math.min(TO, Math.max(FROM, t)) * 50) / 50 });
    };

    return (state) => {
      const asked = { f: shape(state, "f"), g: shape(state, "g") };
      for (const name of Object.keys(controls)) controls[name].show(state[name]);
      for (const [i, name] of ["f", "g"].entries()) {
        controls[`${name}width`].hidden = ["step", "samples"].includes(asked[name].kind);
        pads[name].hidden = asked[name].kind !== "samples";
        pads[name].show(samples(state, name), `var(--series-${i})`);
      }
      if (JSON.stringify(asked) !== drawn) {
        drawn = JSON.stringify(asked);
        shapes = { f: made(asked.f), g: made(asked.g) };
        curve = PLACES.map((t) => area(shapes.f, shapes.g, t));
        agrees.compare("integral", { ...asked, t: PLACES }, (answer) => farthest(curve, answer.values));
      }
      const t = Math.min(TO, Math.max(FROM, state.t)), value = area(shapes.f, shapes.g, t);
      told.textContent = `(f ∗ g)(${number(t, 2)}) = ${number(value, 3)}, the shaded area`;
      place.replaceChildren(scene(shapes, curve, t, value, asked, Math.min(760, width(place))));
    };
  },
};

function samples(state, name) {
  const values = state[`${name}drawn`].split(" ").map((one) => Math.min(1, Math.max(-1, Number(one) || 0)));
  return SAMPLES.map((_, i) => values[i] ?? 0);
}

/** The function `name` as the API takes it. */
function shape(state, name) {
  const kind = SHAPES.some(([one]) => one === state[name]) ? state[name] : "box";
  if (kind === "samples") return { kind, x: SAMPLES, y: samples(state, name) };
  return { kind, width: Math.min(3, Math.max(0.25, state[`${name}width`])) };
}

/** Both functions and the shaded product; below, their convolution. */
function scene({ f, g }, curve, t, value, asked, wide) {
  const moved = { at: (tau) => g.at(t - tau), breaks: g.breaks.map((one) => t - one) };
  const product = { at: (tau) => f.at(tau) * moved.at(tau), breaks: [...f.breaks, ...moved.breaks] };
  const [fs, gs, both] = [f, moved, product].map(points);
  const box = { left: LEFT, wide: wide - LEFT - 10, high: HIGH, x: [FROM, TO], places: evenly(FROM, TO, 1) };
  const upper = axes({ ...box, top: TOP, y: range([...fs, ...gs, ...both].map(([, y]) => y)) });
  const lower = axes({ ...box, top: SECOND, y: range(curve) });
  const done = [...PLACES.filter((place) => place < t).map((place, i) => [place, curve[i]]), [t, value]];
  const label = `f is ${named(asked.f)}, g ${named(asked.g)}, mirrored and moved to t = ${number(t, 2)}; below, their convolution, which is ${number(value, 3)} there.`;
  return picture(wide, SECOND + HIGH + 30, label,
    svg("text", { x: 0, y: 16, "font-weight": 600 }, "f(τ), mirrored g(t − τ), their product"), ...upper.parts,
    svg("path", { class: "area", d: `${path([[FROM, 0], ...both, [TO, 0]], upper)}Z` }),
    svg("path", { class: "curve", stroke: "var(--series-0)", d: path(fs, upper) }),
    svg("path", { class: "curve", stroke: "var(--series-1)", d: path(gs, upper) }),
    svg("line", { x1: upper.across(t), x2: upper.across(t), y1: TOP, y2: SECOND + HIGH, class: "axis", "stroke-dasharray": "3 4" }),
    name("f(τ)", fs, -1, upper, wide), name("g(t − τ)", gs, 1, upper, wide),
    svg("text", { x: 0, y: SECOND - 16, "font-weight": 600, class: "halo" }, "(f ∗ g)(t)"), ...lower.parts,
    svg("path", { class: "curve", stroke: "var(--quiet)", "stroke-dasharray": "2 4", d: path(PLACES.map((place, i) => [place, curve[i]]), lower) }),
    svg("path", { class: "curve accent", d: path(done, lower) }),
    svg("circle", { cx: lower.across(t), cy: lower.up(value), r: 5, class: "accent-fill" }));
}

const named = ({ kind }) => (kind === "samples" ? "drawn" : `a ${kind}`);

/** [x, y] of a function, at both sides of every break. */
function points(one) {
  const edges = one.breaks.flatMap((place) => [place - EDGE, place + EDGE]).filter((place) => place > FROM && place < TO);
  return [...PLACES, ...edges].sort((a, b) => a - b).map((place) => [place, one.at(place)]);
}

/** What an axis must hold, 0 among it, with some room. */
function range(values) {
  const low = Math.min(0, ...values), high = Math.max(0, ...values), room = 0.1 * Math.max(high - low, 1e-3);
  return [low < 0 ? low - room : 0, high + room];
}

/** A curve's name beside its top: to the left of where it begins (-1), or to the right of where it ends (1). */
function name(text, curve, side, scale, wide) {
  const high = Math.max(...curve.map(([, y]) => y)), top = curve.filter(([, y]) => y >= 0.98 * high);
  const [x, y] = side < 0 ? top[0] : top.at(-1);
  const fits = side < 0 ? scale.across(x) > LEFT + 40 : scale.across(x) < wide - 75;
  const turned = fits ? side : -side;
  return svg("text", { x: scale.across(x) + 10 * turned, y: scale.up(y) + 5, "text-anchor": turned < 0 ? "end" : "start", "font-weight": 600, class: "halo" }, text);
}
