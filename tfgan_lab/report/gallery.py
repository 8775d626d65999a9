"""The pictures a run leaves: real examples, curves, real against generated, evolution, film."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfgan_lab import pictures
from tfgan_lab.config import GanConfig, Init
from tfgan_lab.data import Source
from tfgan_lab.errors import UserError
from tfgan_lab.figures import png, write_figure
from tfgan_lab.gan import packed
from tfgan_lab.networks import build_networks
from tfgan_lab.posts.reference import reference_of
from tfgan_lab.randomness import draw_latents, step_seed, stream_key
from tfgan_lab.records import last_row, numbers_of
from tfgan_lab.report import plots
from tfgan_lab.report.drawings import drawing_of, evenly
from tfgan_lab.system.files import refuse_foreign, write_atomically
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.sampler import saved_samples
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import counted, of_post

# d_real is a loss and p_real a probability: names that cannot be taken for each other.
_WORDS = {
    "d_loss": "D loss", "d_real": "D loss on real", "d_fake": "D loss on fake", "g_loss": "G loss", "p_real": "D(real)",
    "p_fake": "D(fake)",
}  # fmt: skip
_PANELS = 12  # of post P004's picture, which it draws every 10 steps
_FILM_FRAMES = 60  # more make the file big, not the film better


def provenance_line(experiment: Experiment) -> str:
    """Data and seed, as printed below every figure of a run."""
    source, config = experiment.source, experiment.config
    if config.data.is_endless:
        return f"target {config.data}; {of_post(config.post)}, seed {config.seed}"
    parts = "; ".join(str(part) for part in source.provenance.values())
    return f"{parts}; {of_post(config.post)}, seed {config.seed}"


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
    picture = pictures.grid(source.train.some(64))
    write_atomically(out, pictures.png_bytes(pictures.enlarge(picture)))
    return out


def write_real(folder: Workdir, experiment: Experiment) -> None:
    """Writes real.png: a grid of real examples (nothing for numbers)."""
    if content := drawing_of(experiment.config).real(experiment):
        write_atomically(folder.path / "real.png", content)


def write_untrained(folder: Workdir, experiment: Experiment) -> str:
    """What post P000 looks at before it trains: G with PyTorch's start values (its own come later), and D's opinion.

    Writes untrained.png, one sample and a batch, and run.json's "untrained": D(G(z)) of five of them. As in the post
    both networks are in training mode, and G draws the batch again, with other dropout, when D is asked.

    Returns:
      The post's line, in English.
    """
    config: Any = copy.deepcopy(experiment.config)
    config.g_init = config.d_init = Init(kernel="torch", bias="torch")
    networks, latents = build_networks(config), config.latents

    def seed(stream: str, turn: int) -> Any:
        return step_seed(stream_key(config.seed, f"untrained/{stream}"), turn)

    def draw(rows: int, turn: int) -> Any:
        z = draw_latents(latents.distribution, latents.dim, rows, seed("latents", rows))
        return networks["generator"](z, training=True, seed=seed("dropout", turn)[None])

    single, batch = (pictures.to_uint8(draw(n, n), config.data.pixels) for n in (1, config.batch_size))
    asked = packed(draw(config.batch_size, 0)[: 5 * config.game.pack], config.game.pack)
    logits = networks["discriminator"](asked, training=True, seed=seed("d", 0)[None])
    beliefs = [round(float(p), 4) for p in tf.sigmoid(logits)]
    grids = [("one sample", pictures.grid(single, 1)), (f"a batch of {len(batch)}", pictures.grid(batch))]
    figure = plots.labelled_grids(grids, "generator before training", provenance_line(experiment), across=True)
    write_atomically(folder.path / "untrained.png", png(figure))
    folder.write_record(untrained=beliefs)
    return f"D(G(z)) of five samples, both untrained: {' '.join(f'{p:.4f}' for p in beliefs)}"


def write_final(folder: Workdir, experiment: Experiment, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Writes all pictures of a finished run and returns their names, the most telling first."""
    config, data = experiment.config, folder.read_record().get("data", {})
    about = f"{config.name}, {counted(experiment.total_steps, 'step')}", provenance_line(experiment)
    names = _write_generator_pictures(folder, experiment, rows, *about) if isinstance(config, GanConfig) else []
    if any(row["kind"] == "train" for row in rows):
        curves = plots.curves(rows, *about, reference_of(config, data))
        names.append(write_figure(folder.path, "curves", curves))
    return names


def _write_generator_pictures(
    folder: Workdir, experiment: Experiment, rows: Sequence[dict[str, Any]], title: str, provenance: str
) -> list[str]:
    config: Any = experiment.config
    moments, drawing = saved_samples(folder.samples, config), drawing_of(config)
    last_step, last = moments[-1]
    write_atomically(folder.path / "samples.png", drawing.picture(last, config, last_step))
    names = ["samples.png"]
    if kept := [row for row in rows if row["kind"] == "moments"]:
        panels = [kept[index] for index in evenly(len(kept), _PANELS)]
        figure = plots.normal_curves(panels, f"{title}: normal curves of a step's two sets", provenance)
        names.append(write_figure(folder.path, "normal_curves", figure))
    for name, figure in drawing.figures(experiment, moments, title, provenance):
        names.append(write_figure(folder.path, name, figure))
    if len(moments) > 1:
        for name, frames in (("film", "step"), ("surface", "surface")):
            if content := film(folder.samples, [step for step, _ in moments], frames):
                write_atomically(folder.path / f"{name}.gif", content)
                names.append(f"{name}.gif")
    return names


def film(folder: Path, steps: Sequence[int], frames: str) -> bytes | None:
    """An animated GIF of the pictures of these steps, at most 60 frames; None if there are no such pictures."""
    picked = evenly(len(steps), _FILM_FRAMES)
    shown = [pictures.read_png(folder / f"{frames}-{steps[index]:08d}.png") for index in picked]
    found = [picture for picture in shown if picture is not None]
    return pictures.gif_bytes(found) if found else None


def last_numbers(rows: Sequence[dict[str, Any]], experiment: Experiment) -> str:
    """The last row of each kind in one line, with what it was measured on."""
    words, lines = dict(_WORDS), []
    if not reference_of(experiment.config, {}).probabilities:
        words |= {"p_real": "sigmoid of D(real)", "p_fake": "sigmoid of D(fake)"}
    for kind, where in (("train", "last batch"), ("eval", _where(experiment))):
        if last := last_row(rows, kind):
            told = [k for k in numbers_of(last) if k.removesuffix("_mean") not in last.keys() - {k}]
            numbers = (f"{words.get(k, k)} {last[k]:.4f}" for k in told)
            lines.append(f"{where}: {', '.join(numbers)}")
    return "\n".join(lines)


def _where(experiment: Experiment) -> str:
    test = experiment.source.test
    seed = f"seed {experiment.config.seed}"
    if test is None:
        return f"{drawing_of(experiment.config).judged_on} ({seed})"
    return f"test split ({test.provenance.source}, n={test.num:,}, {seed})"
