// Elements of the page and of its pictures.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; properties are attributes, `on...` listeners; children are elements or text. */
export function html(tag, properties = {}, ...children) {
  return made(document.createElement(tag), properties, children);
}

/** The same of SVG. */
export function svg(tag, properties = {}, ...children) {
  return made(document.createElementNS(SVG, tag), properties, children);
}

function made(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

/** A picture of this size with a description. */
export function picture(width, height, label, ...children) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, ...children);
}

/** How wide a picture in this element may be, so that a phone need not shrink it. */
export function width(element) {
  return Math.max(element.clientWidth, 320);
}

/** A slider with its name and its value; `long` where it has many. */
export function slider(name, { min, max, step = 1, value, format = String, long = false, change }) {
  const output = html("output", {}, format(value));
  const input = html("input", { type: "range", min, max, step, value, "aria-label": name });
  input.addEventListener("input", () => {
    output.textContent = format(Number(input.value));
    change(Number(input.value));
  });
  const field = html("label", { class: long ? "field long" : "field" }, html("span", {}, name, output), input);
  field.show = (shown) => {
    input.value = shown;
    output.textContent = format(shown);
  };
  return field;
}

/** A list to choose from: options are [value, text]. */
export function choice(name, options, value, change) {
  const select = html("select", { onchange: () => change(select.value) },
    options.map(([key, text]) => html("option", { value: key, selected: key === value }, text)));
  const field = html("label", { class: "field" }, html("span", {}, name), select);
  field.show = (shown) => { select.value = shown; };
  return field;
}

/** A whole number within bounds, whatever the address says. */
export function whole(value, from, to) {
  return Math.min(to, Math.max(from, Math.round(value)));
}

/** A number with a true minus sign, without a negative zero. */
export function number(value, digits = 0) {
  const short = value.toFixed(digits);
  return Number(short) === 0 ? short.replace("-", "") : short.replace("-", "−");
}

const scales = {};

/** The colours from the theme: from 0 to limit, or if `signed` from -limit. */
export function colour(value, limit, signed) {
  const name = signed ? "signed" : "plain";
  scales[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--scale-${name}`).trim().split(" ").map(rgb);
  const stops = scales[name];
  let share = limit > 0 ? value / limit : 0;
  share = signed ? (Math.min(1, Math.max(-1, share)) + 1) / 2 : Math.min(1, Math.max(0, share));
  const place = share * (stops.length - 1), low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((one, i) => Math.round(one + (place - low) * (stops[low + 1][i] - one)));
}

/** A colour written #rrggbb as levels from 0 to 255. */
export function rgb(text) {
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

/** Whether text on this colour is dark. */
export function isLight([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 127;
}

/** A count for people: all digits, or from a million on three of them. */
export function amount(count) {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"]]) {
    if (count >= size) return `${(count / size).toPrecision(count / size < 1000 ? 3 : 4)} ${unit}`;
  }
  return count.toLocaleString("en");
}

/** An amount of memory. */
export function memory(bytes) {
  for (const [size, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) if (bytes >= size) return `${(bytes / size).toPrecision(3)} ${unit}`;
  return `${bytes} B`;
}

/** Sizes of a map. */
export const times = (sizes) => sizes.join(" × ");
