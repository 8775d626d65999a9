"""The command line and the Python API are one: the same config gives the same bits, whatever surrounds the process."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import offline
from refusals import refusal
from runs import command, fingerprint, finish

import tfgan_lab
from tfgan_lab import cli, trainer
from tfgan_lab.errors import UserError, as_arguments
from tfgan_lab.system.runtime import as_started, settings_of, start_tensorflow
from tfgan_lab.training import terminal

# Every setting of the process is another one than TensorFlow's own: oneDNN, determinism, logical devices.
CHANGES = {"data.source": "embedded", "steps": "30", "placement": "mirrored", "replicas": "2"}
PROGRAM = f"""
import tfgan_lab
config = tfgan_lab.override(tfgan_lab.load_config("cgan_concat:smoke"), {CHANGES})
"""
STARTED_OTHERWISE = """
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
tf.function(tf.sin, jit_compile=True)(tf.zeros([1]))
"""


def python(program: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("door") / "run"
    flags = [f"--config.{name}={value}" for name, value in CHANGES.items()]
    code, _, err = finish(command("train", "--config=cgan_concat:smoke", f"--workdir={workdir}", *flags))
    assert (code, err) == (0, "")
    return workdir


@pytest.mark.slow
def test_the_same_bits_from_python_without_a_word(by_command: Path, tmp_path: Path) -> None:
    """Also where Keras is set to another backend, precision and order of axes, and there is no home to write to."""
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": "float64", "image_data_format": "channels_first", "backend": "jax", "epsilon": 0.1})
    )
    hostile = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1", "LC_ALL": "C"}
    program = f"{PROGRAM}tfgan_lab.train(config, {str(tmp_path / 'run')!r}, verbose=False)"
    assert python(program, **hostile) == ("", "")
    assert fingerprint(tmp_path / "run") == fingerprint(by_command)
    for workdir in (by_command, tmp_path / "run"):
        started = json.loads((workdir / "run.json").read_text())["started"]
        assert started == {
            "by_the_program": False, "onednn": True, "threads": 0, "deterministic": True, "xla_flags": "ours", "not_as_asked": [],
        }  # fmt: skip


@pytest.mark.slow
def test_a_program_that_started_tensorflow_otherwise_is_told(tmp_path: Path) -> None:
    environment = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": ""}
    program = f"{STARTED_OTHERWISE}{PROGRAM}tfgan_lab.train(config, {str(tmp_path / 'run')!r})"
    lines = [line for line in python(program, **environment)[0].splitlines() if "not the bits" in line]
    lost = ["onednn=False, not True", "xla_flags=the program's, not ours", "threads=1, not 0"]
    assert len(lines) == 1 and all(part in lines[0] for part in lost)
    started = json.loads((tmp_path / "run" / "run.json").read_text())["started"]
    assert started["by_the_program"] and started["not_as_asked"] == lost


def test_our_game_alone_starts_keras_as_the_other_doors_do(tmp_path: Path) -> None:
    """`from tfgan_lab import GAN` runs no op, so that a config's replicas can still be had afterwards."""
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float64", "backend": "jax"}))
    program = """
from tfgan_lab import GAN
import keras, tensorflow as tf
from tfgan_lab.system.runtime import as_started, start_tensorflow
print(GAN.__name__, keras.backend.backend(), keras.config.floatx(), as_started()["by_the_program"], as_started()["deterministic"])
print(start_tensorflow(logical_cpus=2), len(tf.config.list_logical_devices("CPU")))
"""
    out, err = python(program, KERAS_HOME=str(tmp_path), KERAS_BACKEND="jax", TF_USE_LEGACY_KERAS="1")
    assert (out.splitlines(), err) == (["GAN tensorflow float32 False True", "[] 2"], "")


def test_what_keras_was_set_to_does_not_count() -> None:
    """By the program, or by a keras.json."""
    import keras

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_image_data_format("channels_first")
    start_tensorflow()
    now = keras.config.floatx(), keras.config.dtype_policy().name, keras.config.image_data_format()
    assert now == ("float32", "float32", "channels_last")


def test_what_this_process_cannot_have_is_named() -> None:
    onednn = as_started()["onednn"]
    assert start_tensorflow(onednn=onednn) == []
    assert start_tensorflow(onednn=not onednn, deterministic=False, threads=7) == [
        f"onednn={onednn}, not {not onednn}", "deterministic=True, not False", "threads=0, not 7",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"--config.replicas=3: TensorFlow splits a CPU only before it is used"):
        start_tensorflow(logical_cpus=3)
    assert start_tensorflow(onednn=onednn) == []


