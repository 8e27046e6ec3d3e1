// Inside a network: what it says of a picture or of a drawing, and what leads it there.

import { ask } from "../api.js";
import { choice, html, picture, svg } from "../dom.js";
import { paint, raster, strokesOf, textOf } from "../digit.js";
import { later, milliseconds, pictures, shown } from "../models.js";

const PAD = 260, MOST_POINTS = 400, STEP = 4;
const DIGITS = "0,1,2,3,4,5,6,7,8,9";
const METHODS = {
  features: ["feature maps", "What every channel of every map holds for this picture."],
  filters: ["filters", "The weights that the network learnt: each convolution looks for these."],
  heatmap: ["heat map", "The dense layers made convolutional, so that the class is asked for at every place."],
  deconvnet: ["deconvolution", "The strongest units, each projected back to the pixels that excite it."],
  guided: ["guided", "The same by guided back-propagation."],
  gradcam: ["Grad-CAM", "The cells that raise the score of a class."],
  occlusion: ["occlusion", "What hiding a part costs."],
  invariance: ["invariance", "How much the maps change when the picture is shifted."],
  units: ["units of the code", "The picture drawn again while one unit of its code moves."],
  stages: ["stages", "From the boxes that are looked at to the answer."],
};

export default {
  id: "inside",
  name: "Inside a network",
  title: "Inside a network",
  idea: "Draw a digit: the network answers while you draw. Below, what it sees: its filters, its maps, and what excites a unit.",
  defaults: { run: "", picture: "drawing", drawn: "30224514601568236832583846425844705272667080588844882880", method: "features", level: "", unit: -1, label: "" },

  mount(body, first, set) {
    return later(body, first, () => ready(body, first, set));
  },
};

