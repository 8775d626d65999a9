"""How samples are drawn, by kind of data: pictures of a run, of `sample`, of a sweep, and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfgan_lab import pictures
from tfgan_lab.config import Config, Data, GanConfig, ImageData, NumberData, Plane
from tfgan_lab.data_kinds import of_kind
from tfgan_lab.export.saved_model import GeneratorModule
from tfgan_lab.figures import BLUE, ORANGE, png
from tfgan_lab.layer_base import every_layer
from tfgan_lab.layers import BatchNorm
from tfgan_lab.networks import drawn_from
from tfgan_lab.randomness import sample_seed
from tfgan_lab.report import page_charts, page_pictures, plane_plots, plots
from tfgan_lab.report.page_contents import Parts, RunPage
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.restored import on_both_statistics
from tfgan_lab.training.sampler import columns_of, samples_in
from tfgan_lab.words import counted

_MOST_PIXELS = 2**26  # of one picture, which viewers still open
_MOST_DENSITIES = 16
_MOST_SCATTERS = 12
_ON_TWO_STATISTICS = 16  # samples on each
_STATISTICS = {"own": "each image's own statistics", "running": "running statistics"}

Moments = Sequence[tuple[int, np.ndarray]]  # (step, samples) from early to late
Figures = Iterator[tuple[str, Figure]]  # (file's name, figure)


class Drawing:
    """How a kind of data is drawn: `picture` at least; what else is not overridden is omitted.

    Samples are as `tfgan_lab.training.sampler.Sampler` keeps them: images are uint8 [N, H, W, C].

    Attributes:
      judged_on: What a run without a test split is judged on in training.
      least: How many samples one picture needs.
      runs_in_browser: Whether the page's script can draw them from the generator's weights.
    """

    judged_on = "generated samples"
    least = 1
    runs_in_browser = False

    def picture(self, drawn: np.ndarray, config: GanConfig, step: int) -> bytes:
        """The fixed samples after so many steps, as PNG."""
        raise NotImplementedError

    def is_of(self, picture: np.ndarray, drawn: np.ndarray, config: GanConfig) -> bool:
        """Whether a picture [H, W, C] shows these samples; True where drawing it again would cost more."""
        return True

    def number(self, config: GanConfig, label: int | None) -> int:
        """How many samples `sample` draws if nobody says: those that make a good picture."""
        return 64

    def most(self, data: Data) -> int | None:
        """How many samples one picture can hold; None for any number."""
        return None

    def answer(self, drawn: np.ndarray, config: GanConfig, step: int, label: int | str | None) -> bytes:
        """What `sample` drew (images in [0, 1]), of one label or of all in turn, as PNG."""
        return self.picture(drawn, config, step)

    def real(self, experiment: Experiment) -> bytes | None:
        """Real examples, as PNG."""
        return None

    def beside(self, experiment: Experiment, drawn: np.ndarray, step: int) -> bytes | None:
        """What is to be seen of the networks as they are now, beside the samples, as PNG: a frame of surface.gif."""
        return None

    def figures(self, experiment: Experiment, moments: Moments, title: str, provenance: str) -> Figures:
        """What a finished run leaves besides samples and curves: (file's name, figure), the most telling first."""
        yield from ()

    def panel(self, axis: Any, drawn: np.ndarray, config: GanConfig) -> None:
        """The last samples in a panel of a sweep."""

    def on_page(self, page: RunPage, parts: Parts, module: GeneratorModule | None, saved: Moments, most: int) -> None:
        """Adds to a page what comes before its generator, in so many bytes, about."""

    def moments_on_page(self, page: RunPage, parts: Parts, saved: Moments, steps_per_epoch: int, most: int) -> None:
        """Adds to a page what its generator leaves room for: samples at moments of training, of which there are some."""


class ImageDrawing(Drawing):
    """Grids of images."""

    runs_in_browser = True

    def picture(self, drawn: np.ndarray, config: GanConfig, step: int) -> bytes:
        return pictures.png_bytes(_grid(drawn, columns_of(config), config, config.label_names))

    def is_of(self, picture: np.ndarray, drawn: np.ndarray, config: GanConfig) -> bool:
        wanted = _grid(drawn, columns_of(config), config, config.label_names)
        # Of grey ones three channels are equal.
        return picture.shape[:2] == wanted.shape[:2] and bool((picture == wanted).all())

    def number(self, config: GanConfig, label: int | None) -> int:
        if not config.num_labels:
            return 64
        # Post P001's plot_images: two rows of three of one digit.
        return 6 * config.num_labels if label is None else 6

    def most(self, data: Data) -> int | None:
        height, width, _ = data.shape
        return _MOST_PIXELS // ((height + 2) * (width + 2))

    def answer(self, drawn: np.ndarray, config: GanConfig, step: int, label: int | str | None) -> bytes:
        columns, names = None, config.label_names
        if label is not None:
            columns, names = 3, ()
        elif names:
            # Labels come in turn: sorted by label, each makes a row.
            labels = np.arange(len(drawn)) % len(names)
            drawn = drawn[np.argsort(labels, kind="stable")]
            columns, names = (None, ()) if len(drawn) % len(names) else (len(drawn) // len(names), names)
        return pictures.png_bytes(_grid(pictures.to_uint8(drawn, "unit"), columns, config, names))

    def real(self, experiment: Experiment) -> bytes | None:
        return pictures.png_bytes(pictures.enlarge(pictures.grid(_real_images(experiment, 64))))

    def figures(self, experiment: Experiment, moments: Moments, title: str, provenance: str) -> Figures:
        yield "real_and_generated", _real_and_generated(experiment, moments[-1][1], title, provenance)
        if both := on_two_statistics(experiment, title, provenance):
            yield "statistics", both
        trained = [moment for moment in moments if moment[0] > 0]
        if len(trained) > 1:
            rows = evolution_rows(trained, experiment.batches.steps_per_epoch)
            yield "evolution", plots.evolution(rows, title, provenance)

    def panel(self, axis: Any, drawn: np.ndarray, config: GanConfig) -> None:
        picture = pictures.grid(drawn[:100], columns_of(config))
        axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.grid(visible=False)
        names = config.label_names[: len(picture) // (drawn.shape[1] + 2)]
        axis.set(xticks=[], yticks=(np.arange(len(names)) + 0.5) * (drawn.shape[1] + 2), yticklabels=names)

    def on_page(self, page: RunPage, parts: Parts, module: GeneratorModule | None, saved: Moments, most: int) -> None:
        if module is None:
            return
        config: Any = page.config
        page.walks = page_pictures.walks(module, config)
        page.digits = page_pictures.digit_grids(module, config) if config.num_labels else []
        if parts.source is not None:
            page.neighbours = page_pictures.neighbours(module, config, parts.source)
            if page.neighbours is None:
                page.notes.append("neighbours are omitted: the training images are streamed, or too many to search")

    def moments_on_page(self, page: RunPage, parts: Parts, saved: Moments, steps_per_epoch: int, most: int) -> None:
        config: Any = page.config
        page.moments = page_pictures.moments(saved, config, steps_per_epoch, min(most, 1_500_000))
        shown, columns = page_pictures.shown(saved[-1][1], config)
        examples = parts.source and (parts.source.test or parts.source.train)
        if examples:
            page.real = page_pictures.real_picture(examples, len(shown), columns, config)


class NumberDrawing(Drawing):
    """Densities of numbers beside those of the law."""

    judged_on = "10,000 generated numbers"
    least = 2  # one has no density
    runs_in_browser = True

    def picture(self, drawn: np.ndarray, config: GanConfig, step: int) -> bytes:
        real = _of_the_law(config, len(drawn))
        provenance = f"target {config.data}, n={len(drawn):,} each, seed {config.seed}"
        return png(plots.densities(real, drawn[:, 0], f"1-D distribution after {counted(step, 'step')}", provenance))

    def number(self, config: GanConfig, label: int | None) -> int:
        return 10_000

    def panel(self, axis: Any, drawn: np.ndarray, config: GanConfig) -> None:
        numbers, data = drawn.ravel(), config.data
        assert isinstance(data, NumberData)
        low, high = data.span
        edges = np.linspace(min(low, numbers.min()), max(high, numbers.max()), 81)
        target = np.diff(data.law().cdf(edges)) / np.diff(edges)
        axis.hist(numbers, bins=edges, density=True, color=ORANGE, alpha=0.6)
        axis.stairs(target, edges, color=BLUE, linewidth=1.3)
        axis.set(xlabel="value (blue: the target)", ylabel="density", ylim=(0, 3 * target.max()))

    def on_page(self, page: RunPage, parts: Parts, module: GeneratorModule | None, saved: Moments, most: int) -> None:
        if not saved:
            return
        config: Any = page.config
        real = _of_the_law(config, len(saved[-1][1]))

        def moment(index: int) -> dict[str, Any]:
            step, numbers = saved[index]
            chart = page_charts.densities(real, numbers[:, 0], f"{page.key}-density-{index}")
            return {"step": step, "epoch": None, "svg": chart}

        last = moment(len(saved) - 1)
        number = min(_MOST_DENSITIES, most // 2 // len(last["svg"]))
        page.densities = [*map(moment, evenly(len(saved), max(1, number))[:-1]), last]


class PlaneDrawing(Drawing):
    """Points over those of the law, and D's surface with the gradients that G sees."""

    judged_on = "2,500 generated points"

    def picture(self, drawn: np.ndarray, config: GanConfig, step: int) -> bytes:
        return png(plane_plots.samples(drawn, config, step))

    def number(self, config: GanConfig, label: int | None) -> int:
        return config.num_samples

    def most(self, data: Data) -> int | None:
        return 100_000

    def beside(self, experiment: Experiment, drawn: np.ndarray, step: int) -> bytes | None:
        return png(plane_plots.surface(experiment, drawn, step))

    def figures(self, experiment: Experiment, moments: Moments, title: str, provenance: str) -> Figures:
        step, drawn = moments[-1]
        yield "surface", plane_plots.surface(experiment, drawn, step)

    def panel(self, axis: Any, drawn: np.ndarray, config: GanConfig) -> None:
        plane_plots.panel(axis, drawn, config)

    def moments_on_page(self, page: RunPage, parts: Parts, saved: Moments, steps_per_epoch: int, most: int) -> None:
        config: Any = page.config
        for step, drawn in (saved[index] for index in evenly(len(saved), _MOST_SCATTERS)):
            alt = f"{len(drawn):,} points after {counted(step, 'step')}, over as many of {config.data}"
            picture = page_pictures.picture_of(pictures.from_png(self.picture(drawn, config, step)), alt)
            page.moments.append({"step": step, "epoch": None, "picture": picture})


# How samples are drawn, by kind of data.
DRAWINGS: dict[type[Data], Drawing] = {
    ImageData: ImageDrawing(), NumberData: NumberDrawing(), Plane: PlaneDrawing()
}  # fmt: skip


def drawing_of(config: Config) -> Drawing:
    """How a config's data is drawn. Raises `UserError` for a kind that `DRAWINGS` does not know."""
    return of_kind(DRAWINGS, config.data, "tfgan_lab.report.drawings.DRAWINGS")


def draw_missing(folder: Path, config: GanConfig) -> list[str]:
    """Draws the pictures of samples that have none (many seeds at once keep samples alone) or a damaged one.

    Returns:
      A line for each damaged file.
    """
    notes, drawing = [], drawing_of(config)
    for step, path, drawn in samples_in(folder, config):
        picture = path.with_suffix(".png")
        if drawn is None:
            notes.append(f"{path} is damaged: without these samples the pictures of step {step:,} are omitted.")
            continue
        found = pictures.read_png(picture)
        if found is None or not drawing.is_of(found, drawn, config):
            notes += [f"{picture} is damaged: drawn again."] if picture.exists() else []
            write_atomically(picture, drawing.picture(drawn, config, step))
    return notes


def _grid(drawn: np.ndarray, columns: int | None, config: GanConfig, row_names: Sequence[str]) -> np.ndarray:
    grid = pictures.enlarge(pictures.colour(pictures.grid(drawn, columns), config.sample_colormap))
    return pictures.name_rows(grid, row_names)


def evenly(length: int, number: int) -> list[int]:
    """Positions of a list, at most so many, from its first to its last."""
    return sorted({round(i) for i in np.linspace(0, length - 1, number)})


def _of_the_law(config: GanConfig, number: int) -> np.ndarray:
    """Numbers of the config's law, always the same: float32 [N]."""
    assert isinstance(config.data, NumberData)
    return config.data.draw([number], sample_seed(config.seed, 1)).numpy()


def _real_images(experiment: Experiment, number: int) -> np.ndarray:
    """Real examples to look at, uint8 [N, H, W, C]: of the test split where there is one."""
    examples = experiment.source.test or experiment.source.train
    assert examples is not None
    return examples.some(number)


def _real_and_generated(experiment: Experiment, last: np.ndarray, title: str, provenance: str) -> Figure:
    config: Any = experiment.config
    split = "test" if experiment.source.test is not None else "train"
    picked, caption = last[:16], "generated"
    if config.num_labels:
        # Two of each label: the rows of the sample grid are labels, the columns of this one.
        each = columns_of(config) or 1
        picked = np.concatenate([last[i::each] for i in range(min(2, each))])
        caption = "generated, a column per label"
    columns = max(8, config.num_labels)
    real = pictures.grid(_real_images(experiment, len(picked)), columns)
    grids = [(f"real ({split} split)", real), (caption, pictures.grid(picked, columns))]
    return plots.labelled_grids(grids, title, provenance)


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


def evolution_rows(moments: Moments, steps_per_epoch: int) -> list[tuple[str, np.ndarray]]:
    """Post P002's 10x6 grid: ten moments from the first to the last, six samples of each."""
    rows = []
    for step, samples in (moments[index] for index in evenly(len(moments), 10)):
        columns = samples[:: max(1, len(samples) // 6)][:6]
        when = f"epoch {step // steps_per_epoch}" if step % steps_per_epoch == 0 else f"step {step:,}"
        rows.append((when, columns))
    return rows
