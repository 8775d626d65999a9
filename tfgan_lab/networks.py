"""Generator, discriminator and classifier: Keras models that are lists of `tfgan_lab.layers`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf
from pydantic import TypeAdapter

from tfgan_lab.config import ClassifierConfig, Config, GanConfig, Init
from tfgan_lab.errors import UserError
from tfgan_lab.layer_base import AnyLayer, Node, Pass, Shape, Weight, every_node, planned
from tfgan_lab.layers import BatchNorm
from tfgan_lab.randomness import stream_key
from tfgan_lab.spectral import FIRST_ITERATIONS


class Network(keras.Model):
    """A list of layers, built when it is made: it has all its variables before its first call.

    `get_config` records what it was made from, so that `.keras` files load the right network.

    Args:
      name: "generator", "discriminator" or "classifier": start values are drawn from streams of that name.
      layers: The list, or what JSON holds of it.
      init: How weights start.
      inputs: Shape of an example that it gets.
      num_labels: Classes of a conditional network, or 0.
      seed: The run's; or several, S of them: then that many networks run as one, and every variable, input and output
        has a leading axis [S, …].

    Attributes:
      nodes: The layers with their variables.
      outputs_shape: Shape of an example that it gives.
      uses_batch_statistics: Whether an example's output depends on the rest of its batch (then real and
        fake examples must not be stacked in one pass).

    Raises:
      UserError: Layers that do not fit each other or the data.
    """

    def __init__(
        self, name: str, layers: Sequence[Any], init: Any, inputs: Shape, num_labels: int, seed: int | Sequence[int]
    ) -> None:
        super().__init__(name=name)
        self.network_layers = TypeAdapter(list[AnyLayer]).validate_python(list(layers))
        self.init = TypeAdapter(Init).validate_python(init)
        self.num_labels, self.seed = num_labels, seed
        self.nodes, self.outputs_shape = planned(self.network_layers, inputs, num_labels, name)
        self.uses_batch_statistics = any(node.layer.mixes_examples for node in every_node(self.nodes))
        self._stacked = 0 if isinstance(seed, int) else len(seed)
        streams = [_seeds(one, name) for one in ([seed] if isinstance(seed, int) else seed)]
        for place, node in enumerate(every_node(self.nodes)):
            for weight_name, weight in node.weights.items():
                node.weights[weight_name] = self._variable(f"{place}_{node.layer.kind}_{weight_name}", weight, streams)
        self.begin_norms()
        self.built = True

    @property
    def mixing(self) -> list[str]:
        """Names of its layers that make one output of several examples."""
        return [name for node in every_node(self.nodes) for name in node.layer.mixing]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras', and what comes out is at least float32: losses and the other player take it from there."""
        result = super().__call__(*args, **kwargs)
        return tf.cast(result, tf.float32) if self.compute_dtype == "bfloat16" else result

    def layer_outputs(
        self, inputs: Any, labels: Any = None, training: bool = False, seed: Any = None
    ) -> list[tuple[Node, Any]]:
        """Every layer's output in the order in which they run; arguments as of a call."""
        seen: list[tuple[Node, Any]] = []
        self._run(self.nodes, inputs, labels, training, seed, seen)
        return seen

    def take_statistics(self, which: Literal["running", "own"]) -> bool:
        """Makes every BatchNorm on images take these outside training; returns whether there is one."""
        found = [n for n in every_node(self.nodes) if isinstance(n.layer, BatchNorm) and len(n.inputs) == 3]
        for node in found:
            node.layer = dataclasses.replace(node.layer, statistics=which)  # type: ignore[type-var]
        return bool(found)

    def begin_norms(self) -> None:
        """Brings the state of spectral normalisation to where the kernels are now."""
        for node in every_node(self.nodes):
            for name in [name for name in node.weights if f"{name}_u" in node.weights] * FIRST_ITERATIONS:
                node.value(name, moves=True)

    def get_config(self) -> dict[str, Any]:
        layers = [dataclasses.asdict(one) for one in self.network_layers]  # type: ignore[call-overload]
        init = dataclasses.asdict(self.init)
        return {"layers": layers, "init": init, "num_labels": self.num_labels, "seed": self.seed}

    def _run(
        self, nodes: Sequence[Node], x: Any, labels: Any, training: bool, seed: Any, seen: list[Any] | None = None
    ) -> tf.Tensor:
        return Pass(training, labels, seed, self._stacked, seen).run(nodes, x)

    def _variable(self, name: str, weight: Weight, streams: Sequence[Iterator[int]]) -> keras.Variable:
        if isinstance(weight.start, str):
            starts = [_initializer(weight, self.init, next(stream)) for stream in streams]
        else:
            starts = [keras.initializers.Constant(weight.start)] * len(streams)
        stacked = bool(self._stacked)

        def start(shape: Shape, dtype: Any) -> tf.Tensor:
            return tf.stack([one(shape[1:], dtype) for one in starts]) if stacked else starts[0](shape, dtype)

        return self.add_weight(
            name=name, shape=(self._stacked, *weight.shape) if stacked else weight.shape, initializer=start,
            trainable=weight.trainable, aggregation="none" if weight.trainable else "mean",
            # Scales and statistics of norms are not for bfloat16, whatever the products are in.
            autocast=isinstance(weight.start, str),
        )  # fmt: skip


