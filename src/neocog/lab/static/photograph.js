// The same kernel on a photograph: every pixel of the result, as fast as the kernel changes.

import { agreement, farthest } from "./api.js";
import { choice, colour, html, number } from "./dom.js";
import { correlated, question } from "./operators.js";

const PLACE = document.querySelector("meta[name='neocog-photograph']")?.content ?? "/api/v1/photograph";
const CREDIT = "china.jpg, danielbuechele, CC BY 2.0; shrunk, grey";

/** A section with `show(kernel, options, view)`; tells `change(view)` of another way to see it. */
export function photograph(change) {
  const [before, after] = ["A photograph in grey", "The photograph under the kernel"].map((label) => html("canvas", { role: "img", "aria-label": label }));
  const agrees = agreement(400), said = html("figcaption", {}, "result");
  const views = choice("result shown as", [["colours", "false colours, 0 neutral"], ["grey", "grey, clipped to 0 and 255"]], "colours", change);
  const section = html("section", {}, html("h2", {}, "The same on a photograph"), html("div", { class: "controls" }, views),
    html("div", { class: "side" }, html("figure", {}, before, html("figcaption", {}, CREDIT)), html("figure", {}, after, said)), agrees);
  let values = null, waiting = null;

  section.show = (kernel, options, view) => {
    views.show(view);
    if (!values) {
      waiting = [kernel, options, view];
      return;
    }
    const result = correlated(values, kernel, options);
    after.hidden = !result.length;
    if (!result.length) {
      said.textContent = "the kernel does not fit";
      agrees.forget();
      return;
    }
    said.textContent = `result, ${result[0].length} × ${result.length}: ${view === "grey" ? clipped(after, result) : coloured(after, result)}`;
    agrees.compare("filter", () => question(values, kernel, options), (answer) => farthest(result, answer.values), JSON.stringify([kernel, options]));
  };
  read(before).then((found) => {
    values = found;
    if (waiting) section.show(...waiting);
  });
  return section;
}

/** The pixels of the photograph, 0 to 255, which is also painted. */
async function read(canvas) {
  const image = new Image();
  image.src = PLACE;
  await image.decode();
  const { width, height } = Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Array.from({ length: height }, (_, r) => Array.from({ length: width }, (_, c) => data[4 * (r * width + c)]));
}

/** Paint in grey, and say how much of it is clipped. */
function clipped(canvas, result) {
  let beyond = 0;
  paint(canvas, result, (value) => {
    beyond += value < 0 || value > 255;
    return [value, value, value];
  });
  return `${number((100 * beyond) / (result.length * result[0].length))} % of the pixels are clipped`;
}

/** Paint in the colours of the theme, and say what they reach. */
function coloured(canvas, result) {
  let least = 0, most = 0;
  for (const line of result) {
    for (const value of line) {
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  const limit = Math.max(-least, most, 1e-9);
  const shades = Array.from({ length: 513 }, (_, i) => colour((i - 256) / 256, 1, least < 0));
  paint(canvas, result, (value) => shades[256 + Math.round((256 * value) / limit)]);
  return `from ${number(least)} to ${number(most)}`;
}

function paint(canvas, result, shade) {
  const image = new ImageData(result[0].length, result.length), { data } = image;
  let place = 0;
  for (const line of result) {
    for (const value of line) {
      [data[place], data[place + 1], data[place + 2]] = shade(value);
      data[place + 3] = 255;
      place += 4;
    }
  }
  Object.assign(canvas, { width: image.width, height: image.height }).getContext("2d").putImageData(image, 0, 0);
}
