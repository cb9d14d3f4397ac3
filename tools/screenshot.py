"""Take docs/report.png from the demo's report: ``lcmem demo``, then ``python tools/screenshot.py``.

Needs Playwright (extra ``test``) and Chromium.
"""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

REPORT = Path("lcmem-demo/audit/index.html")

with sync_playwright() as playwright:
    flags = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
    page = browser.new_page(viewport={"width": 1120, "height": 1250})
    page.goto(REPORT.absolute().as_uri())
    page.screenshot(path=Path(__file__).parent.parent / "docs" / "report.png")
    browser.close()
