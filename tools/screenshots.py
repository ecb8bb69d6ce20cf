"""Make the pictures of the documentation from a running node.

    GONGSHU_PASSWORD=… python tools/screenshots.py ADDRESS NAME [--province ADDRESS] [--folder docs/screenshots]

NAME signs in on both nodes with the same password. Each picture is 1440 pixels wide, in both languages, and at most
200 kB: a larger one is an error, so that the repository stays small. Needs Playwright and Chromium.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

SIZE_MAX_BYTES = 200_000
PAGES = {"home": "/", "catalogue": "/catalogue", "oee": "/apps/oee", "contracts": "/sharing/agreements"}
PROVINCE_PAGES = {"province": "/hub"}
SETTLE_MS = 6_000
"""Live rates need a few looks before there is something to see."""


def main() -> int:
    """Make the pictures and return the exit status."""
    arguments = _arguments()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    password = os.environ.get("GONGSHU_PASSWORD", "")
    if not chromium or not password:
        print("needs Chromium, and the password in GONGSHU_PASSWORD", file=sys.stderr)
        return 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    shots = [(arguments.address, name, path) for name, path in PAGES.items()]
    if arguments.province:
        shots += [(arguments.province, name, path) for name, path in PROVINCE_PAGES.items()]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for language in ("zh", "en"):
            for address in dict.fromkeys(shot[0] for shot in shots):
                page = _signed_in(browser, address, arguments.name, password, language)
                for _, name, path in (shot for shot in shots if shot[0] == address):
                    page.goto(address + path)
                    page.wait_for_timeout(SETTLE_MS)
                    _keep(page, arguments.folder / f"{name}-{language}.png")
        browser.close()
    return 0


def _signed_in(browser: Any, address: str, name: str, password: str, language: str) -> Any:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Shanghai")
    context.add_cookies([{"name": "gongshu_language", "value": language, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "sign-in" not in url)
    return page


def _keep(page: Any, file: Path) -> None:
    page.screenshot(path=file)
    size_bytes = file.stat().st_size
    if size_bytes > SIZE_MAX_BYTES:
        raise SystemExit(f"{file} has {size_bytes} bytes, more than {SIZE_MAX_BYTES}: show less on it")
    print(f"{file} {size_bytes}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation from a running node.")
    parser.add_argument("address", help="of the enterprise's node")
    parser.add_argument("name", help="account to sign in with")
    parser.add_argument("--province", default="", help="address of the province's node")
    parser.add_argument("--folder", type=Path, default=Path("docs/screenshots"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
