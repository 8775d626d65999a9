"""`write_study_page`: a study on one HTML page: its tables, its picture, and the commands of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tfgan_lab import __version__
from tfgan_lab.report.page import environment
from tfgan_lab.report.page_charts import from_file
from tfgan_lab.system.files import MARK, write_atomically


def write_study_page(folder: Path, title: str, tables: Sequence[Mapping[str, Any]], commands: Sequence[str]) -> None:
    """Writes study.html beside study.svg, which it holds.

    Args:
      folder: The study's.
      title: What was studied.
      tables: "head", "rows" and what is "told" below.
      commands: That train its runs again, one for each row of the last table.
    """
    picture = from_file((folder / "study.svg").read_text(encoding="utf-8"), "study", f"{title}: see the tables")
    text = environment().get_template("study.html").render(
        title=title, tables=tables, picture=Markup(picture), commands=commands, mark=MARK, version=__version__
    )  # fmt: skip
    write_atomically(folder / "study.html", text.encode())
