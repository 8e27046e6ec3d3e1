// A page's picture as a file.

import { html } from "./dom.js";

/** Buttons that save the pictures in `body`. */
export function exports(page, body) {
  const save = (kind) => async () => {
    const found = [...body.querySelectorAll("svg[role=img]")];
    for (const [index, one] of found.entries()) {
      const name = `${page.id}${found.length > 1 ? `-${index + 1}` : ""}.${kind}`;
      download(name, kind === "svg" ? new Blob([alone(one)], { type: "image/svg+xml" }) : await pixels(one));
    }
  };
  return html("div", { class: "export" },
    html("button", { type: "button", onclick: save("svg") }, "Save as SVG"),
    html("button", { type: "button", onclick: save("png") }, "Save as PNG"));
}

/** The picture with the look that the page's style gives it. */
function alone(picture) {
  const copy = picture.cloneNode(true);
  const [from, to] = [picture, copy].map((one) => [one, ...one.querySelectorAll("*")]);
  from.forEach((element, i) => {
    const look = getComputedStyle(element);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor"]) {
      to[i].setAttribute(name, look.getPropertyValue(name));
    }
    to[i].removeAttribute("class");
  });
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  ground.setAttribute("width", "100%");
  ground.setAttribute("height", "100%");
  ground.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
  copy.prepend(ground);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

async function pixels(picture) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([alone(picture)], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * picture.viewBox.baseVal.width;
  canvas.height = 2 * picture.viewBox.baseVal.height;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function download(name, blob) {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
