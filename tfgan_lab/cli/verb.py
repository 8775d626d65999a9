"""What a verb is, and the flags and steps that several verbs share."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from tfgan_lab.errors import UserError

DEFAULT_CONFIG = "first_gan"


class Flags:
    """The flags of one verb, as its `define` adds them. The later methods are flags that several verbs have."""

    def __init__(self) -> None:
        self.values = flags.FlagValues()

    def text(self, name: str, told: str, default: str | None = None) -> None:
        flags.DEFINE_string(name, default, told, flag_values=self.values)

    def texts(self, name: str, told: str) -> None:
        """One that may be given several times."""
        flags.DEFINE_multi_string(name, None, told, flag_values=self.values)

    def listed(self, name: str, told: str, default: list[str] | None = None) -> None:
        """One whose value has commas between its parts."""
        flags.DEFINE_list(name, default, told, flag_values=self.values)

    def number(self, name: str, default: int | None, told: str, least: int, most: int | None = None) -> None:
        flags.DEFINE_integer(name, default, told, lower_bound=least, upper_bound=most, flag_values=self.values)

    def switch(self, name: str, told: str, default: bool = False) -> None:
        flags.DEFINE_bool(name, default, told, flag_values=self.values)

    def choice(self, name: str, default: str | None, choices: list[str], told: str) -> None:
        flags.DEFINE_enum(name, default, choices, told, flag_values=self.values)

    def config(self, omitted: str = f"Omitted: {DEFAULT_CONFIG}.") -> None:
        self.text(
            "config", "A config of the package by name (see `tfgan-lab list`), or path.py; either with :variant, and some with "
            f"arguments (mlp_gan:hidden=64). {omitted}",
        )  # fmt: skip

    def kinds(self) -> None:
        self.text(
            "config", "The run's config file (path.py), if it defines layers, data, losses or penalties of its own. "
            "Omitted: it defines none.",
        )  # fmt: skip

    def data(self) -> None:
        self.text(
            "data_dir", "Where data is: a folder with the MNIST idx files (or TFDS's), a folder of images (or of a folder for each class), or an .h5 file. "
            "MNIST also from $TFGAN_LAB_DATA_DIR. Omitted: what is found, else what the package brings. Not for first_gan, which has its own digits.",
        )  # fmt: skip

    def judge(self) -> None:
        self.text(
            "judge", "The run folder of a classifier that was trained on this data. Omitted: the config's, else the one for MNIST that the package brings."
        )  # fmt: skip

    def jobs(self) -> None:
        self.number("jobs", None, "Runs at a time, one thread each. Omitted: one per core.", 1, 256)
        self.text(
            "cluster", "A Dask scheduler, such as tcp://HOST:8786, whose workers do the runs (needs the extra [cluster]); start the command in a folder "
            "that all machines share, with --workdir in it. Omitted: this machine does them.",
        )  # fmt: skip

    def port(self) -> None:
        self.number("port", 0, "Where the live page is served, on 127.0.0.1; 0 takes a free port.", 0, 65535)

    def seed(self, same: str = "samples") -> None:
        self.number("seed", 0, f"Same seed, same {same}.", 0, 2**63 - 1)

    def seeds(self, told: str) -> None:
        self.number("seeds", 5, told, 1, 10_000)
        self.number("first_seed", 0, "The first of them.", 0, 2**31)


@dataclasses.dataclass
class Verb:
    """One verb: its flags, its help and what it does."""

    run: Callable[[Any, dict[str, str]], None]  # on the parsed flags and config overrides; heavy imports happen in it
    define: Callable[[Flags], None]  # adds its flags
    summary: str  # one line
    examples: Sequence[str]  # command lines that work as they stand
    takes_fields: bool = True  # where it has --config

    def sets_fields(self) -> bool:
        """Whether `--config.FIELD=VALUE` means something to it."""
        return self.takes_fields and "config" in self.flags()

    def flags(self) -> flags.FlagValues:
        its = Flags()
        self.define(its)
        return its.values

    def help(self, name: str) -> str:
        """The text of `tfgan-lab VERB --help`."""
        lines = [f"tfgan-lab {name}: {self.summary}", "", "flags:"]
        values = self.flags()
        for flag in sorted(values[key].name for key in values):
            own = str(values[flag].help).partition(_OF_ABSL)[0]
            told = f"{own}{_default(values[flag].default)}"
            lines += textwrap.wrap(told, 108, initial_indent=f"  --{flag}: ", subsequent_indent="      ")
        if self.sets_fields():
            lines.append(
                "  --config.FIELD=VALUE: sets any field of the config, such as --config.seed=1 or --config.game.d_steps=5"
            )
        return "\n".join([*lines, "", "examples:", *(f"  {example}" for example in self.examples)])


_OF_ABSL = ";\n    repeat this option"  # begins what it adds of a flag that may be given again


def _default(value: Any) -> str:
    """A flag's default for its help; one without says itself what happens if it is omitted."""
    if value is None:
        return ""
    shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
    return f" (default: {','.join(shown) if isinstance(shown, list) else shown})"


def workers_of(values: Any) -> int | str:
    """Of `Flags.jobs`: how many runs at a time, or the address of the cluster that does them."""
    if values.jobs and values.cluster:
        raise UserError("--jobs and --cluster exclude each other: a cluster does a run for each thread of its workers.")
    from tfgan_lab.system.cache import usable_cores

    return values.cluster or values.jobs or usable_cores()


def know_kinds(values: Any) -> None:
    """Executes the config file that is named, so that the layers, data, losses and penalties that it defines are known."""
    if values.config:
        from tfgan_lab.config_files import load_config

        load_config(values.config)


def load(reference: str | None, workdir: str | None, overrides: dict[str, str], start: str | None = None) -> Any:
    from tfgan_lab import config as config_lib
    from tfgan_lab.config_files import load_config
    from tfgan_lab.training.workdir import Workdir, config_at

    if reference is None and start:
        config = config_at(start)
    elif reference is None and workdir is not None and Workdir(workdir).exists():
        config = Workdir(workdir).read_config()
    else:
        config = load_config(reference or DEFAULT_CONFIG)
    return config_lib.override(config, overrides)


def required(values: Any, name: str) -> str:
    given = getattr(values, name)
    if not given:
        raise UserError(f"--{name} is missing: say --{name}=… (see --help).")
    return given


def start() -> None:
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow()
