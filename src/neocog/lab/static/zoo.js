// A model of the zoo, to read: its drawing and the table of its layers, as `neocog summary` has them.

import { ask } from "./api.js";
import { amount, html, times } from "./dom.js";

/** An element with a method `show(name)`. */
export function reading() {
  const place = html("div");
  let shown = "";
  place.show = async (name) => {
    if (name === shown) return;
    shown = name;
    if (!name) return place.replaceChildren();
    place.replaceChildren(html("p", { role: "status" }, `reading ${name} …`));
    try {
      place.replaceChildren(...told(name, await ask(`networks/${encodeURIComponent(name)}`, undefined, "network")));
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(html("p", { class: "notice", role: "status" }, error.message));
    }
  };
  return place;
}

function told(name, { rows, drawing, ...all }) {
  const cells = rows.map((row) => html("tr", {},
    html("th", { scope: "row" }, row.name), html("td", {}, row.kind), html("td", {}, times(row.shape.slice(1)) || "–"),
    html("td", {}, amount(row.parameters)), html("td", {}, amount(row.multiply_adds)), html("td", {}, row.field ? `${row.field.size} px` : "–")));
  const heads = ["layer", "type", "output", "parameters", "multiply-adds", "sees"];
  const title = `${name} on ${times(all.input.slice(2))} pixels with 20 classes`;
  return [
    html("p", { class: "sum", role: "status" }, `${title}: ${amount(all.parameters)} parameters, ${amount(all.multiply_adds)} multiply-adds, ${rows.length} layers.`),
    html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `The drawing of ${name}` }, html("img", { src: drawing, alt: `Architecture of ${title}, layer by layer; the table below has the same.` })),
    html("p", {}, html("a", { href: drawing, download: `${name}.svg` }, "Save the drawing"), " · the same in a terminal: ", html("code", {}, `neocog summary ${name} --svg ${name}.svg`)),
    html("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": `The layers of ${name}` },
      html("table", { class: "rows" }, html("thead", {}, html("tr", {}, heads.map((head) => html("th", { scope: "col" }, head)))), html("tbody", {}, cells))),
  ];
}
