// Functions of one variable, and the area under f(τ) g(t − τ): between its breaks the product is smooth.

const NODES = [0.1834346424956498, 0.525532409916329, 0.7966664774136267, 0.9602898564975363];
const WEIGHTS = [0.362683783378362, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763];

/** A function with where it is not 0 and where it breaks, from the API's description of it. */
export function made({ kind, width, x, y }) {
  if (kind === "box") return { at: (from) => (Math.abs(from) <= width / 2 ? 1 : 0), breaks: [-width / 2, width / 2], from: -width / 2, to: width / 2 };
  if (kind === "triangle") return { at: (from) => Math.max(0, 1 - (2 * Math.abs(from)) / width), breaks: [-width / 2, 0, width / 2], from: -width / 2, to: width / 2 };
  if (kind === "gaussian") {
    const height = 1 / (width * Math.sqrt(2 * Math.PI));
    return { at: (from) => height * Math.exp(-0.5 * (from / width) ** 2), breaks: evenly(-9, 9, 1.5).map((one) => one * width), from: -9 * width, to: 9 * width };
  }
  if (kind === "exponential") return { at: (from) => (from >= 0 ? Math.exp(-from / width) : 0), breaks: evenly(0, 40, 2).map((one) => one * width), from: 0, to: 40 * width };
  if (kind === "samples") return { at: (place) => between(x, y, place), breaks: x, from: x[0], to: x.at(-1) };
  return { at: (from) => (from >= 0 ? 1 : 0), breaks: [0], from: 0, to: Infinity };
}

/** Numbers from `from` to `to` in steps. */
export function evenly(from, to, step) {
  return Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step);
}

function between(x, y, place) {
  if (place < x[0] || place > x.at(-1)) return 0;
  const right = Math.max(1, x.findIndex((one) => one >= place)), share = (place - x[right - 1]) / (x[right] - x[right - 1]);
  return y[right - 1] + share * (y[right] - y[right - 1]);
}

/** (f ∗ g)(t), by Gauss and Legendre's rule of eight points in every piece. */
export function area(f, g, t) {
  const from = Math.max(f.from, t - g.to), to = Math.min(f.to, t - g.from);
  if (!(from < to)) return 0;
  const inside = [...f.breaks, ...g.breaks.map((one) => t - one)].filter((one) => one > from && one < to).sort((a, b) => a - b);
  let sum = 0, left = from;
  for (const right of [...inside, to]) {
    const middle = (left + right) / 2, half = (right - left) / 2;
    const product = (place) => f.at(place) * g.at(t - place);
    NODES.forEach((node, i) => { sum += half * WEIGHTS[i] * (product(middle - half * node) + product(middle + half * node)); });
    left = right;
  }
  return sum;
}
