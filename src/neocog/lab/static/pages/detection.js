// Detection: how each detector that is loaded comes to its answer, side by side.

import { agreement, ask, farthest } from "../api.js";
import { choice, colour, html, picture, slider, svg } from "../dom.js";
import { later, mark, milliseconds, pictures, runsFor, shown } from "../models.js";
import { suppress } from "../suppress.js";

const SIDE = 420, MOST = 300; // candidates that are drawn: more would hide the picture

export default {
  id: "detection",
  name: "Detection",
  title: "Detection, stage by stage",
  idea: "Every detector looks at the same picture and is painted as it answers. The thresholds move here, without asking the network again.",
  defaults: { picture: "scene-1", stage: "detections", score: 0.5, nms: 0 },

  mount(body, first, set) {
    return later(body, first, () => ready(body, first, set));
  },
};

async function ready(body, state, set) {
  const runs = await runsFor(body, "detect", "detector");
  if (!runs.length) return () => {};
  const chosen = await pictures(state, set);
  const panels = runs.map(panel);
  const stage = choice("stage", [["candidates", "candidates"], ["detections", "detections"]], state.stage, (value) => set({ stage: value }));
  const score = slider("least score", { min: 0.05, max: 0.99, step: 0.01, value: state.score, format: (v) => v.toFixed(2), change: (v) => set({ score: v }) });
  const nms = slider("overlap that drops (IoU)", { min: 0, max: 1, step: 0.01, value: state.nms, format: (v) => (v ? v.toFixed(2) : "the model's own"), change: (v) => set({ nms: v }) });
  body.append(html("div", { class: "controls" }, chosen.field, stage, score, nms), html("div", { class: "panels" }, panels.map((one) => one.element)));
  let asked = "", now = state;
  return (state) => {
    now = state;
    chosen.show(now.picture);
    score.show(now.score);
    nms.show(now.nms);
    stage.show(now.stage);
    for (const one of panels) one.draw(now);
    if (chosen.key(now.picture) === asked) return;
    asked = chosen.key(now.picture);
    const key = asked;
    chosen.blob(now.picture).then(async (blob) => {
      const seen = await shown(blob);
      for (const one of panels) {
        one.ask(blob, seen, () => key === asked).then(() => {
          const names = [...new Set(panels.flatMap((panel) => panel.steps())), "candidates", "detections"];
          const select = stage.querySelector("select");
          select.replaceChildren(...names.map((name) => html("option", { value: name }, name)));
          stage.show(now.stage);
          one.draw(now);
        });
      }
    }).catch((error) => panels.forEach((one) => one.fail(error)));
  };
}

/** One detector: its picture, what it found, how long it took. */
function panel(run) {
  const place = html("div"), line = html("p", { class: "sum", role: "status" }, "waiting for its answer"), agrees = agreement(150);
  const element = html("figure", { "data-run": run.name }, html("figcaption", {}, html("strong", {}, run.model), ` ${run.name}`), place, line, agrees);
  let answer = null, seen = null;

  /** How many candidates score enough, and which of them are left. */
  function left(state) {
    const { boxes, scores, labels } = answer.candidates;
    const enough = scores.filter((one) => one >= state.score).length;
    const kept = suppress(boxes.slice(0, enough), labels, state.nms || answer.nms);
    return [enough, kept.slice(0, answer.most ?? kept.length)];
  }

  function draw(state) {
    if (!answer) return;
    const { candidates } = answer;
    const step = answer.steps.find((one) => one.name === state.stage);
    const [enough, kept] = left(state), all = state.stage === "candidates", of = step ?? candidates;
    const places = step ? step.boxes.map((_, i) => i) : all ? [...Array(Math.min(enough, MOST)).keys()] : kept;
    const many = answer.total > enough && enough === candidates.scores.length ? `the best ${enough}` : enough;
    const title = step ? step.caption : all ? `${many} of ${answer.total} candidates score ${state.score.toFixed(2)} or more.` : `${kept.length} found: what is left of ${many} candidates.`;
    line.textContent = `${title} ${milliseconds(answer.ms)}.`;
    place.replaceChildren(painted(seen, answer, of, places, step, all, run));
    if (!step) check(state, candidates, enough);
  }

  /** The same by the library, once the slider rests. */
  function check(state, candidates, enough) {
    const [boxes, scores, labels] = ["boxes", "scores", "labels"].map((name) => candidates[name].slice(0, enough));
    const most = state.nms || answer.nms;
    agrees.compare("suppress", () => ({ boxes, scores, labels, nms: most }), ({ kept }) => farthest(suppress(boxes, labels, most), kept), `${state.score} ${state.nms}`);
  }

  function fail(error) {
    if (error.name === "AbortError") return;
    answer = null;
    place.replaceChildren();
    line.textContent = error.message;
    agrees.forget();
  }

  return {
    element, draw, fail,
    steps: () => answer?.steps.map((one) => one.name) ?? [],
    async ask(blob, picture, wanted) {
      try {
        const given = await ask(`stages/${run.id}`, blob, `stages-${run.id}`);
        if (!wanted()) return;
        [answer, seen] = [given, picture];
        agrees.forget();
      } catch (error) {
        fail(error);
      }
    },
  };
}

function painted(seen, answer, of, places, step, faint, run) {
  const [height, width] = answer.size, scale = SIDE / Math.max(height, width);
  const [a, b, c, d, e, f] = answer.to_picture;
  const at = (x, y) => [scale * (a * x + b * y + c), scale * (d * x + e * y + f)];
  const rectangle = ([x0, y0, x1, y1]) => {
    const [left, top] = at(x0, y0), [right, bottom] = at(x1, y1);
    return { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0) };
  };
  const parts = [svg("image", { href: seen.address, width: width * scale, height: height * scale, class: scale > 2 ? "crisp" : "" })];
  if (step?.heat) parts.push(...cells(step, rectangle));
  for (const i of [...places].reverse()) {
    const box = rectangle(of.boxes[i]), label = of.labels?.[i], paint = label === undefined ? mark(0) : mark(label);
    const opacity = step || faint ? 0.25 + 0.75 * Math.min(1, of.scores[i]) : 1;
    parts.push(svg("rect", { ...box, class: "under", opacity }), svg("rect", { ...box, class: "box", stroke: paint, opacity }));
    if (label === undefined || faint) continue;
    const text = `${run.classes[label]} ${of.scores[i].toFixed(2)}`, long = 7.2 * text.length + 8, y = box.y > 18 ? box.y - 18 : box.y;
    const x = Math.min(box.x, Math.max(width * scale - long, 0));
    parts.push(svg("rect", { x, y, width: long, height: 18, fill: paint }), svg("text", { x: x + 4, y: y + 13.5, "font-size": 13, class: "on-mark" }, text));
  }
  const named = of.labels && !faint ? `: ${places.map((i) => `${run.classes[of.labels[i]]} ${of.scores[i].toFixed(2)}`).join(", ") || "nothing"}` : "";
  return picture(width * scale, height * scale, `${run.name}, ${step ? step.name : faint ? "candidates" : "detections"}, ${places.length} boxes${named}`, ...parts);
}

function cells(step, rectangle) {
  const rows = step.heat.length, columns = step.heat[0].length, [high, wide] = step.extent;
  return step.heat.flatMap((line, r) => line.map((value, c) => svg("rect", {
    ...rectangle([(c * wide) / columns, (r * high) / rows, ((c + 1) * wide) / columns, ((r + 1) * high) / rows]),
    fill: `rgb(${colour(value, 1, false)})`, opacity: 0.6,
  })));
}
