"""What a run's page is made of: what its template shows, and what that is drawn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfgan_lab.config import Config
from tfgan_lab.data import Source
from tfgan_lab.errors import UserError
from tfgan_lab.networks import drawn_from
from tfgan_lab.training.workdir import Workdir


@dataclasses.dataclass
class RunPage:
    """What a template shows of a run; None or empty where there is nothing, and `notes` say why.

    `key` sets its ids in the page apart from those of other runs.
    """

    key: str
    name: str
    config: Config
    state: str
    facts: list[tuple[str, str]]
    command: str
    metrics: list[dict[str, Any]]
    notes: list[str]
    curves: list[str] = dataclasses.field(default_factory=list)
    claims: list[str] = dataclasses.field(default_factory=list)
    diagnosis: list[str] = dataclasses.field(default_factory=list)
    moments: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    densities: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    real: Any = None
    net: dict[str, Any] | None = None
    walks: Any = None
    digits: list[Any] = dataclasses.field(default_factory=list)
    neighbours: Any = None
    charts: list[tuple[str, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a run is drawn from: its generator with its last weights, and its data; each may be missing."""

    network: Any
    source: Source | None
    step: int
    notes: Sequence[str] = ()


def parts_of(folder: Workdir, data_dir: str | None) -> Parts:
    """Restores a run's networks and opens its data; what cannot be had is named in the notes."""
    from tfgan_lab.data import open_source
    from tfgan_lab.training.restored import restore_run

    config, notes, network, source, step = folder.read_config(), [], None, None, 0
    try:
        run = restore_run(folder.path)
        network, step = drawn_from(run.networks), run.step
        notes += run.notes
    except UserError as error:
        notes.append(f"nothing can be drawn from it yet: {error}")
    record = folder.read_record()
    try:
        source = open_source(config.data, folder.data_dir(data_dir))
        trained_on = (record.get("data") or {}).get("train")
        found = source.provenance.get("train")
        if found and isinstance(trained_on, dict) and found.sha256 != trained_on.get("sha256"):
            notes.append(f"the data found here is other data ({found}): real images and neighbours are omitted")
            source = None
    except UserError as error:
        notes.append(f"its data is not here, so real images and neighbours are omitted: {error}")
    return Parts(network, source, step, notes)
