// The stack builder: layers added, moved and removed, and what they cost, see and find.

import { agreement, ask, farthest, saved } from "../api.js";
import { amount, choice, html, memory, slider, times } from "../dom.js";
import { layerList } from "../layers.js";
import { fields, patterns } from "../patterns.js";
import { KINDS, MOST, STACKS, follow, python, read, total, write } from "../stack.js";
import { reading } from "../zoo.js";

const SIDES = [8, 16, 24, 28, 32, 48, 64, 96, 128, 160, 192, 224, 256, 512];
const ADDED = [["conv", "convolution"], ["conv-16-1", "1 × 1 convolution"], ...Object.entries(KINDS).slice(1).map(([kind, { name }]) => [kind, name])];

export default {
  id: "stack",
  alone: true,
  name: "Stack",
  title: "Build a network, layer by layer",
  idea: "Every layer takes the shape that the one before gives. Add, move and change layers, and see at once what comes out, what it costs, and how much of the picture one cell sees.",
  defaults: { channels: 3, side: 32, layers: STACKS["a small classifier"].layers, chosen: 0, seed: 0, of: "" },

  mount(body, first, set) {
    let opened = "", stack = null, chosen = 0, rows = [], scene = { key: "", url: "" };
    const open = choice("open", [["", "your own"], ...Object.keys(STACKS).map((name) => [name, name])], "", (name) => {
      if (name in STACKS) set({ ...STACKS[name], chosen: 0, of: "" });
      else set({ of: name });
    });
    if (saved === null) {
      ask("networks").then((models) => {
        const others = models.filter((one) => !(one.name in STACKS));
        open.querySelector("select").append(html("optgroup", { label: "to read" }, others.map((one) => html("option", { value: one.name }, `${one.name} (${one.task})`))));
        open.show(opened); // which may be one of these
      }).catch(() => {});
    }
    const channels = choice("picture", [["3", "colour, 3 channels"], ["1", "grey, 1 channel"]], String(first.channels), (value) => set({ channels: Number(value) }));
    const side = slider("side", { min: 0, max: SIDES.length - 1, value: 0, format: (at) => `${SIDES[at]} px`, change: (at) => set({ side: SIDES[at] }) });
    const list = layerList((layers, at) => change(layers, at));
    const adding = html("div", { class: "adding", role: "group", "aria-label": "Add a layer below the chosen one" },
      ADDED.map(([text, name]) => html("button", { type: "button", "data-add": text, onclick: () => add(text) }, `+ ${name}`)));
    const totals = html("p", { class: "sum", role: "status" }), agrees = agreement();
    const seen = html("figure"), told = html("p", { class: "sum", "aria-live": "polite" }), found = patterns(set), code = listing();
    const builder = html("div", {},
      html("div", { class: "side build" },
        html("div", { class: "wide" }, html("h2", {}, "Layers"), list, adding, totals, agrees,
          html("p", { class: "muted" }, "On a layer's name: ↑ and ↓ choose, Alt with them moves, Delete removes.")),
        html("div", { class: "seen" }, html("h2", {}, "What one cell sees"), seen, told)),
      found, code);
    const model = reading();
    body.append(html("div", { class: "controls" }, open, channels, side), builder, model);

    function change(layers, at) {
      set({ layers: write(layers), chosen: Math.max(0, Math.min(at, layers.length - 1)) });
    }

    function add(text) {
      const { layers } = stack, at = layers.length ? chosen + 1 : 0;
      if (layers.length < MOST) change([...layers.slice(0, at), ...read(text), ...layers.slice(at)], at);
    }

    const draw = () => seen.replaceChildren(fields(stack.side, rows.slice(0, chosen + 1), rows[chosen], scene.url));

    /** The picture that the cells see. */
    function show() {
      const key = `${stack.channels}-${stack.side}`;
      if (key === scene.key || saved !== null) return;
      scene = { key, url: "" };
      ask("maps", { stack: { ...stack, layers: [] }, layer: -1 }, "scene").then((answer) => {
        scene.url = answer.picture;
        draw();
      }).catch(() => {}); // the frames are there without it
    }

    function update(state) {
      stack = { channels: state.channels === 1 ? 1 : 3, side: between(state.side, 1, 512), layers: read(state.layers) };
      chosen = between(state.chosen, 0, stack.layers.length - 1);
      opened = state.of || named(stack);
      open.show(opened);
      builder.hidden = channels.hidden = side.hidden = Boolean(state.of);
      model.show(state.of);
      if (state.of) return;
      channels.show(String(stack.channels));
      side.show(SIDES.findIndex((one) => one >= stack.side));
      side.querySelector("output").textContent = `${stack.side} px`;
      const followed = follow(stack), { fault } = followed;
      rows = followed.rows;
      list.show(stack, chosen, rows, fault);
      for (const button of adding.children) button.setAttribute("aria-disabled", stack.layers.length >= MOST);
      totals.textContent = summed(rows, fault);
      agrees.compare("summary", stack, (answer) => difference(followed, answer));
      told.textContent = explained(stack, chosen, rows, fault);
      show();
      draw();
      found.show(stack, chosen, rows[chosen], between(state.seed, 0, 2 ** 31 - 1));
      code.show(python(stack));
    }
    return update;
  },
};

