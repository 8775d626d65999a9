"""The pictures a run leaves: real examples, curves, real against generated, evolution, film."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfgan_lab import pictures
from tfgan_lab.config import GanConfig, Init
from tfgan_lab.data import Source
from tfgan_lab.data.examples import Examples
from tfgan_lab.errors import UserError
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.figures import png, write_figure
from tfgan_lab.layer_base import every_layer
from tfgan_lab.layers import BatchNorm
from tfgan_lab.networks import drawn_from
from tfgan_lab.posts.reference import reference_of
from tfgan_lab.randomness import draw_latents, step_seed, stream_key
from tfgan_lab.report import plots
from tfgan_lab.report.sample_pictures import png_of
from tfgan_lab.system.files import refuse_foreign, write_atomically
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.restored import fresh_networks, on_both_statistics
from tfgan_lab.training.sampler import columns_of, saved_samples
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import counted, of_post

# d_real is a loss and p_real a probability: names that cannot be taken for each other.
_WORDS = {
    "d_loss": "D loss", "d_real": "D loss on real", "d_fake": "D loss on fake", "g_loss": "G loss", "p_real": "D(real)",
    "p_fake": "D(fake)",
}  # fmt: skip
_PANELS = 12  # of post P004's picture, which it draws every 10 steps
_FILM_FRAMES = 60  # more make the file big, not the film better
_ON_TWO_STATISTICS = 16  # samples on each
_STATISTICS = {"own": "each image's own statistics", "running": "running statistics"}


def provenance_line(experiment: Experiment) -> str:
    """Data and seed, as printed below every figure of a run."""
    source, config = experiment.source, experiment.config
    if not config.data.is_images:
        return f"target {config.data}; {of_post(config.post)}, seed {config.seed}"
    parts = "; ".join(str(part) for part in source.provenance.values())
    return f"{parts}; {of_post(config.post)}, seed {config.seed}"


def real_images(experiment: Experiment, number: int) -> np.ndarray:
    """Real examples to look at, uint8 [N, H, W, C]: of the test split where there is one."""
    examples = experiment.source.test or experiment.source.train
    assert examples is not None
    return some_images(examples, number)


def some_images(examples: Examples, number: int) -> np.ndarray:
    """`number` examples, always the same, uint8 [N, H, W, C]; mixed, as some sets are sorted by label."""
    picked = np.random.default_rng(0).permutation(examples.num)[:number]
    return examples.images[picked]


def write_preview(source: Source, out: str) -> str:
    """Writes a grid of training examples and returns its name.

    Raises:
      UserError: The data is endless, or the file cannot be written.
    """
    if source.train is None:
        raise UserError("--out: this data is drawn as it is needed: there is nothing to preview.")
    if not out.endswith(".png"):
        raise UserError(f"--out={out}: the file's name must end in .png.")
    refuse_foreign(out)
    picture = pictures.grid(some_images(source.train, 64))
    write_atomically(out, pictures.png_bytes(pictures.enlarge(picture)))
    return out


def write_real(folder: Workdir, experiment: Experiment) -> None:
    """Writes real.png: a grid of real examples (nothing for the Gaussian)."""
    if experiment.config.data.is_images:
        picture = pictures.grid(real_images(experiment, 64))
        write_atomically(folder.path / "real.png", pictures.png_bytes(pictures.enlarge(picture)))


def write_untrained(folder: Workdir, experiment: Experiment) -> str:
    """What post P000 looks at before it trains: G with PyTorch's start values (its own come later), and D's opinion.

    Writes untrained.png, one sample and a batch, and run.json's "untrained": D(G(z)) of five of them. As in the post
    both networks are in training mode, and G draws the batch again, with other dropout, when D is asked.

    Returns:
      The post's line, in English.
    """
    config: Any = copy.deepcopy(experiment.config)
    config.g_init = config.d_init = Init(kernel="torch", bias="torch")
    networks, latents = fresh_networks(config), config.latents

    def seed(stream: str, turn: int) -> Any:
        return step_seed(stream_key(config.seed, f"untrained/{stream}"), turn)

    def draw(rows: int, turn: int) -> Any:
        z = draw_latents(latents.distribution, latents.dim, rows, seed("latents", rows))
        return networks["generator"](z, training=True, seed=seed("dropout", turn)[None])

    single, batch = (pictures.to_uint8(draw(n, n), config.data.pixels) for n in (1, config.batch_size))
    asked = draw(config.batch_size, 0)[:5]
    logits = networks["discriminator"](asked, training=True, seed=seed("d", 0)[None])
    beliefs = [round(float(p), 4) for p in tf.sigmoid(logits)]
    grids = [("one sample", pictures.grid(single, 1)), (f"a batch of {len(batch)}", pictures.grid(batch))]
    figure = plots.labelled_grids(grids, "generator before training", provenance_line(experiment), across=True)
    write_atomically(folder.path / "untrained.png", png(figure))
    folder.write_record(untrained=beliefs)
    return f"D(G(z)) of five samples, both untrained: {' '.join(f'{p:.4f}' for p in beliefs)}"


def write_final(folder: Workdir, experiment: Experiment, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Writes all pictures of a finished run and returns their names, the most telling first."""
    config = experiment.config
    title, provenance = f"{config.name}, {counted(experiment.total_steps, 'step')}", provenance_line(experiment)
    names = []
    if isinstance(config, GanConfig):
        moments = saved_samples(folder.samples, config)
        names += _write_generator_pictures(folder, experiment, moments, rows, title, provenance)
    if any(row["kind"] == "train" for row in rows):
        names.append(
            write_figure(
                folder.path,
                "curves",
                plots.curves(rows, title, provenance, reference_of(config, folder.read_record().get("data", {}))),
            )
        )
    return names


