"""`write_page`: one HTML file that explains a run, or several side by side; it opens from disk, without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tfgan_lab import __version__
from tfgan_lab import config as config_lib
from tfgan_lab.config import Changes
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.rows import in_text
from tfgan_lab.report import page_charts
from tfgan_lab.report.browser_net import javascript_of_layers
from tfgan_lab.report.page_contents import Parts, RunPage, parts_of
from tfgan_lab.report.page_run import gather
from tfgan_lab.system.files import MARK, refuse_foreign, write_atomically
from tfgan_lab.training.workdir import Workdir

Table = dict[str, Any]

MOST_BYTES = 5_000_000
_FRAME = 120_000  # the page's own text, style and code


def report(workdirs: Sequence[str | os.PathLike[str]], out: str | None = None, data_dir: str | None = None) -> Path:
    """Writes the page of one or several runs.

    Args:
      workdirs: Run folders; the folder of a sweep, or of many seeds, stands for all its runs.
      out: The .html file; None for report.html in the run's folder, or in the one that holds all the runs, else in the current one.
      data_dir: Where the real data is, if not where it was for training.

    Returns:
      The file.

    Raises:
      UserError: A folder holds no run, or the file cannot be written.
    """
    folders = [Workdir(path) for given in workdirs for path in runs_in(Path(given))]
    if out is not None and not out.endswith((".html", ".htm")):
        raise UserError(f"--out={out}: the file's name must end in .html.")
    if len({folder.path.resolve() for folder in folders}) < len(folders):
        raise UserError("--workdir: the same run is named twice.")
    target = Path(out) if out else _default_target([folder.path for folder in folders])
    refuse_foreign(target)
    write_atomically(target, content_of(folders, lambda folder: parts_of(folder, data_dir)))
    return target


def content_of(folders: Sequence[Workdir], parts: Callable[[Workdir], Parts], live: str = "") -> bytes:
    """The page of runs, each drawn from its `parts`.

    On a page that follows the folders (`tfgan_lab.report.live`) `live` names the state of them that is shown.

    Raises:
      UserError: A run cannot be read, or several are too many for one page.
    """
    names = [folder.path.resolve().name for folder in folders]
    names = [str(folder.path) if names.count(name) > 1 else name for name, folder in zip(names, folders, strict=True)]
    rows = {name: folder.read_metrics() for name, folder in zip(names, folders, strict=True)}
    common = page_charts.common_curves(rows)
    share = (MOST_BYTES - _FRAME - sum(map(len, common))) // len(folders)
    runs = [gather(folder, parts(folder), f"r{i}", share) for i, folder in enumerate(folders)]
    for run, name in zip(runs, names, strict=True):
        run.name = name
    content = _rendered(runs, common, live)
    if len(content) > MOST_BYTES and len(runs) > 1:
        raise UserError(
            f"--workdir: {len(runs)} runs make a page of {len(content) / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:g}: name fewer."
        )
    return content


def write_page(folder: Workdir, network: Any, source: Any, step: int) -> Path:
    """Writes report.html of a run that has just been trained, from what is in memory."""
    page = gather(folder, Parts(network, source, step), "r0", MOST_BYTES - _FRAME)
    target = folder.path / "report.html"
    write_atomically(target, _rendered([page]))
    return target


def _rendered(runs: Sequence[RunPage], common: Sequence[str] = (), live: str = "") -> bytes:
    return from_template(
        "page.html", runs=runs, common=common, live=live, differences=config_table(runs), metrics=metrics_table(runs),
        data={run.key: {"moments": run.moments, "densities": run.densities, "net": run.net} for run in runs},
        config_json={run.key: config_lib.to_json(run.config) for run in runs}, title=" and ".join(run.name for run in runs[:3]),
    )  # fmt: skip


def from_template(name: str, **values: Any) -> bytes:
    """A page of a file in templates/."""
    made = Environment(
        loader=PackageLoader("tfgan_lab.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    made.filters["code_marks"] = _code_marks
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "default": vars}
    made.globals |= {"mark": MARK, "version": __version__, "steps_of_layers": Markup(javascript_of_layers())}
    return made.get_template(name).render(values).encode()


def write_study_page(folder: Path, title: str, tables: Sequence[Mapping[str, Any]], commands: Sequence[str]) -> None:
    """Writes study.html of a study: its tables ("head", "rows" and what is "told" below), its picture (study.svg), and
    the commands that train its runs again, one for each row of the last table.
    """
    content = (folder / "study.svg").read_text(encoding="utf-8")
    picture = Markup(page_charts.for_page(content, "study", f"{title}: see the tables"))
    page = from_template("study.html", title=title, tables=tables, picture=picture, commands=commands)
    write_atomically(folder / "study.html", page)


def _code_marks(text: str) -> Markup:
    """`code` in backticks, as <code>."""
    return Markup(re.sub("`(.*?)`", r"<code>\1</code>", str(escape(text))))


def runs_in(path: Path) -> list[Path]:
    """The run that a folder holds, or all runs of a sweep or of many seeds."""
    folder = Workdir(path)
    holds_many = folder.read_config().num_seeds > 1 if folder.exists() else (path / "sweep.json").is_file()
    if folder.exists() and not holds_many:
        return [path]
    runs = [child for child in path.iterdir() if Workdir(child).exists()] if holds_many else []
    if runs:
        return sorted(runs, key=lambda run: (len(run.name), run.name))  # seed=10 after seed=9
    if path.is_dir() and not any(path.iterdir()):
        raise UserError(f"--workdir={path} is empty: train a run in it with `tfgan-lab train --workdir={path}`.")
    folder.read_single_config()  # says in one line what is wrong
    return []


def _default_target(paths: Sequence[Path]) -> Path:
    if len(paths) == 1:
        return paths[0] / "report.html"
    parents = {path.resolve().parent for path in paths}
    return (paths[0].parent if len(parents) == 1 else Path()) / "report.html"


def config_table(runs: Sequence[Any]) -> Table | None:
    """The fields in which the runs' configs differ; None for one run, and where they do not."""
    fields = [config_lib.flattened(run.config) for run in runs]
    names = list(dict.fromkeys(name for one in fields for name in one))
    rows = []
    for name in names:
        values = [one.get(name, "–") for one in fields]
        unsaid = any(config_lib.what_changes(run.config, name) in (Changes.NAME, Changes.PRINTED) for run in runs)
        if not unsaid and any(value != values[0] for value in values):
            rows.append([name, *(_plain(value) for value in values)])
    if len(runs) == 1 or not rows:
        return None
    return {"head": ["field", *(run.name for run in runs)], "rows": rows}


def metrics_table(runs: Sequence[Any]) -> Table | None:
    """Every metric that was evaluated: of one run beside its floors, of several runs beside each other."""
    measured = [run for run in runs if run.metrics]
    if not measured:
        return None
    by_name = [{row["name"]: row for row in run.metrics} for run in measured]
    names = list(dict.fromkeys(name for one in by_name for name in one))
    heads = [run.name if len(runs) > 1 else "this model [95 % interval]" for run in measured]
    rows = []
    for name in names:
        first = next(one[name] for one in by_name if name in one)
        cells = [_number(one.get(name, {}).get("generated"), interval=True) for one in by_name]
        floors = [_number(first.get(column)) for column in ("real", "untrained")]
        rows.append([first["label"], *cells, *floors, first.get("better", "")])
    return {"head": ["metric", *heads, "real data instead", "untrained", "better"], "rows": rows}


def _number(number: Any, interval: bool = False) -> str:
    return in_text(number, interval) if isinstance(number, dict) and "value" in number else "–"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
