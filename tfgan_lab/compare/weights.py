"""Maps weights between our networks and the posts' PyTorch networks, both ways, one to one.

Names are those of `torch_peers` (the posts' own attribute names). Kernels are transposed; nothing is flipped:

  Linear            weight [out, in]          <- Dense kernel [in, out]
  Conv2d            weight [out, in, kh, kw]  <- Conv2D kernel [kh, kw, in, out]
  ConvTranspose2d   weight [in, out, kh, kw]  <- Conv2DTranspose kernel [kh, kw, out, in]
  BatchNorm, LayerNorm   weight, bias (, running_mean, running_var)  <- gamma, beta (, moving_mean, moving_variance)

BatchNorm's `num_batches_tracked` has no part in the arithmetic and no counterpart here: it is accepted and set aside.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tfgan_lab.config import MLP
from tfgan_lab.errors import UserError
from tfgan_lab.models.cgan import BranchDiscriminator, BranchGenerator, MaxoutDiscriminator
from tfgan_lab.models.classifier import ConvClassifier
from tfgan_lab.models.dcgan import ConvDiscriminator, ConvGenerator
from tfgan_lab.models.gaussian import SetDiscriminator
from tfgan_lab.models.layers import BatchNorm
from tfgan_lab.models.mlp import HiddenLayers, MLPDiscriminator, MLPGenerator
from tfgan_lab.models.network import Network

COUNTER = "num_batches_tracked"
_DENSE, _CONV = (1, 0), (3, 2, 0, 1)


@dataclasses.dataclass(frozen=True)
class Pair:
    """One tensor on both sides.

    Attributes:
      name: In the state_dict, such as "model.3.weight".
      variable: Our Keras variable.
      axes: torch = transpose(ours, axes); None where they are equal.
    """

    name: str
    variable: Any
    axes: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """PyTorch's."""
        shape = tuple(self.variable.shape)
        return shape if self.axes is None else tuple(shape[axis] for axis in self.axes)

    def read(self, value: Any = None) -> np.ndarray:
        """Our variable (or a tensor of its shape, such as its gradient) in PyTorch's layout."""
        array = np.asarray(self.variable.value if value is None else value)
        return array if self.axes is None else np.ascontiguousarray(np.transpose(array, self.axes))

    def write(self, array: np.ndarray) -> None:
        """Assigns an array of PyTorch's layout."""
        self.variable.assign(array if self.axes is None else np.transpose(array, np.argsort(self.axes)))


def layers_of(network: Network, post: str) -> dict[str, keras.layers.Layer]:
    """Our layers by the name of the module that is theirs in the post's PyTorch network.

    Args:
      network: Any of `tfgan_lab.models`.
      post: The config's post: the posts name the layers of like networks differently.

    Raises:
      UserError: No post has such a network.
    """
    match network:
        case MLPGenerator() | MLPDiscriminator():
            named = dict(_mlp(network, post))
        case SetDiscriminator():
            named = {f"map{i + 1}": layer for i, layer in enumerate([*network.denses, network.out])}
        case BranchGenerator() | BranchDiscriminator():
            named = dict(_branch(network))
        case MaxoutDiscriminator():
            named = {
                "maxout_x.linear": network.image_maxout.affine, "maxout_y.linear": network.label_maxout.affine,
                "joint.linear": network.joint_maxout.affine, "out": network.out,
            }  # fmt: skip
        case ConvGenerator() | ConvDiscriminator() | ConvClassifier():
            named = dict(_conv(network))
        case _:
            raise UserError(f"{type(network).__name__}: none of the posts has such a network in PyTorch.")
    mapped = sum(len(layer.variables) for layer in named.values())
    if mapped != len(network.variables):
        raise UserError(
            f"{network.name}: {mapped} of its {len(network.variables)} tensors have a place in post {post}'s PyTorch network: "
            "weights can be exchanged for the posts' own structures only."
        )
    return named


def pairs_of(network: Network, post: str) -> list[Pair]:
    """Every tensor of a network with its PyTorch name, in the order of the network's layers."""
    return [pair for name, layer in layers_of(network, post).items() for pair in _pairs(name, layer)]


def without_effect(network: Network, post: str) -> set[str]:
    """Names of biases that a BatchNorm right after them takes out again, and of the running means that see them."""
    named = list(layers_of(network, post).items())
    free: set[str] = set()
    if isinstance(network, ConvClassifier) or (isinstance(network.spec, MLP) and not network.spec.norm_first):
        return free  # an activation stands between
    for (name, _), (after, layer) in itertools.pairwise(named):
        if isinstance(layer, BatchNorm):
            free |= {f"{name}.bias", f"{after}.running_mean"}
    return free


