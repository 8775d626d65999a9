"""A generator as a short list of steps and one block of weights, for the few lines of JavaScript that draw from it.

`templates/net.js` runs the steps. Registers: "z" the latents, "y" the one-hot label, "x" and "side" what the layers make.
Matrices go as whole numbers of 14 or 16 bits with a scale for each row where that moves no pixel by more than half of
1/255, else as float32.
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np

from tfgan_lab.config import GanConfig, Gaussian
from tfgan_lab.models.layers import BatchNorm

CHECKED = 20  # latents whose pixels every page carries, so that the reader's browser can check itself
_HALF_A_LEVEL = 0.5 / 255
_DIRECTIONS = 6


@dataclasses.dataclass(frozen=True)
class BrowserNet:
    """What a page carries of a generator.

    Attributes:
      plan: Plain values for JSON: "steps", "weights" (base64), latents, labels, shape, directions, "check".
      difference: The largest difference in [0, 1] that rounding the weights makes, over `CHECKED` latents.
    """

    plan: dict[str, Any]
    difference: float


class _Weights:
    """Collects arrays into one block; a step refers to its arrays by type, position and shape."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, array: Any, dtype: Any = np.float32) -> dict[str, Any]:
        values = np.ascontiguousarray(np.asarray(array).astype(dtype))
        padding = -self._size % 4  # a Float32Array must start at a multiple of its size
        at = self._size + padding
        self._pieces += [bytes(padding), values.tobytes()]
        self._size = at + values.nbytes
        return {"at": at, "shape": list(values.shape)}

    def add_matrix(self, rows: np.ndarray, bits: int) -> dict[str, Any]:
        """Rows along the last axis: as float32, or in so many bits a value, packed, with a scale for each row."""
        if bits == 32:
            return self.add(rows)
        levels, scales = _to_levels(rows, bits)
        unsigned = levels.ravel().astype(np.int32) + (1 << (bits - 1))
        packed = np.packbits((unsigned[:, None] >> np.arange(bits - 1, -1, -1)) & 1)
        stored = self.add(np.append(packed, [0, 0]), np.uint8)  # net.js reads three bytes for each value
        return {**stored, "shape": list(rows.shape), "bits": bits, "scales": self.add(scales)}

    def encoded(self) -> str:
        return base64.b64encode(b"".join(self._pieces)).decode()


class _Writer:
    """Writes steps for the layers of `tfgan_lab.models`."""

    def __init__(self, bits: int) -> None:
        self.weights, self._bits = _Weights(), bits
        self.steps: list[dict[str, Any]] = []

    def step(self, kind: str, source: str | list[str] = "x", to: str = "x", **facts: Any) -> None:
        self.steps.append({"kind": kind, "from": source, "to": to, **facts})

    def dense(self, layer: Any, source: str = "x", to: str = "x") -> None:
        kernel = self.weights.add_matrix(_rows_of(layer.kernel), self._bits)  # [out, in]
        self.step("dense", source, to, kernel=kernel, bias=self.weights.add(layer.bias.numpy()))

    def activation(self, name: str, slope: float = 0.0, register: str = "x") -> None:
        if name != "linear":
            self.step("activation", register, register, name=name, slope=slope)

    def norm(self, layer: Any, register: str = "x") -> None:
        if layer is None:
            return
        if isinstance(layer, BatchNorm) and not layer.own_statistics:
            # Outside training BatchNorm is a fixed scale and shift of each channel.
            scale = layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy().astype(np.float64) + layer.epsilon)
            shift = layer.beta.numpy() - layer.moving_mean.numpy() * scale
            self.step("scale_shift", register, register, scale=self.weights.add(scale), shift=self.weights.add(shift))
        else:
            gamma, beta = self.weights.add(layer.gamma.numpy()), self.weights.add(layer.beta.numpy())
            kind = "image_norm" if isinstance(layer, BatchNorm) else "layer_norm"
            self.step(kind, register, register, scale=gamma, shift=beta, epsilon=layer.epsilon)

    def conv_transpose(self, layer: Any, stride: int, padding: int) -> None:
        kernel = self.weights.add_matrix(_rows_of(layer.kernel), self._bits)  # [k, k, out, in]
        bias = self.weights.add(layer.bias.numpy())
        self.step("conv_transpose", kernel=kernel, bias=bias, stride=stride, padding=padding)


def browser_net(config: GanConfig, module: Any, network: Any, most: int) -> BrowserNet | None:
    """Turns a generator into what a page can carry.

    Args:
      config: Its config.
      module: The `tfgan_lab.export.GeneratorModule` of it.
      network: The generator itself.
      most: Bytes that it may take in the page.

    Returns:
      None if it does not fit.
    """
    matrices = [v for v in network.variables if len(v.shape) > 1]
    numbers = sum(int(np.prod(v.shape)) for v in matrices)
    latents, labels = _inputs(config, 32 if hasattr(network, "convs") else 256)
    for bits in (14, 16, 32):
        if numbers * bits / 6 > most:  # base64 takes a byte for six bits
            return None
        difference = _rounding(module, matrices, bits, latents, labels)
        if difference <= _HALF_A_LEVEL:
            break
    latents, labels = _inputs(config, CHECKED)
    exact = module.draw(latents, labels).numpy()
    writer = _Writer(bits)
    _WRITERS[config.generator.kind](writer, network)
    plan = {
        "steps": writer.steps, "weights": writer.weights.encoded(), "latents": config.latents.dim,
        "distribution": config.latents.distribution, "labels": config.num_labels, "shape": list(exact.shape[1:]),
        "tanh": not isinstance(config.data, Gaussian) and config.data.pixels == "tanh",
        "directions": latent_directions(network), "check": _check(latents.numpy(), labels, exact),
    }  # fmt: skip
    return BrowserNet(plan, difference)


