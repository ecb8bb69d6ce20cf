"""Make the pictures of the documentation from a running node.

    GONGSHU_PASSWORD=… python tools/screenshots.py ADDRESS NAME [--province ADDRESS] [--folder docs/screenshots]

NAME signs in on both nodes with the same password. Each picture is 1440 pixels wide, in both languages, and at most
200 kB: a larger one is an error, so that the repository stays small. Needs Playwright and Chromium.
"""

import argparse
import base64
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import sync_playwright

SIZE_MAX_BYTES = 200_000
PAGES = {"home": "/", "catalogue": "/catalogue", "oee": "/apps/oee", "contracts": "/sharing/agreements"}
PROVINCE_PAGES = {"province": "/hub"}
COLOURS_MAX = 256
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
    context = browser.new_context(viewport={"width": 1440, "height": 860}, timezone_id="Asia/Shanghai")
    context.add_cookies([{"name": "gongshu_language", "value": language, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "sign-in" not in url)
    return page


def _keep(page: Any, file: Path) -> None:
    file.write_bytes(encode_palette_png(_pixels(page)))
    size_bytes = file.stat().st_size
    if size_bytes > SIZE_MAX_BYTES:
        raise SystemExit(f"{file} has {size_bytes} bytes, more than {SIZE_MAX_BYTES}: show less on it")
    print(f"{file} {size_bytes}")


def encode_palette_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture with at most 256 colours: its most frequent ones; each other becomes the nearest.

    Shape: height × width × 3, red, green, blue.
    Source: PNG (ISO/IEC 15948) §11.2, colour type 3.
    """
    height, width, _ = pixels.shape
    flat = pixels.reshape(-1, 3).astype(np.int32)
    packed = flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2]
    keys, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    kept = keys[np.argsort(-counts)[:COLOURS_MAX]]
    colours, palette = _split(keys), _split(kept)
    nearest = np.concatenate(
        [((part[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1) for part in np.array_split(colours, 64)]
    )
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = nearest[places].reshape(height, width)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", head),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _split(packed: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)


PIXELS_SCRIPT = """async (png) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const drawing = canvas.getContext("2d");
  drawing.drawImage(bitmap, 0, 0);
  const bytes = drawing.getImageData(0, 0, bitmap.width, bitmap.height).data;
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return [bitmap.width, bitmap.height, btoa(text)];
}"""


def _pixels(page: Any) -> npt.NDArray[np.uint8]:
    """Let the browser itself decode its picture."""
    width, height, packed = page.evaluate(PIXELS_SCRIPT, base64.b64encode(page.screenshot()).decode())
    pixels = np.frombuffer(base64.b64decode(packed), dtype=np.uint8).reshape(height, width, 4)
    return pixels[:, :, :3]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation from a running node.")
    parser.add_argument("address", help="of the enterprise's node")
    parser.add_argument("name", help="account to sign in with")
    parser.add_argument("--province", default="", help="address of the province's node")
    parser.add_argument("--folder", type=Path, default=Path("docs/screenshots"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
