"""The command line without TensorFlow: help, and one line for every mistyped flag. Exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfgan_lab import __version__, cli
from tfgan_lab.config_files import config_names
from tfgan_lab.errors import TrainingDiverged, UserError

HELPS = [["--help"], ["-h"], [], *([*verb.split(), "--help"] for verb in cli.VERBS)]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr with which a command ends, exit code 2, nothing on stdout."""
    assert cli.main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tfgan-lab: ")
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_exits_with_0_and_names_every_flag(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "tfgan-lab" in printed.out
    name = " ".join(arguments[:-1])
    if name in cli.VERBS:
        values = cli.VERBS[name].flags()
        for flag in values:
            assert f"--{flag}" in printed.out
            given, text = values[flag].default, str(values[flag].help)
            if given is None:
                assert "Omitted:" in text or "(required" in text, flag
            else:
                assert "(default:" in printed.out.partition(f"--{flag}: ")[2].partition("\n  --")[0], flag
        assert printed.out.count("\n") < 40
        assert "repeat this option" not in printed.out, "absl's words for what our own say"
    else:
        for verb in cli.VERBS:
            assert verb in printed.out


def test_a_users_own_backend_of_matplotlib_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "not there")
    assert cli.main(["--version"]) == 0
    assert subprocess.run([sys.executable, "-c", "import matplotlib"], capture_output=True).returncode == 0


def test_the_verbs_of_the_contract_are_there() -> None:
    assert {"train", "sample", "evaluate", "export", "data"} <= set(cli.VERBS)


def test_help_and_errors_of_flags_load_no_framework() -> None:
    """In a process of its own."""
    program = f"""
import sys
from tfgan_lab.cli import main
for arguments in {HELPS!r}:
    assert main(arguments) == 0
assert main(["trian"]) == main(["sample", "--num=x"]) == main(["train", "--cnfig=x"]) == 2
heavy = [name for name in ("tensorflow", "keras", "torch", "numpy", "scipy", "matplotlib", "tensorflow_datasets") if name in sys.modules]
print(heavy, file=sys.__stderr__)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "[]"


def test_the_module_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "tfgan_lab", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == __version__ + "\n"
    assert ended.stderr == ""
    ended = subprocess.run([sys.executable, "-m", "tfgan_lab", "trian"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "'train'"),
        (["train", "--confg.steps=3"], "--config.FIELD=VALUE"),
        (["train", "--cnfig=mlp_gan"], "config"),
        (["train", "--wrkdir=x"], "workdir"),
        (["train", "--config=mlp_gna"], "'mlp_gan'"),
        (["train", "--config=mlp_gan:smoek"], "smoke"),
        (["train", "--config=nowhere/mine.py"], "nowhere/mine.py"),
        (["train", "--config=mlp_gan:smoke", "--config.sed=1"], "'seed'"),
        (["train", "--config=mlp_gan:smoke", "--config.game.d_stepz=1"], "'d_steps'"),
        (["train", "--config=mlp_gan:smoke", "--config.game.d_steps=many"], "game.d_steps"),
        (["train", "--config=mlp_gan:smoke", "--config.g_optimizer.learning_rate=-1e-4"], "g_optimizer.learning_rate"),
        (
            ["train", "--config=cgan_maxout:smoke", "--config.d_optimizer.learning_rate=-0.1"],
            "d_optimizer.learning_rate",
        ),
        (["train", "--config=mlp_gan:smoke", "--config.batch_size"], "needs a value"),
        (["train", "--config=mlp_gan:smoke", "--port=8000"], "--port=8000 is of the page that --live serves"),
        (["compare", "ledger", "--notrain", "--peers"], "--peers trains"),
        (["sweep", "--values=1"], "--field is missing: say --field="),
        (["train", "--config=mlp_gan:smoke", "--config.epochs=0", "--config.steps=0"], "epochs and steps"),
        (["train", "mlp_gan"], "'mlp_gan'"),
        (["train", "--dry_run=maybe"], "dry_run"),
        (["train", "--nodry_run=3"], "--nodry_run=3"),
        (["train", "--dry_run", "--workdir=", "--data_dir=", "--config="], "is empty"),
        (["train", "--dry_run", "--data_dir", ""], "--data_dir is empty"),
        (["sample"], "--workdir is missing"),
        (["sample", "--workdir=x", "--out=grid.jpg"], "grid.jpg"),
        (["sample", "--workdir=x", "--out=grid"], ".png or .npz"),
        (["sample", "--workdir=x", "--num=0"], "--num=0"),
        (["sample", "--workdir=x", "--num=many"], "--num=many"),
        (["sample", "--workdir=x", "--seed=-1"], "--seed=-1"),
        (["sample", "--workdir=x", f"--seed={2**63}"], "seed"),
        (["sample", "--workdir=x", "--config.seed=1"], "--config.FIELD"),
        (["export"], "--workdir is missing"),
        (["evaluate"], "--workdir is missing"),
        (["data", "make-montage"], "--out is missing"),
        (["data", "--config=mlp_gna"], "'mlp_gan'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_command_is_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("TensorFlow is not needed to say this")

    for verbs in (cli.runs, cli.results, cli.inputs, cli.compare):
        monkeypatch.setattr(verbs, "start", refuse, raising=False)
    assert expected in said(capsys, *arguments)


def test_a_place_that_cannot_be_looked_at_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "File name too long: name another" in said(capsys, "report", f"--workdir={'a' * 300}")


def test_a_flag_that_is_left_empty_is_named_by_every_verb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `--workdir=$UNSET`."""
    for name, verb in cli.VERBS.items():
        monkeypatch.setattr(verb, "run", lambda *_: None)
        values = verb.flags()
        for flag in (flag for flag in values if values[flag].flag_type() != "bool"):
            assert f"--{flag}" in said(capsys, *name.split(), f"--{flag}="), name


