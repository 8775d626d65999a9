"""What a layer is: a class that holds everything about its kind; and what lists of layers have in common.

The kinds are in `tfgan_lab.layers`. TensorFlow is imported when a network is built, not before.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, dataclass_transform

from pydantic import BeforeValidator, InstanceOf, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from tfgan_lab.errors import DEFINED_ELSEWHERE, UserError, first_line, nearest, own_name, refuse_shipped
from tfgan_lab.fields import STRICT, explain
from tfgan_lab.spectral import normalised

Shape = tuple[int, ...]  # of one example
Order = Literal["chw", "hwc"]  # in which a vector holds an image: "chw" is PyTorch's, "hwc" Keras'


class _Later:
    """A module that is imported when something of it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


tf: Any = _Later("tensorflow")
ops: Any = _Later("keras.ops")  # of which Keras' own layers are made


@dataclasses.dataclass(frozen=True)
class Weight:
    """A planned variable; "kernel" and "bias" are drawn by the network's `Init`, from (fan in, fan out)."""

    shape: Shape
    start: Any  # "kernel", "bias", or what it starts with: a number, or an array of that shape
    fans: tuple[int, int] = (1, 1)
    trainable: bool = True


@dataclasses.dataclass
class Node:
    """A layer in its place in a network."""

    layer: Layer
    inputs: Shape  # of an example that it gets
    num_labels: int  # classes of a conditional network, or 0
    weights: dict[str, Any] = dataclasses.field(default_factory=dict)  # planned; variables once the network is built
    branches: tuple[list[Node], ...] = ()  # of `Join`

    @property
    def width(self) -> int:
        """Length of the vector that it gets."""
        if len(self.inputs) != 1:
            raise UserError(f"takes a vector, not {list(self.inputs)}: put Flatten() before it")
        return self.inputs[0]

    @property
    def image(self) -> tuple[int, int, int]:
        """Height, width and channels of the image that it gets."""
        if len(self.inputs) != 3:
            raise UserError(
                f"takes an image [height, width, channels], not {list(self.inputs)}: put Reshape() before it"
            )
        return self.inputs[0], self.inputs[1], self.inputs[2]

    def affine(self, kernel: Shape, units: int, fans: tuple[int, int], prefix: str = "") -> None:
        """Plans a kernel and a bias, and the state of the kernel's spectral normalisation where the layer has one."""
        self.weights[f"{prefix}kernel"] = Weight(kernel, "kernel", fans)
        self.weights[f"{prefix}bias"] = Weight((units,), "bias", fans)
        if getattr(self.layer, "spectral_norm", False):
            for name, size in (("u", units), ("v", math.prod(kernel) // units)):
                self.weights[f"{prefix}kernel_{name}"] = Weight((size,), 1.0, trainable=False)

    def value(self, name: str, moves: bool = False) -> Any:
        """A weight as passes use it: a kernel with spectral normalisation, whose state `moves` first, is normalised."""
        value = self.weights[name].value
        if f"{name}_u" not in self.weights:
            return value
        state = self.weights[f"{name}_u"].value, self.weights[f"{name}_v"].value
        return normalised(value, state, self.layer.outputs_axis, moves)

    def used(self) -> dict[str, Any]:
        """Every weight as passes outside training use it, by name."""
        return {name: self.value(name) for name in self.weights if f"{name[:-2]}_u" not in self.weights}


@dataclasses.dataclass
class Pass:
    """One pass through a network."""

    training: bool = False  # whether dropout acts and BatchNorm takes the batch's statistics
    labels: Any = None  # classes of the examples, int [B]
    # Dropout's, int64 [G, 2]: one for each of the G batches stacked in the input, so that real and fake examples in one
    # pass get the masks that they would get in two.
    seed: Any = None
    seeds: int = 0  # how many networks run as one; 0 where there is no such axis
    seen: list[tuple[Node, Any]] | None = None  # if a list, every layer's output is added to it
    dropouts: Iterator[int] = dataclasses.field(default_factory=itertools.count)  # numbers them by their place

    def run(self, nodes: Sequence[Node], x: Any) -> Any:
        """What the layers make of x, one after the other."""
        for node in nodes:
            x = node.layer.call(x, node, self)
            if self.seen is not None:
                self.seen.append((node, x))
        return x

    @property
    def lead(self) -> list[int]:
        """The axes before an example's own, for `tf.reshape`: [B], or [seeds, B]."""
        return [self.seeds, -1] if self.seeds else [-1]

    def values(self, node: Node, *names: str) -> list[Any]:
        """Weights of a layer; of several seeds shaped so that they broadcast over the batch."""
        found = [node.value(name, self.training) for name in names]
        return [value[:, None] if self.seeds and value.shape.rank == 2 else value for value in found]

    def affine(self, x: Any, node: Node, prefix: str = "") -> Any:
        """x @ kernel + bias."""
        kernel, bias = self.values(node, f"{prefix}kernel", f"{prefix}bias")
        product = ops.matmul(tf.cast(x, kernel.dtype), kernel)
        # Keras' add would take the biases of as many seeds as there are examples for biases of the examples.
        return product + bias if self.seeds else ops.add(product, bias)

    def one_hot(self, node: Node, like: Any) -> Any:
        """The labels, [B, num_labels]."""
        return tf.one_hot(self.labels, node.num_labels, dtype=like.dtype)


class Layer:
    """A kind of layer."""

    kind: str
    mixes_examples: ClassVar[bool] = False  # in training an example's output depends on the rest of its batch
    takes_labels: ClassVar[bool] = False  # it reads the examples' labels
    stacks: ClassVar[bool] = True  # several seeds can run as one
    # PyTorch's names of its weights, each with our name and PyTorch's order of our axes (None: the same).
    torch: ClassVar[Mapping[str, tuple[str, tuple[int, ...] | None]]] = {}
    outputs_axis: ClassVar[int] = -1  # which axis of its kernel are outputs
    # `(x, step, y) => …` on one example x (a Float32Array) and one-hot label y; `step` is what `browser` gives.
    javascript: ClassVar[str] = ""

    @property
    def mixing(self) -> list[str]:
        """Names of what in it makes one output of several examples."""
        return [self.kind] if self.mixes_examples else []

    def plan(self, node: Node) -> Shape:
        """Notes the weights of this layer for `node.inputs`; returns the shape of an example that it gives."""
        return node.inputs

    def call(self, x: Any, node: Node, now: Pass) -> Any:
        """[B, *node.inputs] -> [B, *outputs]."""
        raise NotImplementedError

    def browser(self, node: Node, keep: Callable[[Any], Any]) -> dict[str, Any] | None:
        """What the page runs of it: its fields and, by `keep(array)`, its weights; None if nothing."""
        return dataclasses.asdict(self) | {name: keep(weight) for name, weight in node.used().items()}  # type: ignore[call-overload]

    def branches(self) -> tuple[list[Layer], ...]:
        """Lists of layers inside this one."""
        return ()


KINDS: dict[str, Any] = {}  # the class of each


@dataclass_transform(frozen_default=True)
def layer(cls: type[Any]) -> type[Any]:
    """Makes a class a kind of layer: a frozen dataclass, checked when it is made, known by the class' name.

    Or a function x [B, …] -> [B, …] of each example by itself: a kind without fields and weights, of the function's name.
    """
    if not isinstance(cls, type):
        return layer(_of_function(cls))
    kind = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    refuse_shipped(cls, KINDS.get(kind), f"a layer of kind {kind!r}")
    cls.__annotations__ = {**cls.__annotations__, "kind": Literal[kind]}
    cls.kind = dataclasses.field(default=kind, repr=False, kw_only=True)
    KINDS[kind] = dataclass(config=STRICT, frozen=True)(cls)
    return KINDS[kind]


def _of_function(function: Callable[[Any], Any]) -> type[Any]:
    name = own_name(function, (kind for kind, cls in KINDS.items() if cls.__module__.startswith("tfgan_lab.")))

    def plan(self: Layer, node: Node) -> Shape:
        try:
            return tuple(function(tf.zeros([1, *node.inputs])).shape[1:])
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise UserError(f"takes no {list(node.inputs)}: {first_line(error)}") from None

    def call(self: Layer, x: Any, node: Node, now: Pass) -> Any:
        return function(x)

    own = {"plan": plan, "call": call, "stacks": False, "__doc__": function.__doc__, "__module__": function.__module__}
    return type(name, (Layer,), own | {"__annotations__": {}})


def _parsed(value: Any) -> Layer:
    """A layer from a layer, from the dict that JSON holds of it, or from a function."""
    if isinstance(value, Layer):
        return value
    if inspect.isfunction(value):
        return layer(value)()  # type: ignore[arg-type]
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        raise PydanticCustomError("layer", "this is no layer: a layer is a group of fields with a kind")
    kind = value["kind"]
    if kind not in KINDS:
        raise PydanticCustomError(
            "layer",
            "there is no kind {kind}.{near} {where}",
            {"kind": repr(kind), "near": nearest(kind, KINDS), "where": DEFINED_ELSEWHERE},
        )
    try:
        return TypeAdapter(KINDS[kind]).validate_python(dict(value))
    except ValidationError as error:
        raise PydanticCustomError("layer", "{faults}", {"faults": explain(error, KINDS[kind])}) from None


AnyLayer = Annotated[InstanceOf[Layer], BeforeValidator(_parsed)]


def planned(layers: Sequence[Layer], inputs: Shape, num_labels: int, where: str = "") -> tuple[list[Node], Shape]:
    """A list's layers with their weights planned, and the shape of an example that it gives, for one of shape `inputs`.

    Raises:
      UserError: A layer that does not fit what it gets; `where` is what the list is called.
    """
    nodes, shape = [], inputs
    for place, one in enumerate(layers):
        nodes.append(Node(one, shape, num_labels))
        try:
            shape = one.plan(nodes[-1])
        except UserError as error:
            raise UserError(f"{where}.{place} ({one.kind}) {error}") from None
    return nodes, shape


def every_layer(layers: Sequence[Layer]) -> Iterator[Layer]:
    """All layers of a list in the order in which they run, those inside others too."""
    for one in layers:
        for branch in one.branches():
            yield from every_layer(branch)
        yield one


def every_node(nodes: Sequence[Node]) -> Iterator[Node]:
    """As `every_layer`, of a planned or built network."""
    for node in nodes:
        for branch in node.branches:
            yield from every_node(branch)
        yield node


def browser_steps(nodes: Sequence[Node], keep: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """What a page runs of a network, see `Layer.browser`."""
    steps = (node.layer.browser(node, keep) for node in nodes)
    return [step for step in steps if step is not None]
