// Runs: how training went (while it goes), what was measured, and what the model answered.

import { ask } from "../api.js";
import { axes, path, ticks } from "../chart.js";
import { choice, html, number, picture, svg } from "../dom.js";
import { later, runsFor } from "../models.js";

const EVERY = 2000, WIDE = 500, HIGH = 200, LEFT = 56, BOTTOM = 34, TOP = 30;

export default {
  id: "runs",
  name: "Runs",
  title: "How training went",
  idea: "The losses of every step and the score on pictures that are kept aside; a run that is training now draws itself. Below, models side by side: how good, and how fast.",
  defaults: { run: "", measure: "" },

  mount(body, first, set) {
    return later(body, first, () => ready(body, first, set));
  },
};

async function ready(body, state, set) {
  const runs = await runsFor(body, "", "run");
  if (!runs.length) return () => {};
  const compared = await ask("comparisons");
  const run = choice("run", runs.map((one) => [one.name, `${one.name} (${one.model})`]), state.run, (value) => set({ run: value }));
  const curves = html("div", { class: "side" }), line = html("p", { class: "sum", role: "status" }), samples = html("div", { class: "shows" });
  const measured = html("div");
  body.append(html("div", { class: "controls" }, run), curves, line, measured, samples);
  if (compared.length) body.append(html("h2", {}, "Models side by side"), ...compared.flatMap(comparison));
  let shown = null;
  return (now) => {
    const one = runs.find((other) => other.name === now.run) ?? runs[0];
    run.show(one.name);
    if (one === shown) return;
    shown = one;
    samples.replaceChildren(...(one.samples ? [html("h2", {}, "Truth beside prediction")] : []), ...Array.from({ length: one.samples }, (_, i) =>
      html("figure", {}, html("img", { src: `/api/v1/runs/${one.id}/samples/${i}`, alt: `picture ${i + 1} of the validation data, the truth beside the prediction`, loading: "lazy" }))));
    ask(`runs/${one.id}/evaluation`, undefined, "evaluation").then((found) => {
      measured.replaceChildren(...(found ? [evaluation(found)] : []));
    }).catch(() => measured.replaceChildren());
    follow(one, curves, line, () => shown === one && body.isConnected);
  };
}

