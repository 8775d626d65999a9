"""The verbs that train, and look on: train, watch, sweep, study."""

from __future__ import annotations

import contextlib
from typing import Any

from tfgan_lab.cli.verb import DEFAULT_CONFIG, Flags, Verb, know_kinds, load, required, workers_of
from tfgan_lab.errors import UserError


def _train_flags(its: Flags) -> None:
    its.config(f"Omitted: the one in --workdir, else {DEFAULT_CONFIG}.")
    its.data()
    its.text("workdir", "The run's folder; a run that is there is resumed. Omitted: runs/CONFIG.")
    its.text(
        "from", "What a new run in --workdir starts from: a run's folder (its newest checkpoint), FOLDER@STEP, or "
        "pretrained:NAME (its generator alone). Its config counts, changed by --config.FIELD, unless --config names another. "
        "Omitted: the config's start values.",
    )  # fmt: skip
    its.switch("dry_run", "Print the resolved config and stop.")
    its.switch("live", "Serve the run's page while it trains, on this machine alone.")
    its.port()


def _train(values: Any, overrides: dict[str, str]) -> None:
    start = getattr(values, "from")
    if start and not values.workdir:
        raise UserError(f"--from={start} needs --workdir: a new folder for the run that starts there.")
    if values.port and not values.live:
        raise UserError(f"--port={values.port} is of the page that --live serves: add --live, or omit it.")
    config = load(values.config, values.workdir, overrides, start)
    if values.dry_run:
        from tfgan_lab.config import to_json

        print(to_json(config), end="")
        return
    from tfgan_lab.report.live import beside
    from tfgan_lab.training.terminal import speaking_of_commands

    workdir = values.workdir or _folder_of(config)
    with beside(workdir, values.port, values.config) if values.live else contextlib.nullcontext():
        from tfgan_lab.api import train

        with speaking_of_commands():
            train(config, workdir, values.data_dir, start=start)


def _watch_flags(its: Flags) -> None:
    its.kinds()
    its.text(
        "workdir",
        "A run, trained or in training (required); the folder of a sweep, or of many seeds, stands for its runs.",
    )
    its.port()


def _watch(values: Any, overrides: dict[str, str]) -> None:
    workdir = required(values, "workdir")
    from tfgan_lab.report.live import listen, watch

    listening = listen(values.port)  # a port in use is told before TensorFlow starts
    know_kinds(values)
    watch(workdir, listening)


def _sweep_flags(its: Flags) -> None:
    its.config()
    its.text("field", "The field of the config to change, such as game.d_steps (required).")
    its.text("values", "What to set it to (required): 1,5,20; separated by semicolons where a value has commas in it.")
    its.text(
        "workdir",
        "A folder for all runs, each in its own; finished ones are not run again. Omitted: runs/CONFIG-FIELD.",
    )
    its.data()


def _sweep(values: Any, overrides: dict[str, str]) -> None:
    field, listed = required(values, "field"), required(values, "values")
    config = load(values.config, None, overrides)
    workdir = values.workdir or f"{_folder_of(config)}-{field}"
    from tfgan_lab.studies.sweep import markdown, sweep
    from tfgan_lab.training.terminal import speaking_of_commands

    with speaking_of_commands():
        result = sweep(config, field, _options(listed), workdir, values.data_dir)
    print(f"\n{markdown(result)}\n\nlook at: {workdir}/sweep.png, {workdir}/sweep.md", flush=True)


def _options(listed: str) -> list[str]:
    return [value.strip() for value in listed.split(";" if ";" in listed else ",") if value.strip()]


