"""LiteRT and ONNX files, run by their own runtimes in a process without TensorFlow, say what the SavedModel says."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfgan_lab import cli
from tfgan_lab.errors import UserError
from tfgan_lab.export import formats
from tfgan_lab.export.formats import convert

RUNS = [
    "mlp_gan:smoke", "gaussian:smoke", "mnist_classifier:smoke",
    pytest.param("cgan_branch:smoke", marks=pytest.mark.slow), pytest.param("dcgan_montage:smoke", marks=pytest.mark.slow),
]  # fmt: skip
NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}
ALONE = {
    "litert": "from ai_edge_litert.interpreter import Interpreter\nout = lambda given: Interpreter(sys.argv[1]).get_signature_runner('serving_default')(**given)",
    "onnx": "import onnxruntime\ns = onnxruntime.InferenceSession(sys.argv[1])\nout = lambda given: dict(zip([o.name for o in s.get_outputs()], s.run(None, given)))",
}
PROGRAM = """import sys
sys.modules['tensorflow'] = None
import numpy as np
{}
for rows in sys.argv[3:]:
    np.savez(f"{{sys.argv[2]}}/out{{rows}}.npz", **out(dict(np.load(f"{{sys.argv[2]}}/given{{rows}}.npz"))))
"""


@pytest.fixture(params=["litert", "onnx"])
def form(request: pytest.FixtureRequest) -> str:
    for package in NEEDS[request.param]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: the {request.param} extra")
    return request.param


@pytest.mark.parametrize("reference", RUNS)
def test_the_file_alone_says_what_the_saved_model_says(
    reference: str, form: str, trained: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    shutil.copytree(trained(reference) / "export", tmp_path / "export")
    file, difference = convert(tmp_path / "export", form)
    assert 0 <= difference < 1e-5
    model = tf.saved_model.load(str(tmp_path / "export"))
    signature = model.signatures["serving_default"]
    given = {}
    for rows in (1, 7):  # any batch
        given[rows] = {
            name: (rng.integers(0, 10, rows) if spec.dtype == tf.int32 else rng.uniform(0, 1, [rows, *spec.shape[1:]])).astype(spec.dtype.as_numpy_dtype)
            for name, spec in signature.structured_input_signature[1].items()
        }  # fmt: skip
        np.savez(tmp_path / f"given{rows}.npz", **given[rows])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(ALONE[form]), str(file), str(tmp_path), *map(str, given)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for rows, inputs in given.items():
        expected = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        with np.load(tmp_path / f"out{rows}.npz") as out:
            assert set(out) == set(expected)
            for name, value in expected.items():
                assert_allclose(out[name], value, atol=1e-5)


def test_no_sign_in_a_folders_name_keeps_it_from_being_converted(form: str, trained: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a[b]\\"
    shutil.copytree(trained("gaussian:smoke") / "export", folder)
    file, difference = convert(folder, form)
    assert file.parent == folder and difference < 1e-5


def test_labels_out_of_range_give_no_image(form: str, trained: Any, tmp_path: Path) -> None:
    """Neither runtime knows errors."""
    shutil.copytree(trained("cgan_branch:smoke") / "export", tmp_path / "export")
    file, _ = convert(tmp_path / "export", form)
    model = tf.saved_model.load(str(tmp_path / "export"))
    z = model.signatures["serving_default"].structured_input_signature[1]["latents"].shape[1]
    given = {"latents": np.zeros([4, z], np.float32), "labels": np.array([0, 10, -1, 9], np.int32)}
    if form == "litert":
        from ai_edge_litert.interpreter import Interpreter

        (images,) = Interpreter(str(file)).get_signature_runner("serving_default")(**given).values()
    else:
        import onnxruntime

        (images,) = onnxruntime.InferenceSession(str(file)).run(None, given)
    assert np.isnan(images).all(axis=(1, 2, 3)).tolist() == [False, True, True, False]
    assert ((images[[0, 3]] >= 0) & (images[[0, 3]] <= 1)).all()


def test_the_command_prints_the_largest_difference(
    form: str, trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = trained("mlp_gan:smoke")
    assert cli.main(["export", f"--workdir={workdir}", f"--format={form}", f"--out={tmp_path / 'g'}"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "largest difference to the SavedModel" in last and last.endswith("(100 inputs)")
    assert (tmp_path / "g" / ("generator.tflite" if form == "litert" else "generator.onnx")).is_file()


def test_what_a_format_cannot_hold_is_one_line(form: str, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no such op: Erfinv\nmore")

    monkeypatch.setattr(formats, f"_{form}", fail)
    with pytest.raises(
        UserError, match=f"--format={form} cannot hold this model: no such op: Erfinv. The SavedModel is"
    ):
        formats.convert(trained("mlp_gan:smoke") / "export", form)
    noise = np.ones((formats.CHECKED, 28, 28, 1), np.float32)
    monkeypatch.setattr(formats, f"_{form}", lambda *_: (b"", lambda inputs: {"images": noise}))
    with pytest.raises(UserError, match="would differ from the SavedModel's by"):
        formats.convert(trained("mlp_gan:smoke") / "export", form)
    assert not [*(trained("mlp_gan:smoke") / "export").glob("generator.[to]*")]


def test_an_absent_converter_is_one_line_that_names_the_extra(
    form: str, trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == NEEDS[form][0] else find(name, *rest)
    )
    assert (
        cli.main(["export", f"--workdir={trained('mlp_gan:smoke')}", f"--format={form}", f"--out={tmp_path / 'g'}"])
        == 2
    )
    said = capsys.readouterr().err
    assert f"pip install 'tfgan-lab[{form}]'" in said and said.count("\n") == 1
    assert not (tmp_path / "g").exists()


def test_an_unknown_format_is_one_line(trained: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", f"--workdir={trained('mlp_gan:smoke')}", "--format=tflight"]) == 2
    assert "formats are saved_model, litert and onnx" in capsys.readouterr().err
