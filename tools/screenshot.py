"""Take docs/report*.png from the demo's report, as ``lcmem demo`` wrote it.

    python tools/screenshot.py [REPORT]

Needs Playwright (extra ``test``) and Chromium.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DOCS = Path(__file__).parent.parent / "docs"
COLOURS = 256
"""Enough for a page, and half the size."""


def opened(browser: Browser, report: Path, width: int, height: int, scheme: str = "light") -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    page.goto(report.absolute().as_uri())
    page.wait_for_selector("#cards li")
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    return page


def take(page: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)
    print(f"{name}: {(DOCS / name).stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Parse, take three pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, nargs="?", default=Path("lcmem-demo/audit/index.html"))
    report = parser.parse_args().report
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        take(opened(browser, report, 1120, 1250), "report.png")
        take(opened(browser, report, 390, 844), "report-phone.png")
        page = opened(browser, report, 1120, 800, "dark")
        page.click("#cards button")
        page.keyboard.press("h")
        page.wait_for_selector("#stage p", state="detached")
        take(page, "report-dark.png")
        browser.close()


if __name__ == "__main__":
    main()
