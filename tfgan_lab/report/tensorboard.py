"""What TensorBoard shows of a run: scalars, pictures, its config as hparams, its networks as a graph."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from PIL import Image

from tfgan_lab.config import Changes, ClassifierConfig, Config, flattened, what_changes
from tfgan_lab.errors import UserError
from tfgan_lab.gan import packed
from tfgan_lab.pictures import read_png
from tfgan_lab.records import numbers_of
from tfgan_lab.system.files import read_bytes, reason_of
from tfgan_lab.training.workdir import Workdir

# The numbers by which TensorBoard's table of hparams compares runs.
_COMPARED = (
    "eval/p_real", "eval/p_fake", "eval/accuracy", "eval/fake_mean", "eval/fake_std", "metrics/frechet",
    "train/d_loss_mean", "train/g_loss_mean",
)  # fmt: skip


class TensorBoard:
    """Event files; a resumed run writes them again from metrics.jsonl and sample pictures: no step stands twice.

    Raises:
      UserError: The disk refuses; so do all methods.
    """

    def __init__(self, workdir: Workdir, rows: Sequence[dict[str, Any]]) -> None:
        self._folder = workdir.tensorboard
        with self._naming_the_disk():
            workdir.tensorboard.mkdir(exist_ok=True)
            for events in workdir.tensorboard.glob("events.out.tfevents.*"):
                events.unlink()
            self._writer = tf.summary.create_file_writer(str(workdir.tensorboard))
        for row in rows:
            self.scalars(row)
        for path in sorted(workdir.samples.iterdir()) if workdir.samples.is_dir() else ():
            found = re.fullmatch(r"step-(\d{8,18})\.png", path.name)
            if found and read_png(path) is not None:
                self.samples(read_bytes(path), int(found[1]))

    def describe(self, config: Config, networks: dict[str, Any]) -> None:
        """Writes a run's config as hparams, and its networks, by role, as a graph."""
        from tensorboard.plugins.hparams import api

        kept = {k: v for k, v in flattened(config).items() if what_changes(config, k) is not Changes.PRINTED}
        fields = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in kept.items()}
        metrics = [api.Metric(name) for name in _COMPARED]
        with self._writing(0):
            api.hparams_config(hparams=[api.HParam(name) for name in fields], metrics=metrics)
            api.hparams(fields, trial_id=config.name)
            tf.summary.graph(_graph_of(config, networks))

    def scalars(self, row: dict[str, Any]) -> None:
        """Writes every number of a metrics row under kind/name."""
        with self._writing(row["step"]):
            for name, value in numbers_of(row).items():
                tf.summary.scalar(f"{row['kind']}/{name}", value)

    def samples(self, content: bytes, step: int) -> None:
        """Writes a picture of samples, a PNG file's content, as it is: `tf.summary.image` would encode it once more."""
        from tensorboard.plugins.image.metadata import create_summary_metadata

        with Image.open(io.BytesIO(content)) as picture:
            size = [str(length).encode() for length in picture.size]
        about = create_summary_metadata(display_name=None, description=None)
        with self._writing(step):
            tf.summary.write("samples", tf.constant([*size, content]), metadata=about)

    def finish(self) -> None:
        """Says that the run came to its end, and closes."""
        from tensorboard.plugins.hparams import summary

        with self._writing(0):
            end = summary.session_end_pb("STATUS_SUCCESS").SerializeToString()
            tf.summary.experimental.write_raw_pb(end, step=0)
        self.close()

    def close(self) -> None:
        """Writes what is held back."""
        with self._writing(0):
            self._writer.close()

    @contextlib.contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        with self._naming_the_disk(), self._writer.as_default(step=step):
            yield

    @contextlib.contextmanager
    def _naming_the_disk(self) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            remedy = "Free space or fix permissions, then run again."
            raise UserError(f"{self._folder} cannot be written ({reason_of(error)}). {remedy}") from None


def _graph_of(config: Config, networks: dict[str, Any]) -> Any:
    """The forward pass of all networks of a run in one graph, named by their roles; nothing is computed."""
    images = tf.TensorSpec([None, *config.data.shape], tf.float32, "images")
    if isinstance(config, ClassifierConfig):

        def classify(images: tf.Tensor) -> tf.Tensor:
            with tf.name_scope("classifier"):
                return networks["classifier"](images, training=False)

        return tf.function(classify, autograph=False).get_concrete_function(images).graph
    rows = config.batch_size
    latents = tf.TensorSpec([rows, config.latents.dim], tf.float32, "latents")
    labels = tf.TensorSpec([rows], tf.int32, "labels") if config.num_labels else None

    def play(latents: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        with tf.name_scope("generator"):
            fakes = networks["generator"](latents, labels, training=False)
        with tf.name_scope("discriminator"):
            return networks["discriminator"](packed(fakes, config.game.pack), labels, training=False)

    return tf.function(play, autograph=False).get_concrete_function(latents, labels).graph
