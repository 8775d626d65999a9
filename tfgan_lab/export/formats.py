"""LiteRT (TFLite) and ONNX files made of a SavedModel, each run in its own runtime and compared with it.

Only the signature `serving_default` travels: random numbers and PNG files stay TensorFlow's. Nor do their runtimes know
errors: for a label that the generator was not trained with, its images are NaN.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.export.loader import load_saved_model
from tfgan_lab.export.saved_model import read_facts
from tfgan_lab.randomness import draw_latents, sample_seed
from tfgan_lab.system.files import write_atomically
from tfgan_lab.system.runtime import no_pattern, quiet_stderr

CHECKED = 100  # inputs on which the file is compared with the SavedModel
_TOLERANCE = 1e-4  # float32 sums in another order
_NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnx", "onnxruntime")}
_ENDINGS = {"litert": "tflite", "onnx": "onnx"}
# numbers by input name -> numbers by output name
Runner = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def refuse_missing_converters(form: str) -> None:
    """Raises `UserError`, one line that names the extra, if a format's packages are not installed."""
    missing = [name for name in _NEEDS.get(form, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--format={form} needs {', '.join(missing)}: pip install 'tfgan-lab[{form}]'.")


def convert(saved_model: Path, form: str) -> tuple[Path, float]:
    """Writes the serving signature of a SavedModel that `export_network` wrote as a "litert" or "onnx" file beside it.

    Returns:
      The file, which is checked, and the largest difference to the SavedModel over 100 latents (or images).

    Raises:
      UserError: A package is missing, the format cannot hold the model, or the folder cannot be written.
    """
    refuse_missing_converters(form)
    model = load_saved_model(saved_model)  # its signatures alone would not keep its variables
    signature = model.signatures["serving_default"]
    inputs = _inputs(saved_model, signature)
    try:
        with quiet_stderr():
            content, run = {"litert": _litert, "onnx": _onnx}[form](saved_model, signature)
        found = run(inputs)
    except Exception as error:  # converters and interpreters have kinds of their own
        raise UserError(
            f"--format={form} cannot hold this model: {first_line(error)}. The SavedModel is written; omit --format."
        ) from None
    expected = {
        name: value.numpy() for name, value in signature(**{k: tf.constant(v) for k, v in inputs.items()}).items()
    }
    difference = max(float(np.abs(found[name] - value).max()) for name, value in expected.items())
    scale = max(1.0, *(float(np.abs(value).max()) for value in expected.values()))
    if not difference <= _TOLERANCE * scale:
        raise UserError(
            f"--format={form}: its numbers would differ from the SavedModel's by {difference:.2g}, so no file is written."
        )
    file = saved_model / f"{saved_model_role(signature)}.{_ENDINGS[form]}"
    write_atomically(file, content)
    return file, difference


def saved_model_role(signature: Any) -> str:
    """ "generator" or "classifier", by what a signature takes."""
    return "generator" if "latents" in signature.structured_input_signature[1] else "classifier"


def _inputs(saved_model: Path, signature: Any) -> dict[str, np.ndarray]:
    specs = signature.structured_input_signature[1]
    if "latents" not in specs:
        images = tf.random.stateless_uniform([CHECKED, *specs["images"].shape[1:]], [0, 0])
        return {"images": images.numpy()}
    facts = read_facts(saved_model)
    if not {"latent_distribution", "num_labels"} <= facts.keys():
        raise UserError(f"{saved_model}/generator.json is damaged: export it again.")
    latents = draw_latents(facts["latent_distribution"], specs["latents"].shape[1], CHECKED, sample_seed(0)).numpy()
    labels = {"labels": np.arange(CHECKED, dtype=np.int32) % facts["num_labels"]} if "labels" in specs else {}
    return {"latents": latents, **labels}


def _litert(saved_model: Path, signature: Any) -> tuple[bytes, Runner]:
    del signature
    with no_pattern(saved_model) as name:
        content = tf.lite.TFLiteConverter.from_saved_model(name, signature_keys=["serving_default"]).convert()
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return interpreter.get_signature_runner("serving_default")(**inputs)

    return content, run


def _onnx(saved_model: Path, signature: Any) -> tuple[bytes, Runner]:
    del saved_model
    import onnxruntime
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    specs = signature.structured_input_signature[1]
    named = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()]

    def serve(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        return signature(**dict(zip(specs, given, strict=True)))

    function = tf.function(serve, input_signature=named, autograph=False)
    handlers: dict[str, Any] = {"Erfc": (_erfc_as_erf, [])}
    proto, _ = tf2onnx.convert.from_function(function, named, opset=18, custom_op_handlers=handlers)
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, inputs), strict=True))

    return content, run


def _erfc_as_erf(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """The exact GELU's erfc(x) is 1 - erf(x): ONNX has no erfc."""
    del arguments
    from tf2onnx.utils import make_name

    inputs, outputs = node.input, node.output
    shape, dtype = graph.get_shape(outputs[0]), graph.get_dtype(outputs[0])
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", inputs)
    one = graph.make_const(make_name("one"), np.array(1, np.float32))
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=outputs, name=name, shapes=[shape], dtypes=[dtype])