async function ready(body, state, set) {
  const runs = await ask("runs", undefined, "inside-runs");
  const chosen = await pictures(state, set, [["drawing", "my drawing"]]);
  const run = choice("network", runs.map((one) => [one.name, one.name]), state.run, (value) => set({ run: value, level: "", unit: -1, label: "" }));
  const pad = drawingPad(set), seen = html("canvas", { width: 28, height: 28, class: "given", role: "img", "aria-label": "the drawing as the network is given it: 28 by 28 grey pixels" });
  const preview = html("div"), bars = html("div"), says = html("p", { class: "sum", role: "status" });
  const tabs = html("div", { class: "tabs", role: "group", "aria-label": "ways of looking inside" });
  const uses = html("div", { class: "controls" }), idea = html("p", { class: "idea" }), working = html("p", { class: "status", role: "status" }), shows = html("div", { class: "shows" });
  body.append(html("div", { class: "controls" }, run, chosen.field),
    html("div", { class: "side" }, html("div", {}, pad.element, preview), html("figure", {}, html("figcaption", {}, "what the network is given"), seen), html("div", { class: "grow" }, says, bars)),
    html("h2", {}, "What leads it there"), tabs, idea, uses, working, shows);

  let now = state, answered = "", explained = "", layered = "", timer = null;
  const current = () => runs.find((one) => one.name === now.run) ?? runs.find((one) => one.here);
  const drawing = () => now.picture === "drawing" && current().classes.join() === DIGITS;

  /** The picture as it goes to the server. */
  async function blob() {
    if (!drawing()) return chosen.blob(now.picture === "drawing" ? "scene-1" : now.picture);
    return new Promise((resolve) => seen.toBlob(resolve, "image/png"));
  }

  async function answer() {
    try {
      const sent = await blob();
      if (!drawing()) {
        const image = await shown(sent), scale = PAD / Math.max(image.width, image.height);
        preview.replaceChildren(picture(image.width * scale, image.height * scale, "the chosen picture",
          svg("image", { href: image.address, width: image.width * scale, height: image.height * scale, class: scale > 2 ? "crisp" : "" })));
      }
      if (!says.textContent) says.textContent = current().here ? "It is being trained: a second or two." : "It is being loaded.";
      const given = await ask(`predict/${current().id}`, sent, "inside-predict");
      says.textContent = `${told(given.answer)} ${milliseconds(given.ms)}.`;
      bars.replaceChildren(...(given.answer.scores ? [chart(given.answer.scores)] : []));
    } catch (error) {
      if (error.name !== "AbortError") says.textContent = error.message;
    }
  }

  async function explain() {
    const query = new URLSearchParams({ method: now.method });
    if (now.level && now.method !== "filters") query.set("level", now.level);
    if (now.unit >= 0) query.set("unit", now.unit);
    if (now.label) query.set("label", now.label);
    try {
      working.textContent = "computing";
      const given = await ask(`explain/${current().id}?${query}`, await blob(), "inside-explain");
      working.textContent = "";
      shows.replaceChildren(...given.map((one) => html("figure", { "data-name": one.name }, html("figcaption", {}, one.caption), html("img", { src: one.picture, alt: `${one.name}: ${METHODS[now.method][0]}` }))));
    } catch (error) {
      if (error.name === "AbortError") return;
      working.textContent = error.message;
      shows.replaceChildren();
    }
  }

  async function layers() {
    const { maps } = await ask(`runs/${current().id}/layers`, undefined, "inside-layers");
    const level = choice("map", [["", "the one that says most"], ...Object.entries(maps).map(([name, channels]) => [name, `${name}, ${channels} channels`])], now.level, (value) => set({ level: value, unit: -1 }));
    const channels = maps[now.level] ?? 0;
    const unit = choice("unit", [[-1, "the strongest"], ...Array.from({ length: channels }, (_, i) => [i, `channel ${i}`])], now.unit, (value) => set({ unit: Number(value) }));
    const label = choice("class", [["", "the most likely"], ...current().classes.map((name) => [name, name])], now.label, (value) => set({ label: value }));
    const used = { features: [level, unit], deconvnet: [level, unit], guided: [level, unit], gradcam: [level, label], heatmap: [label], occlusion: [label], invariance: [level] };
    uses.replaceChildren(...(used[now.method] ?? []).filter((one) => one !== unit || channels));
  }

  return (state) => {
    now = state;
    const one = current(), draws = drawing();
    run.show(one.name);
    chosen.show(now.picture);
    pad.element.hidden = !draws;
    preview.hidden = draws;
    seen.parentElement.hidden = !draws;
    if (draws) {
      pad.draw(strokesOf(now.drawn));
      paint(seen, raster(strokesOf(now.drawn)));
    }
    const method = one.methods.includes(now.method) ? now.method : "features";
    now = { ...now, method };
    tabs.replaceChildren(...one.methods.map((name) => html("button", { type: "button", "aria-pressed": name === method ? "true" : "false", onclick: () => set({ method: name }) }, METHODS[name][0])));
    idea.textContent = METHODS[method][1];
    const looked = [one.id, draws ? now.drawn : chosen.key(now.picture)].join();
    if (looked !== answered) {
      answered = looked;
      answer();
    }
    const inside = [looked, method, now.level, now.unit, now.label].join();
    if (inside !== explained) {
      explained = inside;
      clearTimeout(timer);
      timer = setTimeout(explain, 120);
    }
    const over = [one.id, method, now.level].join();
    if (over !== layered) {
      layered = over;
      layers().catch((error) => { if (error.name !== "AbortError") working.textContent = error.message; });
    }
  };
}

