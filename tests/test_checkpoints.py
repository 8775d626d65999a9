"""Checkpoints: they hold everything, survive damage by falling back, and refuse what is not theirs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_array_equal
from runs import fingerprint, train_bare, weights

from tfgan_lab.config import from_json, override, to_json
from tfgan_lab.errors import UserError
from tfgan_lab.trainer import train
from tfgan_lab.training.checkpoints import Checkpoints, read_networks
from tfgan_lab.training.experiment import build
from tfgan_lab.training.restored import restore_run
from tfgan_lab.training.workdir import checkpoint_steps


def variables(values: list[float], size: int = 3) -> dict[str, list[tf.Variable]]:
    return {"net": [tf.Variable(tf.fill([size], value)) for value in values]}


def keep(folder: Path, state: dict[str, list[tf.Variable]], count: int = 2) -> Checkpoints:
    return Checkpoints(folder, state, num_metrics=2, keep=count)


@pytest.mark.parametrize(
    "reference",
    [
        "mlp_gan_smoothed:batch_norm",
        "cgan_branch:smoke",
        "cgan_maxout:smoke",
        "mnist_classifier:smoke",
        "dcgan_montage:smoke",
    ],
)
def test_a_checkpoint_holds_every_variable_of_the_run(
    reference: str, small_source: Any, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Keras layers in Python lists, BatchNorm statistics and optimiser state are what silently gets lost."""
    from tfgan_lab.data import Source
    from tfgan_lab.data.examples import Examples, Provenance

    source = small_source
    if reference.startswith("dcgan"):
        images = rng.integers(0, 256, (8, 128, 128, 3), dtype=np.uint8)
        source = Source(Examples(8, (128, 128, 3), Provenance("noise", "train", 8, ""), images), None, "")
    config = offline(reference)
    one, two = build(config, source), build(config, source)
    owned = {role: len(net.variables) for role, net in one.networks.items()}
    assert {role: len(one.state()[role]) for role in owned} == owned
    for owner in one.state().values():
        for variable in owner:
            filled = rng.uniform(0.1, 1, variable.shape) if variable.dtype.is_floating else 7
            variable.assign(tf.cast(filled, variable.dtype))
    keep(tmp_path, one.state()).save(5, np.zeros(3))
    step, _, notes = keep(tmp_path, two.state()).restore()
    assert (step, notes) == (5, [])
    for owner, expected in one.state().items():
        for a, b in zip(expected, two.state()[owner], strict=True):
            assert_array_equal(a.numpy(), b.numpy())
    for role, net in two.networks.items():  # and the networks themselves see it
        for a, b in zip(net.variables, one.networks[role].variables, strict=True):
            assert_array_equal(a.numpy(), b.numpy())


def test_step_and_pending_metrics_come_back(tmp_path: Path) -> None:
    first = keep(tmp_path, variables([1.0]))
    assert first.restore()[0] == 0
    first.save(3, np.array([0.1, 0.2, 2.0]))
    step, pending, notes = keep(tmp_path, variables([0.0])).restore()
    assert step == 3
    assert_array_equal(pending, [0.1, 0.2, 2.0])
    assert notes == []


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = keep(tmp_path, variables([1.0]), count=2)
    for step in (9, 10, 11, 100):
        checkpoints.save(step, np.zeros(3))
    assert checkpoint_steps(tmp_path) == [11, 100], "by number, not by name"
    assert sorted({path.name.split(".")[0] for path in tmp_path.iterdir()}) == ["ckpt-100", "ckpt-11"]


def damage_data(folder: Path, step: int) -> None:
    (path,) = folder.glob(f"ckpt-{step}.data-*")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_data(folder: Path, step: int) -> None:
    (path,) = folder.glob(f"ckpt-{step}.data-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def lose_data(folder: Path, step: int) -> None:
    (path,) = folder.glob(f"ckpt-{step}.data-*")
    path.unlink()


def empty_data(folder: Path, step: int) -> None:
    (path,) = folder.glob(f"ckpt-{step}.data-*")
    path.write_bytes(b"")


def truncate_index(folder: Path, step: int) -> None:
    path = folder / f"ckpt-{step}.index"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_index(folder: Path, step: int) -> None:
    path = folder / f"ckpt-{step}.index"
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0x40
    path.write_bytes(content)


def empty_index(folder: Path, step: int) -> None:
    (folder / f"ckpt-{step}.index").write_bytes(b"")


def garbage_index(folder: Path, step: int) -> None:
    (folder / f"ckpt-{step}.index").write_bytes(bytes(range(256)) * 4)


DAMAGES = [damage_data, flip_data, lose_data, empty_data, truncate_index, flip_index, empty_index, garbage_index]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_with_a_line(damage: Any, tmp_path: Path) -> None:
    state = variables([1.0, 2.0], size=500)
    checkpoints = keep(tmp_path, state, count=3)
    for step in (10, 20, 30):
        for variable in state["net"]:
            variable.assign_add(tf.ones([500]))
        checkpoints.save(step, np.zeros(3))
    damage(tmp_path, 30)
    again = variables([0.0, 0.0], size=500)
    step, _, notes = keep(tmp_path, again, count=3).restore()
    assert step == 20
    assert_array_equal(again["net"][1].numpy(), np.full(500, 4.0))
    assert len(notes) == 1
    assert "ckpt-30" in notes[0]
    assert "\n" not in notes[0]
    step, notes = read_networks(tmp_path, variables([0.0, 0.0], size=500))
    assert (step, len(notes)) == (20, 1)
    damage(tmp_path, 20)
    damage(tmp_path, 10)
    with pytest.raises(UserError, match="every checkpoint is damaged") as caught:
        keep(tmp_path, again, count=3).restore()
    assert "\\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_loads_wrong_numbers(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    state = variables([3.0], size=300)
    checkpoints = keep(tmp_path, state)
    checkpoints.save(1, np.zeros(3))
    state["net"][0].assign(tf.range(300.0))
    checkpoints.save(2, np.zeros(3))
    path = sorted(tmp_path.glob("ckpt-2.*"))[seed % 2]
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), 1 + seed % 4):
        content[place] ^= int(rng.integers(1, 256))
    path.write_bytes(content[: int(rng.integers(0, len(content) + 1))] if seed % 3 == 0 else content)
    found = variables([0.0], size=300)
    step, _, notes = keep(tmp_path, found).restore()
    expected = np.full(300, 3.0) if step == 1 else np.arange(300.0)
    assert_array_equal(found["net"][0].numpy(), expected)
    assert len(notes) == 2 - step


