"""A generator as a short list of steps and one block of weights, for the few lines of JavaScript that draw from it.

`templates/net.js` runs the steps: `Layer.browser` writes them, and each kind's `javascript` is what is done in one.
Matrices go as whole numbers of 14 or 16 bits with a scale for each row where that moves no pixel by more than half of
1/255, else as float32. A page of many generators takes coarser ones (`coarse_net`), which compress.
"""

from __future__ import annotations

import base64
import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfgan_lab.config import GanConfig
from tfgan_lab.layer_base import KINDS, browser_steps, every_node

CHECKED = 20  # latents whose pixels every page carries, so that the reader's browser can check itself
_HALF_A_LEVEL = 0.5 / 255
_DIRECTIONS = 6


class BrowserWeights:
    """Collects arrays into one block; a step refers to its arrays by type, position and shape.

    A value of a matrix takes so many bits: 32 (as float32) or fewer; `step` is as of `_to_levels`.
    """

    def __init__(self, bits: int, step: float = 0.0) -> None:
        self._bits, self._step = bits, step
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
        levels, scales = _to_levels(rows, bits, self._step)
        unsigned = levels.ravel().astype(np.int32) + (1 << (bits - 1))
        packed = np.packbits((unsigned[:, None] >> np.arange(bits - 1, -1, -1)) & 1)
        stored = self.add(np.append(packed, [0, 0]), np.uint8)  # net.js reads three bytes for each value
        return {**stored, "shape": list(rows.shape), "bits": bits, "scales": self.add(scales)}

    def encoded(self, deflated: bool = False) -> str:
        block = b"".join(self._pieces)
        if deflated:  # no search for repetitions: there are none
            packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
            block = packer.compress(block) + packer.flush()
        return base64.b64encode(block).decode()


def browser_net(config: GanConfig, module: Any, network: Any, most: int) -> dict[str, Any] | None:
    """Turns a generator, of which `module` is the `GeneratorModule`, into what a page can carry in so many bytes.

    Returns:
      Its plan, plain values for JSON: "steps", "weights" (base64), latents, labels, shape, directions, "check". None if
      it does not fit, or has a layer that browsers do not know.
    """
    if not all(node.layer.javascript or node.layer.browser(node, id) is None for node in every_node(network.nodes)):
        return None
    matrices = _matrices(network)
    numbers = sum(int(np.prod(v.shape)) for v in matrices)
    for bits in (14, 16, 32):
        if numbers * bits / 6 > most:  # base64 takes a byte for six bits
            return None
        if _rounding(config, module, matrices, bits)[0] <= _HALF_A_LEVEL:
            break
    return _plan(config, module, network, BrowserWeights(bits))


def coarse_net(config: GanConfig, module: Any, network: Any, step: float) -> tuple[dict[str, Any], float, float]:
    """As `browser_net`, with 255 levels for a row's weights, so many root mean squares of the row apart, deflated.

    Returns:
      The plan, whose "check" has the pixels of the coarse weights, as it checks the browser; and by how much rounding
      moves pixels in [0, 1] (or numbers), at most and on average, over 256 latents (of large images 32).
    """
    matrices = _matrices(network)
    plan = _plan(config, module, network, BrowserWeights(8, step), _rounded(matrices, 8, step))
    return plan, *_rounding(config, module, matrices, 8, step)


def _matrices(network: Any) -> list[Any]:
    return [v for v in network.variables if len(v.shape) > 1]


def _plan(config: GanConfig, module: Any, network: Any, weights: BrowserWeights, coarse: Any = None) -> dict[str, Any]:
    steps, (latents, labels) = browser_steps(network.nodes, weights.keep), _inputs(config, CHECKED)
    with coarse or contextlib.nullcontext():
        exact = module.draw(latents, labels).numpy()
    return {
        "steps": steps, "weights": weights.encoded(coarse is not None), "deflated": coarse is not None, "latents": config.latents.dim,
        "distribution": config.latents.distribution, "labels": config.num_labels, "shape": list(exact.shape[1:]),
        "tanh": config.data.pixels == "tanh",
        "directions": latent_directions(network), "check": _check(latents.numpy(), labels, exact),
    }  # fmt: skip


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
    rows = kernel.numpy()[:latent_dim].astype(np.float64)
    # Its left singular vectors, many times faster than by decomposing the wide kernel itself.
    vectors = np.linalg.eigh(rows @ rows.T).eigenvectors.T[::-1]  # [Z, Z]
    return vectors[: min(_DIRECTIONS, rows.shape[1])].round(5).tolist()


def _rows_of(values: np.ndarray) -> np.ndarray:
    """A kernel with its inputs along the last axis: dense [out, in], transposed convolution [k, k, out, in]."""
    return values.T if values.ndim == 2 else values


def javascript_of_layers() -> str:
    """The object of functions by kind of layer that `templates/net.js` runs."""
    return "{\n" + "".join(f"  {name}: {kind.javascript},\n" for name, kind in KINDS.items() if kind.javascript) + "}"


def _to_levels(rows: np.ndarray, bits: int, step: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, and the scale of each row that turns them back.

    As many levels as bits allow; with `step` fewer, so many root mean squares of the row apart.
    """
    most = (1 << (bits - 1)) - 1
    scales = np.maximum(np.abs(rows).max(axis=-1), 1e-30) / most
    scales = np.maximum(scales, step * np.sqrt(np.square(rows).mean(axis=-1)))
    return np.rint(rows / scales[..., None]), scales


def _rounding(config: GanConfig, module: Any, matrices: list[Any], bits: int, step: float = 0.0) -> tuple[float, float]:
    """By how much rounding the matrices to so many bits moves what the generator draws, at most and on average."""
    if bits == 32:
        return 0.0, 0.0
    latents, labels = _inputs(config, 32 if any(len(v.shape) > 2 for v in matrices) else 256)
    exact = module.draw(latents, labels).numpy()
    with _rounded(matrices, bits, step):
        difference = np.abs(module.draw(latents, labels).numpy() - exact)
    return float(difference.max()), float(difference.mean())


@contextlib.contextmanager
def _rounded(matrices: list[Any], bits: int, step: float) -> Iterator[None]:
    before = [matrix.numpy() for matrix in matrices]
    try:
        for matrix in matrices:
            levels, scales = _to_levels(_rows_of(matrix.numpy()), bits, step)
            rounded = levels * scales[..., None].astype(np.float32)
            matrix.assign(rounded.T if rounded.ndim == 2 else rounded)
        yield
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
        "number": number, "latents": base64.b64encode(latents[:number].astype("<f4").tobytes()).decode(),
        "labels": None if labels is None else labels.numpy()[:number].tolist(),
        "expected": levels.ravel().tolist() if numbers else base64.b64encode(levels.tobytes()).decode(),
    }  # fmt: skip
