// A stack of layers: read from an address, followed from the picture to the last output, written as Python.

/** The kinds of layers, and of each number the least, the most and the usual value. */
export const KINDS = {
  conv: { name: "convolution", numbers: { filters: [1, 4096, 16], kernel: [1, 15, 3], stride: [1, 8, 1], padding: [0, 8, 0], dilation: [1, 8, 1] } },
  relu: { name: "ReLU", numbers: {} },
  max: { name: "max pool", numbers: { kernel: [1, 15, 2], stride: [1, 8, 2], padding: [0, 8, 0] } },
  mean: { name: "mean pool", numbers: { kernel: [1, 15, 2], stride: [1, 8, 2], padding: [0, 8, 0] } },
  norm: { name: "batch norm", numbers: {} },
  flatten: { name: "flatten", numbers: {} },
  dense: { name: "dense", numbers: { outputs: [1, 10000, 10] } },
  dropout: { name: "dropout", numbers: { percent: [0, 95, 50] } },
};
export const MOST = 48;

const vgg = [[64, 2], [128, 2], [256, 3], [512, 3], [512, 3]].map(([filters, count]) => `${`conv-${filters}-3-1-1_relu_`.repeat(count)}max`);

/** Stacks to begin with: examples, and the models of the zoo that are one layer after the other. */
export const STACKS = {
  "a small classifier": { channels: 3, side: 32, layers: "conv-8-5_relu_max_conv-16_relu_max_flatten_dense" },
  "two 3 × 3 see what one 5 × 5 sees": { channels: 1, side: 32, layers: "conv-16-3_relu_conv-16-3" },
  "a 1 × 1 convolution squeezes": { channels: 3, side: 32, layers: "conv-64-3-1-1_relu_conv-16-1_relu_conv-64-3-1-1" },
  "dilation sees far": { channels: 1, side: 64, layers: "conv-8-3-1-1_conv-8-3-1-2-2_conv-8-3-1-4-4" },
  "a kernel that does not fit": { channels: 3, side: 16, layers: "conv-8-5_max-3-3_conv-16-5_relu" },
  "notes-digit": { channels: 1, side: 28, layers: "conv-5-6-2_max_relu_conv-10_relu_flatten_dense" },
  "notes-pattern": { channels: 3, side: 128, layers: `${"conv-32-7-1-3_relu_max_".repeat(3)}flatten_dense-3` },
  lenet5: { channels: 1, side: 32, layers: "conv-6-5_relu_max_conv-16-5_relu_max_flatten_dense-120_relu_dense-84_relu_dense" },
  alexnet: { channels: 3, side: 224, layers: "conv-64-11-4-2_relu_max-3_conv-192-5-1-2_relu_max-3_conv-384-3-1-1_relu_conv-256-3-1-1_relu_conv-256-3-1-1_relu_max-3_flatten_dropout_dense-4096_relu_dropout_dense-4096_relu_dense-1000" },
  vgg16: { channels: 3, side: 224, layers: `${vgg.join("_")}_flatten_dense-4096_relu_dropout_dense-4096_relu_dropout_dense-1000` },
};

/** A layer of this kind; numbers that are missing or out of bounds are the usual or the nearest. */
function layer(kind, given = []) {
  const numbers = Object.entries(KINDS[kind].numbers).map(([name, [least, most, usual]], i) => {
    const number = Math.round(Number(given[i] ?? usual));
    return [name, Number.isNaN(number) ? usual : Math.min(most, Math.max(least, number))];
  });
  return { kind, ...Object.fromEntries(numbers) };
}

/** The layers of a text such as conv-16-5_relu_dense-10: a kind, and its numbers in order. */
export function read(text) {
  const parts = text.split("_").map((part) => part.split("-")).filter(([kind]) => Object.hasOwn(KINDS, kind));
  return parts.slice(0, MOST).map(([kind, ...given]) => layer(kind, given));
}

/** The same text, without numbers at the end that are the usual ones. */
export function write(layers) {
  return layers.map(({ kind, ...numbers }) => {
    const usual = Object.values(KINDS[kind].numbers), values = Object.values(numbers);
    while (values.length && values.at(-1) === usual[values.length - 1][2]) values.pop();
    return [kind, ...values].join("-");
  }).join("_");
}

