"""The ledger of claims: every claim's runs over seeds, and what they say, in Markdown, JSON and a picture.

Runs live in FOLDER/ARM/seed=N and are shared by the claims that need the same ones; peers in FOLDER/ARM/peer,seed=N.
What is finished is not run again, what was cut short is resumed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfgan_lab.errors import UserError
from tfgan_lab.posts.claims import PEER_TRIALS, Claim, PeerTrial, claims_of
from tfgan_lab.posts.reference import reference_bytes
from tfgan_lab.studies.jobs import Job, alone_in, run_jobs
from tfgan_lab.studies.store import PREFIXES, Store, config_of, of_runs, read_store
from tfgan_lab.studies.verdicts import judge
from tfgan_lab.system.files import json_bytes, markdown_bytes, refuse_foreign, write_atomically

_WRITTEN = ("ledger.json", "ledger.md", "ledger.png", "peers.png", "reference.json")


def plan(claims: Sequence[Claim], trials: Sequence[PeerTrial], seeds: range, budget: str, folder: Path) -> list[Job]:
    """All runs that claims and peer trials need, seed by seed, so that a run cut short has whole seeds."""
    arms = [(arm, budget, False) for claim in claims for arm in claim.arms.values()]
    arms += [(trial.arm(), "posted", peer) for trial in trials for peer in (False, True)]
    jobs: dict[Path, Job] = {}
    for seed in seeds:
        for arm, of, peer in arms:
            path = folder / arm.folder(of) / f"{PREFIXES['peer' if peer else 'ours']}{seed}"
            jobs[path] = Job(config_of(arm, of, seed), path, peer)
    return list(jobs.values())


def write_ledger(folder: str | os.PathLike[str], store: Store, config: str | None = None) -> dict[str, Any]:
    """Judges a store; writes ledger.json, ledger.md, ledger.png, peers.png and reference.json into a folder.

    Args:
      folder: Made if need be.
      store: What is judged, all of it: so is ledger.json.
      config: Text and pictures are of the claims that are tested with it alone, or of the one of that id; None for all.

    Returns:
      What text and pictures show.

    Raises:
      UserError: The store holds nothing of a claim, or the files cannot be written.
    """
    from tfgan_lab.figures import png
    from tfgan_lab.report import ledger_plots
    from tfgan_lab.report.ledger_text import markdown

    folder, result = Path(folder), judge(store)
    refuse_foreign(*(folder / name for name in _WRITTEN))
    if not result["peers"] and not any(claim["seeds"] for claim in result["claims"]):
        raise UserError(f"--workdir={folder} holds no finished run of a claim: omit --notrain, or name another.")
    write_atomically(folder / "ledger.json", json_bytes(result))
    result = _of_config(result, config) if config else result
    write_atomically(folder / "ledger.md", markdown_bytes(markdown(result)))
    write_atomically(folder / "ledger.png", png(ledger_plots.ledger(result)))
    if result["peers"]:
        write_atomically(folder / "peers.png", png(ledger_plots.peers(result["peers"])))
    write_atomically(folder / "reference.json", reference_bytes(store.curves))
    return result


def _of_config(result: dict[str, Any], config: str) -> dict[str, Any]:
    claims = claims_of(config)
    tested = {claim.config for claim in claims}
    arms = [arm for claim in claims for arm in claim.arms.values()]
    arms += [trial.arm() for trial in PEER_TRIALS if trial.config.partition(":")[0] in tested]
    names = {arm.folder(budget) for arm in arms for budget in ("posted", "short")}
    return result | {
        "claims": [claim for claim in result["claims"] if claim["id"] in {one.id for one in claims}],
        "peers": [trial for trial in result["peers"] if trial["config"].partition(":")[0] in tested],
        "ran": [row for row in result["ran"] if row["arm"] in names],
    }


def outcomes_of(folder: str | os.PathLike[str], kept: str | os.PathLike[str] | None) -> Store:
    """The outcomes to judge: of a folder's runs; with those of a kept store, to which they are added.

    Raises:
      UserError: The file is no store, or cannot be written.
    """
    found = of_runs(folder)
    if kept:
        store = read_store(kept) if os.path.lexists(kept) else Store()
        store.add(found)
        store.write(kept)
        return store
    return found


def run_all(
    claims: Sequence[Claim], trials: Sequence[PeerTrial], seeds: range, budget: str, folder: str | os.PathLike[str],
    data_dir: str | None, workers: int | str, kept: str | os.PathLike[str] | None = None,
) -> None:  # fmt: skip
    """Trains what claims and trials need over seeds.

    Args:
      claims, trials: Which (see `posts`); trials need PyTorch.
      seeds: Which.
      budget: "posted" or "short".
      folder: For all runs and the files of the ledger.
      data_dir: Where data is, if not to be found by itself.
      workers: Runs at a time; or the address of a Dask scheduler, whose workers see the same folders.
      kept: The store's file that will be written, if any.

    Raises:
      UserError: As `train`; a folder with runs of other configs, or that another process writes; PyTorch is absent but
        asked for; a file that is to be written is not ours.
    """
    if trials:
        from tfgan_lab.parity.state_files import require_torch

        require_torch()
    folder = Path(folder)
    refuse_foreign(*(folder / name for name in _WRITTEN), kept)
    with alone_in(folder, "ledger"):
        run_jobs(plan(claims, trials, seeds, budget, folder), data_dir, workers)
