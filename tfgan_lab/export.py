"""SavedModels that TensorFlow alone can load: a generator (or a classifier) with named signatures.

Signatures of a generator of images, all for any batch size:
  serving_default: latents float32 [B, Z] (, labels int32 [B]) -> images float32 [B, H, W, C] in [0, 1]
  sample: seed int64 [], count int32 [] (, label int32 [], -1 for 0, 1, 2, … in turn) -> the same
  png: as sample -> PNG files, string [B]
Of the Gaussian's: serving_default and sample, "numbers" [B, 1]. Of a classifier: serving_default, images
[B, H, W, C] in [0, 1] -> logits, scores and probabilities [B, classes], features [B, D].
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import ClassifierConfig, Config, GanConfig, Gaussian, Mnist
from tfgan_lab.data import shape_of
from tfgan_lab.errors import UserError
from tfgan_lab.files import write_atomically
from tfgan_lab.randomness import draw_latents, sample_seed
from tfgan_lab.runtime import quiet_stderr
from tfgan_lab.saved_models import load_saved_model

_TOLERANCE = 1e-5  # float32 rounding of another graph of the same net


def spread_labels(num_labels: int, count: Any) -> tf.Tensor:
    """0, 1, …, num_labels - 1, 0, 1, … : int32 [count]."""
    return tf.range(count) % num_labels


class GeneratorModule(tf.Module):
    """What is exported of a generator."""

    def __init__(self, generator: Any, config: GanConfig) -> None:
        super().__init__()
        # Said outright: layers in Python lists would not be tracked.
        self.weights = [v.value for v in generator.variables]
        self._generator, self._config = generator, config
        self._tanh = not isinstance(config.data, Gaussian) and config.data.pixels == "tanh"
        self.output = "numbers" if isinstance(config.data, Gaussian) else "images"

    def draw(self, latents: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """[B, Z] (and int [B]) -> images [B, H, W, C] in [0, 1], or numbers [B, 1]."""
        drawn = self._generator(latents, labels, training=False)
        return (drawn + 1) / 2 if self._tanh else drawn

    def sample(self, seed: Any, count: Any, label: Any = -1) -> tf.Tensor:
        """`count` samples of a seed; `label` -1 takes the labels in turn."""
        latents = self._config.latents
        z = draw_latents(latents.distribution, latents.dim, count, sample_seed(seed))
        if not self._config.num_labels:
            return self.draw(z, None)
        labels = tf.where(label < 0, spread_labels(self._config.num_labels, count), tf.fill([count], label))
        return self.draw(z, labels)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        spec, name = tf.TensorSpec, self.output
        z = spec([None, self._config.latents.dim], tf.float32, "latents")
        seed, count = spec([], tf.int64, "seed"), spec([], tf.int32, "count")
        labels = [spec([None], tf.int32, "labels")] if self._config.num_labels else []
        label = [spec([], tf.int32, "label")] if self._config.num_labels else []

        def serving(latents: Any, labels: Any = None) -> dict[str, tf.Tensor]:
            return {name: self.draw(latents, labels)}

        def sample(seed: Any, count: Any, label: Any = -1) -> dict[str, tf.Tensor]:
            return {name: self.sample(seed, count, label)}

        def png(seed: Any, count: Any, label: Any = -1) -> dict[str, tf.Tensor]:
            pixels = tf.cast(tf.round(tf.clip_by_value(self.sample(seed, count, label), 0, 1) * 255), tf.uint8)
            return {"png": tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)}

        functions = {
            "serving_default": tf.function(serving, autograph=False).get_concrete_function(z, *labels),
            "sample": tf.function(sample, autograph=False).get_concrete_function(seed, count, *label),
        }
        if name == "images":
            functions["png"] = tf.function(png, autograph=False).get_concrete_function(seed, count, *label)
        return functions


class ClassifierModule(tf.Module):
    """What is exported of a classifier."""

    def __init__(self, classifier: Any, config: ClassifierConfig) -> None:
        super().__init__()
        self.weights = [v.value for v in classifier.variables]
        self._tanh = isinstance(config.data, Mnist) and config.data.pixels == "tanh"
        self._classifier, self._config = classifier, config

    def classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images [B, H, W, C] in [0, 1] -> what the classifier says of them.

        logits, scores (their sigmoid or softmax, as it was trained), probabilities (scores whose rows sum to 1), each
        [B, classes]; features [B, D], what its last layer sees.
        """
        features = self._classifier.features(images * 2 - 1 if self._tanh else images)
        logits = self._classifier.out(features)
        softmax = self._config.loss == "softmax"
        scores = tf.nn.softmax(logits) if softmax else tf.sigmoid(logits)
        probabilities = scores if softmax else tf.nn.softmax(tf.math.log_sigmoid(logits))
        return {"scores": scores, "logits": logits, "probabilities": probabilities, "features": features}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        images = tf.TensorSpec([None, *shape_of(self._config.data)], tf.float32, "images")
        return {"serving_default": tf.function(self.classify, autograph=False).get_concrete_function(images)}


