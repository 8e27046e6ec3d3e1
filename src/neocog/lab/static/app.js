// The pages of the lab, in their order.

import detection from "./pages/detection.js";
import inside from "./pages/inside.js";
import line from "./pages/line.js";
import plane from "./pages/plane.js";
import pooling from "./pages/pooling.js";
import questions from "./pages/questions.js";
import runs from "./pages/runs.js";
import segmentation from "./pages/segmentation.js";
import sharing from "./pages/sharing.js";
import stack from "./pages/stack.js";
import { start } from "./router.js";

const PAGES = [
  line,
  plane,
  pooling,
  sharing,
  stack,
  inside,
  detection,
  segmentation,
  runs,
  questions,
];

start(PAGES);
