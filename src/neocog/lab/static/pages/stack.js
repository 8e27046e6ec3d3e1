// The stack builder: layers added, moved and removed, and what they cost, see and find.

import { agreement, ask, farthest, saved } from "../api.js";
import { amount, choice, html, picture, slider, svg, times } from "../dom.js";
import { KINDS, MOST, STACKS, follow, layer, python, read, total, write } from "../stack.js";
import { reading } from "../zoo.js";

const SIDES = [8, 16, 24, 28, 32, 48, 64, 96, 128, 160, 192, 224, 256, 512];
const ADDED = [["conv", "convolution"], ["conv-16-1", "1 × 1 convolution"], ...Object.entries(KINDS).slice(1).map(([kind, { name }]) => [kind, name])];
const UNIT = { percent: "%" };

export default {
  id: "stack",
  alone: true,
  name: "Stack",
  title: "Build a network, layer by layer",
  idea: "Every layer takes the shape that the one before gives. Add, move and change layers, and see at once what comes out, what it costs, and how much of the picture one cell sees.",
  defaults: { channels: 3, side: 32, layers: STACKS["a small classifier"].layers, chosen: 0, seed: 0, of: "" },

  mount(body, first, set) {
    const open = choice("open", [["", "your own"], ...Object.keys(STACKS).map((name) => [name, name])], "", (name) => {
      if (name in STACKS) set({ ...STACKS[name], chosen: 0, of: "" });
      else set({ of: name });
    });
    if (saved === null) {
      ask("networks").then((models) => {
        const others = models.filter((one) => !(one.name in STACKS));
        open.querySelector("select").append(html("optgroup", { label: "to read" }, others.map((one) => html("option", { value: one.name }, `${one.name} (${one.task})`))));
        update.opened?.();
      }).catch(() => {});
    }
    const channels = choice("picture", [["3", "colour, 3 channels"], ["1", "grey, 1 channel"]], String(first.channels), (value) => set({ channels: Number(value) }));
    const side = slider("side", { min: 0, max: SIDES.length - 1, value: 0, format: (at) => `${SIDES[at]} px`, change: (at) => set({ side: SIDES[at] }) });
    const list = html("ol", { class: "layers", onkeydown: (event) => pressed(event) });
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
    let stack = null, chosen = 0, focus = "", structure = "", scene = { key: "", url: "" }, now = null;

    function change(layers, at, focused) {
      focus = focused ?? "";
      set({ layers: write(layers), chosen: Math.max(0, Math.min(at, layers.length - 1)) });
    }
    function add(text) {
      if (stack.layers.length >= MOST) return;
      const layers = [...stack.layers], at = layers.length ? chosen + 1 : 0;
      layers.splice(at, 0, ...read(text));
      change(layers, at);
    }
    function move(at, by, focused) {
      const layers = [...stack.layers], to = at + by;
      if (to < 0 || to >= layers.length) return;
      [layers[at], layers[to]] = [layers[to], layers[at]];
      change(layers, to, `${focused}-${to}`);
    }
    function remove(at) {
      change(stack.layers.filter((_, i) => i !== at), at, `name-${Math.min(at, stack.layers.length - 2)}`);
    }
    function pressed(event) {
      const at = Number(event.target.dataset.name?.match(/^name-(\d+)$/)?.[1] ?? NaN), by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (Number.isNaN(at) || !(by || event.key === "Delete")) return;
      event.preventDefault();
      if (!by) remove(at);
      else if (event.altKey) move(at, by, "name");
      else list.querySelector(`[data-name=name-${at + by}]`)?.click();
    }

    function item(one, i) {
      const { name, numbers } = KINDS[one.kind];
      const press = (text, label, action, off) => html("button", { type: "button", class: "small", "data-name": `${text}-${i}`, "aria-label": `${label} ${name} ${i + 1}`, "aria-disabled": off, onclick: action }, { up: "↑", down: "↓", remove: "×" }[text]);
      return html("li", {},
        html("div", { class: "line" },
          html("button", { type: "button", class: "name", "data-name": `name-${i}`, onclick: () => { focus = `name-${i}`; set({ chosen: i }); } }, name),
          Object.entries(numbers).map(([number, [least, most]]) => html("label", { class: "number" }, number,
            html("input", { type: "number", min: least, max: most, "data-name": `${number}-${i}`, "aria-label": `${number} of ${name} ${i + 1}`, onblur: () => set({}), oninput: (event) => {
              const value = event.target.valueAsNumber;
              if (!Number.isInteger(value) || value < least || value > most) return;
              change(stack.layers.map((other, j) => (j === i ? { ...other, [number]: value } : other)), i);
            } }), UNIT[number] ?? null)),
          html("span", { class: "moves" }, press("up", "Move up", () => move(i, -1, "up"), i === 0), press("down", "Move down", () => move(i, 1, "down"), i === stack.layers.length - 1), press("remove", "Remove", () => remove(i)))),
        html("div", { class: "out" }));
    }

    function fill(rows, fault) {
      [...list.children].forEach((entry, i) => {
        const one = stack.layers[i], before = i ? rows[i - 1]?.shape : [stack.channels];
        for (const input of entry.querySelectorAll("input")) {
          if (document.activeElement !== input) input.value = one[input.dataset.name.split("-")[0]];
        }
        entry.querySelector(".name").setAttribute("aria-pressed", i === chosen);
        entry.className = fault?.layer === i ? "fault" : rows[i] ? "" : "waits";
        entry.querySelector(".out").replaceChildren(...outcome(one, before, rows[i], fault?.layer === i ? fault.reason : ""));
      });
    }

    function update(state) {
      stack = { channels: state.channels === 1 ? 1 : 3, side: Math.max(1, Math.min(512, Math.round(state.side))), layers: read(state.layers) };
      chosen = Math.max(0, Math.min(state.chosen, stack.layers.length - 1));
      const text = write(stack.layers);
      update.opened = () => open.show(state.of || (Object.entries(STACKS).find(([, one]) => write(read(one.layers)) === text && one.side === stack.side && one.channels === stack.channels)?.[0] ?? ""));
      update.opened();
      builder.hidden = channels.hidden = side.hidden = Boolean(state.of);
      model.show(state.of);
      if (state.of) return;
      channels.show(String(stack.channels));
      side.show(SIDES.findIndex((one) => one >= stack.side));
      side.querySelector("output").textContent = `${stack.side} px`;
      const { rows, fault } = follow(stack);
      const kinds = stack.layers.map((one) => one.kind).join();
      if (kinds !== structure) list.replaceChildren(...stack.layers.map(item));
      structure = kinds;
      fill(rows, fault);
      for (const button of adding.children) button.setAttribute("aria-disabled", stack.layers.length >= MOST);
      if (focus) list.querySelector(`[data-name=${focus}]`)?.focus();
      focus = "";
      totals.textContent = `${amount(total(rows, "parameters"))} parameters (${memory(4 * total(rows, "parameters"))}), ${amount(total(rows, "multiplyAdds"))} multiply-adds (FLOPs in papers), ${memory(total(rows, "bytes"))} of outputs a picture${fault ? `, up to layer ${fault.layer}` : ""}.`;
      agrees.compare("summary", stack, (answer) => difference(rows, fault, answer));
      now = { rows, field: rows[chosen]?.field };
      told.textContent = explained(stack, chosen, rows, fault);
      draw();
      const key = `${stack.channels}-${stack.side}`;
      if (key !== scene.key && saved === null) {
        scene = { key, url: "" };
        ask("maps", { stack: { ...stack, layers: [] }, layer: -1 }, "scene").then((answer) => { scene.url = answer.picture; draw(); }).catch(() => {});
      }
      found.show(stack, chosen, rows[chosen], state.seed);
      code.show(python(stack));
    }
    const draw = () => seen.replaceChildren(fields(stack, now.rows[chosen] ? now.rows.slice(0, chosen + 1) : [], now.field, scene.url));
    return update;
  },
};

