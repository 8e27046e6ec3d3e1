// Segmentation: the masks of every segmenter under one wipe.

import { ask } from "../api.js";
import { html, picture, rgb, slider, svg } from "../dom.js";
import { later, mark, milliseconds, pictures, runsFor, shown } from "../models.js";

const SIDE = 320, IGNORED = 255;
const ORDER = ["fcn-32s", "fcn-16s", "fcn-8s", "deconvnet"]; // the history of the field

export default {
  id: "segmentation",
  name: "Segmentation",
  title: "A class for every pixel",
  idea: "FCN-32s gives one score for 32 by 32 pixels; 16s and 8s add what shallower maps know; DeconvNet goes back up step by step. One wipe uncovers all their masks: move the slider, or drag on a picture.",
  defaults: { picture: "scene-1", wipe: 60, solid: 65 },

  mount(body, first, set) {
    return later(body, first, () => ready(body, first, set));
  },
};

async function ready(body, state, set) {
  const runs = await runsFor(body, "segment", "segmenter");
  runs.sort((a, b) => ORDER.indexOf(a.model) - ORDER.indexOf(b.model));
  if (!runs.length) return () => {};
  const chosen = await pictures(state, set);
  const wipe = slider("uncovered", { min: 0, max: 100, value: state.wipe, format: (v) => `${v} %`, change: (v) => set({ wipe: v }) });
  const solid = slider("how solid", { min: 10, max: 100, value: state.solid, format: (v) => `${v} %`, change: (v) => set({ solid: v }) });
  const truth = panel({ name: "", model: "truth", classes: [] }, set);
  const panels = runs.map((run) => panel(run, set));
  truth.element.hidden = true;
  body.append(html("div", { class: "controls" }, chosen.field, wipe, solid), html("div", { class: "panels" }, truth.element, panels.map((one) => one.element)));
  let asked = "", now = state;
  return (state) => {
    now = state;
    chosen.show(now.picture);
    wipe.show(now.wipe);
    solid.show(now.solid);
    for (const one of [truth, ...panels]) one.draw(now);
    if (chosen.key(now.picture) === asked) return;
    asked = chosen.key(now.picture);
    const key = asked, classes = chosen.classes(now.picture);
    truth.element.hidden = !classes.length;
    chosen.blob(now.picture).then(async (blob) => {
      const seen = await shown(blob);
      const real = classes.length ? await labels(`/api/v1/pictures/${now.picture}/truth`) : null;
      if (key !== asked) return;
      if (real) {
        truth.take(seen, real, classes, {}, null, "");
        truth.draw(now);
      }
      for (const one of panels) {
        one.wait();
        ask(`predict/${one.run.id}`, blob, `predict-${one.run.id}`).then(async (answer) => {
          const mask = await labels(answer.mask);
          if (key !== asked) return;
          const known = real && one.run.classes.join() === classes.join() ? real : null;
          one.take(seen, mask, one.run.classes, answer.answer.shares, known, milliseconds(answer.ms));
          one.draw(now);
        }).catch(one.fail);
      }
    }).catch((error) => panels.forEach((one) => one.fail(error)));
  };
}

/** The classes of the pixels of a grey picture. */
async function labels(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = html("canvas", { width: image.naturalWidth, height: image.naturalHeight }), context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, values: Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]) };
}

/** The share of each class, by name. */
function shares({ values }, classes) {
  const counts = new Array(256).fill(0);
  for (const value of values) counts[value] += 1;
  return Object.fromEntries(classes.map((name, label) => [name, counts[label] / values.length]).filter(([, share]) => share));
}

/** A mask in the colours of its classes; background and what is ignored stay clear. */
function coloured({ values, width, height }, classes) {
  const canvas = html("canvas", { width, height }), context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const paints = classes.map((_, label) => rgb(mark(label)));
  values.forEach((label, i) => {
    if (label === IGNORED || (label === 0 && classes[0] === "background")) return;
    pixels.data.set([...paints[label], 255], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
  return canvas.toDataURL();
}

function panel(run, set) {
  const place = html("div", { class: "wipe" }), line = html("p", { class: "sum", role: "status" }, "waiting for its answer");
  const agrees = html("p", { class: "agrees", role: "status" }), legend = html("ul", { class: "legend" });
  const element = html("figure", { "data-run": run.name }, html("figcaption", {}, html("strong", {}, run.model), ` ${run.name}`), place, legend, line, agrees);
  const clip = `wipe-${run.id ?? "truth"}`;
  let held = null;

  const drag = (event) => {
    if (!event.buttons || !held) return;
    const box = place.firstChild.getBoundingClientRect();
    set({ wipe: Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * 100) });
  };
  place.addEventListener("pointerdown", drag);
  place.addEventListener("pointermove", drag);

  return {
    run, element,
    wait() { line.textContent = "waiting for its answer"; },
    take(seen, mask, classes, theirs, real, took) {
      const ours = shares(mask, classes), names = Object.keys(ours).sort((a, b) => ours[b] - ours[a]);
      held = { seen, mask, address: coloured(mask, classes), names };
      legend.replaceChildren(...names.filter((name) => name !== "background").map((name) => html("li", {},
        svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, svg("rect", { width: 12, height: 12, fill: mark(classes.indexOf(name)) })), ` ${name} ${(100 * ours[name]).toFixed(1)} %`)));
      const right = real ? real.values.reduce((sum, value, i) => sum + (value === mask.values[i]), 0) / mask.values.length : null;
      line.textContent = [right === null ? "" : `${(100 * right).toFixed(2)} % of the pixels are right.`, took && `${took}.`].filter(Boolean).join(" ");
      if (!took) return;
      const far = Math.max(...Object.keys({ ...ours, ...theirs }).map((name) => Math.abs((ours[name] ?? 0) - (theirs[name] ?? 0))));
      agrees.dataset.state = far < 1e-9 ? "yes" : "no";
      agrees.textContent = far < 1e-9 ? "shares counted here equal the library's output" : "shares counted here differ from the library's output";
    },
    draw({ wipe, solid }) {
      if (!held) return;
      const { seen, mask, address, names } = held, scale = SIDE / Math.max(mask.width, mask.height);
      const wide = mask.width * scale, high = mask.height * scale, until = (wide * wipe) / 100, sharp = scale > 2 ? "crisp" : "";
      place.replaceChildren(picture(wide, high, `${run.model}: ${names.join(", ")}; the mask is uncovered on the left ${wipe} percent.`,
        svg("image", { href: seen.address, width: wide, height: high, class: sharp, preserveAspectRatio: "none" }),
        svg("clipPath", { id: clip }, svg("rect", { width: until, height: high })),
        svg("image", { href: address, width: wide, height: high, class: sharp, opacity: solid / 100, "clip-path": `url(#${clip})`, preserveAspectRatio: "none" }),
        svg("line", { x1: until, x2: until, y1: 0, y2: high, class: "edge" })));
    },
    fail(error) {
      if (error.name === "AbortError") return;
      held = null;
      place.replaceChildren();
      legend.replaceChildren();
      agrees.textContent = "";
      line.textContent = error.message;
    },
  };
}