def test_a_damaged_newer_checkpoint_does_not_push_out_the_good_ones(tmp_path: Path) -> None:
    state = variables([1.0])
    checkpoints = keep(tmp_path, state, count=2)
    checkpoints.save(20, np.zeros(3))
    checkpoints.save(30, np.zeros(3))
    damage_data(tmp_path, 30)
    again = keep(tmp_path, state, count=1)
    assert again.restore()[0] == 20
    again.save(25, np.zeros(3))  # a stop between checkpoints
    assert keep(tmp_path, state, count=1).restore()[0] == 25


@pytest.mark.parametrize("name", ["a[b]", "a\\", "*", "?"])
def test_no_sign_in_a_folders_name_makes_it_a_pattern(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "ab" / "ckpt-1.data-of-mine"
    mine.parent.mkdir()
    mine.write_text("mine")
    checkpoints = keep(tmp_path / name, variables([1.0]), count=1)
    for step in (1, 2):
        checkpoints.save(step, np.zeros(3))
    assert keep(tmp_path / name, variables([0.0])).restore()[0] == 2
    assert {path.name.partition(".")[0] for path in (tmp_path / name).iterdir()} == {"ckpt-2"}
    assert mine.read_text() == "mine"


def test_what_a_kill_while_saving_leaves_is_cleared_away(tmp_path: Path) -> None:
    checkpoints = keep(tmp_path, variables([1.0]))
    checkpoints.save(10, np.zeros(3))
    (tmp_path / "ckpt-20_temp").mkdir()
    (tmp_path / "ckpt-20_temp" / "part-00000").write_bytes(b"half")
    shutil.copy(
        next(tmp_path.glob("ckpt-10.data*")), tmp_path / "ckpt-20.data-00000-of-00001"
    )  # its index was not written yet
    assert keep(tmp_path, variables([0.0])).restore()[0] == 10
    assert sorted(path.name for path in tmp_path.glob("ckpt-*")) == ["ckpt-10.data-00000-of-00001", "ckpt-10.index"]


@pytest.mark.parametrize("other", ["shape", "more", "fewer", "owner"])
def test_a_checkpoint_of_other_networks_is_one_line(other: str, tmp_path: Path) -> None:
    keep(tmp_path, variables([1.0, 2.0])).save(10, np.zeros(3))
    wrong = {
        "shape": variables([0.0, 0.0], size=4), "more": variables([0.0, 0.0, 0.0]), "fewer": variables([0.0]),
        "owner": {"judge": variables([0.0, 0.0])["net"]},
    }[other]  # fmt: skip
    with pytest.raises(UserError, match=r"ckpt-10 is of other networks") as caught:
        keep(tmp_path, wrong).restore()
    assert "\\n" not in str(caught.value)


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in the way")
    with pytest.raises(UserError, match="checkpoint 3 cannot be written"):
        keep(tmp_path / "checkpoints", variables([1.0])).save(3, np.zeros(3))


# Whole runs.


@pytest.mark.slow
def test_a_run_falls_back_says_so_and_ends_as_if_nothing_had_happened(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = trained("gaussian:smoke")
    broken = shutil.copytree(whole, tmp_path / "broken")
    damage_data(broken / "checkpoints", 20)
    run = restore_run(broken)
    assert run.step == 10
    assert "ckpt-20" in run.notes[0]
    train_bare("gaussian:smoke", broken)
    printed = capsys.readouterr().out
    assert "ckpt-20 is damaged" in printed
    assert "resuming at step 10" in printed
    assert fingerprint(broken) == fingerprint(whole)
    for step in (10, 20):
        damage_data(broken / "checkpoints", step)
    for call in (lambda: train_bare("gaussian:smoke", broken), lambda: restore_run(broken)):
        with pytest.raises(UserError, match="every checkpoint is damaged"):
            call()


@pytest.mark.slow
def test_checkpoints_of_another_architecture_than_the_config_are_one_line(trained: Any, tmp_path: Path) -> None:
    run = shutil.copytree(trained("gaussian:smoke"), tmp_path / "run")
    before = weights(run)
    changed = override(from_json((run / "config.json").read_text()), {"generator.0.units": "40"})
    for folder in (run, run / "checkpoints"):
        (folder / "config.json").write_text(to_json(changed))
    for call in (lambda: train(changed, run), lambda: restore_run(run)):
        with pytest.raises(UserError, match="of other networks"):
            call()
    for name, value in weights(run).items():
        assert_array_equal(value, before[name])