def _inputs(config: GanConfig, number: int) -> tuple[Any, Any]:
    from tfgan_lab.export import spread_labels
    from tfgan_lab.randomness import draw_latents, sample_seed

    latents = draw_latents(config.latents.distribution, config.latents.dim, number, sample_seed(config.seed, 2))
    return latents, spread_labels(config.num_labels, number) if config.num_labels else None


def latent_directions(network: Any) -> list[list[float]]:
    """The directions of the latent space along which the first layer's output moves most, unit length, [<= 6, Z].

    Source: Shen & Zhou, "Closed-form factorization of latent semantics in GANs", 2021, equation 6.
    """
    first = network.seed_dense if hasattr(network, "seed_dense") else None
    if first is None:
        first = network.branches.input_dense if hasattr(network, "branches") else network.hidden.denses[0]
    latent_dim = network._wiring["latent_dim"]
    if latent_dim == 1:
        return []
    vectors = np.linalg.svd(first.kernel.numpy()[:latent_dim].astype(np.float64), full_matrices=False)[0]  # [Z, rank]
    return vectors.T[:_DIRECTIONS].round(5).tolist()


def _rows_of(kernel: Any) -> np.ndarray:
    """A kernel with its inputs along the last axis: dense [out, in], transposed convolution [k, k, out, in]."""
    values = kernel.numpy()
    return values.T if values.ndim == 2 else values


def _to_levels(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, and the scale of each row that turns them back."""
    most = (1 << (bits - 1)) - 1
    scales = np.maximum(np.abs(rows).max(axis=-1), 1e-30) / most
    return np.rint(rows / scales[..., None]), scales


def _rounding(module: Any, matrices: list[Any], bits: int, latents: Any, labels: Any) -> float:
    """By how much rounding the matrices to so many bits moves what the generator draws, at most."""
    if bits == 32:
        return 0.0
    exact, before = module.draw(latents, labels).numpy(), [matrix.numpy() for matrix in matrices]
    try:
        for matrix in matrices:
            levels, scales = _to_levels(_rows_of(matrix), bits)
            rounded = levels * scales[..., None].astype(np.float32)
            matrix.assign(rounded.T if rounded.ndim == 2 else rounded)
        return float(np.abs(module.draw(latents, labels).numpy() - exact).max())
    finally:
        for matrix, values in zip(matrices, before, strict=True):
            matrix.assign(values)


def _check(latents: np.ndarray, labels: Any, exact: np.ndarray) -> dict[str, Any]:
    # A page of large images checks a few of them: their pixels would cost more than the net.
    number = max(2, min(CHECKED, 60_000 // exact[0].size))
    kept = exact[:number]
    numbers = exact.shape[1:] == (1,)
    levels = kept if numbers else np.rint(np.clip(kept, 0, 1) * 255).astype(np.uint8)
    return {
        "number": number,
        "latents": base64.b64encode(latents[:number].astype("<f4").tobytes()).decode(),
        "labels": None if labels is None else labels.numpy()[:number].tolist(),
        "expected": levels.ravel().tolist() if numbers else base64.b64encode(levels.tobytes()).decode(),
    }


def _mlp(writer: _Writer, network: Any) -> None:
    spec, hidden, source = network.spec, network.hidden, "z"
    if network.num_labels:
        writer.step("concat", ["z", "y"])
        source = "x"
    for affine, norm, activation in zip(hidden.denses, hidden.norms, hidden.activations, strict=True):
        writer.dense(affine, source)
        source = "x"
        if spec.norm_first:
            writer.norm(norm)
        writer.activation(activation, spec.slope)
        if not spec.norm_first:
            writer.norm(norm)
    writer.dense(network.out, source)
    writer.activation(spec.output)


def _branch(writer: _Writer, network: Any) -> None:
    spec, branches = network.spec, network.branches
    for source, to, affine, norm in (
        ("z", "x", branches.input_dense, branches.input_norm),
        ("y", "side", branches.label_dense, branches.label_norm),
    ):
        writer.dense(affine, source, to)
        writer.norm(norm, to)
        writer.activation(spec.activation, spec.slope, to)
    writer.step("concat", ["x", "side"])
    for affine, norm in zip(branches.joint_denses, branches.joint_norms, strict=True):
        writer.dense(affine)
        writer.norm(norm)
        writer.activation(spec.activation, spec.slope)
    writer.dense(network.out)
    writer.activation(spec.output)


def _conv(writer: _Writer, network: Any) -> None:
    spec, source = network.spec, "z"
    if network.num_labels:
        writer.step("concat", ["z", "y"])
        source = "x"
    writer.dense(network.seed_dense, source)
    writer.activation(spec.activation, spec.slope)
    writer.step("to_image", size=spec.seed_size, channels=spec.seed_channels)
    for index, (layer, padding) in enumerate(zip(network.convs, spec.paddings, strict=True)):
        writer.conv_transpose(layer, spec.stride, padding)
        if index < len(network.norms):
            writer.norm(network.norms[index])
        last = index == len(network.convs) - 1
        writer.activation(spec.output if last else spec.activation, spec.slope)


_WRITERS = {"mlp": _mlp, "branch": _branch, "conv_generator": _conv}
