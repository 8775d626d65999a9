"""A generator as a short list of steps and one block of weights, for the few lines of JavaScript that draw from it.

`templates/net.js` runs the steps: `Layer.browser` writes them, and each kind's `javascript` is what is done in one.
Matrices go as whole numbers of 14 or 16 bits with a scale for each row where that moves no pixel by more than half of
1/255, else as float32.
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np

from tfgan_lab.config import GanConfig
from tfgan_lab.layer_base import KINDS, browser_steps, every_node

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


class BrowserWeights:
    """Collects arrays into one block; a step refers to its arrays by type, position and shape.

    Args:
      bits: How many a value of a matrix takes: 32 (as float32) or fewer.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, array: Any, dtype: Any = np.float32) -> dict[str, Any]:
        values = np.ascontiguousarray(np.asarray(array).astype(dtype))
        padding = -self._size % 4  # a Float32Array must start at a multiple of its size
        at = self._size + padding
        self._pieces += [bytes(padding), values.tobytes()]
        self._size = at + values.nbytes
        return {"at": at, "shape": list(values.shape)}

    def keep(self, array: Any) -> dict[str, Any]:
        """Adds a vector, or a matrix with its inputs along the last axis: packed, with a scale for each row."""
        rows, bits = _rows_of(np.asarray(array)), self._bits
        if rows.ndim == 1 or bits == 32:
            return self.add(rows)
        levels, scales = _to_levels(rows, bits)
        unsigned = levels.ravel().astype(np.int32) + (1 << (bits - 1))
        packed = np.packbits((unsigned[:, None] >> np.arange(bits - 1, -1, -1)) & 1)
        stored = self.add(np.append(packed, [0, 0]), np.uint8)  # net.js reads three bytes for each value
        return {**stored, "shape": list(rows.shape), "bits": bits, "scales": self.add(scales)}

    def encoded(self) -> str:
        return base64.b64encode(b"".join(self._pieces)).decode()


def browser_net(config: GanConfig, module: Any, network: Any, most: int) -> BrowserNet | None:
    """Turns a generator into what a page can carry.

    Args:
      config: Its config.
      module: The `tfgan_lab.export.saved_model.GeneratorModule` of it.
      network: The generator itself.
      most: Bytes that it may take in the page.

    Returns:
      None if it does not fit, or has a layer that browsers do not know.
    """
    if not all(node.layer.javascript or node.layer.browser(node, id) is None for node in every_node(network.nodes)):
        return None
    matrices = [v for v in network.variables if len(v.shape) > 1]
    numbers = sum(int(np.prod(v.shape)) for v in matrices)
    latents, labels = _inputs(config, 32 if any(len(v.shape) > 2 for v in matrices) else 256)
    for bits in (14, 16, 32):
        if numbers * bits / 6 > most:  # base64 takes a byte for six bits
            return None
        difference = _rounding(module, matrices, bits, latents, labels)
        if difference <= _HALF_A_LEVEL:
            break
    latents, labels = _inputs(config, CHECKED)
    exact = module.draw(latents, labels).numpy()
    weights = BrowserWeights(bits)
    plan = {
        "steps": browser_steps(network.nodes, weights.keep), "weights": weights.encoded(), "latents": config.latents.dim,
        "distribution": config.latents.distribution, "labels": config.num_labels, "shape": list(exact.shape[1:]),
        "tanh": config.data.pixels == "tanh",
        "directions": latent_directions(network), "check": _check(latents.numpy(), labels, exact),
    }  # fmt: skip
    return BrowserNet(plan, difference)


def _inputs(config: GanConfig, number: int) -> tuple[Any, Any]:
    from tfgan_lab.export.saved_model import spread_labels
    from tfgan_lab.randomness import draw_latents, sample_seed

    latents = draw_latents(config.latents.distribution, config.latents.dim, number, sample_seed(config.seed, 2))
    return latents, spread_labels(config.num_labels, number) if config.num_labels else None


def latent_directions(network: Any) -> list[list[float]]:
    """The directions of the latent space along which the first layer's output moves most, unit length, [<= 6, Z].

    Source: Shen & Zhou, "Closed-form factorization of latent semantics in GANs", 2021, equation 6.
    """
    kernel = next(node.weights["kernel"] for node in every_node(network.nodes) if "kernel" in node.weights)
    latent_dim = network.latent_dim
    if latent_dim == 1 or len(kernel.shape) != 2:
        return []
    vectors = np.linalg.svd(kernel.numpy()[:latent_dim].astype(np.float64), full_matrices=False)[0]  # [Z, rank]
    return vectors.T[:_DIRECTIONS].round(5).tolist()


def _rows_of(values: np.ndarray) -> np.ndarray:
    """A kernel with its inputs along the last axis: dense [out, in], transposed convolution [k, k, out, in]."""
    return values.T if values.ndim == 2 else values


def javascript_of_layers() -> str:
    """The object of functions by kind of layer that `templates/net.js` runs."""
    return "{\n" + "".join(f"  {name}: {kind.javascript},\n" for name, kind in KINDS.items() if kind.javascript) + "}"


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
            levels, scales = _to_levels(_rows_of(matrix.numpy()), bits)
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
