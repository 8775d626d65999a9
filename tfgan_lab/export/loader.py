"""Loads SavedModels that anybody may have made: what is in them is looked at before anything of it can run.

A SavedModel is a program: TensorFlow has ops that read, write and delete files, and functions that run while it is
loaded. An exported network needs neither, so one that holds more than arithmetic is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.system.files import require_file
from tfgan_lab.system.runtime import no_pattern, quiet_stderr

_MOST_BYTES = 256 * 2**20  # of the graph alone; ours have some 100 kB
_KINDS = {"user_object", "variable", "bare_concrete_function", "function", "constant", "captured_tensor"}
_OBJECTS = {
    "_generic_user_object", "trackable_list_wrapper", "trackable_dict_wrapper", "trackable_tuple_wrapper", "signature_map"
}  # fmt: skip
# Ops that turn numbers into numbers (or into the bytes of a PNG): no files, no network, no Python.
_ARITHMETIC = frozenset(["Abs", "Acos", "Acosh", "Add", "AddN", "AddV2", "All", "Any", "ArgMax", "ArgMin", "Asin", "Asinh", "Assert", "AssignVariableOp", "Atan", "Atan2", "Atanh", "AvgPool", "BatchMatMulV2", "BatchMatMulV3", "BiasAdd", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BroadcastTo", "Cast", "Ceil", "ClipByValue", "Concat", "ConcatV2", "Const", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Cos", "Cosh", "Cumprod", "Cumsum", "DepthToSpace", "DepthwiseConv2dNative", "DisableCopyOnRead", "Einsum", "Elu", "EncodePng", "EnsureShape", "Equal", "Erf", "Erfc", "Erfinv", "Exp", "ExpandDims", "Expm1", "Fill", "Floor", "FloorDiv", "FloorMod", "FusedBatchNormV3", "GatherNd", "GatherV2", "Greater", "GreaterEqual", "Identity", "IdentityN", "If", "InvertPermutation", "IsFinite", "IsInf", "IsNan", "LRN", "LeakyRelu", "LeftShift", "Less", "LessEqual", "LinSpace", "Log", "Log1p", "LogSoftmax", "LogicalAnd", "LogicalNot", "LogicalOr", "MatMul", "Max", "MaxPool", "Maximum", "Mean", "Min", "Minimum", "MirrorPad", "Mod", "Mul", "Neg", "NoOp", "NotEqual", "OneHot", "OnesLike", "Pack", "Pad", "PadV2", "PartitionedCall", "Placeholder", "PlaceholderWithDefault", "Pow", "Prod", "Range", "Rank", "ReadVariableOp", "RealDiv", "Reciprocal", "Relu", "Relu6", "Reshape", "ResizeBilinear", "ResizeNearestNeighbor", "ReverseV2", "RightShift", "Rint", "Roll", "Round", "Rsqrt", "ScatterNd", "Select", "SelectV2", "Selu", "Shape", "ShapeN", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "SplitV", "Sqrt", "Square", "SquaredDifference", "Squeeze", "StatefulPartitionedCall", "StatelessIf", "StatelessRandomGetAlg", "StatelessRandomGetKeyCounter", "StatelessRandomNormalV2", "StatelessRandomUniformFullIntV2", "StatelessRandomUniformIntV2", "StatelessRandomUniformV2", "StatelessTruncatedNormalV2", "StatelessWhile", "StopGradient", "StridedSlice", "Sub", "Sum", "Tan", "Tanh", "TensorListFromTensor", "TensorListGetItem", "TensorListReserve", "TensorListSetItem", "TensorListStack", "Tile", "TopKV2", "Transpose", "TruncateDiv", "TruncateMod", "Unpack", "VarHandleOp", "VarIsInitializedOp", "Where", "While", "Xdivy", "Xlogy", "ZerosLike"])  # fmt: skip


def load_saved_model(folder: str | os.PathLike[str]) -> Any:
    """Loads a SavedModel that does nothing but arithmetic.

    Raises:
      UserError: It is damaged, or holds anything else (named).
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        _refuse_programs(Path(folder))
        with quiet_stderr(), no_pattern(folder) as name:
            return tf.saved_model.load(name)
    except (
        OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError, AssertionError, DecodeError, tf.errors.OpError,
    ) as error:  # fmt: skip
        raise UserError(f"{folder} is damaged: {first_line(error)}. Export it again.") from None


def _refuse_programs(folder: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    for part in folder.rglob("*"):
        if not part.is_dir():
            require_file(part)
    path = folder / "saved_model.pb"
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path} is larger than {_MOST_BYTES:,} bytes: no network exported by tfgan-lab is.")
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    for graph in model.meta_graphs:
        strange = _strange_objects(graph) | _strange_ops(graph)
        if strange:
            names = ", ".join(sorted(strange)[:8]) + (", …" if len(strange) > 8 else "")
            raise UserError(
                f"{folder} is not loaded: it holds more than a network's arithmetic ({names}), which could act on this machine. "
                "Use SavedModels that tfgan-lab exported."
            )
    if len(model.meta_graphs) != 1:
        raise ValueError(f"it holds {len(model.meta_graphs)} graphs")


def _strange_objects(graph: Any) -> set[str]:
    """What TensorFlow would run or revive while it loads."""
    # Without objects it is a program of TensorFlow 1, whose start-up ops run at once.
    strange = set() if graph.object_graph_def.nodes else {"a TensorFlow 1 graph"}
    for node in graph.object_graph_def.nodes:
        kind = node.WhichOneof("kind")
        if kind not in _KINDS:
            strange.add(f"an object of kind {kind}")
        elif kind == "user_object" and node.user_object.identifier not in _OBJECTS:
            strange.add(f"an object {node.user_object.identifier[:60]!r}")
        if node.registered_name or node.registered_saver or node.saveable_objects:
            strange.add("an object with its own loader")
    return strange


def strange_ops(library: Any, nodes: Iterable[Any]) -> set[str]:
    """Ops that are no arithmetic among nodes of a graph and in the library's functions that they call, through others too."""
    functions = {function.signature.name: function for function in library.function}
    waiting = list(nodes)
    seen: set[str] = set()
    strange: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.op not in functions and node.op not in _ARITHMETIC:
            strange.add(node.op[:60])
        named = [name for value in node.attr.values() for name in (value.func.name, *(f.name for f in value.list.func))]
        for name in {node.op, *named} & functions.keys() - seen:
            seen.add(name)
            waiting += functions[name].node_def
    return strange


def _strange_ops(graph: Any) -> set[str]:
    """Ops that are no arithmetic in any function that can be called.

    The functions that save and restore checkpoints touch files; they are in every SavedModel, but no object holds them.
    """
    library, called = graph.graph_def.library, {*graph.object_graph_def.concrete_functions}
    first = (node for each in library.function if each.signature.name in called for node in each.node_def)
    return strange_ops(library, first)