def export_network(config: Config, network: Any, folder: str | os.PathLike[str], facts: dict[str, Any]) -> float:
    """Writes a SavedModel, loads it back and compares it with the live network, then puts it in place.

    Args:
      config: The run's config.
      network: Its generator or classifier, on one device.
      folder: Where it goes; a SavedModel that is there already is replaced, only once the new one is checked.
      facts: Kept beside it as generator.json: run, step, data.

    Returns:
      The largest difference to the live network over 16 inputs.

    Raises:
      UserError: The folder cannot be written, or holds something else.
    """
    folder = Path(folder)
    module: Any = (
        ClassifierModule(network, config) if isinstance(config, ClassifierConfig) else GeneratorModule(network, config)
    )
    try:
        if (
            folder.exists()
            and not (folder / "saved_model.pb").is_file()
            and not (folder.is_dir() and not any(folder.iterdir()))
        ):
            raise UserError(f"{folder} is there already and is no SavedModel: name another folder, or delete it.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        with quiet_stderr():
            tf.saved_model.save(module, str(temporary), signatures=module.signatures())
        difference = _largest_difference(module, config, temporary)
        if not difference <= _TOLERANCE:
            raise AssertionError(f"the exported model differs from the live one by {difference}")
        write_atomically(temporary / "generator.json", (json.dumps(describe(config) | facts, indent=2) + "\n").encode())
        temporary.chmod(0o755)
        if folder.exists():
            os.replace(folder, Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.")) / "old")
        os.replace(temporary, folder)
        for stale in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(stale, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{folder} cannot be written: {str(error).splitlines()[0][:200]}. Free space or mend permissions."
        ) from None
    return difference


def describe(config: Config) -> dict[str, Any]:
    """What a user of the SavedModel must know, as plain values."""
    facts: dict[str, Any] = {"config": config.name, "post": config.post, "image_shape": list(shape_of(config.data))}
    facts["norm_statistics"] = config.norm_statistics
    facts["fields"] = dataclasses.asdict(config)
    if isinstance(config, GanConfig):
        facts |= {
            "latent_dim": config.latents.dim, "latent_distribution": config.latents.distribution,
            "num_labels": config.num_labels, "data": config.data.kind,
        }  # fmt: skip
    return facts


def _largest_difference(module: Any, config: Config, folder: Path) -> float:
    # As strangers' are loaded: an export that this refuses is found here.
    signature = load_saved_model(folder).signatures["serving_default"]
    if isinstance(module, ClassifierModule):
        images = tf.random.stateless_uniform([16, *shape_of(config.data)], [0, 0])
        return float(np.abs(signature(images=images)["scores"] - module.classify(images)["scores"]).max())
    assert isinstance(config, GanConfig)
    z = draw_latents(config.latents.distribution, config.latents.dim, 16, sample_seed(0))
    labels = spread_labels(config.num_labels, 16) if config.num_labels else None
    inputs = {"latents": z} | ({} if labels is None else {"labels": labels})
    return float(np.abs(signature(**inputs)[module.output] - module.draw(z, labels)).max())


class LoadedGenerator:
    """An exported generator: `sample(num, seed, label)` gives NumPy arrays.

    Attributes:
      facts: Its generator.json.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not (self.folder / "saved_model.pb").is_file():
            raise UserError(f"{folder} holds no SavedModel: export one with `tfgan-lab export --workdir=…`.")
        self._model = load_saved_model(self.folder)
        if "sample" not in self._model.signatures:
            raise UserError(
                f"{folder} has no signature 'sample' (it has {', '.join(self._model.signatures) or 'none'}): is it a generator exported by tfgan-lab?"
            )
        try:
            self.facts: dict[str, Any] = json.loads((self.folder / "generator.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.facts = {}

    def sample(self, num: int, seed: int, label: int = -1) -> np.ndarray:
        """Draws `num` samples: float32 images [num, H, W, C] in [0, 1], or numbers [num, 1]."""
        signature = self._model.signatures["sample"]
        inputs = {"seed": tf.constant(seed, tf.int64), "count": tf.constant(num, tf.int32)}
        if "label" in signature.structured_input_signature[1]:
            if not -1 <= label < self.facts.get("num_labels", label + 1):
                raise UserError(f"--label={label}: labels are 0 to {self.facts['num_labels'] - 1}.")
            inputs["label"] = tf.constant(label, tf.int32)
        elif label >= 0:
            raise UserError(f"--label={label}: {self.folder} is a generator without labels: leave --label away.")
        (drawn,) = signature(**inputs).values()
        return drawn.numpy()


def load_generator(path: str | os.PathLike[str]) -> LoadedGenerator:
    """Loads an exported generator from a SavedModel folder or from the run folder that holds it.

    Raises:
      UserError: There is none, or it is damaged.
    """
    path = Path(path)
    return LoadedGenerator(path / "export" if (path / "export" / "saved_model.pb").is_file() else path)
