// The pages of the lab, in their order.

import detection from "./pages/detection.js";
import inside from "./pages/inside.js";
import line from "./pages/line.js";
import plane from "./pages/plane.js";
import pooling from "./pages/pooling.js";
import runs from "./pages/runs.js";
import segmentation from "./pages/segmentation.js";
import sharing from "./pages/sharing.js";
import { start } from "./router.js";

const PAGES = [
  line,
  plane,
  pooling,
  sharing,
  inside,
  detection,
  segmentation,
  runs,
];

start(PAGES);
