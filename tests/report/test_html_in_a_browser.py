"""report.html in Chromium itself: it asks for nothing, its script runs, and a press on a title sorts.

Where U3P_EDGE_SCREENSHOTS names a folder, pictures of the page are left there, light and dark.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.sample_results import artifact, result, with_group_dice
from u3p_edge.report.html import render_html

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = os.environ.get("U3P_EDGE_SCREENSHOTS")
EVIL = "<img src=https://localhost/x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The page in a narrow window, of three files whose sizes sort in another order as words than as numbers."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    value = with_group_dice(result(size=900_000), lost=0.25)
    third = artifact(EVIL, relative=0.5, dice=0.8, peak=90, size=12_000_000, seed=5)
    files = (*value.artifacts, third)
    path = tmp_path / "report.html"
    path.write_text(render_html(type(value)(**{**vars(value), "artifacts": files}), notes=[EVIL]), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 390, "height": 800})
        opened.troubles = []
        opened.on("request", lambda request: opened.troubles.append(request.url))
        opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
        opened.on("console", lambda message: opened.troubles.append(message.text))
        opened.on("dialog", lambda dialog: (opened.troubles.append(dialog.message), dialog.dismiss()))
        opened.goto(path.as_uri())
        yield opened
        browser.close()


def keep(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"report-{name}.png", full_page=True)


def test_it_asks_for_nothing_fits_a_phone_and_sorts_as_numbers(page: Page) -> None:
    def sizes() -> list[str]:
        return page.locator("table").first.locator("tbody tr td:last-child").all_text_contents()

    assert sizes() == ["4.00 MB", "0.90 MB", "12.00 MB"]
    title = page.locator("table").first.locator("th button").last
    title.focus()
    page.keyboard.press("Enter")
    assert sizes() == ["0.90 MB", "4.00 MB", "12.00 MB"]
    assert page.locator('th[aria-sort="ascending"]').count() == 1
    title.click()
    assert sizes() == ["12.00 MB", "4.00 MB", "0.90 MB"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
    keep(page, "light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    keep(page, "dark")
    assert page.locator("svg").count() == 2
    assert [url for url in page.troubles if not url.startswith("file://") or not url.endswith("/report.html")] == []  # type: ignore[attr-defined] # the fixture's list