def _write_generator_pictures(
    folder: Workdir,
    experiment: Experiment,
    moments: Sequence[tuple[int, np.ndarray]],
    rows: Sequence[dict[str, Any]],
    title: str,
    provenance: str,
) -> list[str]:
    config: Any = experiment.config
    last_step, last = moments[-1]
    kept = [row for row in rows if row["kind"] == "moments"]
    write_atomically(folder.path / "samples.png", png_of(last, config, last_step))
    names = ["samples.png"]
    if kept:
        picked = np.unique(np.linspace(0, len(kept) - 1, _PANELS).round().astype(int))
        figure = plots.normal_curves(
            [kept[index] for index in picked], f"{title}: normal curves of a step's two sets", provenance
        )
        names.append(write_figure(folder.path, "normal_curves", figure))
    if config.data.is_images:
        split = "test" if experiment.source.test is not None else "train"
        picked, caption = last[:16], "generated"
        if config.num_labels:
            # Two of each label: the rows of the sample grid are labels, the columns of this one.
            each = columns_of(config) or 1
            picked, caption = (
                np.concatenate([last[i::each] for i in range(min(2, each))]),
                "generated, a column per label",
            )
        columns = max(8, config.num_labels)
        real = pictures.grid(real_images(experiment, len(picked)), columns)
        grids = [(f"real ({split} split)", real), (caption, pictures.grid(picked, columns))]
        names.append(write_figure(folder.path, "real_and_generated", plots.labelled_grids(grids, title, provenance)))
        if both := on_two_statistics(experiment, title, provenance):
            names.append(write_figure(folder.path, "statistics", both))
        trained = [moment for moment in moments if moment[0] > 0]
        if len(trained) > 1:
            evolution = plots.evolution(_evolution_rows(trained, experiment), title, provenance)
            names.append(write_figure(folder.path, "evolution", evolution))
    if len(moments) > 1:
        write_atomically(folder.path / "film.gif", film(folder.samples, [step for step, _ in moments]))
        names.append("film.gif")
    return names


def on_two_statistics(experiment: Experiment, title: str, provenance: str) -> Figure | None:
    """The same latents drawn with each image's own statistics in BatchNorm (post P001) and with running ones.

    None for a generator that has no BatchNorm on images.
    """
    config: Any = experiment.config
    taken = {one.statistics for one in every_layer(config.generator) if isinstance(one, BatchNorm)}
    if not taken:
        return None
    networks = on_both_statistics(config, "generator", drawn_from(experiment.networks).variables)
    grids = []
    for which, network in networks.items():
        module = GeneratorModule(network, config)
        drawn = pictures.to_uint8(module.sample(config.seed, _ON_TWO_STATISTICS).numpy(), "unit")
        grids.append((_STATISTICS[which] + (" (this run's)" if taken == {which} else ""), pictures.grid(drawn)))
    title = f"{title}: the same latents, two statistics in BatchNorm"
    return plots.labelled_grids(grids, title, provenance, across=True) if grids else None


def _evolution_rows(moments: Sequence[tuple[int, np.ndarray]], experiment: Experiment) -> list[tuple[str, np.ndarray]]:
    """Post P002's 10x6 grid: ten moments from the first to the last, six samples of each."""
    picked = np.unique(np.linspace(0, len(moments) - 1, 10).round().astype(int))
    per_epoch = experiment.batches.steps_per_epoch
    rows = []
    for index in picked:
        step, samples = moments[index]
        columns = samples[:: max(1, len(samples) // 6)][:6]
        rows.append((f"epoch {step // per_epoch}" if step % per_epoch == 0 else f"step {step:,}", columns))
    return rows


def film(folder: Path, steps: Sequence[int]) -> bytes:
    """An animated GIF of the sample pictures of these steps, at most 60 frames."""
    picked = np.unique(np.linspace(0, len(steps) - 1, _FILM_FRAMES).round().astype(int))
    shown = [pictures.read_png(folder / f"step-{steps[index]:08d}.png") for index in picked]
    return pictures.gif_bytes([picture for picture in shown if picture is not None])


def last_numbers(rows: Sequence[dict[str, Any]], experiment: Experiment) -> str:
    """The last row of each kind in one line, with what it was measured on."""
    lines = []
    for kind, where in (("train", "last batch"), ("eval", _where(experiment))):
        last = next((row for row in reversed(rows) if row["kind"] == kind), None)
        if last:
            numbers = ", ".join(
                f"{_WORDS.get(k, k)} {v:.4f}"
                for k, v in last.items()
                if isinstance(v, float) and k != "epoch" and k.removesuffix("_mean") not in last.keys() - {k}
            )
            lines.append(f"{where}: {numbers}")
    return "\n".join(lines)


def _where(experiment: Experiment) -> str:
    test = experiment.source.test
    seed = f"seed {experiment.config.seed}"
    return (
        f"test split ({test.provenance.source}, n={test.num:,}, {seed})"
        if test is not None
        else f"10,000 generated numbers ({seed})"
    )
