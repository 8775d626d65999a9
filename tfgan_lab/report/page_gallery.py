"""`write_gallery`: one page on which the generators that come with the package are played with, side by side."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfgan_lab import pretrained
from tfgan_lab.config_files import load_config, summaries
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.exported import in_words
from tfgan_lab.evaluation.rows import in_text
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.report.browser_net import coarse_net
from tfgan_lab.report.page import MOST_BYTES, Table, from_template, metrics_table
from tfgan_lab.system.files import refuse_foreign, write_atomically
from tfgan_lab.words import counted, of_post

# Levels lie this many root mean squares of their row apart where a generator has a million weights, and as the square
# root of their number elsewhere: of pages of one size it is the one on which rounding moves the pixels least.
_STEP = 0.3
_DIRECTIONS = 2  # sliders
_TOLD = ("label_accuracy", "digits_drawn", "frechet_distance", "mean", "std")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A generator on the page: `key` sets its ids apart, `metrics` are the rows of its card."""

    key: str
    name: str
    line: str
    facts: list[tuple[str, str]]
    commands: list[str]
    metrics: list[dict[str, Any]]
    net: dict[str, Any]
    labels: Sequence[str]

    @property
    def table(self) -> Table | None:
        return metrics_table([self])


def write_gallery(out: str | os.PathLike[str]) -> Path:
    """Writes the page to an .html file, and returns that.

    Raises:
      UserError: It cannot be written, or the package's generators are damaged.
    """
    target = Path(out)
    if target.suffix not in (".html", ".htm"):
        raise UserError(f"--out={out}: the file's name must end in .html.")
    refuse_foreign(target)
    entries = [_entry(f"g{i}", name) for i, name in enumerate(pretrained.names())]
    content = from_template("gallery.html", entries=entries, data={entry.key: {"net": entry.net} for entry in entries})
    assert len(content) < MOST_BYTES
    write_atomically(target, content)
    return target


def _entry(key: str, name: str) -> Entry:
    found = pretrained.load(name)
    config, card, size = found.config, found.card, found.generator.count_params()
    module, step = GeneratorModule(found.generator, config), _STEP * (size / 1e6) ** 0.5
    plan, most, mean = coarse_net(config, module, found.generator, step)
    plan["directions"] = plan["directions"][:_DIRECTIONS]
    scale, unit = (1, "") if len(plan["shape"]) == 1 else (255, " of 255 levels")
    data = card["trained_on"].get("train")
    posted = load_config(name).epochs
    short = "" if config.epochs == posted else f", {config.epochs:g} of {posted:g} epochs"
    facts = [
        ("from", of_post(card["post"])),
        ("trained", f"{counted(card['steps'], 'step')} of batch {config.batch_size}{short}, seed {card['seed']}"),
        ("data", in_words(data) if data else str(config.data)),
        *((row["label"], in_text(row["generated"])) for row in card["metrics"] if row["name"] in _TOLD),
        *card["ledger"].items(),
        ("weights", f"{size:,}; rounded for this page, which moves a sample by {mean * scale:.3g}{unit} on average, "
         f"at most {most * scale:.3g}"),
    ]  # fmt: skip
    if card["note"]:
        facts.append(("note", card["note"]))
    line = {row.name: row.line for row in summaries()}.get(name.partition(":")[0], "")
    label = " --label=3" if config.num_labels else ""
    commands = [f"tfgan-lab sample --pretrained={name}{label}", card["command"]]
    return Entry(key, name, line, facts, commands, card["metrics"], plan, config.label_names)
