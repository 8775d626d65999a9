"""What a program calls. Each starts TensorFlow as the command line does, and only then imports what needs it."""

from __future__ import annotations

import contextlib
import copy
import os
from pathlib import Path
from typing import Any

from tfgan_lab.config import Config, GanConfig, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.system.files import refuse_foreign
from tfgan_lab.system.runtime import start_for, start_tensorflow
from tfgan_lab.training.workdir import Workdir


def train(
    config: Config | str, workdir: str | os.PathLike[str], data_dir: str | None = None, *, generator: Any = None,
    discriminator: Any = None, start: str | os.PathLike[str] | None = None, verbose: bool = True,
) -> Any:  # fmt: skip
    """Trains a config in a folder, resuming what is there: bit for bit what `tfgan-lab train` does.

    TensorFlow takes some settings (`deterministic`, `onednn`, `replicas`) only when it starts. Where the program has
    started it with others, one line says which, and run.json keeps it ("started").

    Args:
      config: Such as `load_config("mlp_gan")`, or a name or path as `load_config` takes it.
      workdir: The run's folder; made if need be.
      data_dir: Where data is; None: what is found.
      generator: Any built Keras model, in the place of the config's: latents [B, Z] (of a conditional GAN [latents,
        labels]) to data of the config's shape and range. The latents become as wide as its input.
      discriminator: Likewise: images (or [images, labels]) to logits [B, 1].
      start: What a new run starts from instead of the config's start values: a run's folder, whose newest checkpoint
        counts, or "FOLDER@STEP"; or "pretrained:NAME", whose generator starts. Steps are counted on. What cannot be
        carried over is said, and is in run.json ("fork").
      verbose: False prints nothing but the bar of a long preparation of data.

    Returns:
      The run, a `tfgan_lab.training.run.Run`: its rows, its generator, its samples. With `num_seeds` > 1 a list of
      them.

    Raises:
      UserError: A mistake that its user can fix; `TrainingDiverged` for NaN; `Interrupted` after Ctrl-C.
    """
    config = validate(load_config(config) if isinstance(config, str) else config)
    if not os.fspath(workdir):
        raise UserError("workdir is empty: name a folder.")
    if data_dir and not config.data.reads_files:
        remedy = "omit it" if config.data.is_endless else "set --config.data.source=auto, or omit it"
        raise UserError(f"--data_dir={data_dir} is not read, as this config's data come with the package: {remedy}.")
    start_for(config)
    if generator is not None or discriminator is not None:
        config = _with_models(config, generator, discriminator)
        lost = (
            "Keras models of this program are trained: to continue, or to draw from checkpoints, pass them again; the page has no "
            "generator to play with, and PyTorch gets no weights. The export holds all that it needs."
        )
    else:
        lost = ""
    from tfgan_lab import trainer
    from tfgan_lab.training.terminal import muted, say

    with contextlib.nullcontext() if verbose else muted():
        if lost:
            say(lost)
        return trainer.train(config, workdir, data_dir, start)


def _with_models(config: Config, generator: Any, discriminator: Any) -> Config:
    """The config with Keras models in its networks' place."""
    from tfgan_lab.keras_models import hold

    if not isinstance(config, GanConfig):
        raise UserError(f"{config.name} is a {config.kind}: generator= and discriminator= are for GANs.")
    config = copy.deepcopy(config)
    if generator is not None:
        config.generator = [hold(generator, "generator")]
        shapes = generator.input_shape if hasattr(generator, "input_shape") else [(None, config.latents.dim)]
        config.latents.dim = (shapes[0] if isinstance(shapes, list) else shapes)[-1]
    if discriminator is not None:
        config.discriminator = [hold(discriminator, "discriminator")]
    return config


def evaluate(
    run: str | os.PathLike[str], data_dir: str | None = None, num: int | None = None, judge: str | None = None, seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measures a run's export, as `tfgan-lab evaluate` does: see `tfgan_lab.evaluation.exported.evaluate`.

    Where `run` is a run's folder and `out` is None, its report.html is brought up to date, too: "page" names it.
    """
    page = Path(run, "report.html") if out is None and Workdir(run).exists() else None
    refuse_foreign(page)
    start_tensorflow(onednn=True)
    from tfgan_lab.evaluation import exported
    from tfgan_lab.report.page import report

    result = exported.evaluate(run, data_dir, num, judge, seed, out)
    return result | ({"page": str(report([run], data_dir=data_dir))} if page else {})


def load_generator(path: str | os.PathLike[str]) -> Any:
    """Loads an exported generator, or "pretrained:NAME": see `tfgan_lab.export.saved_model.load_generator`."""
    start_tensorflow()
    from tfgan_lab.export import saved_model

    return saved_model.load_generator(path)


def __getattr__(name: str) -> Any:
    """`GAN`, a class of Keras: TensorFlow is started before it is imported."""
    if name != "GAN":
        raise AttributeError(f"module 'tfgan_lab.api' has no attribute {name!r}")
    start_tensorflow(cluster=True)  # runs no op: what `train` asks for can still be set
    from tfgan_lab.gan import GAN

    return GAN
