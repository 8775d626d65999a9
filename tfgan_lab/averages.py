"""An exponential moving average of a generator's variables: it is drawn from, the generator itself is trained."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_WARM_UP = 9  # steps


class Average:
    """Keeps an average of one network's variables in another's of the same layers.

    After step t = 1, 2, … it moves by average += (1 - d) * (value - average), with d = min(decay, t / (t + 9)). So
    start values are soon forgotten: its memory is at most about a ninth of the steps so far (the warm-up of TensorFlow's
    `tf.train.ExponentialMovingAverage`, (1 + n) / (10 + n) for n = t - 1). Averages of G: Yazıcı et al., 2019; Karras
    et al., 2018, appendix A.1. BatchNorm's running statistics are averaged like the weights that they belong to;
    the directions of spectral norms are taken over as they are: an average of unit vectors is none.

    Args:
      decay: Of a step, in (0, 1): it remembers about 1 / (1 - decay) steps.
      network: Whose variables are averaged.
      average: The network that holds the averages. It begins with the same values.
    """

    def __init__(self, decay: float, network: Any, average: Any) -> None:
        self.decay = decay
        self._pairs = [
            (a.value, v.value, v.name.endswith(("kernel_u", "kernel_v")))
            for a, v in zip(average.variables, network.variables, strict=True)
        ]

    def update(self, step: Any) -> None:
        """Takes in the variables as they are after `step` steps. Called in a replica context, or outside of any."""
        t = tf.cast(step, tf.float64)
        rest = 1 - tf.minimum(tf.constant(self.decay, tf.float64), t / (t + _WARM_UP))
        for average, variable, as_it_is in self._pairs:
            old, new = average.read_value(), variable.read_value()
            new = new if as_it_is else old + tf.cast(rest, old.dtype) * (new - old)
            # By its handle: every replica writes its own copy, all with the same numbers.
            tf.raw_ops.AssignVariableOp(resource=average.handle, value=new)