@keras.saving.register_keras_serializable("tfgan_lab")
class Generator(Network):
    """Latents (and labels) to images. Arguments as of `Network`; its layers must end in `image_shape`."""

    def __init__(
        self, layers: Sequence[Any], init: Any, latent_dim: int, image_shape: Sequence[int], num_labels: int = 0,
        seed: int | Sequence[int] = 0,
    ) -> None:  # fmt: skip
        super().__init__("generator", layers, init, (latent_dim,), num_labels, seed)
        self.latent_dim, self.image_shape = latent_dim, tuple(image_shape)
        if self.outputs_shape != self.image_shape:
            raise UserError(
                f"generator: its layers draw {list(self.outputs_shape)} images but the data's are {list(image_shape)}: "
                "change their sizes, or data.size"
            )

    def call(self, latents: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, Z] (and int [B]) -> [B, *image_shape] in the range of the last activation; `seed` as of `layers.Pass`."""
        return self._run(self.nodes, latents, labels, training, seed)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"latent_dim": self.latent_dim, "image_shape": list(self.image_shape)}


@keras.saving.register_keras_serializable("tfgan_lab")
class Discriminator(Network):
    """Images (and labels) to logits. Arguments as of `Network`; its layers must end in one number."""

    def __init__(
        self, layers: Sequence[Any], init: Any, image_shape: Sequence[int], num_labels: int = 0,
        seed: int | Sequence[int] = 0,
    ) -> None:  # fmt: skip
        super().__init__("discriminator", layers, init, tuple(image_shape), num_labels, seed)
        self.image_shape = tuple(image_shape)
        if self.outputs_shape != (1,):
            raise UserError(
                f"discriminator: its layers end in {list(self.outputs_shape)}, not in one logit: end with Dense(1)"
            )

    def call(self, images: Any, labels: Any = None, training: bool = False, seed: Any = None) -> tf.Tensor:
        """[B, *image_shape] (and int [B]) -> logits [B]; `seed` as of `layers.Pass`."""
        return tf.squeeze(self._run(self.nodes, images, labels, training, seed), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"image_shape": list(self.image_shape)}


@keras.saving.register_keras_serializable("tfgan_lab")
class Classifier(Network):
    """Images to one logit per class. Arguments as of `Network`; its layers must end in a number for each class."""

    def __init__(
        self, layers: Sequence[Any], init: Any, image_shape: Sequence[int], num_labels: int = 0, seed: int = 0
    ) -> None:
        super().__init__("classifier", layers, init, tuple(image_shape), num_labels, seed)
        self.image_shape = tuple(image_shape)
        if len(self.outputs_shape) != 1:
            raise UserError(f"classifier: its layers end in {list(self.outputs_shape)}, not in a logit for each class")

    def call(self, images: Any, training: bool = False, seed: Any = None, part: slice = slice(None)) -> tf.Tensor:
        """[B, H, W, C] -> logits [B, classes]; `seed` as of `layers.Pass`. Of its layers those of `part` run."""
        return self._run(self.nodes[part], images, None, training, seed)

    def features(self, images: Any) -> tf.Tensor:
        """[B, H, W, C] -> what the last layer sees, [B, D]."""
        return self(images, part=slice(-1))

    def logits(self, features: Any) -> tf.Tensor:
        """Features [B, D] -> logits [B, classes]."""
        return self(features, part=slice(-1, None))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"image_shape": list(self.image_shape)}


def build_generator(config: GanConfig, seed: int | Sequence[int] | None = None) -> Generator:
    """Makes the config's generator, for its seed or for several others."""
    seed = config.seed if seed is None else seed
    return Generator(config.generator, config.g_init, config.latents.dim, config.data.shape, config.num_labels, seed)


