// Non-maximum suppression as the library does it, in the page: moving a threshold asks nobody.

const f = Math.fround; // the library computes in float32

function iou(a, b) {
  const wide = Math.max(f(Math.min(a[2], b[2]) - Math.max(a[0], b[0])), 0);
  const high = Math.max(f(Math.min(a[3], b[3]) - Math.max(a[1], b[1])), 0);
  const both = f(wide * high);
  return both ? f(both / f(f(area(a) + area(b)) - both)) : 0;
}

function area(box) {
  return f(f(box[2] - box[0]) * f(box[3] - box[1]));
}

/** Indices of what is left of boxes that come best first: of a class, no two overlap by more than `most`. */
export function suppress(boxes, labels, most) {
  const kept = [];
  for (let i = 0; i < boxes.length; i++) {
    if (!kept.some((one) => labels[one] === labels[i] && iou(boxes[one], boxes[i]) > most)) kept.push(i);
  }
  return kept;
}
