"""How fast the lab answers: `python benchmarks/lab_latency.py [RUN...]`, half a minute, with Chromium.

From a key to the painted page, in a cell of the kernel (which a grid and a photograph follow) and on the
slider of t: from the event's own time to the first task after its frame. Then the first load of the plane
with nothing cached: until all that the page is made of has come and run, and its bytes; what the library is
asked then is not counted.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import sync_playwright

from neocog.lab.app import create_app
from neocog.lab.runs import Runs
from neocog.lab.serve import listening, server

WATCH = """kind => {
  window.seen = [];
  addEventListener(kind, event => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.seen.push(performance.now() - event.timeStamp);
    channel.port2.postMessage(0);
  }), true);
}"""
ARRIVED = """() => {
  const own = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .filter(one => one.name.startsWith('http') && one.initiatorType !== 'fetch');
  const painted = performance.getEntriesByName('first-contentful-paint')[0].startTime;
  const bytes = own.reduce((sum, one) => sum + one.transferSize, 0);
  return [Math.max(painted, ...own.map(one => one.responseEnd)), bytes];
}"""


def serve(runs: list[Path]) -> tuple[uvicorn.Server, str]:
    """A lab on a free port, and its address."""
    place, serving = listening("127.0.0.1", 0), server(create_app(Runs(runs)))
    threading.Thread(target=serving.run, args=([place],), daemon=True).start()
    while not serving.started:
        time.sleep(0.01)
    return serving, f"http://127.0.0.1:{place.getsockname()[1]}"


def painted(page: Any, control: str, keys: tuple[str, ...], turns: int) -> list[float]:
    """Milliseconds from each key to the page that answers it."""
    page.wait_for_timeout(1000)
    page.locator(control).focus()
    page.evaluate(WATCH, "keydown")
    for key in itertools.islice(itertools.cycle(keys), turns):
        page.keyboard.press(key)
        page.wait_for_timeout(60)
    times: list[float] = page.evaluate("window.seen")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("runs", type=Path, nargs="*", help="of detectors, for the slider of their scores")
    options = parser.parse_args()
    server, address = serve(options.runs)
    gestures = [
        ("plane", "input[aria-label='weight in row 1, column 1']", ("Backspace", "3")),
        ("line", "input[aria-label=t]", ("ArrowRight",)),
    ]
    if options.runs:
        gestures.append(("detection?score=0.1", "input[aria-label='least score']", ("ArrowRight",)))
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        loads = []
        for _ in range(5):
            page = browser.new_page()
            page.goto(f"{address}/#/plane", wait_until="networkidle")
            loads.append(page.evaluate(ARRIVED))
            page.context.close()
        print(f"first load: {statistics.median(end for end, _ in loads):.0f} ms, {loads[0][1] / 1000:.0f} kB")
        for place, control, keys in gestures:
            page = browser.new_page()
            page.goto(f"{address}/#/{place}")
            times = sorted(painted(page, control, keys, options.turns))
            print(
                f"{place}: key to paint, median {statistics.median(times):.0f} ms, "
                f"nine in ten below {times[int(0.9 * len(times))]:.0f} ms ({len(times)} keys)"
            )
        browser.close()
    server.should_exit = True


if __name__ == "__main__":
    main()