/** What comes out of each layer and what it costs, up to the first that does not fit. */
export function follow({ channels, side, layers }) {
  let now = { shape: [channels, side, side], field: { size: 1, jump: 1, start: 0 } };
  const rows = [];
  for (const [index, one] of layers.entries()) {
    const reason = refusal(one, now.shape);
    if (reason) return { rows, fault: { layer: index, reason } };
    now = after(one, now);
    rows.push({ ...now, bytes: 4 * product(now.shape) });
  }
  return { rows, fault: null };
}

export const product = (numbers) => numbers.reduce((all, one) => all * one, 1);
export const total = (rows, name) => rows.reduce((sum, row) => sum + row[name], 0);

const span = ({ kernel, dilation = 1 }) => dilation * (kernel - 1) + 1;

/** Why a layer does not fit on this shape, if it does not. */
function refusal(one, shape) {
  const maps = shape.length === 3;
  if (one.kind === "dense" && maps) return "a dense layer reads a row of numbers: flatten the maps first";
  if (one.kind === "flatten" && !maps) return "there is nothing to flatten: this is a row of numbers already";
  if (!("kernel" in one)) return "";
  const pools = one.kind !== "conv";
  if (!maps) return `${pools ? "pooling" : "a convolution"} reads maps, and after flattening there are none`;
  if (pools && 2 * one.padding > one.kernel) return `a padding of ${one.padding} is more than half of a window of ${one.kernel}`;
  if (span(one) <= shape[1] + 2 * one.padding) return "";
  const dilated = one.dilation > 1 ? `, ${span(one)} cells with its dilation,` : "";
  const padded = one.padding ? ` with ${one.padding} more at each end` : "";
  return `a kernel of ${one.kernel}${dilated} does not fit ${shape[1]} cell${shape[1] > 1 ? "s" : ""}${padded}`;
}

function after(one, { shape, field }) {
  const [features, rows] = shape;
  const same = { shape, field, parameters: 0, multiplyAdds: 0 };
  if (one.kind === "norm") return { ...same, parameters: 2 * features };
  if (one.kind === "flatten") return { ...same, shape: [product(shape)], field: null };
  if (one.kind === "dense") return { shape: [one.outputs], field: null, parameters: one.outputs * (features + 1), multiplyAdds: one.outputs * features };
  if (!("kernel" in one)) return same;
  const side = Math.floor((rows + 2 * one.padding - span(one)) / one.stride) + 1, reach = span(one) - 1;
  const seen = { size: field.size + reach * field.jump, jump: field.jump * one.stride, start: field.start + (reach / 2 - one.padding) * field.jump };
  if (one.kind !== "conv") return { ...same, shape: [features, side, side], field: seen };
  const weights = one.kernel ** 2 * features;
  return { shape: [one.filters, side, side], field: seen, parameters: one.filters * (weights + 1), multiplyAdds: one.filters * side * side * weights };
}

/** The stack as a module of torch, each line with the shape that it gives. */
export function python({ channels, side, layers }) {
  const { rows, fault } = follow({ channels, side, layers });
  const shapes = [[channels, side, side], ...rows.map((row) => row.shape)];
  const lines = layers.slice(0, rows.length).map((one, i) => `    ${call(one, shapes[i])},  # ${shapes[i + 1].join(" x ")}`);
  const ends = fault ? [`    # layer ${fault.layer + 1}: ${fault.reason}`] : [];
  return ["from torch import nn", "", `# neocog summary stack.py:network --input ${channels},${side},${side}`, "network = nn.Sequential(", ...lines, ...ends, ")", ""].join("\n");
}

function call(one, shape) {
  const more = (...names) => names.filter((name) => one[name] !== (name === "padding" ? 0 : 1)).map((name) => `, ${name}=${one[name]}`).join("");
  if (one.kind === "conv") return `nn.Conv2d(${shape[0]}, ${one.filters}, ${one.kernel}${more("stride", "padding", "dilation")})`;
  if (one.kind === "relu") return "nn.ReLU()";
  if (one.kind === "norm") return `nn.BatchNorm${shape.length === 3 ? 2 : 1}d(${shape[0]})`;
  if (one.kind === "flatten") return "nn.Flatten()";
  if (one.kind === "dense") return `nn.Linear(${shape[0]}, ${one.outputs})`;
  if (one.kind === "dropout") return `nn.Dropout(${one.percent / 100})`;
  return `nn.${one.kind === "max" ? "Max" : "Avg"}Pool2d(${one.kernel}, ${one.stride}${more("padding")})`;
}
