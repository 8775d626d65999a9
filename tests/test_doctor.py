"""`tfgan-lab doctor` and `list`: what is here, what is missing and for which verb, how long each config takes."""

from __future__ import annotations

import configparser
import gzip
import importlib.util
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tfgan_lab import cli
from tfgan_lab.cli import doctor
from tfgan_lab.config_files import config_names, load_config, summaries


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


@pytest.mark.usefixtures("nothing_prepared")
def test_the_doctor_names_versions_devices_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    import tensorflow as tf

    said = told(capsys, "doctor")
    assert f"tensorflow {tf.__version__}" in said and f"numpy {np.__version__}" in said
    assert "CPU core" in said and "GPU" in said
    assert "MNIST: 5,000 MNIST digits" in said


def test_the_doctor_finds_the_data_that_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count in (("train", 5010), ("t10k", 20)):
        images = np.zeros((count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{split}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes(), 1)
        )
        (tmp_path / f"{split}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">2i", 2049, count) + labels.tobytes(), 1)
        )
    assert "n=5,010" in told(capsys, "doctor", f"--data_dir={tmp_path}")
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert "train-labels-idx1-ubyte" in told(capsys, "doctor", f"--data_dir={tmp_path}")


@pytest.mark.usefixtures("nothing_prepared")
@pytest.mark.parametrize(("module", "verb", "extra"), [
    ("torch", "compare parity", "tfgan-lab[torch]"), ("ai_edge_litert", "export --format=litert", "tfgan-lab[litert]"),
    ("tf2onnx", "export --format=onnx", "tfgan-lab[onnx]"), ("jinja2", "everything", "jinja2"),
    ("tensorflow_serving", "export --format=serving", "tfgan-lab[serving]"), ("safetensors", "export-torch", "tfgan-lab[safetensors]"),
])  # fmt: skip
def test_the_doctor_says_what_is_missing_for_which_verb(
    module: str, verb: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    lines = list(doctor.report(None))
    missing = lines[lines.index("missing") + 1 :]
    (line,) = [line for line in missing if extra in line]
    assert verb in line


@pytest.mark.parametrize("module", ["keras", "pydantic", "mlxtend"])
def test_the_doctor_outlives_what_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    for used in ("_gpus", "_mnist"):  # what would import it
        monkeypatch.setattr(doctor, used, lambda *_: pytest.fail("it needs all packages"))
    assert f"  everything: {module} (pip install tfgan-lab brings it)" in list(doctor.report(None))


def test_the_doctor_names_a_gpu_that_tensorflow_cannot_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *_: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_DRIVER", tmp_path / "gpus")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert doctor._gpus() == "no GPU that TensorFlow can use"
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-1-2)'\n")
    smi.chmod(0o755)
    said = doctor._gpus()
    assert "NVIDIA L4, but TensorFlow cannot use it" in said and "'tfgan-lab[gpu]'" in said
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H100\nIRQ:   1\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    said = doctor._gpus()
    assert "NVIDIA H100" in said and "unset $CUDA_VISIBLE_DEVICES" in said


def test_the_extra_for_gpus_has_tensorflows_bounds() -> None:
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).resolve().parents[1] / "setup.cfg")
    (bounds,) = re.findall(r"^tensorflow (.*)$", settings["options"]["install_requires"], re.MULTILINE)
    assert settings["options.extras_require"]["gpu"].strip() == f"tensorflow[and-cuda] {bounds}"


def test_every_config_is_listed_with_its_post_and_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "list").splitlines()
    assert [line.split()[0] for line in lines] == config_names()
    for summary in summaries():
        assert summary.post == load_config(summary.name).post
        assert any(unit in summary.time for unit in ("minute", "hour", "second")), summary
    assert {summary.name: summary.post for summary in summaries()}["gaussian"] == "P004"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f amx_bf16 avx512_bf16\n", "which multiply in bfloat16 (amx_bf16, avx512_bf16)"),
        ("processor : 0\nflags\t\t: fpu avx512f\n", "without bfloat16"),
        ("Features : fp asimd\n", "bfloat16 unknown"),
        (None, "bfloat16 unknown"),
    ],
)  # fmt: skip
def test_it_says_whether_the_cpu_multiplies_in_bfloat16(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_CPU", tmp_path / "cpuinfo")
    if text:
        (tmp_path / "cpuinfo").write_text(text)
    assert doctor._bfloat16() == said


def test_the_doctor_looks_for_all_that_an_installation_brings() -> None:
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).resolve().parents[1] / "setup.cfg")
    needed = re.findall(r"^([\w-]+)", settings["options"]["install_requires"], re.MULTILINE)
    assert {*doctor._REQUIRED} == {*needed} - {"importlib_resources"}  # of old Pythons, for python-avatars