/** What an answer says, in a sentence. */
function told(answer) {
  if (answer.scores) return `It says ${answer.name}, with probability ${answer.scores[answer.name].toFixed(2)}.`;
  if (answer.detections) return `It finds ${answer.detections.filter((one) => one.score >= 0.5).map((one) => `${one.name} ${one.score.toFixed(2)}`).join(", ") || "nothing"}.`;
  if (answer.shares) return `It says ${Object.entries(answer.shares).map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`).join(", ")}.`;
  return `Its code has ${answer.code?.length ?? 0} numbers.`;
}

/** The probabilities of the classes, the ten highest, or all of a few in their order. */
function chart(scores) {
  const all = Object.entries(scores), few = all.length <= 12 ? all : [...all].sort((a, b) => b[1] - a[1]).slice(0, 10);
  const best = Math.max(...all.map(([, score]) => score)), left = Math.max(...few.map(([name]) => name.length)) * 8 + 10;
  const parts = few.flatMap(([name, score], i) => {
    const y = 20 * i;
    return [
      svg("text", { x: left - 8, y: y + 15, "text-anchor": "end", "font-size": 13 }, name),
      svg("rect", { x: left, y: y + 4, width: Math.max(score * 260, 1), height: 14, class: score === best ? "accent-fill" : "quiet-fill" }),
      svg("text", { x: left + score * 260 + 6, y: y + 15, "font-size": 12, class: "muted" }, score.toFixed(2)),
    ];
  });
  return picture(left + 310, 20 * few.length + 4, `Probabilities: ${few.map(([name, score]) => `${name} ${score.toFixed(2)}`).join(", ")}`, ...parts);
}

/** Paper to draw on, with a pointer or with keys. */
function drawingPad(set) {
  const place = html("div", { class: "drawing-pad", tabindex: 0, role: "application", "aria-label": "Paper to draw a digit on. Arrow keys move the pen, Space puts it down or lifts it, Delete takes a clean sheet.", "aria-describedby": "sheet-help" });
  const help = html("p", { id: "sheet-help", class: "help", role: "status" }, "Draw with a pointer, or move the pen with the arrow keys; Space puts it down.");
  let strokes = [], pen = [50, 50], down = false;
  const save = () => set({ drawn: textOf(strokes), picture: "drawing" });
  const full = () => strokes.flat().length >= MOST_POINTS;
  const at = (event) => {
    const box = place.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((one) => Math.min(99, Math.max(0, Math.round(100 * one))));
  };
  const clear = () => {
    [strokes, down] = [[], false];
    save();
  };
  place.addEventListener("pointerdown", (event) => {
    if (full()) return;
    place.setPointerCapture(event.pointerId);
    strokes.push([at(event)]);
    down = false;
    save();
  });
  place.addEventListener("pointermove", (event) => {
    if (!event.buttons || !strokes.length || full()) return;
    const point = at(event), last = strokes.at(-1).at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 2) return;
    strokes.at(-1).push(point);
    save();
  });
  place.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") clear();
    else if (event.key === " ") {
      down = !down && !full();
      if (down) strokes.push([[...pen]]);
      help.textContent = down ? "The pen is down." : "The pen is up.";
      save();
    } else if (step) {
      pen = pen.map((one, k) => Math.min(98, Math.max(1, one + step[k])));
      if (down && !full()) strokes.at(-1).push([...pen]);
      save();
    } else return;
    event.preventDefault();
  });
  const element = html("figure", {}, html("figcaption", {}, "draw a digit"), place, help, html("button", { type: "button", onclick: clear }, "Clean sheet"));
  return {
    element,
    draw(given) {
      strokes = given;
      const scale = PAD / 100, focused = document.activeElement === place;
      place.replaceChildren(picture(PAD, PAD, given.length ? "the drawing" : "an empty sheet",
        svg("rect", { width: PAD, height: PAD, class: "paper" }),
        ...given.map((stroke) => svg("path", { class: "ink", d: stroke.map(([x, y], i) => `${i ? "L" : "M"}${x * scale} ${y * scale}`).join("") + (stroke.length === 1 ? "h0.1" : "") })),
        focused ? svg("circle", { cx: pen[0] * scale, cy: pen[1] * scale, r: 6, class: down ? "accent-fill" : "window" }) : null));
    },
  };
}
