"""Spectral normalisation: a kernel over an estimate of its largest singular value (Miyato et al., 2018).

The estimate is sigma = u W v. Its state, the unit vectors u (of outputs) and v (of the rest of the kernel), moves by one
power iteration at every pass in training, as that of `torch.nn.utils.parametrizations.spectral_norm` does: u = W v /
|W v|, then v = W'u / |W'u|. Passes outside training take it as it is.
"""

from __future__ import annotations

from typing import Any

FIRST_ITERATIONS = 15  # before the first pass, as PyTorch's: where the state began does not matter then


def normalised(kernel: Any, state: tuple[Any, Any], outputs_axis: int, moves: bool) -> Any:
    """The kernel over its sigma.

    Args:
      kernel: [..., inputs, outputs], or with the last two axes changed; several seeds' have a leading axis of seeds.
      state: The variables u [outputs] and v [rest], or of several seeds [S, ...].
      outputs_axis: Which axis of the kernel are outputs: -1 or -2.
      moves: Whether the state moves first.
    """
    import tensorflow as tf

    def unit(vector: Any) -> Any:
        return tf.math.l2_normalize(vector, -1, epsilon=1e-24)

    u, v = (tf.convert_to_tensor(variable) for variable in state)
    matrix = tf.cast(kernel, u.dtype)
    if outputs_axis == -2:
        matrix = tf.linalg.matrix_transpose(matrix)
    matrix = tf.reshape(matrix, [*u.shape[:-1], v.shape[-1], u.shape[-1]])  # [rest, outputs], the transpose of W
    if moves:
        fixed = tf.stop_gradient(matrix)
        u = unit(tf.linalg.matvec(fixed, v, transpose_a=True))
        v = unit(tf.linalg.matvec(fixed, u))
        for variable, value in zip(state, (u, v), strict=True):
            if tf.distribute.in_cross_replica_context():  # where networks are built
                variable.assign(value)
            else:  # of each replica its own copy, all with the same numbers
                tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
    sigma = tf.reduce_sum(u * tf.linalg.matvec(matrix, v, transpose_a=True), -1)  # [], or of several seeds [S]
    sigma = tf.reshape(sigma, [*sigma.shape, *[1] * (kernel.shape.rank - sigma.shape.rank)])
    return kernel / tf.cast(sigma, kernel.dtype)
