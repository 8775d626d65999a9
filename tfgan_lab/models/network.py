"""What all networks share: a spec from the config, and their place in the experiment."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import tensorflow as tf
from pydantic import TypeAdapter


class Network(keras.Model):
    """A Keras model made from a config dataclass.

    Subclasses are registered with Keras, and `get_config` records what they were really made from, so that
    `.keras` files load the right network.

    Attributes:
      uses_batch_statistics: Whether an example's output depends on the rest of its batch (then real and
        fake examples must not be stacked in one pass).
      spec: The config dataclass (`tfgan_lab.config.MLP`, …).
    """

    uses_batch_statistics = False
    spec_class: Any

    def __init__(self, spec: Any, name: str, **wiring: Any) -> None:
        super().__init__(name=name)
        self._wiring = wiring
        self.spec = spec

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras', and what comes out is at least float32: losses and the other player take it from there."""
        result = super().__call__(*args, **kwargs)
        return tf.cast(result, tf.float32) if self.compute_dtype == "bfloat16" else result

    def get_config(self) -> dict[str, Any]:
        return {"spec": dataclasses.asdict(self.spec), **self._wiring}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Network:
        config = dict(config)
        return cls(TypeAdapter(cls.spec_class).validate_python(config.pop("spec")), **config)