def build_discriminator(config: GanConfig, seed: int | Sequence[int] | None = None) -> Discriminator:
    """Makes the config's discriminator, for its seed or for several others; with `game.pack` it takes packs of images."""
    seed = config.seed if seed is None else seed
    shape = (*config.data.shape[:-1], config.game.pack * config.data.shape[-1])
    return Discriminator(config.discriminator, config.d_init, shape, config.num_labels, seed)


def drawn_from(networks: Mapping[str, Any]) -> Any:
    """What is evaluated and exported: the average of G's weights, where a run keeps one, else G; or the classifier."""
    return next(networks[role] for role in ("average", "generator", "classifier") if role in networks)


def build_classifier(config: ClassifierConfig) -> Classifier:
    """Makes the config's classifier. Raises `UserError` where it has not a logit for each class of the data."""
    classifier = Classifier(config.classifier, config.init, config.data.shape, seed=config.seed)
    classes = len(config.data.class_names)
    if classes and classifier.outputs_shape != (classes,):
        raise UserError(f"classifier: its layers end in {list(classifier.outputs_shape)}, not in {classes} logits")
    return classifier


def build_networks(config: Config, seeds: Sequence[int] | None = None) -> dict[str, Any]:
    """All untrained networks of a config by role; "average" is of a run with `ema`."""
    if isinstance(config, ClassifierConfig):
        return {"classifier": build_classifier(config)}
    players = {
        "generator": build_generator(config, seeds),
        "discriminator": build_discriminator(config, seeds),
    }
    return players | ({"average": build_generator(config, seeds)} if config.ema else {})


def _seeds(seed: int, role: str) -> Iterator[int]:
    """An endless row of initialiser seeds for one network of a run."""
    index = 0
    while True:
        yield stream_key(seed, f"init/{role}/{index}") % 2**31
        index += 1


def _initializer(weight: Weight, init: Init, seed: int) -> Any:
    fan_in, fan_out = weight.fans
    uniform, normal = keras.initializers.RandomUniform, keras.initializers.RandomNormal
    match init.kernel if weight.start == "kernel" else init.bias:
        case "torch":
            return uniform(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), seed)
        case "xavier_normal":  # Keras' GlorotNormal is truncated, PyTorch's xavier_normal_ is not.
            return normal(0.0, math.sqrt(2 / (fan_in + fan_out)), seed)
        case "glorot_uniform":
            return uniform(-math.sqrt(6 / (fan_in + fan_out)), math.sqrt(6 / (fan_in + fan_out)), seed)
        case "normal":
            return normal(0.0, init.std, seed)
        case "uniform":
            return uniform(init.bias_low, init.bias_high, seed)
        case _:
            return keras.initializers.Zeros()
