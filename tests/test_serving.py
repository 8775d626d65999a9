"""What TensorFlow Serving is given: its folder, its warm-up requests, and the calls of docs/serving.md."""

from __future__ import annotations

import base64
import io
import json
import re
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal
from PIL import Image

from tfgan_lab import cli
from tfgan_lab.export.saved_model import WARM_UP, load_generator

apis = pytest.importorskip(
    "tensorflow_serving.apis", reason="tensorflow-serving-api is not installed: the serving extra"
)
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc  # noqa: E402

RUNS = ["cgan_layernorm:smoke", "gaussian:smoke", "mnist_classifier:smoke"]
PAGE = (Path(__file__).parents[1] / "docs" / "serving.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's first block of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]


@pytest.fixture(scope="module")
def served(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two versions."""
    model = tmp_path_factory.mktemp("models") / "digits"
    for _ in range(2):
        assert cli.main(["export", f"--workdir={trained(RUNS[0])}", "--format=serving", f"--out={model}"]) == 0
    return model


def answered(model: Any, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """What a server does with a request."""
    inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
    response = predict_pb2.PredictResponse()
    for name, value in model.signatures[request.model_spec.signature_name](**inputs).items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response


def test_each_export_is_the_next_version_and_whole(served: Path, trained: Any) -> None:
    assert sorted(path.name for path in served.iterdir()) == ["1", "2"]
    for version in served.iterdir():
        assert {"saved_model.pb", "variables", "generator.json", "assets.extra"} <= {p.name for p in version.iterdir()}
        assert_array_equal(load_generator(version).sample(3, 7), load_generator(trained(RUNS[0])).sample(3, 7))


@pytest.mark.parametrize("reference", RUNS)
def test_every_signature_is_warmed_up(reference: str, trained: Any, tmp_path: Path) -> None:
    assert cli.main(["export", f"--workdir={trained(reference)}", "--format=serving", f"--out={tmp_path / 'm'}"]) == 0
    model = tf.saved_model.load(str(tmp_path / "m" / "1"))
    names = []
    for record in tf.data.TFRecordDataset(str(tmp_path / "m" / "1" / WARM_UP)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "m"
        names.append(request.model_spec.signature_name)
        for proto in answered(model, request).outputs.values():
            assert tf.make_ndarray(proto).shape[0] == 1
    assert sorted(names) == sorted(model.signatures)


def test_the_rest_call_of_the_page(served: Path) -> None:
    """Columns of JSON become tensors of the signature's types; outputs named _bytes are sent as base64."""
    body = json.loads(block("json"))
    signature = tf.saved_model.load(str(served / "2")).signatures[body["signature_name"]]
    specs = signature.structured_input_signature[1]
    assert body["inputs"].keys() == specs.keys()
    outputs = signature(**{name: tf.constant(value, specs[name].dtype) for name, value in body["inputs"].items()})
    ((name, files),) = outputs.items()
    assert name.endswith("_bytes")
    sent = json.loads(json.dumps([{"b64": base64.b64encode(file).decode()} for file in files.numpy()]))
    shown = json.loads(re.findall(r'^\{"outputs.*$', PAGE, re.MULTILINE)[0])["outputs"]
    assert len(sent) == len(shown)
    for row, example in zip(sent, shown, strict=True):
        assert row["b64"].startswith(example["b64"].rstrip("…"))
        with Image.open(io.BytesIO(base64.b64decode(row["b64"]))) as picture:
            assert picture.size == (28, 28)


def test_the_grpc_call_of_the_page(served: Path) -> None:
    import grpc

    model = tf.saved_model.load(str(served / "1"))

    class Server(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:
            assert request.model_spec.name == served.name
            return answered(model, request)

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Server(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        told: dict[str, Any] = {}
        exec(block("python").replace("localhost:8500", f"127.0.0.1:{port}"), told)
    finally:
        server.stop(None)
    three = load_generator(served / "1").sample(4, 7, label=3)
    pixels = [np.asarray(Image.open(io.BytesIO(file))) for file in told["files"]]
    assert_array_equal(pixels, np.rint(three[..., 0] * 255).astype(np.uint8))


def test_without_its_protos_it_says_what_to_install(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_serving.apis.prediction_log_pb2", None)
    command = ["export", f"--workdir={trained(RUNS[0])}", f"--out={tmp_path / 'm'}"]
    assert cli.main([*command, "--format=serving"]) == 2
    assert "pip install 'tfgan-lab[serving]'" in capsys.readouterr().err
    assert cli.main([*command, "--format=serving,onnx"]) == 2
    assert "or serving by itself" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_file_in_the_models_place_is_one_line(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m").write_text("mine")
    assert cli.main(["export", f"--workdir={trained(RUNS[0])}", "--format=serving", f"--out={tmp_path / 'm'}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "m").read_text() == "mine"
