"""The verbs that compare with the posts: compare parity, ledger, import-torch, export-torch."""

from __future__ import annotations

from typing import Any

from tfgan_lab.cli.verb import Flags, Verb, know_kinds, load, required, start, workers_of
from tfgan_lab.errors import UserError
from tfgan_lab.system.files import refuse_foreign


def _parity_flags(its: Flags) -> None:
    its.config("(required)")
    its.choice("dtype", "float64", ["float64", "float32"], "The precision of both programs.")
    its.number("updates", 100, "Steps of the game to compare.", least=1)
    its.text("json", "Also write every row to this file. Omitted: none.")


def _parity(values: Any, overrides: dict[str, str]) -> None:
    reference = required(values, "config")
    refuse_foreign(values.json)
    config = load(reference, None, overrides)
    start()
    from tfgan_lab.parity.steps import first_difference, format_table, run_parity, write_json

    rows = run_parity(config, values.dtype, values.updates)
    print(f"{reference} against the post's program in PyTorch, {values.dtype}, {values.updates} updates")
    print(format_table(rows))
    if values.json:
        write_json(values.json, rows, config=reference, dtype=values.dtype, updates=values.updates)
    first = first_difference(rows)
    if first is not None:
        raise UserError(f"{reference} differs from the post's program, first in {first.stage}: {first.tensor}.")


def _import_flags(its: Flags) -> None:
    its.config("(required)")
    its.text("workdir", "The run's folder to make, new or empty (required).")
    its.text("state_dict", "The .pt, .pth, .npz or .safetensors of network.state_dict() (required).")
    its.text("discriminator", "Also the discriminator's state_dict. Omitted: it starts untrained.")
    its.number("step", 1, "How many steps it was trained.", least=1)


def _import_torch(values: Any, overrides: dict[str, str]) -> None:
    state_dict, reference, workdir = (required(values, name) for name in ("state_dict", "config", "workdir"))
    config = load(reference, None, overrides)
    start()
    from tfgan_lab.parity.import_torch import import_torch

    import_torch(state_dict, config, workdir, discriminator_path=values.discriminator, step=values.step)
    print(f"{state_dict} is now the run {workdir}. Next: tfgan-lab sample --workdir={workdir}")


def _export_torch_flags(its: Flags) -> None:
    its.kinds()
    its.text("workdir", "A trained run (required).")
    its.text("out", "The .pt, .npz or .safetensors file to write (required).")
    its.choice(
        "role", None, ["generator", "discriminator", "classifier", "average"],
        "Which network. Omitted: the one the run is for; with ema the average of the generator's weights.",
    )  # fmt: skip


def _export_torch(values: Any, overrides: dict[str, str]) -> None:
    workdir, out = required(values, "workdir"), required(values, "out")
    refuse_foreign(out)
    start()
    know_kinds(values)
    from tfgan_lab.parity.import_torch import export_torch

    print(f"state_dict: {export_torch(workdir, out, values.role)}")


def _ledger_flags(its: Flags) -> None:
    its.text(
        "config",
        "Only the claims that are tested with this config, or those of an id, such as C000b or C000b.1. Omitted: all.",
    )
    its.seeds("How many seeds of each run; fewer than 5 cannot settle a claim.")
    its.choice(
        "budget", "posted", ["posted", "short"], "posted: as long as the post trains. short: fewer epochs where it says so; the verdict names them.",
    )  # fmt: skip
    its.switch("peers", "Also train the PyTorch programs, equally long, beside ours (needs the extra [torch]).")
    its.switch(
        "train", "--notrain: train nothing; judge and draw what was run before in --workdir or stands in --store; of neither, the outcomes "
        "that come with the package.", default=True,
    )  # fmt: skip
    its.text(
        "store",
        "A file of outcomes: those of this folder's runs are added to it, and it is what is judged. Omitted: none.",
    )
    its.jobs()
    its.text(
        "workdir",
        "The ledger's folder, with all its runs; finished ones are not run again. Omitted: runs/ledger; runs/evidence, if --notrain judges the package's outcomes.",
    )
    its.data()


def _ledger(values: Any, overrides: dict[str, str]) -> None:
    from tfgan_lab.posts.claims import PEER_TRIALS, claims_of
    from tfgan_lab.report.ledger_text import headline, next_step
    from tfgan_lab.studies import ledger, store

    if values.peers and not values.train:
        raise UserError("--peers trains PyTorch's programs, and --notrain trains nothing: omit one.")
    claims = claims_of(values.config)
    tested = {claim.config for claim in claims}
    trials = [trial for trial in PEER_TRIALS if not values.config or trial.config.partition(":")[0] in tested]
    if not claims:
        testing = sorted({claim.config for claim in claims_of(None)})
        raise UserError(
            f"--config={values.config}: no claim is tested with it. Claims are of: {', '.join(testing)}; or name an id, such as C000b."
        )
    own = not values.train and not values.workdir and not values.store  # the package's outcomes
    folder = values.workdir or ("runs/evidence" if own else "runs/ledger")
    if values.train:
        seeds = range(values.first_seed, values.first_seed + values.seeds)
        workers, trained = workers_of(values), trials if values.peers else []
        ledger.run_all(claims, trained, seeds, values.budget, folder, values.data_dir, workers, values.store)
    outcomes = store.read_store(store.own_store()) if own else ledger.outcomes_of(folder, values.store)
    result = ledger.write_ledger(folder, outcomes, values.config)
    for claim in result["claims"]:
        print(f"{claim['id']:<6} {len(claim['shown'])} of {len(claim['seeds'])} seeds: {headline(claim)}")
    print(f"look at: {folder}/ledger.md, {folder}/ledger.png")
    named = {
        "workdir": "" if own else folder, "store": values.store, "data_dir": values.data_dir, "first_seed": values.first_seed,
        "budget": "short" if values.budget == "short" else "",
    }  # fmt: skip
    places = "".join(f" --{flag}={path}" for flag, path in named.items() if path)
    print(next_step(result["claims"], values.config, places), flush=True)


VERBS = {
    "compare parity": Verb(_parity, _parity_flags, "checks a config step by step against the post's program in PyTorch", [
        "tfgan-lab compare parity --config=mlp_gan",
    ]),
    "compare import-torch": Verb(_import_torch, _import_flags, "makes a run from a PyTorch state_dict of a post's network", [
        "tfgan-lab compare import-torch --config=mlp_gan --state_dict=G.pt --workdir=runs/from_torch",
    ]),
    "compare export-torch": Verb(_export_torch, _export_torch_flags, "writes a run's network as a PyTorch state_dict", [
        "tfgan-lab compare export-torch --workdir=runs/mlp_gan --out=G.pt",
    ], takes_fields=False),
    "compare ledger": Verb(_ledger, _ledger_flags, "trains the posts' claims over seeds and gives a verdict on each", [
        "tfgan-lab compare ledger --config=gaussian --seeds=20 --peers",
        "tfgan-lab compare ledger --budget=short --data_dir=MNIST_FOLDER",
        "tfgan-lab compare ledger --notrain            (the whole ledger, from the package's outcomes: seconds)",
    ], takes_fields=False),
}  # fmt: skip
