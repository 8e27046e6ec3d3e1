// The list of a stack's layers: chosen, changed, moved and removed, by buttons and by keys.

import { amount, html, memory, times } from "./dom.js";
import { KINDS } from "./stack.js";

const UNIT = { percent: "%" }, SIGNS = { up: "↑", down: "↓", remove: "×" };

/** An element with a method `show`; `change(layers, chosen)` is called with what the layers are to be. */
export function layerList(change) {
  const list = html("ol", { class: "layers", onkeydown: (event) => pressed(event) });
  let layers = [], structure = "", focus = "";

  function move(at, by, part) {
    const to = at + by, moved = [...layers];
    if (to < 0 || to >= layers.length) return;
    [moved[at], moved[to]] = [moved[to], moved[at]];
    focus = `${part}-${to}`;
    change(moved, to);
  }

  function remove(at) {
    focus = `name-${Math.min(at, layers.length - 2)}`;
    change(layers.filter((_, i) => i !== at), at);
  }

  function pressed(event) {
    const at = Number(event.target.dataset.name?.match(/^name-(\d+)$/)?.[1] ?? NaN), by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (Number.isNaN(at) || !(by || event.key === "Delete")) return;
    event.preventDefault();
    if (!by) remove(at);
    else if (event.altKey) move(at, by, "name");
    else list.querySelector(`[data-name=name-${at + by}]`)?.click();
  }

  /** A field for one number of a layer. What is out of bounds changes nothing, and goes when the field is left. */
  function field(i, { name, numbers }, number) {
    const [least, most] = numbers[number];
    const input = html("input", {
      type: "number", min: least, max: most, "data-name": `${number}-${i}`, "aria-label": `${number} of ${name} ${i + 1}`,
      onblur: () => { input.value = layers[i][number]; },
      oninput: () => {
        const value = input.valueAsNumber;
        if (Number.isInteger(value) && value >= least && value <= most) change(layers.map((one, j) => (j === i ? { ...one, [number]: value } : one)), i);
      },
    });
    return html("label", { class: "number" }, number, input, UNIT[number] ?? null);
  }

  function item({ kind }, i) {
    const of = KINDS[kind];
    const press = (part, label, action, off = false) => html("button", {
      type: "button", class: "small", "data-name": `${part}-${i}`, "aria-label": `${label} ${of.name} ${i + 1}`, "aria-disabled": off, onclick: action }, SIGNS[part]);
    return html("li", {},
      html("div", { class: "line" },
        html("button", { type: "button", class: "name", "data-name": `name-${i}`, onclick: () => { focus = `name-${i}`; change(layers, i); } }, of.name),
        Object.keys(of.numbers).map((number) => field(i, of, number)),
        html("span", { class: "moves" },
          press("up", "Move up", () => move(i, -1, "up"), i === 0),
          press("down", "Move down", () => move(i, 1, "down"), i === layers.length - 1),
          press("remove", "Remove", () => remove(i)))),
      html("div", { class: "out" }));
  }

  list.show = (stack, chosen, rows, fault) => {
    layers = stack.layers;
    const kinds = layers.map((one) => one.kind).join();
    if (kinds !== structure) list.replaceChildren(...layers.map(item));
    structure = kinds;
    [...list.children].forEach((entry, i) => {
      const one = layers[i], failed = fault?.layer === i;
      for (const input of entry.querySelectorAll("input")) {
        if (document.activeElement !== input) input.value = one[input.dataset.name.split("-")[0]];
      }
      entry.querySelector(".name").setAttribute("aria-pressed", i === chosen);
      entry.classList.toggle("fault", failed);
      entry.querySelector(".out").replaceChildren(...(failed
        ? [html("strong", { class: "bad" }, `does not fit: ${fault.reason}`)]
        : outcome(one, i ? rows[i - 1]?.shape[0] : stack.channels, rows[i])));
    });
    if (focus) list.querySelector(`[data-name=${focus}]`)?.focus();
    focus = "";
  };
  return list;
}

/** What comes out of a layer that reads so many channels. */
function outcome(one, channels, row) {
  if (!row) return ["waits for the layers above"];
  const parts = [html("strong", {}, times(row.shape))];
  if (row.parameters) parts.push(` · ${amount(row.parameters)} parameters`);
  if (row.multiplyAdds) parts.push(` · ${amount(row.multiplyAdds)} multiply-adds`);
  parts.push(` · ${memory(row.bytes)}`);
  if (row.field) parts.push(` · sees ${row.field.size} px`);
  if (one.kind === "conv" && one.kernel === 1 && row.shape[0] !== channels) parts.push(html("span", { class: "tag" }, `1 × 1: ${channels} → ${row.shape[0]} channels`));
  return parts;
}
