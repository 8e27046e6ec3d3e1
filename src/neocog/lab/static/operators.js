// The operators on maps of numbers, lists of rows. Kernels are flat and square; options are the library's.

/** Cells a side of a flat square kernel. */
export const sideOf = (kernel) => Math.round(Math.sqrt(kernel.length));

/** How many windows of `side` cells fit along an axis. */
export function fits(size, side, { stride, padding = 0, dilation = 1 }) {
  return Math.max(0, Math.floor((size + 2 * padding - dilation * (side - 1) - 1) / stride) + 1);
}

/** The cells of one window: where they lie and what they read, which is 0 in the padding. */
export function window(values, row, column, side, { stride, padding = 0, dilation = 1 }) {
  return Array.from({ length: side * side }, (_, k) => {
    const y = row * stride - padding + Math.floor(k / side) * dilation, x = column * stride - padding + (k % side) * dilation;
    return { y, x, value: values[y]?.[x] ?? 0 };
  });
}

/** The cross-correlation of a map with a kernel. */
export function correlated(values, kernel, options) {
  const side = sideOf(kernel), { stride, padding, dilation } = options;
  const wide = values[0].length, columns = fits(wide, side, options);
  return Array.from({ length: fits(values.length, side, options) }, (_, r) => Array.from({ length: columns }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < side; i++) {
      const line = values[r * stride - padding + i * dilation];
      if (!line) continue;
      for (let j = 0; j < side; j++) {
        const x = c * stride - padding + j * dilation;
        if (x >= 0 && x < wide) sum += line[x] * kernel[side * i + j];
      }
    }
    return sum;
  }));
}

/** The same asked of the library. It pads by modes, so the map goes with its ring of zeros. */
export function question(values, kernel, { stride, padding, dilation }) {
  const side = sideOf(kernel), zeros = (count) => Array(count).fill(0);
  const rim = Array.from({ length: padding }, () => zeros(values[0].length + 2 * padding));
  return {
    values: [...rim, ...values.map((line) => [...zeros(padding), ...line, ...zeros(padding)]), ...rim],
    kernel: Array.from({ length: side }, (_, r) => kernel.slice(side * r, side * (r + 1))),
    stride, dilation, padding: "none",
  };
}

/** The mean or the largest value of each window; of the largest also the switches: where it stood, counted row by row. */
export function pooled(values, kind, side, stride) {
  const wide = values[0].length, columns = fits(wide, side, { stride });
  const each = (tell) => Array.from({ length: fits(values.length, side, { stride }) }, (_, r) =>
    Array.from({ length: columns }, (_, c) => tell(window(values, r, c, side, { stride }))));
  if (kind === "mean") return { values: each((cells) => cells.reduce((sum, cell) => sum + cell.value, 0) / cells.length), switches: null };
  const largest = each((cells) => cells.reduce((most, cell) => (cell.value > most.value ? cell : most)));
  return {
    values: largest.map((line) => line.map((cell) => cell.value)),
    switches: largest.map((line) => line.map((cell) => cell.y * wide + cell.x)),
  };
}

/** Pooled values at the places that the switches name, added where they meet, and 0 elsewhere. */
export function unpooled({ values, switches }, rows, columns) {
  const back = Array.from({ length: rows }, () => Array(columns).fill(0));
  switches.forEach((line, r) => line.forEach((place, c) => { back[Math.floor(place / columns)][place % columns] += values[r][c]; }));
  return back;
}
