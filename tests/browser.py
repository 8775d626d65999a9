"""Opens a page in a real headless browser and asks it something."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip


def browser() -> str:
    """The program; skips where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: one of {', '.join(_NAMES)} is needed")
    return program


def ask(page: Path, question: str, folder: Path, *flags: str) -> Any:
    """The value of a JavaScript function body, run in a copy of the page once it is there; skips without a browser."""
    program = browser()
    answer = (
        f"<pre id=answer></pre><script>window.addEventListener('load', async () => {{ let said; try {{ said = await (async () => {{ {question} }})(); }}"
        " catch (error) { said = {error: String(error)}; } document.getElementById('answer').textContent = JSON.stringify(said); });</script>"
    )
    copy = folder / "asked.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{answer}</body>"), encoding="utf-8")
    ended = subprocess.run(
        [program, *_FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"file://{copy}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r'<pre id="answer">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert found and found[1], ended.stderr[-2000:]
    said = json.loads(unescape(found[1]))
    assert not (isinstance(said, dict) and "error" in said), said
    return said


def javascript(body: str, folder: Path) -> Any:
    """The value of a JavaScript function body, run by Node or else in the browser; skips without either."""
    if node := shutil.which("node"):
        script = folder / "asked.js"
        script.write_text(
            f"(async () => console.log(JSON.stringify(await (async () => {{ {body} }})())))();", encoding="utf-8"
        )
        ended = subprocess.run([node, script], capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stderr[-2000:]
        return json.loads(ended.stdout)
    page = folder / "page.html"
    page.write_text("<html><body></body></html>", encoding="utf-8")
    return ask(page, body, folder)
