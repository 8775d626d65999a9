"""SavedModels that TensorFlow alone can load: a generator (or a classifier) with named signatures.

Signatures of a generator of images, all for any batch size:
  serving_default: latents float32 [B, Z] (, labels int32 [B]) -> images float32 [B, H, W, C] in [0, 1]
  sample: seed int64 [], count int32 [] (, label int32 [], -1 for 0, 1, 2, … in turn) -> the same
  png: as sample -> png_bytes, PNG files, string [B]
A label that the generator was not trained with is refused (InvalidArgumentError).
Of a generator of numbers: serving_default and sample, "numbers" [B, 1]. Of a classifier: serving_default, images
[B, H, W, C] in [0, 1] -> logits, scores and probabilities [B, classes], features [B, D].
"""

from __future__ import annotations

import dataclasses
import html
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab import pictures, pretrained
from tfgan_lab.config import ClassifierConfig, Config, GanConfig
from tfgan_lab.data_kinds import label_of
from tfgan_lab.errors import UserError, first_line, in_python
from tfgan_lab.export.loader import load_saved_model, strange_ops
from tfgan_lab.randomness import draw_latents, sample_seed
from tfgan_lab.records import known_facts
from tfgan_lab.system.files import (
    json_bytes,
    new_folder,
    read_bytes,
    reason_of,
    refuse_foreign_folder,
    write_atomically,
)
from tfgan_lab.system.runtime import quiet_stderr
from tfgan_lab.words import drawn_from_which

_TOLERANCE = 1e-5  # float32 rounding of another graph of the same net, of the largest output (or of 1)


def spread_labels(num_labels: int, count: Any) -> tf.Tensor:
    """0, 1, …, num_labels - 1, 0, 1, … : int32 [count]."""
    return tf.range(count) % num_labels


def shown(name: str, drawn: np.ndarray) -> str:
    """A generator in a notebook: 20 samples [20, H, W, C] in [0, 1] as a picture, numbers [20, 1] as text; else no more
    than its name."""
    text = f"<p><code>{html.escape(name)}</code></p>"
    if drawn.shape[1:] == (1,):
        return f"{text}<p>{', '.join(f'{number:.4g}' for number in drawn[:, 0])}</p>"
    if drawn.ndim != 4 or drawn.shape[3] not in (1, 3):
        return text
    return text + pictures.img(pictures.grid(pictures.to_uint8(drawn, "unit"), 10), "samples of seed 0")


