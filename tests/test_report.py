"""Claim: the report opens in a browser without a network, without errors, and shows the pictures it speaks of."""

import pytest

from lcmem.jobs.demo import KINDS, run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return (folder, *run_demo(folder))


def test_demo_finds_copies_and_reports_what_it_misses(demo):
    _, result, found = demo
    found = found.set_index("kind")
    assert list(found.index) == list(KINDS) and found["pictures"].tolist() == [40, 20, 20, 50]
    assert found.loc["round-trip", "right_person"] == 20
    assert found.loc["unseen-person", "flagged"] <= 5
    assert found.loc["edited-copy", "right_person"] >= 8
    assert found["flagged"].sum() == result.memorization.count


def test_page_stands_alone(demo):
    page = (demo[0] / "audit" / "index.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "<script" not in page and page.count("data:image/jpeg;base64,") >= 20


def test_report_in_a_browser(demo, chromium):
    from playwright.sync_api import sync_playwright

    requests, messages = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto((demo[0] / "audit" / "index.html").as_uri())
        headline = page.inner_text("h1")
        broken = page.evaluate("[...document.images].filter(image => !image.naturalWidth).length")
        shown = page.locator("figure").count()
        overflow = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        browser.close()
    assert not messages
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert headline.startswith(f"{demo[1].memorization.count} of 130")
    assert broken == 0 and shown >= 20 and not overflow