def to_torch(network: Network, post: str, counters: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """A network's weights as a state_dict of arrays, which `load_state_dict(strict=True)` takes.

    Args:
      network: Any of `tfgan_lab.models`.
      post: The config's post.
      counters: BatchNorm's `num_batches_tracked` by name; 0 where not given.
    """
    state = {pair.name: pair.read() for pair in pairs_of(network, post)}
    given = counters or {}
    return state | {name: np.asarray(given.get(name, 0), np.int64) for name in counter_names(network, post)}


def counter_names(network: Network, post: str) -> list[str]:
    """Names of BatchNorm's counters in the network's state_dict."""
    return [f"{name}.{COUNTER}" for name, layer in layers_of(network, post).items() if isinstance(layer, BatchNorm)]


def from_torch(network: Network, state: Mapping[str, Any], post: str, where: str) -> dict[str, int]:
    """Sets a network's weights from a state_dict.

    Args:
      network: Any of `tfgan_lab.models`; left as it was if anything is wrong.
      state: Torch tensors or NumPy arrays by name.
      post: The config's post.
      where: What to call the state_dict in an error, such as its file.

    Returns:
      BatchNorm's counters found in it.

    Raises:
      UserError: Missing, extra or misshapen tensors, or values that are no finite floating-point numbers; all named.
    """
    pairs, counters = pairs_of(network, post), counter_names(network, post)
    _check_names(state, pairs, counters, where)
    arrays = [_finite(state[pair.name], pair, where) for pair in pairs]
    for pair, array in zip(pairs, arrays, strict=True):
        pair.write(array)
    return {name: int(state[name]) for name in counters if name in state and np.asarray(state[name]).size == 1}


def _mlp(network: Any, post: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    hidden: HiddenLayers = network.hidden
    if post == "P004":
        yield from ((f"map{i + 1}", layer) for i, layer in enumerate([*hidden.denses, network.out]))
    elif post == "P003":
        yield from ((f"fc{i + 1}.0", layer) for i, layer in enumerate(hidden.denses))
        yield "fc_out.0", network.out
    else:
        yield from _sequential(network.spec, hidden, network.out)


def _sequential(spec: MLP, hidden: HiddenLayers, out: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Linear, activation, normalisation (or the two in the other order) and dropout each take a place in nn.Sequential."""
    place = 0
    for affine, norm in zip(hidden.denses, hidden.norms, strict=True):
        yield f"model.{place}", affine
        if norm is not None:
            yield f"model.{place + (1 if spec.norm_first else 2)}", norm
        place += 2 + (norm is not None) + bool(spec.dropout)
    yield f"model.{place}", out


def _branch(network: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
    branches = network.branches
    affine = [branches.input_dense, branches.label_dense, *branches.joint_denses]
    norms = [branches.input_norm, branches.label_norm, *branches.joint_norms]
    joint = [f"fc{i + 2}" for i in range(len(branches.joint_denses))]
    if isinstance(network, BranchDiscriminator):
        names, last = [f"{name}.0" for name in ("fc1_1", "fc1_2", *joint)], "fc_out.0"
    elif norms[0] is not None:
        names, last = ["fc1_1", "fc1_2", *joint], f"fc{len(joint) + 2}"
    else:
        names, last = ["fc_z", "fc_y", "joint"], "out"  # the paper's
    for name, layer, norm in zip(names, affine, norms, strict=False):
        yield name, layer
        if norm is not None and not isinstance(network, BranchDiscriminator):
            yield f"{name}_bn", norm
    yield last, network.out


def _conv(network: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
    place = 0
    if isinstance(network, ConvGenerator):
        yield "model.0", network.seed_dense
        place = 3  # Linear, activation, Unflatten
    norm_place = 2 if isinstance(network, ConvClassifier) else 1  # after the activation, or before it
    for index, layer in enumerate(network.convs):
        yield f"model.{place}", layer
        place += 2
        if index < len(network.norms):
            yield f"model.{place - 2 + norm_place}", network.norms[index]
            place += 1
    if not isinstance(network, ConvGenerator):
        yield f"model.{place + 1}", network.out  # after Flatten


def _pairs(name: str, layer: Any) -> Iterator[Pair]:
    match layer:
        case keras.layers.Dense():
            yield from (Pair(f"{name}.weight", layer.kernel, _DENSE), Pair(f"{name}.bias", layer.bias))
        case keras.layers.Conv2D() | keras.layers.Conv2DTranspose():
            yield from (Pair(f"{name}.weight", layer.kernel, _CONV), Pair(f"{name}.bias", layer.bias))
        case BatchNorm() | keras.layers.LayerNormalization():
            yield from (Pair(f"{name}.weight", layer.gamma), Pair(f"{name}.bias", layer.beta))
    if isinstance(layer, BatchNorm):
        yield from (Pair(f"{name}.running_mean", layer.moving_mean), Pair(f"{name}.running_var", layer.moving_variance))


def _check_names(state: Mapping[str, Any], pairs: list[Pair], counters: list[str], where: str) -> None:
    expected = {pair.name: pair.shape for pair in pairs}
    faults = []
    if missing := [name for name in expected if name not in state]:
        faults.append(f"missing {', '.join(missing)}")
    if extra := [name for name in state if name not in expected and name not in counters]:
        faults.append(f"not expected {', '.join(extra)}")
    shapes = {name: tuple(state[name].shape) for name in expected if name in state}
    if misshapen := [
        f"{name} is {list(shape)}, not {list(expected[name])}"
        for name, shape in shapes.items()
        if shape != expected[name]
    ]:
        faults.append(f"of another shape: {', '.join(misshapen)}")
    if faults:
        raise UserError(
            f"{where} does not fit the config's network: {'; '.join(faults)}. Use the config of that network, or its --config.FIELD sizes."
        )


def _finite(value: Any, pair: Pair, where: str) -> np.ndarray:
    try:
        # Through float64, as NumPy has no bfloat16; every smaller type survives that exactly.
        array = (
            value.detach().cpu().double().numpy()
            if hasattr(value, "detach") and value.is_floating_point()
            else np.asarray(value)
        )
    except (TypeError, RuntimeError) as error:
        raise UserError(f"{where}: {pair.name} cannot be read: {str(error).splitlines()[0][:120]}.") from None
    if array.dtype.kind != "f":
        raise UserError(f"{where}: {pair.name} is {array.dtype}, not floating point.")
    with np.errstate(over="ignore"):
        array = array.astype(pair.variable.dtype)
    if not np.isfinite(array).all():
        raise UserError(f"{where}: {pair.name} holds NaN or infinity: it cannot be used.")
    return array