class GeneratorModule(tf.Module):
    """What is exported of a generator."""

    def __init__(self, generator: Any, config: GanConfig) -> None:
        super().__init__()
        # The weights alone, and the network in a function: as an attribute it would be saved a second time.
        self.weights = [v.value for v in generator.variables]
        self._config = config
        self._generate = lambda latents, labels: generator(latents, labels, training=False)
        self._tanh = config.data.pixels == "tanh"
        self.output = config.data.output

    def _repr_html_(self) -> str:
        drawn = self.sample(tf.constant(0, tf.int64), tf.constant(20), tf.constant(-1))
        return shown(f"the generator of {self._config.name}", drawn.numpy())

    def draw(self, latents: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """[B, Z] (and int [B]) -> images [B, H, W, C] in [0, 1], or numbers [B, 1]."""
        drawn = self._generate(latents, labels)
        if self.output != "images":
            return drawn
        # Rounding can leave the last bit outside, and an output without an activation far more.
        return tf.clip_by_value((drawn + 1) / 2 if self._tanh else drawn, 0, 1)

    def inputs(self, seed: Any, count: Any, label: Any = -1) -> tuple[tf.Tensor, tf.Tensor | None]:
        """What `count` samples of a seed are drawn from; `label` -1 takes the labels in turn: [B, Z], int32 [B]."""
        latents, number = self._config.latents, self._config.num_labels
        z = draw_latents(latents.distribution, latents.dim, count, sample_seed(seed))
        return z, tf.where(label == -1, spread_labels(number, count), tf.fill([count], label)) if number else None

    def sample(self, seed: Any, count: Any, label: Any = -1) -> tf.Tensor:
        """`count` samples of a seed, as `draw` gives them; `label` -1 takes the labels in turn."""
        return self.draw(*self.inputs(seed, count, label))

    def serve(self, latents: tf.Tensor, labels: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """As `draw`, but labels that there are not raise InvalidArgumentError.

        LiteRT and ONNX know no errors: there the images of such labels are NaN.
        """
        if labels is None:
            return {self.output: self.draw(latents, None)}
        last = self._config.num_labels - 1
        tf.debugging.assert_non_negative(labels, f"labels are 0 to {last}")
        tf.debugging.assert_less_equal(labels, last, f"labels are 0 to {last}")
        known = tf.reshape((labels >= 0) & (labels <= last), [-1, *(1 for _ in self._config.data.shape)])
        return {self.output: tf.where(known, self.draw(latents, labels), float("nan"))}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        spec = tf.TensorSpec
        z = spec([None, self._config.latents.dim], tf.float32, "latents")
        seed, count = spec([], tf.int64, "seed"), spec([], tf.int32, "count")
        labels = [spec([None], tf.int32, "labels")] if self._config.num_labels else []
        label = [spec([], tf.int32, "label")] if self._config.num_labels else []

        def serving(latents: Any, labels: Any = None) -> dict[str, tf.Tensor]:
            return self.serve(latents, labels)

        def sample(seed: Any, count: Any, label: Any = -1) -> dict[str, tf.Tensor]:
            return self.serve(*self.inputs(seed, count, label))

        def png(seed: Any, count: Any, label: Any = -1) -> dict[str, tf.Tensor]:
            pixels = tf.cast(tf.round(sample(seed, count, label)["images"] * 255), tf.uint8)
            return {"png_bytes": tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)}

        functions = {
            "serving_default": tf.function(serving, autograph=False).get_concrete_function(z, *labels),
            "sample": tf.function(sample, autograph=False).get_concrete_function(seed, count, *label),
        }
        if self.output == "images":
            functions["png"] = tf.function(png, autograph=False).get_concrete_function(seed, count, *label)
        return functions


class ClassifierModule(tf.Module):
    """What is exported of a classifier."""

    def __init__(self, classifier: Any, config: ClassifierConfig) -> None:
        super().__init__()
        self.weights = [v.value for v in classifier.variables]
        self._tanh = config.data.pixels == "tanh"
        self._config, self._features, self._logits = config, classifier.features, classifier.logits

    def classify(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images [B, H, W, C] in [0, 1] -> what the classifier says of them.

        logits, scores (their sigmoid or softmax, as it was trained), probabilities (scores whose rows sum to 1), each
        [B, classes]; features [B, D], what its last layer sees.
        """
        features = self._features(images * 2 - 1 if self._tanh else images)
        logits = self._logits(features)
        softmax = self._config.loss == "softmax"
        scores = tf.nn.softmax(logits) if softmax else tf.sigmoid(logits)
        probabilities = scores if softmax else tf.nn.softmax(tf.math.log_sigmoid(logits))
        return {"scores": scores, "logits": logits, "probabilities": probabilities, "features": features}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        images = tf.TensorSpec([None, *self._config.data.shape], tf.float32, "images")
        return {"serving_default": tf.function(self.classify, autograph=False).get_concrete_function(images)}


WARM_UP = "assets.extra/tf_serving_warmup_requests"  # where TensorFlow Serving looks for it
# All that an export may hold: what `tf.saved_model.save` and `formats` write, and what is kept of the run.
_PARTS = {
    "saved_model.pb", "fingerprint.pb", "generator.json", "assets", "variables", "variables/variables.index",
    "variables/variables.data-00000-of-00001", "generator.tflite", "generator.onnx", "classifier.tflite", "classifier.onnx", "assets.extra", WARM_UP,
}  # fmt: skip
_SIGNS = {"saved_model.pb", "generator.json"}


def refuse_no_export(folder: str | os.PathLike[str]) -> None:
    """Raises `UserError` if an export cannot go there: something else than an older one is there, or its name is no UTF-8."""
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{os.fspath(folder)!a}: its name is no UTF-8, which TensorFlow needs: name another folder."
        ) from None
    refuse_foreign_folder(Path(folder), _PARTS, _SIGNS)


def refuse_strange_ops(config: Config, network: Any) -> None:
    """Raises `UserError` if the export of a network could not be loaded again, as one of a user's layers may not be."""
    made: Any = ClassifierModule if isinstance(config, ClassifierConfig) else GeneratorModule
    graphs = (signature.graph.as_graph_def() for signature in made(network, config).signatures().values())
    if strange := set().union(*(strange_ops(graph.library, graph.node) for graph in graphs)):
        raise UserError(
            f"{config.name}: its network holds {', '.join(sorted(strange)[:8])}, which no export may hold, as it could act on the "
            "machine that loads it: build the network from operations on numbers alone."
        )


def export_network(
    config: Config, network: Any, folder: str | os.PathLike[str], facts: dict[str, Any],
    warm_up: Callable[[Mapping[str, Any], Path], None] | None = None,
) -> float:  # fmt: skip
    """Writes a SavedModel, loads it back and compares it with the live network, then puts it in place.

    Args:
      config: The run's config.
      network: Its generator or classifier, on one device.
      folder: Where it goes. An export that is there is replaced once the new one is checked; its LiteRT and ONNX files
        stay, and a line says if they are of another step, or one of the generator itself and one of its average.
      facts: Kept beside it as generator.json: run, step, data; of a run with `ema`, "raw": whether it is the generator
        itself (by default it is the average of its weights).
      warm_up: Writes requests for the signatures that it is given into a file: see `tfgan_lab.export.serving`.

    Returns:
      The largest difference to the live network over 16 inputs.

    Raises:
      UserError: The folder cannot be written, holds something else, or another process writes there at the same time.
    """
    folder = Path(folder)
    module: Any = (
        ClassifierModule(network, config) if isinstance(config, ClassifierConfig) else GeneratorModule(network, config)
    )
    before = read_facts(folder)
    try:
        with new_folder(folder, _PARTS, _SIGNS) as filled:
            with quiet_stderr():
                tf.saved_model.save(module, str(filled), signatures=module.signatures())
            # As anybody's is loaded: an export that this refuses is found here.
            loaded = load_saved_model(filled)
            difference, largest = _compared(module, config, loaded.signatures["serving_default"])
            if not difference <= _TOLERANCE * max(1, largest):
                raise AssertionError(f"the exported model differs from the live one by {difference}")
            write_atomically(filled / "generator.json", json_bytes(describe(config) | facts))
            if warm_up is not None:
                warm_up(loaded.signatures, filled / WARM_UP)
            converted = [folder / name for name in sorted(_PARTS) if name.endswith((".tflite", ".onnx"))]
            kept = [file for file in converted if file.is_file()]
            for file in kept:
                shutil.copy2(file, filled / file.name)
    except tf.errors.OpError as error:
        raise UserError(f"{folder} cannot be written: {reason_of(error)}. Free space or fix permissions.") from None
    was_raw = before.get("raw", False)
    if kept and (before.get("step"), was_raw) != (facts.get("step"), facts.get("raw", False)):
        names = ", ".join(file.name for file in kept)
        which = f" ({drawn_from_which(was_raw)})" if was_raw != facts.get("raw", False) else ""
        print(
            f"{folder} still holds {names} of step {before.get('step')}{which}: export again in that format to renew."
        )
    return difference


def read_facts(folder: Path) -> dict[str, Any]:
    """An export's generator.json, without facts of other kinds than this program writes; {} if there is none."""
    try:
        facts = known_facts(json.loads(read_bytes(folder / "generator.json")))
    except (OSError, ValueError, RecursionError):
        return {}
    kinds = {
        "config": str, "post": str, "step": int, "seed": int, "num_labels": int, "latent_dim": int, "fields": dict,
        "latent_distribution": str, "trained_on": dict, "raw": bool,
    }  # fmt: skip
    return {key: value for key, value in facts.items() if isinstance(value, kinds.get(key, object))}


def describe(config: Config) -> dict[str, Any]:
    """What a user of the SavedModel must know, as plain values."""
    facts: dict[str, Any] = {"config": config.name, "post": config.post, "image_shape": list(config.data.shape)}
    facts |= {"fields": dataclasses.asdict(config), "class_names": [*config.data.class_names]}
    if isinstance(config, GanConfig):
        facts |= {
            "latent_dim": config.latents.dim, "latent_distribution": config.latents.distribution,
            "num_labels": config.num_labels, "class_names": list(config.label_names), "data": config.data.kind,
        }  # fmt: skip
        if config.ema:
            facts["raw"] = False
    return facts


def _compared(module: Any, config: Config, signature: Any) -> tuple[float, float]:
    """The largest difference between an exported network and the live one over 16 inputs, and its largest output."""
    if isinstance(module, ClassifierModule):
        images = tf.random.stateless_uniform([16, *config.data.shape], [0, 0])
        exported, live = signature(images=images)["scores"], module.classify(images)["scores"]
    else:
        z, labels = module.inputs(0, 16)
        inputs = {"latents": z} | ({} if labels is None else {"labels": labels})
        exported, live = signature(**inputs)[module.output], module.draw(z, labels)
    return float(np.abs(exported - live).max()), float(np.abs(live).max())


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
        self.facts = read_facts(self.folder)

    @property
    def _takes_labels(self) -> bool:
        return "label" in self._model.signatures["sample"].structured_input_signature[1]

    def _draw(self, **inputs: Any) -> Any:
        (drawn,) = self._model.signatures["sample"](**inputs).values()
        return drawn

    @in_python()
    def sample(self, num: int, seed: int, label: int | str = -1) -> np.ndarray:
        """Draws `num` samples: float32 images [num, H, W, C] in [0, 1], or numbers [num, 1].

        Of a conditional generator of one label, or of one class by its name; by default of all labels in turn.
        """
        inputs = {"seed": tf.constant(seed, tf.int64), "count": tf.constant(num, tf.int32)}
        if self._takes_labels:
            number = -1 if label == -1 else label_of(label, self.facts.get("class_names") or "0123456789")
            inputs["label"] = tf.constant(number, tf.int32)
        elif label != -1:
            raise UserError(f"--label={label}: {self.folder} is a generator without labels: omit --label.")
        try:
            return self._draw(**inputs).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise UserError(f"{self.folder} draws nothing for --label={label}: {first_line(error)}.") from None

    def __repr__(self) -> str:
        which = f": {drawn_from_which(self.facts['raw'])}" if "raw" in self.facts else ""
        return f"LoadedGenerator({str(self.folder)!r}{which})"

    def _repr_html_(self) -> str:
        return shown(repr(self), self.sample(20, 0))


class ShippedGenerator(LoadedGenerator):
    """A generator that comes with the package: `sample` as of any other.

    Attributes:
      facts: What is in an export's generator.json, and its model card.
    """

    def __init__(self, name: str) -> None:
        found = pretrained.load(name)
        self.folder, self._module = Path(f"{pretrained.PREFIX}{name}"), GeneratorModule(found.generator, found.config)
        self.facts = describe(found.config) | found.card

    @property
    def _takes_labels(self) -> bool:
        return bool(self.facts["num_labels"])

    def _draw(self, **inputs: Any) -> Any:
        return self._module.sample(**inputs)


def load_generator(path: str | os.PathLike[str]) -> LoadedGenerator:
    """Loads an exported generator from a SavedModel folder or from the run folder that holds it, or one that comes with
    the package as "pretrained:NAME".

    Raises:
      UserError: There is none, or it is damaged.
    """
    if (name := pretrained.name_in(path)) is not None:
        return ShippedGenerator(name)
    path = Path(path)
    return LoadedGenerator(path / "export" if (path / "export" / "saved_model.pb").is_file() else path)
