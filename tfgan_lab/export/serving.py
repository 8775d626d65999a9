"""The folder that TensorFlow Serving loads: MODEL/VERSION with a SavedModel and its warm-up requests.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup. The requests are protos of `tensorflow-serving-api`,
the extra [serving]; the server itself is a program of its own and no Python package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import Config
from tfgan_lab.errors import UserError
from tfgan_lab.export.saved_model import export_network, refuse_no_export

_ONE = {"count": 1}  # what a warm-up request draws; all other numbers are zeros


def refuse_missing_protos() -> None:
    """Raises `UserError`, one line that names the extra, if the protos are not installed."""
    try:
        import tensorflow_serving.apis.prediction_log_pb2  # noqa: F401
    except ImportError:
        raise UserError("--format=serving needs tensorflow-serving-api: pip install 'tfgan-lab[serving]'.") from None


def export_serving(config: Config, network: Any, model: Path, facts: Mapping[str, Any]) -> tuple[Path, float]:
    """Writes the next version of a served model; a server that runs takes it as soon as it is there, and it is whole.

    `model` is the folder of all versions, and its name the model's; all else as in `export_network`.

    Returns:
      MODEL/VERSION, and the largest difference to the live network over 16 inputs.
    """
    refuse_missing_protos()
    versions = [int(path.name) for path in model.iterdir() if path.name.isdecimal()] if model.is_dir() else []
    folder = model / str(max(versions, default=0) + 1)
    refuse_no_export(folder)
    return folder, export_network(config, network, folder, dict(facts), warm_up=lambda s, file: _write(s, file, model))


def _write(signatures: Mapping[str, Any], file: Path, model: Path) -> None:
    """One request for each signature, which the server plays before it says that it is ready."""
    from tensorflow_serving.apis import prediction_log_pb2

    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as records:
        for name, signature in signatures.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = model.resolve().name, name
            for key, spec in signature.structured_input_signature[1].items():
                value = np.full([size or 1 for size in spec.shape], _ONE.get(key, 0), spec.dtype.as_numpy_dtype)
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            records.write(log.SerializeToString())
