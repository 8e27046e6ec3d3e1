// What a stack's cells see of the picture, and what its filters find on it.

import { ask, saved } from "./api.js";
import { html, picture, svg, times } from "./dom.js";

/** The picture, and on it what the middle cell of each layer sees, that of the last one as a strong frame. */
export function fields(side, rows, last, url) {
  const wide = 320, margin = 30, scale = wide / side, field = last?.field;
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
export function patterns(set) {
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
      if (key !== asked) return;
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
