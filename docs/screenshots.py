"""Pictures of the lab's pages for these pages and the README: `python docs/screenshots.py [RUN...]`.

Needs Chromium and Playwright. With a run of a detector, or a comparison of several, that page is taken too.
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from neocog.lab.app import create_app
from neocog.lab.runs import Runs
from neocog.lab.serve import listening, server
from neocog.pictures.encode import png_bytes

FOLDER = Path(__file__).parent / "images"
PAGES = {
    "lab-line": ("line?g=exponential&t=0.8", 760),
    "lab-plane": ("plane?kernel=-1+-1+-1+-1+8+-1+-1+-1+-1&padding=1&row=3&column=2", 1180),
    "lab-stack": ("stack", 900),
    "lab-inside": ("inside?run=digit+net,+trained+here", 860),
}
OF_RUNS = {"lab-detection": ("detection?picture=scene-2&score=0.3", 780)}


def main(runs: list[Path]) -> None:
    place, serving = listening("127.0.0.1", 0), server(create_app(Runs(runs)))
    threading.Thread(target=serving.run, args=([place],), daemon=True).start()
    while not serving.started:
        time.sleep(0.01)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (state, height) in {**PAGES, **(OF_RUNS if runs else {})}.items():
            page = browser.new_page(viewport={"width": 1040, "height": height})
            page.goto(f"http://127.0.0.1:{place.getsockname()[1]}/#/{state}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(3000)  # what is computed arrives after the page
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            (FOLDER / f"{name}.png").write_bytes(png_bytes(shot.quantize(128, dither=Image.Dither.NONE)))
            page.close()
        browser.close()
    serving.should_exit = True


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1:]])
