"""Adam and SGD with momentum, one fused TensorFlow kernel per variable; and any optimiser of Keras'.

Inside a replica gradients are first summed over all replicas (losses are already divided by the
global batch), then every replica updates its own copy with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgan_lab import config as config_lib
from tfgan_lab.errors import UserError, first_line


class _Fused(tf.Module):
    """Holds the step count and sums gradients over replicas; subclasses know the update."""

    def __init__(self, variables: Sequence[tf.Variable], slots: int) -> None:
        super().__init__()
        self.parameters = tuple(variables)
        self.iterations = tf.Variable(
            0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self.slots = tuple(
            tuple(tf.Variable(tf.zeros_like(variable), trainable=False) for variable in self.parameters)
            for _ in range(slots)
        )

    @property
    def state(self) -> list[tf.Variable]:
        """Everything a checkpoint must hold, in a fixed order."""
        return [self.iterations, *(slot for slots in self.slots for slot in slots)]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update, called in a replica context (or outside any strategy).

        Args:
          gradients: One per variable, of this replica's share of the global batch's mean loss.
        """
        if any(gradient is None for gradient in gradients):
            raise UserError("a trainable weight has no part in the loss: use it, or make it not trainable.")
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        self.iterations.assign_add(1)
        self._update(gradients, tf.cast(self.iterations.read_value(), tf.float64))

    def _update(self, gradients: Sequence[tf.Tensor], t: tf.Tensor) -> None:
        raise AssertionError("a subclass's duty")


class FusedAdam(_Fused):
    """Adam (Kingma & Ba, 2015, algorithm 1) in either of two forms that differ in epsilon.

    "pytorch":    w -= lr * m_hat / (sqrt(v_hat) + epsilon)
    "tensorflow": w -= lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)

    The kernel computes the second. The first equals it with epsilon * sqrt(1 - beta_2^t) for epsilon.
    """

    def __init__(self, numbers: config_lib.Adam, variables: Sequence[tf.Variable]) -> None:
        super().__init__(variables, slots=2)
        self.numbers = numbers

    def _update(self, gradients: Sequence[tf.Tensor], t: tf.Tensor) -> None:
        n = self.numbers
        dtype = self.parameters[0].dtype
        # The betas as the kernel holds them, so that the correction undoes what it did (float32(0.999) is 0.99899998);
        # the powers in float64: 1 - beta_2^t loses four digits in float32 during the first steps.
        beta_1, beta_2 = (tf.cast(tf.constant(beta, dtype), tf.float64) for beta in (n.beta_1, n.beta_2))
        correction_2 = tf.sqrt(1 - tf.pow(beta_2, t))
        rate = n.learning_rate * correction_2 / (1 - tf.pow(beta_1, t))
        epsilon = n.epsilon * (correction_2 if n.epsilon_form == "pytorch" else tf.ones_like(t))
        for variable, m, v, gradient in zip(self.parameters, *self.slots, gradients, strict=True):
            dtype = gradient.dtype
            zero = tf.zeros([], dtype)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=m.handle, v=v.handle, beta1_power=zero, beta2_power=zero,
                lr=tf.cast(rate, dtype), beta1=tf.constant(n.beta_1, dtype), beta2=tf.constant(n.beta_2, dtype),
                epsilon=tf.cast(epsilon, dtype), grad=gradient,
            )  # fmt: skip


class FusedSGD(_Fused):
    """SGD with momentum, a rate that falls by a factor a step and a momentum that rises linearly.

    v = momentum * v - lr * g;  w += v, with lr = max(min_lr, lr_0 / decay^(t-1)) (Mirza & Osindero, 2014, section 4.1).
    """

    def __init__(self, numbers: config_lib.SGD, variables: Sequence[tf.Variable]) -> None:
        super().__init__(variables, slots=1)
        self.numbers = numbers

    def _update(self, gradients: Sequence[tf.Tensor], t: tf.Tensor) -> None:
        n = self.numbers
        rate = tf.maximum(n.learning_rate * tf.pow(tf.constant(n.decay, tf.float64), 1 - t), n.min_learning_rate)
        progress = tf.minimum((t - 1) / n.momentum_steps, 1.0) if n.momentum_steps else tf.zeros_like(t)
        momentum = n.momentum + (n.final_momentum - n.momentum) * progress
        for variable, accumulator, gradient in zip(self.parameters, *self.slots, gradients, strict=True):
            dtype = gradient.dtype
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.handle, accum=accumulator.handle, lr=tf.cast(rate, dtype), grad=gradient,
                momentum=tf.cast(momentum, dtype),
            )  # fmt: skip


class FromKeras:
    """An optimiser of Keras' with the interface of ours; it sums gradients over replicas by itself.

    Raises:
      UserError: The Keras installed has none of that name, or it does not take these arguments, or they do not go with
        a strategy of replicas.
    """

    def __init__(self, numbers: config_lib.KerasOptimizer, variables: Sequence[Any], field: str = "optimizer") -> None:
        kinds = {name.lower(): kind for name, kind in vars(keras.optimizers).items()}
        if numbers.name not in kinds:
            raise UserError(f"config: {field}.name: Keras {keras.__version__} has no optimiser {numbers.name!r}.")
        if numbers.before_the_sum and tf.distribute.has_strategy():
            raise UserError(
                f"config: {field}.arguments.{numbers.before_the_sum[0]} does not go with replicas, because Keras applies it "
                "before it sums their gradients: use --config.placement=one."
            )
        try:
            self._optimizer = kinds[numbers.name](learning_rate=numbers.learning_rate, **numbers.arguments)
        except (TypeError, ValueError) as error:
            reason = first_line(error)
            raise UserError(f"config: {field}.arguments of {numbers.name!r}: {reason}") from None
        self._optimizer.build(list(variables))
        self._variables = list(variables)

    @property
    def iterations(self) -> Any:
        """How many updates were made, a whole number; of accumulated gradients several make one update."""
        return self._optimizer.iterations

    @property
    def state(self) -> list[tf.Variable]:
        """Everything a checkpoint must hold, in a fixed order."""
        return [variable.value for variable in self._optimizer.variables]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update, as of `FusedAdam`."""
        self._optimizer.apply(list(gradients), self._variables)


def make_optimizer(
    numbers: config_lib.Optimizer, variables: Sequence[Any], field: str = "optimizer"
) -> FusedAdam | FusedSGD | FromKeras:
    """Builds the optimiser that a config names, with all its state, for Keras variables.

    Call it in `strategy.scope()`: state made outside would not be mirrored. `field` is its name in messages.
    """
    if isinstance(numbers, config_lib.KerasOptimizer):
        return FromKeras(numbers, variables, field)
    values = [variable.value for variable in variables]
    return FusedAdam(numbers, values) if isinstance(numbers, config_lib.Adam) else FusedSGD(numbers, values)
