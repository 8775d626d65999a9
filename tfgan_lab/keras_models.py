"""Any Keras model in a network's place: one layer, which a program hands over (`tfgan_lab.train(…, generator=model)`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.layer_base import Layer, Node, Pass, Shape, Weight, layer, tf

_HELD: dict[str, Any] = {}  # by architecture


@layer
class KerasModel(Layer):
    """A Keras model: [B, *inputs] (and labels int [B]) -> [B, *outputs]. Made by `hold`, known to this program only.

    Its variables begin with the values that the model had when it was given. Its dropout draws from the run's seed.
    """

    architecture: str  # a digest of it

    mixes_examples = True  # perhaps; two passes are right in any case
    stacks = False

    @property
    def takes_labels(self) -> bool:  # type: ignore[override]
        return self.architecture in _HELD and len(getattr(self._model, "inputs", None) or ()) == 2

    @property
    def mixing(self) -> list[str]:
        return mixing_layers(_HELD.get(self.architecture))

    @property
    def _model(self) -> Any:
        if self.architecture not in _HELD:
            raise UserError(
                "is a Keras model that this program does not know: pass it to tfgan_lab.train again, or use the run's export"
            )
        return _HELD[self.architecture]

    def plan(self, node: Node) -> Shape:
        model = self._model
        for index, variable in enumerate([*model.trainable_variables, *_kept(model)]):
            node.weights[str(index)] = Weight(tuple(variable.shape), variable.numpy(), trainable=variable.trainable)
        x = tf.zeros([2, *node.inputs])
        try:
            drawn = model([x, tf.zeros([2], tf.int32)] if self.takes_labels else x)
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise UserError(f"takes no {list(node.inputs)}: {first_line(error)}") from None
        if not hasattr(drawn, "shape"):
            raise UserError(f"gives a {type(drawn).__name__} of outputs: give a model of one output")
        return tuple(drawn.shape[1:])

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        model, values = self._model, [weight.value for weight in node.weights.values()]
        trainable, kept = values[: len(model.trainable_variables)], iter(values[len(model.trainable_variables) :])
        names, draws = {id(variable) for variable in _kept(model)}, _draws(now.seed)
        others = [next(kept) if id(v) in names else next(draws, v.value) for v in model.non_trainable_variables]
        inputs = [x, now.labels] if self.takes_labels else x
        outputs, after = model.stateless_call(trainable, others, inputs, training=now.training)
        if now.training:
            for variable, old, new in zip(model.non_trainable_variables, others, after, strict=True):
                if id(variable) in names:
                    old.assign(new)
        return outputs

    def browser(self, node: Node, keep: Any) -> dict[str, Any]:
        return {"kind": self.kind}  # no page can run it


def hold(model: Any, role: str) -> KerasModel:
    """The layer that stands for a Keras model in a config of this program.

    Raises:
      UserError: It is no Keras model, is not built, or adds losses of its own; `role` is what it is called.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise UserError(f"{role}: this is a {type(model).__name__}, not a Keras model.")
    if not model.built:
        raise UserError(f"{role}: the model is not built: begin it with keras.Input(…), or call it once.")
    if model.losses:
        raise UserError(
            f"{role}: the model adds losses of its own (regularisers), which no GAN step takes: remove them."
        )
    architecture = _architecture(model)
    _HELD[architecture] = model
    return KerasModel(architecture)


def mixing_layers(model: Any) -> list[str]:
    """Names of a Keras model's layers that make one output of several examples: batch normalisations, of any depth."""
    import keras

    layers = model._flatten_layers() if model is not None else ()
    return [one.name for one in layers if isinstance(one, keras.layers.BatchNormalization) and one.trainable]


def _kept(model: Any) -> list[Any]:
    """Variables that no gradient moves but that are the model's own, such as running statistics; no dropout's state."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.non_trainable_variables if id(variable) in weights]


def _draws(seed: Any) -> Iterator[Any]:
    """The state of one dropout after the other, int64 [2], as functions of the pass's seed."""
    while seed is not None:
        yield seed[0]
        seed = seed + tf.constant([0, 1 << 32], tf.int64)


def _architecture(model: Any) -> str:
    """A digest of a model's layers and their settings, the same for every model that is made so."""
    import keras

    try:
        described = keras.saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError):  # a class that cannot be serialised
        described = {"class": f"{type(model).__module__}.{type(model).__qualname__}"}
    shapes = [[list(variable.shape), variable.dtype] for variable in model.variables]
    names: dict[str, str] = {}
    text = json.dumps([_renamed(described, names), shapes], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """The same without the names that Keras counts through a program ("dense_3"): numbered in their order here."""
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and {"trainable", "batch_shape"} & {*value}:
            names.setdefault(value["name"], f"layer {len(names)}")
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value