/** Draw a run's curves, and go on while it writes more of them. */
async function follow(run, place, line, wanted) {
  let next = 0, log = [];
  place.replaceChildren();
  while (wanted()) {
    try {
      const given = await ask(`runs/${run.id}/curves?after=${next}`, undefined, `curves-${run.id}`);
      if (!wanted()) return;
      log = given.whole ? given.lines : [...log, ...given.lines];
      if (given.lines.length || given.whole) draw(run, log, place, line);
      next = given.next;
    } catch (error) {
      if (error.name === "AbortError") return;
      line.textContent = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

function draw(run, log, place, line) {
  const steps = log.filter((one) => one.losses), checks = log.filter((one) => one.validation);
  if (!steps.length) {
    line.textContent = "No step has been logged.";
    return;
  }
  const names = Object.keys(steps.at(-1).losses);
  const losses = names.map((name) => ({ name, points: smooth(steps.map((one) => [one.step, one.losses[name] ?? 0])) }));
  const keys = Object.keys(checks.at(-1)?.validation ?? {}).filter((key) => /^(voc_map50|coco_ap|mean_iou|pixel_accuracy|top1|localization_accuracy)$/.test(key));
  const scores = keys.map((name) => ({ name: name.replaceAll("_", " "), points: checks.map((one) => [one.step, one.validation[name]]).filter((one) => one[1] !== null) }));
  const last = steps.at(-1), total = Object.values(last.losses).reduce((sum, one) => sum + one, 0);
  place.replaceChildren(plot(`Losses of ${run.name}`, losses, false), ...(scores.some((one) => one.points.length) ? [plot(`Scores of ${run.name} on validation pictures`, scores, true)] : []));
  line.textContent = `Step ${last.step}: loss ${number(total, 3)}, at the learning rate ${last.lr.toPrecision(2)}${keys.length && checks.length ? `; ${keys[0].replaceAll("_", " ")} ${number(checks.at(-1).validation[keys[0]] ?? 0, 3)}` : ""}.`;
}

/** Means over windows, so that a curve has at most 200 points. */
function smooth(points) {
  const size = Math.ceil(points.length / 200);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const own = points.slice(i * size, (i + 1) * size);
    return [own.at(-1)[0], own.reduce((sum, one) => sum + one[1], 0) / own.length];
  });
}

function plot(title, curves, share) {
  const most = share ? 1 : 1.05 * Math.max(...curves.flatMap((one) => one.points.map((point) => point[1])), 1e-9);
  const end = Math.max(...curves.flatMap((one) => one.points.map((point) => point[0])), 1), right = WIDE - 20;
  const box = axes({ left: LEFT, top: TOP, wide: right - LEFT, high: HIGH, x: [0, end], y: [0, most], places: ticks(0, end, 5), lines: 5 });
  const parts = [svg("text", { x: 0, y: 14, "font-weight": 600, "font-size": 13 }, title)];
  parts.push(...box.parts);
  curves.forEach(({ points }, i) => {
    const paint = `var(--series-${i % 8})`;
    parts.push(points.length > 1 ? svg("path", { class: "curve", stroke: paint, d: path(points, box) })
      : svg("circle", { cx: box.across(points[0]?.[0] ?? 0), cy: box.up(points[0]?.[1] ?? 0), r: 3, fill: paint }));
  });
  parts.push(svg("text", { x: right, y: TOP + HIGH + BOTTOM + 8, "text-anchor": "end", "font-size": 12, class: "muted" }, "steps"));
  let across = LEFT;
  curves.forEach(({ name }, i) => {
    parts.push(svg("rect", { x: across, y: TOP + HIGH + BOTTOM - 2, width: 12, height: 12, fill: `var(--series-${i % 8})` }),
      svg("text", { x: across + 17, y: TOP + HIGH + BOTTOM + 8, "font-size": 12 }, name));
    across += 30 + 7 * name.length;
  });
  return picture(WIDE, TOP + HIGH + BOTTOM + 14, `${title}, up to step ${end}: ${curves.map(({ name, points }) => `${name} ${number(points.at(-1)?.[1] ?? 0, 3)} at the end`).join(", ")}`, ...parts);
}

function evaluation({ metrics, images, split }) {
  const rows = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  const caption = `Measured on ${images} pictures of ${split}`;
  return html("details", {}, html("summary", {}, caption), table(caption, ["metric", "value"], rows.map(([name, value]) => [name.replaceAll("_", " "), number(value, 3)])));
}

function comparison({ name, columns, rows }) {
  const heads = ["model", ...columns.map(([, heading]) => heading), "ms a picture", "million parameters", "training, s"];
  const lines = rows.map((row) => [
    row.model, ...columns.map(([key]) => spread(row.metrics[key])), number(row.ms_per_image.total, 1), number(row.parameters / 1e6, 2), number(row.train_seconds, 0)]);
  return [table(`Comparison ${name}`, heads, lines), tradeoff(name, columns[0], rows)];
}

function spread(value) {
  if (!value || value.mean === null) return "–";
  return value.std === null ? number(value.mean, 3) : `${number(value.mean, 3)} ± ${number(value.std, 3)}`;
}

function table(caption, heads, lines) {
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    html("table", { class: "figures" }, html("caption", {}, caption), html("thead", {}, html("tr", {}, heads.map((one) => html("th", { scope: "col" }, one)))),
      html("tbody", {}, lines.map(([first, ...others]) => html("tr", {}, html("th", { scope: "row" }, first), others.map((one) => html("td", {}, one)))))));
}

/** How good each model is against the milliseconds that it takes. */
function tradeoff(name, [key, heading], rows) {
  const dots = rows.map((row) => ({ model: row.model, ms: row.ms_per_image.total, value: row.metrics[key]?.mean })).filter((one) => typeof one.value === "number" && one.ms > 0);
  if (!dots.length) return "";
  const low = Math.floor(Math.log10(Math.min(...dots.map((one) => one.ms))) * 2) / 2 - 0.1, high = Math.ceil(Math.log10(Math.max(...dots.map((one) => one.ms))) * 2) / 2 + 0.4;
  const right = WIDE - 20, box = axes({ left: LEFT, top: TOP, wide: right - LEFT, high: HIGH, x: [low, high], y: [0, 1], places: [], lines: 5 });
  const x = (ms) => box.across(Math.log10(ms));
  const parts = [svg("text", { x: 0, y: 14, "font-weight": 600, "font-size": 13 }, `${heading} against time`)];
  parts.push(...box.parts);
  for (const ms of [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000].filter((one) => Math.log10(one) >= low && Math.log10(one) <= high)) {
    parts.push(svg("line", { x1: x(ms), x2: x(ms), y1: TOP, y2: TOP + HIGH, class: "grid" }),
      svg("text", { x: x(ms), y: TOP + HIGH + 18, "text-anchor": "middle", "font-size": 12, class: "muted" }, String(ms)));
  }
  parts.push(svg("text", { x: right, y: TOP + HIGH + 34, "text-anchor": "end", "font-size": 12, class: "muted" }, "milliseconds a picture"));
  dots.forEach(({ model, ms, value }, i) => {
    parts.push(svg("circle", { cx: x(ms), cy: box.up(value), r: 5, fill: `var(--series-${i % 8})` }),
      svg("text", { x: x(ms) + 9, y: box.up(value) + 4, "font-size": 12 }, model));
  });
  return picture(WIDE, TOP + HIGH + 42, `${heading} against milliseconds a picture in ${name}: ${dots.map((one) => `${one.model} ${number(one.value, 3)} in ${number(one.ms, 1)} ms`).join(", ")}`, ...parts);
}
