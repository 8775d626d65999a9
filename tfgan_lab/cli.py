"""The command line, `tfgan-lab VERB --flags`: the only reader of flags."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from tfgan_lab import __version__
from tfgan_lab.errors import UserError, nearest

DEFAULT_CONFIG = "first_gan"
_INTRODUCTION = """\
tfgan-lab: the classic GANs of five blog posts, reproduced.

usage: tfgan-lab VERB [--flag=value …]        tfgan-lab VERB --help

{verbs}

Start with `tfgan-lab train`: it needs no data and no network, and ends with pictures of digits in runs/{default}.
"""


class Verb:
    """One verb: its flags, its help and what it does.

    Args:
      run: Called with the parsed flags and the config overrides; heavy imports happen in it.
      define: Adds the verb's flags.
      summary: One line.
      examples: Command lines that work as they stand.
    """

    def __init__(
        self,
        run: Callable[[Any, dict[str, str]], None],
        define: Callable[[flags.FlagValues], None],
        summary: str,
        examples: Sequence[str],
    ) -> None:
        self.run, self.define, self.summary, self.examples = run, define, summary, examples

    def flags(self) -> flags.FlagValues:
        values = flags.FlagValues()
        self.define(values)
        return values

    def help(self, name: str) -> str:
        """The text of `tfgan-lab VERB --help`."""
        lines = [f"tfgan-lab {name}: {self.summary}", "", "flags:"]
        values = self.flags()
        for flag in sorted(values[key].name for key in values):
            default = values[flag].default
            shown = "" if default in (None, "", False) else f" (default: {default})"
            lines += textwrap.wrap(
                f"{values[flag].help}{shown}", 108, initial_indent=f"  --{flag}: ", subsequent_indent="      "
            )
        if "config" in values:
            lines.append(
                "  --config.FIELD=VALUE: sets any field of the config, such as --config.seed=1 or --config.game.d_steps=5"
            )
        return "\n".join([*lines, "", "examples:", *(f"  {example}" for example in self.examples)])


def _config_flag(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "config", None, "A config of the package by name (see `tfgan-lab list`), or path.py; either with :variant. "
        f"Left away: the one in --workdir, else {DEFAULT_CONFIG}.", flag_values=values,
    )  # fmt: skip


def _data_flag(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "data_dir", None, "Where data is: a folder with the MNIST idx files (or TFDS's), a folder of images, or an .h5 file. "
        "MNIST also from $TFGAN_LAB_DATA_DIR. Left away: what is found, else what the package brings.", flag_values=values,
    )  # fmt: skip


def _workdir_flag(values: flags.FlagValues, text: str) -> None:
    flags.DEFINE_string("workdir", None, text, flag_values=values)


def _train_flags(values: flags.FlagValues) -> None:
    _config_flag(values)
    _data_flag(values)
    _workdir_flag(values, "The run's folder; a run that is there is resumed. Left away: runs/CONFIG.")
    flags.DEFINE_bool("dry_run", False, "Print the resolved config and stop.", flag_values=values)


def _sample_flags(values: flags.FlagValues) -> None:
    _workdir_flag(values, "A trained run.")
    flags.DEFINE_integer(
        "num", None, "How many samples. Left away: 64; with --label the post's 2x3 grid; without it six of each digit for "
        "conditional generators; 10,000 numbers for the Gaussian.", lower_bound=1, upper_bound=1_000_000, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer(
        "seed", 0, "Same seed, same samples.", lower_bound=0, upper_bound=2**63 - 1, flag_values=values
    )
    flags.DEFINE_integer(
        "label",
        None,
        "The digit to draw, 0 to 9 (conditional generators only). Left away: all, a row each.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out", None, "The file to write, .png or .npz. Left away: WORKDIR/drawn.png.", flag_values=values
    )


def _export_flags(values: flags.FlagValues) -> None:
    _workdir_flag(values, "A trained run.")
    flags.DEFINE_string("out", None, "Where the SavedModel goes. Left away: WORKDIR/export.", flag_values=values)


def _evaluate_flags(values: flags.FlagValues) -> None:
    _workdir_flag(values, "A trained run: its export is evaluated.")
    flags.DEFINE_string(
        "saved_model", None, "Instead of --workdir: a SavedModel folder that tfgan-lab exported.", flag_values=values
    )
    flags.DEFINE_integer(
        "num", None, "How many samples. Left away: 10,000 images (montages: half the real ones, at most 1,000) or 100,000 numbers.",
        lower_bound=1, upper_bound=1_000_000, flag_values=values,
    )  # fmt: skip
    _judge_flag(values)
    flags.DEFINE_integer(
        "seed", 0, "Same seed, same samples.", lower_bound=0, upper_bound=2**63 - 1, flag_values=values
    )
    flags.DEFINE_string(
        "out",
        None,
        "The JSON file to write. Left away: metrics.json in --workdir, or beside --saved_model.",
        flag_values=values,
    )
    _data_flag(values)


def _judge_flag(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "judge", None, "The run folder of a classifier that was trained on this data. Left away: the one for MNIST that the package brings.",
        flag_values=values,
    )  # fmt: skip


def _sweep_flags(values: flags.FlagValues) -> None:
    _config_flag(values)
    flags.DEFINE_string("field", None, "The field of the config to change, such as game.d_steps.", flag_values=values)
    flags.DEFINE_string(
        "values",
        None,
        "What to set it to: 1,5,20 (values with commas in them apart by semicolons: 64,64;256,256).",
        flag_values=values,
    )
    _workdir_flag(
        values, "A folder for all runs, each in its own; finished ones are not run again. Left away: runs/CONFIG-FIELD."
    )
    _judge_flag(values)
    _data_flag(values)


def _show_flags(values: flags.FlagValues) -> None:
    _config_flag(values)
    _data_flag(values)
    flags.DEFINE_string("out", None, "Also a picture of some examples (.png).", flag_values=values)


def _montage_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("out", None, "The .h5 file to write.", flag_values=values)
    flags.DEFINE_integer("num", 2000, "How many faces.", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Same seed, same faces.", lower_bound=0, upper_bound=2**63 - 1, flag_values=values)
    flags.DEFINE_bool("overwrite", False, "Replace a file that is there.", flag_values=values)


def _parity_flags(values: flags.FlagValues) -> None:
    _config_flag(values)
    flags.DEFINE_enum("dtype", "float64", ["float64", "float32"], "The precision of both programs.", flag_values=values)
    flags.DEFINE_integer("updates", 100, "Steps of the game to compare.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("json", None, "Also write every row to this file.", flag_values=values)


def _import_flags(values: flags.FlagValues) -> None:
    _config_flag(values)
    _workdir_flag(values, "The run's folder to make: new or empty.")
    flags.DEFINE_string("state_dict", None, "The .pt, .pth or .npz of network.state_dict().", flag_values=values)
    flags.DEFINE_string("discriminator", None, "Also the discriminator's state_dict.", flag_values=values)
    flags.DEFINE_integer("step", 1, "How many steps it was trained.", lower_bound=1, flag_values=values)


def _export_torch_flags(values: flags.FlagValues) -> None:
    _workdir_flag(values, "A trained run.")
    flags.DEFINE_string("out", None, "The .pt or .npz file to write.", flag_values=values)
    flags.DEFINE_enum(
        "role",
        None,
        ["generator", "discriminator", "classifier"],
        "Which network. Left away: the one the run is for.",
        flag_values=values,
    )


def _no_flags(values: flags.FlagValues) -> None:
    del values


def _load(reference: str | None, workdir: str | None, overrides: dict[str, str]) -> Any:
    from tfgan_lab import config as config_lib
    from tfgan_lab.experiments import load_config
    from tfgan_lab.training.workdir import Workdir

    if reference is None and workdir is not None and Workdir(workdir).exists():
        config = Workdir(workdir).read_config()
    else:
        config = config_lib.validate(load_config(reference or DEFAULT_CONFIG))
    return config_lib.override(config, overrides)


def _train(values: Any, overrides: dict[str, str]) -> None:
    config = _load(values.config, values.workdir, overrides)
    if values.dry_run:
        from tfgan_lab.config import to_json

        print(to_json(config), end="")
        return
    _start(config.deterministic, config.onednn)
    from tfgan_lab.trainer import train

    train(config, values.workdir or f"runs/{config.name.replace(':', '-')}", values.data_dir)


def _sample(values: Any, overrides: dict[str, str]) -> None:
    workdir = _required(values, "workdir")
    out = values.out or f"{workdir}/drawn.png"
    if not out.endswith((".png", ".npz")):
        raise UserError(f"--out={out}: the file's name must end in .png or .npz.")
    _start()
    from tfgan_lab.sample import sample_run, write_samples

    drawn, run = sample_run(workdir, values.num, values.seed, values.label)
    for note in run.notes:
        print(note)
    write_samples(drawn, out, run, values.label)
    print(f"{len(drawn)} samples (seed {values.seed}) of {run.config.name} after {run.step:,} steps: {out}")


def _export(values: Any, overrides: dict[str, str]) -> None:
    workdir = _required(values, "workdir")
    _start()
    from tfgan_lab.export import export_network
    from tfgan_lab.training.restored import restore_run

    run = restore_run(workdir)
    network = run.networks.get("generator") or run.networks["classifier"]
    data = run.workdir.read_record().get("data", {})
    out = values.out or str(run.workdir.export)
    difference = export_network(
        run.config, network, out, {"step": run.step, "seed": run.config.seed, "trained_on": data}
    )
    for note in run.notes:
        print(note)
    print(
        f"{out}: {run.config.name} after {run.step:,} steps; largest difference to the live network {difference:.1e} (16 inputs)"
    )


def _evaluate(values: Any, overrides: dict[str, str]) -> None:
    if values.workdir and values.saved_model:
        raise UserError("--workdir and --saved_model exclude each other: name one.")
    run = values.saved_model or _required(values, "workdir")
    _start(onednn=True)
    from tfgan_lab.evaluation import evaluate, print_table

    print_table(evaluate(run, values.data_dir, values.num, values.judge, values.seed, values.out))


def _sweep(values: Any, overrides: dict[str, str]) -> None:
    field, listed = _required(values, "field"), _required(values, "values")
    config = _load(values.config, None, overrides)
    workdir = values.workdir or f"runs/{config.name.replace(':', '-')}-{field}"
    _start(config.deterministic, config.onednn)
    from tfgan_lab.sweep import markdown, sweep

    options = [value.strip() for value in listed.split(";" if ";" in listed else ",") if value.strip()]
    result = sweep(config, field, options, workdir, values.data_dir, values.judge)
    print(f"\n{markdown(result)}\n\nlook at: {workdir}/sweep.png, {workdir}/sweep.md", flush=True)


def _data(values: Any, overrides: dict[str, str]) -> None:
    from tfgan_lab.data import open_source

    config = _load(values.config, None, overrides)
    _start()
    source = open_source(config.data, values.data_dir)
    print(source.chosen)
    for name, provenance in source.provenance.items():
        print(f"{name}: {provenance}")
    if values.out:
        from tfgan_lab.report.gallery import write_preview

        print(f"examples: {write_preview(source, values.out)}")


def _make_montage(values: Any, overrides: dict[str, str]) -> None:
    out = _required(values, "out")
    from tfgan_lab.data.montage_hdf5 import write_montage

    write_montage(out, values.num, values.seed, overwrite=values.overwrite)
    print(f"{values.num:,} faces (seed {values.seed}) in the post's layout: {out}")


def _parity(values: Any, overrides: dict[str, str]) -> None:
    reference = _required(values, "config")
    _start()
    from tfgan_lab.compare.parity import first_difference, format_table, run_parity, write_json
    from tfgan_lab.config import override, validate
    from tfgan_lab.experiments import load_config

    rows = run_parity(override(validate(load_config(reference)), overrides), values.dtype, values.updates)
    print(f"{reference} against the post's program in PyTorch, {values.dtype}, {values.updates} updates")
    print(format_table(rows))
    if values.json:
        write_json(values.json, rows, config=reference, dtype=values.dtype, updates=values.updates)
    first = first_difference(rows)
    if first is not None:
        raise UserError(f"{reference} differs from the post's program, first in {first.stage}: {first.tensor}.")


def _import_torch(values: Any, overrides: dict[str, str]) -> None:
    state_dict, reference, workdir = (_required(values, name) for name in ("state_dict", "config", "workdir"))
    _start()
    from tfgan_lab.compare.import_torch import import_torch
    from tfgan_lab.config import override, validate
    from tfgan_lab.experiments import load_config

    config = override(validate(load_config(reference)), overrides)
    import_torch(state_dict, config, workdir, discriminator_path=values.discriminator, step=values.step)
    print(f"{state_dict} is now the run {workdir}. Next: tfgan-lab sample --workdir={workdir}")


def _export_torch(values: Any, overrides: dict[str, str]) -> None:
    workdir, out = _required(values, "workdir"), _required(values, "out")
    _start()
    from tfgan_lab.compare.import_torch import export_torch

    print(f"state_dict: {export_torch(workdir, out, values.role)}")


def _list(values: Any, overrides: dict[str, str]) -> None:
    from tfgan_lab.experiments import summaries

    rows = summaries()
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        print(f"{name:<{width}}  {summary}")


def _required(values: Any, name: str) -> str:
    given = getattr(values, name)
    if not given:
        raise UserError(f"--{name} is missing: say --{name}=PATH.")
    return given


def _start(deterministic: bool = True, onednn: bool = False) -> None:
    from tfgan_lab.runtime import start_tensorflow

    start_tensorflow(deterministic, onednn=onednn)


VERBS = {
    "train": Verb(_train, _train_flags, "trains a config, or resumes a run", [
        "tfgan-lab train",
        "tfgan-lab train --config=mlp_gan --data_dir=MNIST_FOLDER --config.seed=1",
        "tfgan-lab train --workdir=runs/mlp_gan            (resumes it)",
    ]),
    "sample": Verb(_sample, _sample_flags, "draws from a trained run", [
        f"tfgan-lab sample --workdir=runs/{DEFAULT_CONFIG} --num=64 --seed=7 --out=grid.png",
        f"tfgan-lab sample --workdir=runs/{DEFAULT_CONFIG} --num=1000 --out=digits.npz",
        "tfgan-lab sample --workdir=runs/cgan_layernorm --label=3            (the post's 2x3 grid)",
    ]),
    "evaluate": Verb(_evaluate, _evaluate_flags, "measures a trained run's samples (or a classifier's answers)", [
        f"tfgan-lab evaluate --workdir=runs/{DEFAULT_CONFIG}",
        "tfgan-lab evaluate --saved_model=generator --num=2000 --data_dir=MNIST_FOLDER",
    ]),
    "sweep": Verb(_sweep, _sweep_flags, "trains a config for each value of one field and compares them", [
        "tfgan-lab sweep --config=mlp_gan --field=game.d_steps --values=1,5,20 --workdir=runs/k_sweep",
        "tfgan-lab sweep --config=gaussian --field=seed --values=0,1,2,3",
    ]),
    "export": Verb(_export, _export_flags, "writes a run's generator as a SavedModel and checks it", [
        f"tfgan-lab export --workdir=runs/{DEFAULT_CONFIG} --out=generator",
    ]),
    "data": Verb(_data, _show_flags, "shows which data a config would take", ["tfgan-lab data --config=mlp_gan --out=digits.png"]),
    "data make-montage": Verb(_make_montage, _montage_flags, "draws composite faces into a file in the post's HDF5 layout", [
        "tfgan-lab data make-montage --num=2000 --out=faces.h5",
    ]),
    "compare parity": Verb(_parity, _parity_flags, "checks a config step by step against the post's program in PyTorch", [
        "tfgan-lab compare parity --config=mlp_gan",
    ]),
    "compare import-torch": Verb(_import_torch, _import_flags, "makes a run from a PyTorch state_dict of a post's network", [
        "tfgan-lab compare import-torch --config=mlp_gan --state_dict=G.pt --workdir=runs/from_torch",
    ]),
    "compare export-torch": Verb(_export_torch, _export_torch_flags, "writes a run's network as a PyTorch state_dict", [
        "tfgan-lab compare export-torch --workdir=runs/mlp_gan --out=G.pt",
    ]),
    "list": Verb(_list, _no_flags, "lists the configs", ["tfgan-lab list"]),
}  # fmt: skip


def _parse(verb: Verb, arguments: Sequence[str]) -> tuple[flags.FlagValues, dict[str, str]]:
    overrides, rest = {}, []
    pending = iter(arguments)
    for argument in pending:
        match = re.fullmatch(r"--?config\.([^=]*)(?:=(.*))?", argument, re.DOTALL)
        if match:
            value = match[2] if match[2] is not None else next(pending, None)
            if value is None:
                raise UserError(f"{argument} needs a value: {argument}=VALUE.")
            overrides[match[1]] = value
        else:
            rest.append(argument)
    values = verb.flags()
    if overrides and "config" not in values:
        raise UserError("this verb takes no --config.FIELD: it uses the config in its --workdir.")
    try:
        positional = values(["tfgan-lab", *rest])[1:]
    except flags.Error as error:
        raise UserError(" ".join(str(error).split()) + ". See --help.") from None
    if positional:
        raise UserError(f"unexpected argument {positional[0]!r}: flags look like --name=value. See --help.")
    return values, overrides


def _dispatch(arguments: Sequence[str]) -> None:
    name = arguments[0] if arguments else "--help"
    pair = " ".join(arguments[:2])
    if name in ("--help", "-h", "-help", "help"):
        width = max(map(len, VERBS))
        verbs = "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())
        print(_INTRODUCTION.format(verbs=verbs, default=DEFAULT_CONFIG), end="")
    elif name == "--version":
        print(__version__)
    elif pair not in VERBS and name not in VERBS:
        below = [verb for verb in VERBS if verb.startswith(f"{name} ")]
        raise UserError(
            f"{name} needs one of: {', '.join(below)}."
            if below
            else f"there is no verb {name!r}.{nearest(name, VERBS)} See tfgan-lab --help."
        )
    else:
        name, rest = (pair, arguments[2:]) if pair in VERBS else (name, arguments[1:])
        if {"--help", "-h", "-help"} & set(rest):
            print(VERBS[name].help(name))
        else:
            VERBS[name].run(*_parse(VERBS[name], rest))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for a user's mistake, 3 for NaN, 130 after Ctrl-C."""
    try:
        _dispatch(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"tfgan-lab: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("tfgan-lab: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    return 0
