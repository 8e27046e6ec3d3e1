// A drawn digit as the data set of handwritten digits has its own: 32 x 32 dots, counted in blocks of 4 x 4.

const DOTS = 32, BLOCKS = 8, SIDE = 28;
const PEN = 2.3; // dots from its middle to its edge: as much ink as in the data set

/** Strokes of points [x, y] in 0..99 from "xxyyxxyy.xxyy", and back. */
export function strokesOf(text) {
  return text.split(".").map((stroke) => (stroke.match(/\d{4}/g) ?? []).map((four) => [Number(four.slice(0, 2)), Number(four.slice(2))])).filter((stroke) => stroke.length);
}

export function textOf(strokes) {
  return strokes.map((stroke) => stroke.map((point) => point.map((one) => String(one).padStart(2, "0")).join("")).join("")).join(".");
}

/** The grey levels (28 x 28, 0 to 255) of strokes, made as large as the writers of the data set were made. */
export function raster(strokes) {
  const points = strokes.flat();
  if (!points.length) return new Uint8Array(SIDE * SIDE);
  const [left, top, right, bottom] = [0, 1].map((k) => Math.min(...points.map((p) => p[k]))).concat([0, 1].map((k) => Math.max(...points.map((p) => p[k]))));
  const scale = (DOTS - 2 * PEN) / Math.max(right - left, bottom - top, 1);
  const place = ([x, y]) => [DOTS / 2 + scale * (x - (left + right) / 2), DOTS / 2 + scale * (y - (top + bottom) / 2)];
  const lines = strokes.flatMap((stroke) => stroke.map((point, i) => [place(stroke[Math.max(i - 1, 0)]), place(point)]));
  const blocks = new Float32Array(BLOCKS * BLOCKS);
  for (let y = 0; y < DOTS; y++) {
    for (let x = 0; x < DOTS; x++) {
      if (lines.some(([from, to]) => distance(x + 0.5, y + 0.5, from, to) <= PEN)) blocks[(y >> 2) * BLOCKS + (x >> 2)] += 255 / 16;
    }
  }
  return enlarged(blocks);
}

function distance(x, y, [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, long = dx * dx + dy * dy;
  const share = long ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / long)) : 0;
  return Math.hypot(x - ax - share * dx, y - ay - share * dy);
}

/** Bilinear, between the centres of cells. */
function enlarged(blocks) {
  const reads = Array.from({ length: SIDE }, (_, i) => {
    const at = Math.min(BLOCKS - 1, Math.max(0, ((i + 0.5) * BLOCKS) / SIDE - 0.5)), low = Math.min(Math.floor(at), BLOCKS - 2);
    return [low, at - low];
  });
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [y, down] = reads[Math.floor(i / SIDE)], [x, across] = reads[i % SIDE];
    const row = (r) => blocks[r * BLOCKS + x] * (1 - across) + blocks[r * BLOCKS + x + 1] * across;
    return Math.round(row(y) * (1 - down) + row(y + 1) * down);
  });
}

/** The levels on a canvas of 28 x 28. */
export function paint(canvas, levels) {
  const context = canvas.getContext("2d", { willReadFrequently: true }), pixels = context.createImageData(SIDE, SIDE);
  levels.forEach((level, i) => pixels.data.set([level, level, level, 255], 4 * i));
  context.putImageData(pixels, 0, 0);
}