function outcome(one, before, row, reason) {
  if (reason) return [html("strong", { class: "bad" }, `does not fit: ${reason}`)];
  if (!row) return ["waits for the layers above"];
  const parts = [html("strong", {}, times(row.shape))];
  if (row.parameters) parts.push(` · ${amount(row.parameters)} parameters`);
  if (row.multiplyAdds) parts.push(` · ${amount(row.multiplyAdds)} multiply-adds`);
  parts.push(` · ${memory(row.bytes)}`);
  if (row.field) parts.push(` · sees ${row.field.size} px`);
  if (one.kind === "conv" && one.kernel === 1 && row.shape[0] !== before[0]) parts.push(html("span", { class: "tag" }, `1 × 1: ${before[0]} → ${row.shape[0]} channels`));
  return parts;
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

function memory(bytes) {
  for (const [size, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) if (bytes >= size) return `${(bytes / size).toPrecision(3)} ${unit}`;
  return `${bytes} B`;
}

/** How far the numbers are from the library's; a fault must be at the same layer. */
function difference(rows, fault, answer) {
  const flat = (row, shape, adds) => [...shape, row.parameters, row[adds], row.bytes, ...(row.field ? [row.field.size, row.field.jump, row.field.start] : [-1])];
  if (fault?.layer !== answer.fault?.layer) return Infinity;
  return farthest([rows.flatMap((row) => flat(row, row.shape, "multiplyAdds"))], [answer.rows.flatMap((row) => flat(row, row.shape.slice(1), "multiply_adds"))]);
}

/** The picture, and on it what the middle cell of each layer sees, the chosen one's as a strong frame. */
function fields({ side }, rows, field, url) {
  const wide = 320, margin = 30, scale = wide / side, last = rows.at(-1);
  const middle = field ? Math.floor((last.shape[1] - 1) / 2) : 0;
  const centre = field ? field.start + middle * field.jump + 0.5 : side / 2;
  const frame = (size, look) => {
    const from = Math.max(-margin + 2, (centre - size / 2) * scale), to = Math.min(wide + margin - 2, (centre + size / 2) * scale);
    return svg("rect", { x: margin + from, y: margin + from, width: to - from, height: to - from, ...look });
  };
  const sizes = [...new Set(rows.flatMap((row) => (row.field ? [row.field.size] : [])))].filter((size) => size !== field?.size);
  const label = field ? `The picture, and a frame of ${times([field.size, field.size])} pixels: what the middle cell of the chosen layer sees. Thinner frames: what cells of the layers above see.` : "The picture, all of which each number of the chosen layer may depend on.";
  return picture(wide + 2 * margin, wide + 2 * margin, label,
    svg("rect", { x: margin, y: margin, width: wide, height: wide, class: "empty" }),
    ...(url ? [svg("image", { href: url, x: margin, y: margin, width: wide, height: wide, "image-rendering": "pixelated" })] : []),
    ...(field ? sizes.map((size) => frame(size, { class: "inner" })) : []),
    ...(last ? [frame(field?.size ?? side, { class: "window" })] : []));
}

/** What each filter finds, as far as it can be drawn. */
function patterns(set) {
  const place = html("figure"), line = html("p", { class: "sum", role: "status" });
  const more = html("button", { type: "button" }, "Other weights");
  const all = html("section", { hidden: saved !== null }, html("h2", {}, "More filters, more patterns found"), line, place, more);
  let asked = "", timer = 0;
  more.addEventListener("click", () => set({ seed: all.seed + 1 }));
  all.show = (stack, at, row, seed) => {
    all.seed = seed;
    const key = JSON.stringify([stack.channels, stack.side, stack.layers.slice(0, at + 1), seed]);
    if (key === asked || saved !== null) return;
    asked = key;
    clearTimeout(timer);
    more.hidden = row?.shape.length !== 3;
    if (more.hidden) {
      place.replaceChildren();
      line.textContent = "Choose a layer that gives maps to see what each of its filters finds.";
      return;
    }
    timer = setTimeout(() => ask("maps", { stack, layer: at, seed }).then((answer) => {
      more.hidden = !answer.maps.length;
      place.replaceChildren(...(answer.maps.length ? [sheet(answer)] : []));
      line.textContent = counted(answer, at + 1, seed);
    }).catch((error) => {
      if (error.name === "AbortError") return;
      place.replaceChildren();
      line.textContent = `${error.message}.`;
    }), 120);
  };
  return all;
}

function counted({ channels, maps, signed }, layer, seed) {
  const many = `Layer ${layer} gives ${channels} map${channels > 1 ? "s" : ""}, one for each filter`;
  if (!maps.length) return `${many}. They are too large to compute here: take fewer filters or a smaller picture.`;
  const drawn = maps.length < channels ? `; the first ${maps.length} are below` : "";
  const scale = signed ? "Blue is positive, orange negative." : "Darker is larger.";
  return `${many}${drawn}. The weights are drawn at random (seed ${seed}), and even so each filter answers to another slope, edge or colour; training makes them useful. ${scale}`;
}

function sheet({ maps, signed, limit }) {
  const across = Math.min(maps.length, 8), tile = 84, gap = 6;
  const label = `${maps.length} maps on one scale ${signed ? "from −" : "from 0 to "}${limit.toPrecision(2)}${signed ? ` to ${limit.toPrecision(2)}` : ""}, one for each filter.`;
  return picture(across * (tile + gap), Math.ceil(maps.length / across) * (tile + gap), label, ...maps.map((href, i) => svg("image", {
    href, x: (i % across) * (tile + gap), y: Math.floor(i / across) * (tile + gap), width: tile, height: tile, "image-rendering": "pixelated" })));
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
