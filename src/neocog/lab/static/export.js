// A page's picture as a file, and the page itself.

import { saved } from "./api.js";
import { html } from "./dom.js";

const LOOKS = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order", "display"];
const ROOM = 28; // at most, between one picture and the next below

/** Buttons that save what is drawn in `body` as one picture, and a page that stands alone; `query()` is its state. */
export function exports(page, body, query) {
  const button = (text, save) => html("button", { type: "button", onclick: save }, text);
  const place = () => `/api/v1/pages/${page.id}.html?${new URLSearchParams({ state: query() })}`;
  const drawn = page.drawn ?? true;
  return html("div", { class: "export" },
    drawn ? button("Save as SVG", () => download(`${page.id}.svg`, new Blob([drawing(body).text], { type: "image/svg+xml" }))) : null,
    drawn ? button("Save as PNG", async () => download(`${page.id}.png`, await pixels(drawing(body)))) : null,
    page.alone && saved === null ? button("Save as HTML", () => html("a", { href: place(), download: `${page.id}.html` }).click()) : null);
}

/** Everything drawn in `body`, placed as the page places it, as the text of an SVG with its size. */
function drawing(body) {
  const found = [...body.querySelectorAll("svg[role=img], canvas[role=img], img, figcaption")].filter((one) => one.getClientRects().length);
  const boxes = found.map((one) => one.getBoundingClientRect());
  const left = Math.min(...boxes.map((one) => one.left)) - 12, top = Math.min(...boxes.map((one) => one.top)) - 12;
  const width = Math.max(...boxes.map((one) => one.right)) - left + 12, height = Math.max(...boxes.map((one) => one.bottom)) - top + 12 - spared(boxes, Infinity);
  const whole = element("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height },
    element("rect", { width, height, fill: getComputedStyle(document.body).backgroundColor }),
    ...found.map((one, i) => placed(one, { x: boxes[i].left - left, y: boxes[i].top - top - spared(boxes, boxes[i].top), width: boxes[i].width, height: boxes[i].height })));
  return { text: new XMLSerializer().serializeToString(whole), width, height };
}

/** How much is left out above this height, so that the texts between pictures leave no holes. */
function spared(boxes, top) {
  const above = boxes.filter((one) => one.top <= top).sort((a, b) => a.top - b.top);
  let reached = above[0].bottom, spare = 0;
  for (const box of above) {
    spare += Math.max(0, box.top - reached - ROOM);
    reached = Math.max(reached, box.bottom);
  }
  return spare;
}

function placed(one, place) {
  if (one.tagName === "FIGCAPTION") {
    const look = getComputedStyle(one);
    return element("text", { x: place.x, y: place.y + 14, fill: look.color, "font-family": look.fontFamily, "font-size": look.fontSize }, one.textContent);
  }
  if (one.tagName === "IMG") return element("image", { ...place, href: one.src });
  if (one.tagName === "CANVAS") return element("image", { ...place, href: one.toDataURL(), "image-rendering": "pixelated" });
  const copy = one.cloneNode(true), [from, to] = [one, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((drawn, i) => {
    const look = getComputedStyle(drawn);
    for (const name of LOOKS) to[i].setAttribute(name, look.getPropertyValue(name));
    to[i].removeAttribute("class");
  });
  for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
  return copy;
}

function element(tag, properties, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

async function pixels({ text, width, height }) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function download(name, blob) {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
