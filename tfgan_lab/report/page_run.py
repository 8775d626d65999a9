"""One run, gathered for its page: what it is, how far it is, what it drew and measured, as far as each is there."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfgan_lab import config as config_lib
from tfgan_lab.config import Config, GanConfig
from tfgan_lab.config_files import load_config
from tfgan_lab.data.examples import Provenance
from tfgan_lab.errors import UserError, shown
from tfgan_lab.figures import GREY
from tfgan_lab.posts.claims import Claim, claims_with
from tfgan_lab.posts.reference import reference_of
from tfgan_lab.report import page_charts
from tfgan_lab.report.browser_net import browser_net
from tfgan_lab.report.diagnosis import diagnose
from tfgan_lab.report.drawings import drawing_of
from tfgan_lab.report.ledger_text import with_seeds
from tfgan_lab.report.page_contents import Parts, RunPage
from tfgan_lab.report.plots import Panel
from tfgan_lab.system.files import read_bytes
from tfgan_lab.training.sampler import saved_samples
from tfgan_lab.training.workdir import Workdir, checkpoint_steps
from tfgan_lab.words import counted, drawn_from_which, of_post

_CHARTS = (
    ("confusion", "Which classes it takes for which"),
    ("scores", "Its outputs for one image"),
    ("statistics", "The same latents, two statistics in BatchNorm"),
    ("normal_curves", "Normal curves of a step's two sets, the post's picture"),
)


def gather(folder: Workdir, parts: Parts, key: str, most: int) -> RunPage:
    """Collects a run for the page, where it may take `most` bytes, about, and `key` sets its ids apart.

    Raises:
      UserError: The folder holds no readable run.
    """
    config, record, rows = folder.read_config(), folder.read_record(), folder.read_metrics()
    step = parts.step or (checkpoint_steps(folder.checkpoints) or [0])[-1]
    metrics, model = _metrics(folder.path)
    page = RunPage(
        key, folder.path.resolve().name, config, _state(folder, step, record), _facts(config, record, step),
        repeat_command(config, record, folder.path), metrics, list(parts.notes),
    )  # fmt: skip
    if model.get("raw") is True:
        page.notes.append(f"its metrics are of {drawn_from_which(True)}, not of the average of its weights")
    if metrics and model.get("step") not in (None, step):
        page.notes.append(f"its metrics are of step {model['step']}: `tfgan-lab evaluate` measures it as it is now")
    page.curves = page_charts.curves(rows, key, reference_of(config, record.get("data", {})), _floors(page.metrics))
    page.diagnosis = diagnose(config, rows, record.get("data", {}))
    page.claims = claims_in_words(config, folder.path)
    for name, caption in _CHARTS:
        if (folder.path / f"{name}.svg").is_file():
            content = (folder.path / f"{name}.svg").read_text(encoding="utf-8")
            page.charts.append((caption, page_charts.for_page(content, f"{key}-{name}", caption)))
    if isinstance(config, GanConfig):
        drawn = [*page.curves, *(svg for _, svg in page.charts)]
        _add_pictures(page, config, folder, parts, most - sum(map(len, drawn)))
    return page


def claims_in_words(config: Config, path: Path) -> list[str]:
    """The post's claims that a run of this config tests, each with the verdict of the ledger it belongs to."""
    name = config.name.partition(":")[0]
    verdicts: dict[str, str] = {}
    for folder in (path.resolve().parent.parent, path.resolve().parent):
        try:
            found = json.loads(read_bytes(folder / "ledger.json"))["claims"]
            verdicts |= {claim["id"]: with_seeds(claim) for claim in found}
        except (OSError, ValueError, KeyError, TypeError):
            continue

    def unjudged(claim: Claim) -> str:
        return f"one run judges nothing: `tfgan-lab compare ledger --config={claim.id}` asks many seeds"

    return [
        f"{claim.id}: {claim.says} Verdict: {verdicts.get(claim.id) or unjudged(claim)}." for claim in claims_with(name)
    ]


