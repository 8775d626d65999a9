"""Forks: equal to the run that they start from where nothing changed, and plain about what cannot be carried over."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import offline
from numpy.testing import assert_array_equal
from refusals import refusal
from runs import rows, weights
from test_training import stop_at

from tfgan_lab import cli, pretrained
from tfgan_lab.config import KerasOptimizer, override
from tfgan_lab.errors import UserError
from tfgan_lab.layers import Dropout
from tfgan_lab.report.page_run import repeat_command
from tfgan_lab.trainer import train as train_and_report
from tfgan_lab.training.checkpoints import Checkpoints
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.loop import Interrupted
from tfgan_lab.training.restored import restore_run
from tfgan_lab.training.train import train
from tfgan_lab.training.workdir import Workdir, checkpoint_steps

# A row every 5 steps, so that at step 14 four steps are pending.
SMALL = {
    "steps": "20", "checkpoint.steps": "7", "log.steps": "5", "evaluate.steps": "10", "sample.steps": "10", "num_samples": "4",
    "generator.0.units": "9", "placement": "one",
}  # fmt: skip
KINDS = {
    "adam": {},
    "keras, average and norm": {"ema": "0.9", "discriminator.1.spectral_norm": "true"},
}


def config_of(kind: str = "adam", **changes: str) -> Any:
    config = override(offline("mlp_gan:smoke"), SMALL | KINDS[kind])
    if kind != "adam":
        config.d_optimizer = KerasOptimizer(name="rmsprop", learning_rate=1e-3)
    return override(config, changes)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind's run, trained when it is first asked for; tests leave it as it is."""

    @functools.cache
    def run(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("forks") / "source"
        train(config_of(kind), folder)
        assert checkpoint_steps(folder / "checkpoints") == [14, 20]
        return folder

    return run


@pytest.fixture
def source(run_of: Callable[[str], Path]) -> Path:
    return run_of("adam")


def assert_goes_on_as(fork: Path, source: Path) -> None:
    ours, theirs = weights(fork), weights(source)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert_array_equal(ours[name], value, err_msg=name)
    assert rows(fork) == [row for row in rows(source) if row["step"] > 14]
    drawn = [np.load(folder / "samples" / "step-00000020.npz")["samples"] for folder in (fork, source)]
    assert_array_equal(*drawn)


@pytest.mark.parametrize(
    "kind", [kind if kind == "adam" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_where_nothing_changed_it_goes_on_bit_for_bit(
    kind: str, run_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it is stopped and continued."""
    source = run_of(kind)
    with monkeypatch.context() as patch:
        stop_at(17, patch)
        with pytest.raises(Interrupted):
            train(config_of(kind), tmp_path / "fork", start=f"{source}@14")
    train(config_of(kind), tmp_path / "fork")
    assert_goes_on_as(tmp_path / "fork", source)
    fork = Workdir(tmp_path / "fork").read_record()["fork"]
    assert fork == {"from": str(source), "step": 14, "changed": [], "notes": []}


def test_one_killed_before_its_first_checkpoint_still_starts_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config_of(), tmp_path / "fork", start=f"{source}@14")
    assert not checkpoint_steps(tmp_path / "fork" / "checkpoints")
    train(config_of(), tmp_path / "fork")
    assert_goes_on_as(tmp_path / "fork", source)


def begun(config: Any, start: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Experiment, dict[str, Any]]:
    """A fork before its first step, and what its record says."""
    found: list[Experiment] = []

    class Stopped(Exception):
        pass

    def stop(training: Any, experiment: Experiment, *_: Any) -> None:
        found.append(experiment)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr("tfgan_lab.training.train.Training.__init__", stop)
        with pytest.raises(Stopped):
            train(config, folder, start=start)
    return found[0], Workdir(folder).read_record()["fork"]


def test_what_cannot_be_carried_over_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(**{"ema": "0.9", "discriminator.1.spectral_norm": "true", "game.penalty": "r1", "steps": "30"})
    config.g_optimizer = KerasOptimizer(name="rmsprop", learning_rate=0.02)
    config.discriminator.insert(2, Dropout(0.1))  # without weights: nothing to carry
    experiment, fork = begun(config, f"{source}@14", tmp_path / "fork", monkeypatch)
    assert fork["notes"] == [
        "discriminator: 0_dense_kernel_u begins again",
        "discriminator: 0_dense_kernel_v begins again",
        "ema: the average begins as the generator is",
        "g_optimizer: its memory begins again (adam -> rmsprop)",
    ]
    assert {"ema: 0.0 -> 0.9", "game.penalty:  -> r1", "steps: 20 -> 30"} <= {*fork["changed"]}
    held, ours = weights(source, 14), experiment.networks
    for role in ("generator", "average"):
        for i, variable in enumerate(ours[role].variables):
            assert_array_equal(variable, held[f"generator/{i}/.ATTRIBUTES/VARIABLE_VALUE"])
    used = ours["discriminator"].nodes[1].value("kernel").numpy()
    assert np.linalg.svd(used)[1][0] == pytest.approx(1, rel=0.05), (
        "the new norm is of the kernel that was carried over"
    )
    assert int(experiment.optimizers["discriminator"].iterations) == 14
    assert int(experiment.optimizers["generator"].iterations) == 0


def test_replicas_start_alike(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(placement="mirrored", **{"discriminator.1.spectral_norm": "true", "ema": "0.9"})
    experiment, _ = begun(config, f"{source}@14", tmp_path / "fork", monkeypatch)
    assert experiment.strategy.num_replicas_in_sync == 2
    alone, _ = begun(override(config, {"placement": "one"}), f"{source}@14", tmp_path / "one", monkeypatch)
    for owner, variables in experiment.state().items():
        for variable, expected in zip(variables, alone.state()[owner], strict=True):
            for replica in variable.values:  # type: ignore[attr-defined]
                assert_array_equal(replica, expected)


def test_a_new_rate_counts_and_an_average_can_be_left(
    run_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "keras, average and norm"
    source = str(run_of(kind))
    fields = {"d_optimizer.learning_rate": "0.5", "steps": "30"}
    experiment, fork = begun(config_of(kind, **fields), source, tmp_path / "a", monkeypatch)
    optimizer = experiment.optimizers["discriminator"]
    assert (int(optimizer.iterations), float(optimizer._optimizer.learning_rate)) == (20, 0.5)
    assert np.abs(optimizer.state[2].numpy()).max() > 0, "its memory"
    assert (fork["step"], fork["notes"]) == (20, [])
    config = config_of(kind, steps="30")
    config.g_optimizer = KerasOptimizer(name="rmsprop", learning_rate=0.02)
    _, fork = begun(config, source, tmp_path / "c", monkeypatch)
    assert fork["notes"][-1] == "ema: its warm-up begins again, as it counts g_optimizer's steps"
    _, fork = begun(config_of(steps="30"), source, tmp_path / "b", monkeypatch)
    assert fork["notes"] == [
        "discriminator: 0_dense_kernel_u of that run is left behind",
        "discriminator: 0_dense_kernel_v of that run is left behind",
        "d_optimizer: its memory begins again (rmsprop -> adam)",
        "ema: the average of that run is left behind",
    ]


@pytest.mark.parametrize(
    ("start", "changes", "said"),
    [
        ("{source}@13", {}, "no such checkpoint in .*; there are those of steps 14, 20"),
        ("{source}x", {}, "there is no run"),
        ("pretrained:mlp_gam", {}, "no such generator comes with the package. Did you mean 'mlp_gan"),
        ("{source}", {}, "it is at step 20, and this config ends at 20: set --config.steps"),
        ("{source}@14", {"generator.0.units": "8"}, r"generator's 0_dense_kernel is \[100, 9\] there and \[100, 8\]"),
        ("{source}@14", {"game.pack": "2"}, r"discriminator's 0_dense_kernel is \[784, .*\] there and \[1568"),
        ("{source}@14", {"num_seeds": "2"}, "starts one run, not num_seeds=2"),
    ],
)
def test_mistakes_are_one_line(start: str, changes: dict[str, str], said: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        train_and_report(config_of(**changes), tmp_path / "fork", start=start.format(source=source))
    assert "\\n" not in str(caught.value)
    assert not (tmp_path / "fork" / "config.json").exists()


def test_a_damaged_checkpoint_is_no_start_and_another_of_its_run_is(source: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(source, tmp_path / "source")
    (data,) = (damaged / "checkpoints").glob("ckpt-20.data-*")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    told = refusal(train, config_of(steps="21"), tmp_path / "fork", start=damaged)
    assert told.startswith(f"{damaged / 'checkpoints' / 'ckpt-20'} is damaged (")
    assert told.endswith("): start from another step.")
    assert not (tmp_path / "fork" / "config.json").exists()
    train(config_of(steps="15"), tmp_path / "fork", start=f"{damaged}@14")


def test_other_data_and_other_runs_are_refused(source: Path, tmp_path: Path) -> None:
    moved = tmp_path / "source"
    shutil.copytree(source, moved)
    record = Workdir(moved).read_record()
    record["data"]["train"]["sha256"] = "0" * 64
    Workdir(moved).write_record(**record)
    with pytest.raises(UserError, match=r"was trained on other data .* Name that data with --data_dir"):
        train(config_of(), tmp_path / "fork", start=f"{moved}@14")
    with pytest.raises(UserError, match=r"holds a run that did not start there"):
        train(config_of(), moved, start=f"{source}@14")
    with pytest.raises(UserError, match="kind 'gan', and this config is a 'classifier'"):
        train(offline("mnist_classifier:smoke"), tmp_path / "fork", start=f"{source}@14")


def test_the_command_line_forks_and_the_page_says_so(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "fork"
    command = ["train", f"--from={source}@14", "--config.game.penalty=r1", "--config.steps=16", f"--workdir={new}"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert f"a fork of {source} at step 14; changed: game.penalty:  -> r1; steps: 20 -> 16" in said
    assert "resuming at step 14" in said
    assert cli.main(command) == 0, "again: it is there"
    page = (new / "report.html").read_text(encoding="utf-8")
    assert "a fork of" in page and f"{source} at step 14" in page
    folder = Workdir(new)
    assert f"--from={source}@14" in repeat_command(folder.read_config(), folder.read_record(), new)
    assert cli.main(["train", f"--from={source}@14"]) == 2
    assert "needs --workdir" in capsys.readouterr().err


def test_of_what_comes_with_the_package_the_generator_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = override(pretrained.config_of("gaussian"), {"steps": "2", "epochs": "0", "ema": "0.9", "placement": "one"})
    experiment, fork = begun(config, "pretrained:gaussian", tmp_path / "fork", monkeypatch)
    assert (fork["from"], fork["step"]) == ("pretrained:gaussian", 0)
    assert "discriminator: it begins again" in fork["notes"]
    for role in ("generator", "average"):
        for ours, theirs in zip(
            experiment.networks[role].variables, pretrained.load("gaussian").generator.variables, strict=True
        ):
            assert_array_equal(ours, theirs)
    train(config, tmp_path / "fork")
    assert restore_run(tmp_path / "fork").step == 2