def test_dry_run_prints_the_resolved_config_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        cli.main(["train", "--config=mlp_gan:smoke", "--config.seed", "7", "--config.game.d_steps=3", "--dry_run"]) == 0
    )
    values = json.loads(capsys.readouterr().out)
    assert (values["seed"], values["game"]["d_steps"], values["name"]) == (7, 3, "mlp_gan:smoke")
    assert list(tmp_path.iterdir()) == []


def test_the_default_config_exists() -> None:
    assert cli.DEFAULT_CONFIG in config_names()


def test_every_example_in_help_parses() -> None:
    for name, verb in cli.VERBS.items():
        for example in verb.examples:
            program, *rest = example.split("  ")[0].split()
            words = len(name.split())
            assert (program, " ".join(rest[:words])) == ("tfgan-lab", name)
            cli._parse(verb, rest[words:])


def test_list_names_every_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == config_names()
    assert all(len(line.split(maxsplit=1)[1]) > 10 for line in lines)


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError("fix it"), 2), (TrainingDiverged("NaN"), 3), (KeyboardInterrupt(), 130), (BrokenPipeError(), 141)],
)
def test_exit_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(cli.VERBS["list"], "run", fail)
    assert cli.main(["list"]) == code
    assert capsys.readouterr().err.count("\n") == (0 if code == 141 else 1)


def test_our_own_faults_are_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.VERBS["list"], "run", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["list"])


def ended(*arguments: str, redirected: str = "", **environment: str) -> tuple[int, bytes, str]:
    """Exit code, stdout and stderr of the command in a shell that redirects it."""
    command = shlex.join([sys.executable, "-m", "tfgan_lab", *arguments])
    done = subprocess.run(
        ["sh", "-c", f"{command} {redirected}"], capture_output=True, env={**os.environ, **environment}, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_takes(unbuffered: str) -> None:
    for redirected, code, err in (
        ("| head -0", 0, ""),
        (">&-", 0, ""),
        (">/dev/full", 2, "tfgan-lab: standard output cannot be written: No space left on device.\n"),
    ):
        assert ended("list", redirected=redirected, PYTHONUNBUFFERED=unbuffered) == (code, b"", err), redirected
    for redirected in (">&- 2>&-", "2>/dev/full"):
        assert ended("trian", redirected=redirected, PYTHONUNBUFFERED=unbuffered) == (2, b"", ""), redirected


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """`tfgan-lab list | head -0`: the code that shells show for it."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as gone:
        command = [sys.executable, "-m", "tfgan_lab", "list"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_without_our_signs_shows_question_marks() -> None:
    code, out, err = ended("--help", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="")
    assert (code, err) == (0, "")
    assert b"--flag=value ?]" in out and out.isascii()


def test_sigterm_where_nothing_is_trained_is_75(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli.VERBS["list"], "run", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert cli.main(["list"]) == 75
    assert capsys.readouterr().err.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("module", "number", "code"),
    [("tfgan_lab.cli", signal.SIGINT, 130), ("tensorflow", signal.SIGINT, 130), ("tensorflow", signal.SIGTERM, 75)],
)
def test_a_signal_while_modules_are_imported_is_one_line(module: str, number: int, code: int, tmp_path: Path) -> None:
    program = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
class Signalling:
    def find_spec(name, *_):
        if name == {module!r}:
            if name == "tensorflow":
                print("TensorFlow's noise", file=sys.stderr)
            signal.raise_signal({int(number)})
sys.meta_path.insert(0, Signalling)
sys.argv = ["tfgan-lab", "train", "--config=mlp_gan:smoke", "--workdir={tmp_path / "run"}"]
from tfgan_lab.__main__ import run
run()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert not (tmp_path / "run").exists()


def test_after_ctrl_c_one_line_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", pressed)
    assert cli.main(["study"]) == 130
    assert re.fullmatch(r"tfgan-lab: interrupted; the same command [^\n]*\n", capsys.readouterr().err)