def _add_pictures(page: RunPage, config: GanConfig, folder: Workdir, parts: Parts, most: int) -> None:
    from tfgan_lab.export.saved_model import GeneratorModule

    saved, drawing = saved_samples(folder.samples, config), drawing_of(config)
    module = GeneratorModule(parts.network, config) if parts.network is not None else None
    drawing.on_page(page, parts, module, saved, most)
    drawn = [page.walks, page.neighbours and page.neighbours.picture, *(picture for _, picture in page.digits)]
    left = most - sum(len(picture.uri) for picture in drawn if picture) - sum(len(d["svg"]) for d in page.densities)
    if module is not None and drawing.runs_in_browser:
        page.net = browser_net(config, module, parts.network, left - min(250_000, left // 4))
        if page.net is None:
            why = "it is too large for it, or of layers that browsers do not run"
            page.notes.append(f"its generator is not in this page ({why}): `tfgan-lab export` writes it")
        else:
            left -= len(page.net["weights"])
    if saved:
        per_epoch = max(1, int(folder.read_record().get("steps_per_epoch") or 1))
        drawing.moments_on_page(page, parts, saved, per_epoch, left)


def _state(folder: Workdir, step: int, record: dict[str, Any]) -> str:
    total = record.get("total_steps") or 0
    if total and step >= total:
        return f"finished: {counted(total, 'step')}"
    if folder.is_being_written():
        last = max((row["step"] for row in folder.read_metrics()), default=step)
        return f"running: step {last:,} of {total:,}" if total else "running"
    if step:
        return f"stopped at step {step:,} of {total:,}: `tfgan-lab train --workdir={folder.path}` continues"
    return "no checkpoint yet"


def _facts(config: Config, record: dict[str, Any], step: int) -> list[tuple[str, str]]:
    per_epoch, fork = record.get("steps_per_epoch") or 0, record.get("fork")
    epochs = f" ({counted(step / per_epoch, 'epoch')})" if per_epoch else ""
    averaged = isinstance(config, GanConfig) and config.ema
    average = f"an average of the generator's weights (ema {averaged:g}), also in evaluations during training"
    seconds = sum(session.get("seconds", 0) for session in record.get("sessions") or [])
    cores = counted(record["cores"], "CPU core") if "cores" in record else "? CPU cores"
    facts = [
        ("config", f"{config.name}, {of_post(config.post)}"),
        ("trained", f"{counted(step, 'step')}{epochs} of batch {config.batch_size}"),
        ("a fork of", _origin(fork) if fork else ""),
        ("drawn, judged", average if averaged else ""),
        ("target", str(config.data) if config.data.is_endless else ""),
        *(
            (f"{split} data", str(Provenance(**part)))
            for split, part in (record.get("data") or {}).items()
            if isinstance(part, dict) and {"source", "split", "count", "sha256"} <= set(part)
        ),
        ("seed", str(config.seed)),
        ("time", f"{_duration(seconds)} on {cores}, {record.get('machine', '?')}" if seconds else ""),
        ("versions", ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())),
    ]
    return [fact for fact in facts if fact[1]]


def _origin(fork: dict[str, Any]) -> str:
    changed = "; ".join(fork["changed"]) or "nothing"
    return shown("; ".join([f"{fork['from']} at step {fork['step']:,}, changed: {changed}", *fork["notes"]]))


def _duration(seconds: float) -> str:
    hours, minutes = divmod(int(seconds // 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60:.0f} s" if minutes else f"{seconds:.1f} s"


def repeat_command(config: Config, record: dict[str, Any], workdir: Path) -> str:
    """The command that trains the same run: the config's name and every field that was set; else what was typed."""
    try:
        named = load_config(config.name)
        old, new = config_lib.flattened(named), config_lib.flattened(config)
        changes = {field: str(value) for field, value in new.items() if old.get(field) != value}
        if config_lib.flattened(config_lib.override(named, changes)) != new:
            raise UserError("some of it cannot be said with flags")
    except UserError:
        typed: list[str] = []
        with contextlib.suppress(ValueError):  # of a run.json that another program wrote
            typed = shlex.split(record.get("command") or "")
        return shlex.join(["tfgan-lab", *map(shown, typed[1:])]) if typed else f"tfgan-lab train --config={config.name}"
    data = [f"--data_dir={shown(record['data_dir'])}"] if record.get("data_dir") else []
    flags = [f"--config.{field}={value}" for field, value in changes.items()]
    if fork := record.get("fork"):
        flags.append(f"--from={shown(fork['from'])}" + (f"@{fork['step']}" if fork["step"] else ""))
    return shlex.join(["tfgan-lab", "train", f"--config={config.name}", *flags, *data, f"--workdir={workdir}"])


def _metrics(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows that `tfgan-lab evaluate` wrote, or none; and what it says of the model: its step, whether it is raw."""
    try:
        result = json.loads(read_bytes(folder / "metrics.json"))
        rows, model = result["metrics"], result.get("model")
    except (OSError, ValueError, KeyError, TypeError):
        return [], {}
    rows = [row for row in rows if isinstance(row, dict) and {"name", "label", "generated"} <= set(row)]
    return rows, model if isinstance(model, dict) else {}


def _floors(metrics: Sequence[dict[str, Any]]) -> Panel | None:
    """Draws what real data scores into the panel of the metrics, if it was evaluated."""
    floor: Any = next((row.get("real") for row in metrics if row["name"] == "frechet_distance"), None)

    def draw(axis: Any) -> None:
        for twin in axis.figure.axes:
            if "Fréchet" in twin.get_ylabel():
                twin.axhline(floor["value"], color=GREY, linestyle="--", linewidth=1)
                twin.annotate(f"real images {floor['value']:.2g}", (0.02, floor["value"]), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")  # fmt: skip

    return draw if floor else None