const between = (value, least, most) => Math.max(least, Math.min(Math.round(value), most));

/** The name of a stack that is one of those to begin with. */
function named(stack) {
  const text = write(stack.layers);
  const same = ([, one]) => write(read(one.layers)) === text && one.side === stack.side && one.channels === stack.channels;
  return Object.entries(STACKS).find(same)?.[0] ?? "";
}

function summed(rows, fault) {
  const [parameters, adds, bytes] = ["parameters", "multiplyAdds", "bytes"].map((name) => total(rows, name));
  const end = fault ? `, up to layer ${fault.layer}` : "";
  return `${amount(parameters)} parameters (${memory(4 * parameters)}), ${amount(adds)} multiply-adds (FLOPs in papers), ${memory(bytes)} of outputs a picture${end}.`;
}

function explained({ side, layers, channels }, at, rows, fault) {
  const one = layers[at], row = rows[at];
  if (!one) return "An empty stack gives the picture back.";
  if (!row) return fault.layer === at ? `Layer ${at + 1} does not fit: ${fault.reason}.` : `Layer ${at + 1} waits: layer ${fault.layer + 1} does not fit.`;
  if (!row.field) return "After flattening, each number may depend on the whole picture.";
  const far = row.field.size > side ? `, which is more than the picture of ${side}: the rest is padding` : "";
  const line = `A cell of layer ${at + 1} sees ${times([row.field.size, row.field.size])} pixels${far}. The cell beside it sees as many, ${row.field.jump} to the side.`;
  if (one.kind !== "conv" || one.kernel > 1) return line;
  const before = at ? rows[at - 1].shape[0] : channels, next = layers.findIndex((other, i) => i > at && other.kind === "conv");
  const mixed = ` A 1 × 1 convolution sees no further than the layer before: at every cell it turns ${before} channels into ${one.filters}, by one dense layer that all cells share.`;
  if (!rows[next] || one.filters >= before) return line + mixed;
  return `${line}${mixed} So layer ${next + 1} costs ${amount(rows[next].multiplyAdds)} multiply-adds; on ${before} channels it would be ${amount((rows[next].multiplyAdds / one.filters) * before)}.`;
}

/** How far the numbers are from the library's; a fault must be at the same layer. */
function difference({ rows, fault }, answer) {
  const flat = (row, shape, adds) => [...shape, row.parameters, row[adds], row.bytes, ...(row.field ? [row.field.size, row.field.jump, row.field.start] : [-1])];
  if (fault?.layer !== answer.fault?.layer) return Infinity;
  return farthest([rows.flatMap((row) => flat(row, row.shape, "multiplyAdds"))], [answer.rows.flatMap((row) => flat(row, row.shape.slice(1), "multiply_adds"))]);
}

/** The stack as Python, to copy. */
function listing() {
  const text = html("code"), done = html("span", { role: "status" });
  const copy = html("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text.textContent);
    done.textContent = "copied";
    setTimeout(() => { done.textContent = ""; }, 2000);
  } }, "Copy");
  const all = html("section", {}, html("h2", {}, "The same in Python"), html("pre", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The stack as Python" }, text), copy, " ", done);
  all.show = (shown) => { text.textContent = shown; };
  return all;
}
