"""`make shots`: pictures for the documents, of the running demo, in a real browser.

Needs `make run` in another window and Debian's `chromium` package.
"""

import shutil
import sys
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from portal.demo.accounts import DEMO_PASSWORD, staff_email
from portal.journeys.outside import System, WrongAnswer, find_system

PICTURES = Path(__file__).resolve().parent.parent.parent / "docs" / "img"
_DESKTOP = ViewportSize(width=1440, height=900)
_PHONE = ViewportSize(width=390, height=844)


def chromium() -> str:
    """Return the browser's path. Raises: WrongAnswer with the line that installs it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise WrongAnswer("No Chromium here. On Debian or Ubuntu: apt install chromium")


def sign_in(page: Page, system: System, who: str) -> None:
    """Sign a member of the demo staff in to the admin."""
    page.goto(urljoin(system.web, "/admin/"))
    page.fill("input[name=login]", staff_email(who))
    page.fill("input[name=password]", DEMO_PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_load_state("networkidle")


def shoot(page: Page, name: str) -> None:
    """Write one picture and say so."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=str(path))
    print(f"docs/img/{path.name}")


def staff_pictures(browser: Browser, system: System) -> None:
    """The nurse's day: queues, a report, the trend."""
    page = browser.new_page(viewport=_DESKTOP, locale="en-GB")
    sign_in(page, system, "nora")
    # Once more: the first page after sign-in greets.
    page.goto(urljoin(system.web, "/admin/"))
    shoot(page, "admin-today")
    page.goto(urljoin(system.web, "/admin/worklist/workitem/"))
    shoot(page, "admin-worklist")
    page.goto(urljoin(system.web, "/admin/labs/diagnosticreport/"))
    shoot(page, "admin-reports")
    page.click("#result_list tbody tr:first-child th a")
    page.wait_for_load_state("networkidle")
    shoot(page, "admin-report")
    page.goto(urljoin(system.web, "/admin/patients/patient/"))
    anna = page.locator("#result_list a", has_text="Sommer").first.get_attribute("href")
    patient_id = str(anna).rstrip("/").split("/")[-2]
    page.goto(urljoin(system.web, f"/admin/labs/observation/trend/{patient_id}/alt/"))
    shoot(page, "admin-trend")
    page.close()


def desk_pictures(browser: Browser, system: System) -> None:
    """The front desk's day: who comes, the calendar, a request that becomes a visit."""
    page = browser.new_page(viewport=_DESKTOP, locale="en-GB")
    sign_in(page, system, "frieda")
    for address, name in (
        ("appointment/board/", "admin-board"),
        ("appointment/calendar/", "admin-calendar"),
        ("careplan/", "admin-care-plan"),
    ):
        page.goto(urljoin(system.web, f"/admin/appointments/{address}"))
        if name == "admin-care-plan":
            page.locator("#result_list tbody tr:first-child a").first.click()
            page.wait_for_load_state("networkidle")
        shoot(page, name)
    page.close()


def public_pictures(browser: Browser, system: System) -> None:
    """What she sees on a phone: an article and the sign-in page."""
    page = browser.new_page(viewport=_PHONE, device_scale_factor=2, locale="en-GB")
    page.goto(urljoin(system.web, "/learn/liver-panel-explained"))
    shoot(page, "article-phone")
    page.goto(urljoin(system.web, "/accounts/login/"))
    shoot(page, "sign-in-phone")
    page.close()


def main() -> int:
    try:
        system, path = find_system(), chromium()
    except WrongAnswer as error:
        print(error, file=sys.stderr)
        return 1
    with sync_playwright() as play:
        # Chromium refuses its sandbox to root; the pages are our own, on loopback.
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        staff_pictures(browser, system)
        desk_pictures(browser, system)
        public_pictures(browser, system)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
