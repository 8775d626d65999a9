"""Maps weights between our networks and the posts' PyTorch networks, both ways, one to one.

Names are those of `posts_in_torch` (the posts' own attribute names); which tensors a layer has and how their axes are
ordered, its `torch` says: Linear is [out, in] <- Dense [in, out], Conv2d [out, in, kh, kw] <- Conv [kh, kw, in, out],
ConvTranspose2d [in, out, kh, kw] <- ConvTranspose [kh, kw, out, in]. Nothing is flipped.

BatchNorm's `num_batches_tracked` has no part in the arithmetic and no counterpart here: it is accepted and set aside.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.layer_base import Node, every_node
from tfgan_lab.layers import BatchNorm, Flatten, Join
from tfgan_lab.networks import Network

COUNTER = "num_batches_tracked"
# Post P003's names of the layers with weights, in the order in which they run: of networks that join two branches.
_JOINED = {
    ("dense", "batch_norm") * 4 + ("dense",): [
        "fc1_1", "fc1_1_bn", "fc1_2", "fc1_2_bn", "fc2", "fc2_bn", "fc3", "fc3_bn", "fc4"
    ],
    ("dense",) * 4: ["fc_z", "fc_y", "joint", "out"],
    ("dense",) * 5: ["fc1_1.0", "fc1_2.0", "fc2.0", "fc3.0", "fc_out.0"],
    ("maxout", "maxout", "maxout", "dense"): ["maxout_x.linear", "maxout_y.linear", "joint.linear", "out"],
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pair:
    """One tensor on both sides."""

    name: str  # in the state_dict, such as "model.3.weight"
    variable: Any  # our Keras variable
    axes: tuple[int, ...] | None = None  # torch = transpose(ours, axes); None where they are equal

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


def modules_of(network: Network, post: str) -> dict[str, Node]:
    """Our layers with weights, by the name of the module that is theirs in the PyTorch network of that post.

    Raises:
      UserError: No post has such a network.
    """
    weighted = [node for node in every_node(network.nodes) if node.weights]
    kinds = tuple(node.layer.kind for node in weighted)
    joined = any(isinstance(node.layer, Join) for node in network.nodes)
    names = None
    if all(len(node.layer.torch) == len(node.weights) and not _keras_order(node) for node in every_node(network.nodes)):
        if post == "P003":
            plain = [*(f"fc{i + 1}.0" for i in range(len(kinds) - 1)), "fc_out.0"] if {*kinds} == {"dense"} else None
            names = _JOINED.get(kinds) if joined else plain
        elif post == "P004" and {*kinds} == {"dense"} and not joined:
            names = [f"map{i + 1}" for i in range(len(kinds))]
        elif post in ("P000", "P001", "P002") and not joined:
            # An nn.Sequential, which begins with the first layer that has weights.
            first = network.nodes.index(weighted[0])
            names = [f"model.{place - first}" for place, node in enumerate(network.nodes) if node.weights]
    if names is None:
        raise UserError(
            f"{network.name}: post {post} has no such network in PyTorch: weights can be exchanged for the posts' own structures only."
        )
    return dict(zip(names, weighted, strict=True))


def pairs_of(network: Network, post: str) -> list[Pair]:
    """Every tensor of a network with its PyTorch name, in the order of the network's layers."""
    return [
        Pair(f"{name}.{theirs}", node.weights[ours], axes)
        for name, node in modules_of(network, post).items()
        for theirs, (ours, axes) in node.layer.torch.items()
    ]


def without_effect(network: Network, post: str) -> set[str]:
    """Names of biases that a BatchNorm right after them takes out again, and of the running means that see them."""
    names = {id(node): name for name, node in modules_of(network, post).items()}
    free: set[str] = set()
    for node, after in itertools.pairwise(every_node(network.nodes)):
        if isinstance(after.layer, BatchNorm) and "bias" in node.weights:
            free |= {f"{names[id(node)]}.bias", f"{names[id(after)]}.running_mean"}
    return free


def to_torch(network: Network, post: str, counters: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """A network's weights as a state_dict of arrays, which `load_state_dict(strict=True)` takes.

    `counters` are BatchNorm's `num_batches_tracked` by name; 0 where not given.
    """
    state = {pair.name: pair.read() for pair in pairs_of(network, post)}
    given = counters or {}
    return state | {name: np.asarray(given.get(name, 0), np.int64) for name in counter_names(network, post)}


def counter_names(network: Network, post: str) -> list[str]:
    """Names of BatchNorm's counters in the network's state_dict."""
    modules = modules_of(network, post)
    return [f"{name}.{COUNTER}" for name, node in modules.items() if isinstance(node.layer, BatchNorm)]


def from_torch(network: Network, state: Mapping[str, Any], post: str, where: str) -> dict[str, int]:
    """Sets a network's weights from a state_dict, torch tensors or NumPy arrays by name; `where` names it in errors.

    Returns:
      BatchNorm's counters found in it.

    Raises:
      UserError: Missing, extra or misshapen tensors, or values that are no finite floating-point numbers; all named. The
        network is left as it was.
    """
    pairs, counters = pairs_of(network, post), counter_names(network, post)
    _check_names(state, pairs, counters, where)
    arrays = [_finite(state[pair.name], pair, where) for pair in pairs]
    for pair, array in zip(pairs, arrays, strict=True):
        pair.write(array)
    return {name: int(state[name]) for name in counters if name in state and np.asarray(state[name]).size == 1}


def _keras_order(node: Node) -> bool:
    return isinstance(node.layer, Flatten) and node.layer.order == "hwc" and node.inputs[-1] > 1


def _check_names(state: Mapping[str, Any], pairs: list[Pair], counters: list[str], where: str) -> None:
    expected = {pair.name: pair.shape for pair in pairs}
    faults = []
    if missing := [name for name in expected if name not in state]:
        faults.append(f"missing {', '.join(missing)}")
    if extra := [name for name in state if name not in expected and name not in counters]:
        faults.append(f"not expected {', '.join(extra)}")
    given = {name: tuple(state[name].shape) for name in expected if name in state}
    unlike = [name for name, shape in given.items() if shape != expected[name]]
    if misshapen := [f"{name} is {list(given[name])}, not {list(expected[name])}" for name in unlike]:
        faults.append(f"of another shape: {', '.join(misshapen)}")
    if faults:
        raise UserError(
            f"{where} does not fit the config's network: {'; '.join(faults)}. Use the config of that network, or its --config.FIELD sizes."
        )


def _finite(value: Any, pair: Pair, where: str) -> np.ndarray:
    try:
        # Through float64, as NumPy has no bfloat16; every smaller type survives that exactly.
        is_torch = hasattr(value, "detach") and value.is_floating_point()
        array = value.detach().cpu().double().numpy() if is_torch else np.asarray(value)
    except (TypeError, RuntimeError) as error:
        raise UserError(f"{where}: {pair.name} cannot be read: {first_line(error, 120)}.") from None
    if array.dtype.kind != "f":
        raise UserError(f"{where}: {pair.name} is {array.dtype}, not floating point.")
    with np.errstate(over="ignore"):
        array = array.astype(pair.variable.dtype)
    if not np.isfinite(array).all():
        raise UserError(f"{where}: {pair.name} holds NaN or infinity: it cannot be used.")
    return array