def _study_flags(its: Flags) -> None:
    its.config(f"Omitted: {DEFAULT_CONFIG}; with --rescue the run's.")
    its.texts(
        "vary", "A field and its values (required), such as game.loss=hinge,wasserstein; of its name the last part is enough where no other field "
        "ends so. Give the flag again for every combination with other fields. Semicolons separate where a value has commas in it.",
    )  # fmt: skip
    its.seeds("How many seeds of each combination.")
    its.jobs()
    its.switch(
        "rescue", "Fork the run --from at --steps, with each combination of --vary and without any, and tell from which step on which of them "
        "still save it.",
    )  # fmt: skip
    its.text("from", "With --rescue, the folder of the run (required); its config counts.")
    its.listed(
        "steps", "With --rescue, steps of checkpoints that the run keeps (see --config.keep_checkpoints). Omitted: all."
    )
    its.number(
        "further", None, "With --rescue, how many steps each fork trains. Omitted: as many as the run did.", least=1
    )
    its.text(
        "saved", "With --rescue, when a fork counts as saved: NUMBER=LOW..HIGH of its outcome, either end may be absent, such as digits=5.. or "
        "frechet=..40. Omitted: it draws half of the digits or modes (required where data have none).",
    )  # fmt: skip
    its.text(
        "workdir", "A folder for all runs; finished ones are not run again. Omitted: runs/CONFIG-study, with --rescue RUN-rescue.",
    )  # fmt: skip
    its.data()


def _study(values: Any, overrides: dict[str, str]) -> None:
    vary: dict[str, list[str]] = {}
    for given in values.vary or []:
        field, equals, listed = given.partition("=")
        if not equals or field in vary:
            raise UserError(f"--vary={given}: say --vary=FIELD=VALUE,VALUE, once for each field.")
        vary[field] = _options(listed)
    if not vary:
        raise UserError("--vary is missing: say --vary=FIELD=VALUE,VALUE, such as --vary=game.loss=hinge,wasserstein.")
    run = getattr(values, "from")
    if values.rescue != bool(run):
        raise UserError("--rescue and --from=RUN go together: name the run that is to be saved.")
    if not run and (told := [name for name in ("steps", "further", "saved") if getattr(values, name)]):
        raise UserError(f"--{told[0]} is of a rescue: it needs --rescue --from=RUN.")
    config = load(values.config, None, overrides, run)
    workdir = values.workdir or (f"{run.rstrip('/')}-rescue" if run else f"{_folder_of(config)}-study")
    from tfgan_lab.studies.rescue import rescue, saved_as
    from tfgan_lab.studies.study import markdown, study

    seeds = range(values.first_seed, values.first_seed + values.seeds)
    how = (values.data_dir, workers_of(values), values.config)
    if run:
        steps, saved = _steps(values.steps or []), saved_as(values.saved, config)
        result = rescue(config, run, steps, vary, seeds, workdir, saved, values.further or 0, *how)
    else:
        result = study(config, vary, seeds, workdir, *how)
    print(f"\n{markdown(result)}\n\nlook at: {workdir}/study.html", flush=True)


def _steps(listed: list[str]) -> list[int]:
    try:
        return [int(step) for step in listed]
    except ValueError:
        raise UserError(f"--steps={','.join(listed)}: name steps, such as --steps=1000,2000.") from None


def _folder_of(config: Any) -> str:
    return f"runs/{config.name.replace(':', '-')}"


VERBS = {
    "train": Verb(_train, _train_flags, "trains a config, or resumes a run", [
        "tfgan-lab train",
        "tfgan-lab train --config=mlp_gan --data_dir=MNIST_FOLDER --config.seed=1",
        "tfgan-lab train --workdir=runs/mlp_gan            (resumes it)",
        "tfgan-lab train --from=runs/mlp_gan --config.game.penalty=r1 --config.epochs=250 --workdir=runs/rescued",
        "tfgan-lab train --live            (with a page that shows its samples and curves as they come)",
    ]),
    "watch": Verb(_watch, _watch_flags, "serves a run's page on this machine, which follows the run while it trains", [
        f"tfgan-lab watch --workdir=runs/{DEFAULT_CONFIG}            (stop it with Ctrl-C: the training does not notice)",
    ], takes_fields=False),
    "sweep": Verb(_sweep, _sweep_flags, "trains a config for each value of one field and compares them", [
        "tfgan-lab sweep --config=mlp_gan --field=game.d_steps --values=1,5,20 --workdir=runs/k_sweep",
        "tfgan-lab sweep --config=gaussian --field=seed --values=0,1,2,3",
    ]),
    "study": Verb(_study, _study_flags, "trains every combination of fields' values over seeds and compares them", [
        "tfgan-lab study --config=plane:grid25 --vary=loss=non_saturating,hinge --vary=penalty=none,r1 --seeds=10",
        "tfgan-lab study --rescue --from=RUN --steps=600,1500 --vary=game.penalty=r1,dragan      (of a run that kept them)",
    ]),
}  # fmt: skip
