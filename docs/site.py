"""What makes a site of README and these pages (`mkdocs.yml`): README is its first page; code is named, not linked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

_ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds README as index.md."""
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!https?:|#)(?!docs/)([^)\s]+)\)", r"](../\1)", text).replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Files of the repository that are no pages of the site are named instead of linked."""
    return _LINK.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    text, path, heading = link.groups()
    if path == "../README.md":
        return f"[{text}](index.md{heading or ''})"
    return f"{text} (`{path.removeprefix('../')}`)" if path.removeprefix("../") not in text else f"`{text.strip('`')}`"