def test_train_takes_a_name_or_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(trainer, "train", lambda config, workdir, data_dir, start: seen.append(config.name))
    tfgan_lab.train("mlp_gan:smoke", tmp_path)
    tfgan_lab.train(tfgan_lab.load_config("mlp_gan"), tmp_path)
    assert seen == ["mlp_gan:smoke", "mlp_gan"]
    with pytest.raises(UserError, match="'mlp_gan'"):
        tfgan_lab.train("mlp_gna", tmp_path)
    with pytest.raises(UserError, match="workdir is empty"):
        tfgan_lab.train("mlp_gan", "")


def test_a_data_dir_that_is_not_read_is_refused_at_both_doors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--data_dir=X"]) == 2
    fault = "data_dir=X is not read, as this config's data come with the package: "
    assert capsys.readouterr().err == f"tfgan-lab: --{fault}set --config.data.source=auto, or omit it.\n"
    assert refusal(tfgan_lab.train, "first_gan", "run", "X") == f"{fault}set data.source=auto, or omit it."
    assert refusal(tfgan_lab.train, "gaussian", "run", "X") == f"{fault}omit it."
    assert not [*tmp_path.iterdir()]


def test_a_classifier_takes_no_models_of_a_gan(tmp_path: Path) -> None:
    told = refusal(tfgan_lab.train, "mnist_classifier:smoke", tmp_path / "run", generator="any")
    assert told == "mnist_classifier:smoke is a classifier: generator= and discriminator= are for GANs."
    assert not [*tmp_path.iterdir()]


def test_muted_a_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.muted():
        terminal.say("a line")
        print("another part's line")
    terminal.say("another")
    assert capsys.readouterr().out == "another\n"


def test_on_an_ascii_terminal_a_line_is_said_with_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, "ascii"))
    terminal.say("a caf\xe9…")
    assert buffer.getvalue() == b"a caf??\n"


@pytest.mark.slow
def test_a_run_whose_reader_goes_away_saves_and_ends_without_a_word(tmp_path: Path) -> None:
    flags = [
        "--config=mlp_gan:smoke",
        "--config.data.source=embedded",
        "--config.steps=3000",
        f"--workdir={tmp_path}",
    ]
    process = command("train", *flags)
    assert process.stdout is not None and process.stderr is not None
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=120), err) == (128 + signal.SIGPIPE, "")
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert (step := json.loads(rows[-1])["step"]) < 3000
    assert (tmp_path / "checkpoints" / f"ckpt-{step}.index").is_file()


@pytest.mark.slow
def test_a_full_disk_behind_the_output_does_not_end_a_run(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m tfgan_lab train --config=gaussian:smoke --workdir={tmp_path / 'run'} >/dev/full"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "standard output" in done.stderr
    assert (tmp_path / "run" / "report.html").is_file()


def test_every_setting_of_the_process_counts() -> None:
    """`settings_of` is what a sweep compares: each of the process' settings stands in it."""
    base = settings_of(offline("mlp_gan:smoke"))
    for changes in (
        {"onednn": "true"},
        {"deterministic": "false"},
        {"placement": "mirrored", "replicas": "2"},
        {"placement": "multi_worker"},
    ):
        assert settings_of(offline("mlp_gan:smoke", **changes)) != base


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("--workdir=runs/x holds no run: use another --workdir.", "workdir=runs/x holds no run: use another workdir."),
        ("use --config.game.loss=hinge, or --config=a.py", "use game.loss=hinge, or config=a.py"),
        ("stopped. Continue with `tfgan-lab train --workdir=x`.", "stopped. Continue with `tfgan_lab.train`."),
        ("`tfgan-lab export --workdir=x` it; a--b -- c", "`tfgan-lab export --workdir=x` it; a--b -- c"),
    ],
)
def test_a_flag_is_an_argument_in_python(said: str, meant: str) -> None:
    assert as_arguments(said) == meant


def test_a_program_is_told_of_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^config=mlp_gam: there is no config 'mlp_gam'. Did you mean 'mlp_gan"):
        tfgan_lab.load_config("mlp_gam")
    with pytest.raises(UserError, match=r"^batch_sise: there is no field"):
        tfgan_lab.override(tfgan_lab.load_config("mlp_gan"), {"batch_sise": "3"})
    (tmp_path / "letter").touch()
    with pytest.raises(UserError, match=r"^workdir=\S+ is not empty and holds no run"):
        tfgan_lab.train("gaussian:smoke", tmp_path)
    capsys.readouterr()
    terminal.say("Try another --config.seed.")
    terminal.hint("next: tfgan-lab sample")
    with terminal.speaking_of_commands():
        terminal.say("Try another --config.seed.")
        terminal.hint("next: tfgan-lab sample")
    assert capsys.readouterr().out == "Try another seed.\nTry another --config.seed.\nnext: tfgan-lab sample\n"
