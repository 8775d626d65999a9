"""Parity with the posts' PyTorch programs, run side by side; and that each class of fault is found and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tfgan_lab.errors import UserError  # noqa: E402
from tfgan_lab.layers import GELU, BatchNorm, ConvTranspose, LeakyReLU  # noqa: E402
from tfgan_lab.parity import steps  # noqa: E402

QUICK = ("cgan_layernorm", "dcgan_montage", "gaussian", "mnist_classifier")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", QUICK)
def test_same_program(name: str) -> None:
    rows = steps.run_parity(name, "float64", updates=2)
    assert steps.first_difference(rows) is None
    stages = {row.stage.split(":")[0].split(" (")[0] for row in rows}
    assert stages >= {"start values", "forward", "order of updates", "update 1", "after step 1", "after step 2"}
    # Equal to rounding, and yet not because nothing was computed.
    assert 0 < max(row.max_abs for row in rows if "gradient" in row.stage) < 1e-12


def test_same_program_in_float32() -> None:
    rows = steps.run_parity("gaussian", "float32", updates=3)
    assert steps.first_difference(rows) is None
    assert max(row.max_abs for row in rows if row.stage != "start values") < 1e-4


def test_the_other_reading_of_a_lost_initialiser() -> None:
    """Post P003 names an initialiser without values or a call: PyTorch's default start is compared as such."""
    start = [row for row in steps.run_parity("cgan_concat:torch_init", updates=1) if row.stage == "start values"]
    assert len(start) == 16 and all(row.ok and row.tolerance > 0 for row in start), "no tensor is constant"


def _batch_of(name: str) -> int | None:
    """BatchNorm over post P003's 4 examples makes of rounding more than is allowed in a hundred steps; over 8 it does not."""
    return 8 if name.startswith("cgan_branch") else None


@pytest.mark.slow
@pytest.mark.parametrize("name", steps.CONFIGS)
def test_same_program_after_a_hundred_steps(name: str) -> None:
    assert steps.first_difference(steps.run_parity(name, "float64", updates=100, batch=_batch_of(name))) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", steps.CONFIGS)
def test_same_program_after_a_hundred_steps_in_float32(name: str) -> None:
    assert steps.first_difference(steps.run_parity(name, "float32", updates=100, batch=_batch_of(name))) is None


# Faults. Each is put into our side alone; the row named first must be where it acts.


def _altered(name: str, **fields: Any) -> Any:
    config = steps.parity_config(name)
    for path, value in fields.items():
        *parents, leaf = path.split("__")
        node = config
        for parent in parents:
            node = getattr(node, parent)
        setattr(node, leaf, value)
    return config


def _first(config: Any) -> tuple[str, str]:
    row = steps.first_difference(steps.run_parity(config, "float64", updates=1))
    assert row is not None
    return row.stage, row.tensor


@pytest.mark.parametrize(
    ("name", "fields", "stage", "tensor"),
    [
        (
            "gaussian",
            {"d_optimizer__epsilon_form": "tensorflow"},
            "update 1 (discriminator): weights",
            "discriminator map1.weight",
        ),
        (
            "gaussian",
            {"g_optimizer__epsilon_form": "tensorflow"},
            "update 2 (generator): weights",
            "generator map1.weight",
        ),
        ("gaussian", {"g_optimizer__epsilon": 1e-7}, "update 2 (generator): weights", "generator map1.weight"),
        (
            "mlp_gan_smoothed",
            {"d_optimizer__epsilon_form": "pytorch"},
            "update 1 (discriminator): weights",
            "discriminator model.0.weight",
        ),
        ("gaussian", {"g_init__bias": "zeros"}, "start values", "generator map1.bias"),
        ("mlp_gan_smoothed", {"game__smoothing": 0.0}, "update 1 (discriminator): loss", "d_real"),
    ],
)
def test_a_fault_in_a_config_is_named(name: str, fields: dict[str, Any], stage: str, tensor: str) -> None:
    assert _first(_altered(name, **fields)) == (stage, tensor)


@pytest.mark.parametrize(
    ("name", "role", "place", "other", "stage", "tensor"),
    [
        ("mnist_classifier", "classifier", 1, LeakyReLU(0.01), "forward (training)", "classifier model.2"),
        # Keras' momentum and epsilon.
        ("mnist_classifier", "classifier", 2, BatchNorm(momentum=0.01), "update 1 (classifier): weights", "classifier model.2.running_mean"),
        ("mnist_classifier", "classifier", 5, BatchNorm(epsilon=1e-3), "forward (training)", "classifier model.5"),
    ],
)  # fmt: skip
def test_a_fault_in_a_layer_is_named(name: str, role: str, place: int, other: Any, stage: str, tensor: str) -> None:
    config = steps.parity_config(name)
    getattr(config, role)[place] = other
    assert _first(config) == (stage, tensor)


def test_padding_at_the_wrong_side_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    call = ConvTranspose.call
    monkeypatch.setattr(
        ConvTranspose, "call", lambda self, x, *rest: tf.roll(call(self, x, *rest), int(self.padding > 0), axis=1)
    )
    assert _first("dcgan_montage") == ("forward (training)", "generator model.9")


def test_gelus_approximation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(GELU, "call", lambda self, x, *rest: tf.nn.gelu(x, approximate=True))
    assert _first("dcgan_montage") == ("forward (training)", "generator model.3")


def test_a_random_stream_read_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgan_lab import gan

    monkeypatch.setattr(gan, "stream_key", lambda seed, stream: hash((seed, stream)) % 2**62)
    assert _first("gaussian")[0] == "update 1 (discriminator): loss"


def test_another_order_of_updates_is_named() -> None:
    config = _altered("cgan_concat", game__first="discriminator")
    assert _first(config)[0] == "order of updates"


def test_what_no_post_has_is_refused() -> None:
    for name in ("mlp_gan:fresh_real", "mnist_judge"):
        with pytest.raises(UserError, match="post"):
            steps.run_parity(name, updates=1)
    with pytest.raises(UserError, match="not built as the post's"):
        steps.run_parity("cgan_concat:smoke", updates=1)
    with pytest.raises(UserError, match="no config"):
        steps.run_parity("mlp_gam")


def test_table_and_json(tmp_path: Path) -> None:
    rows = [
        steps.Row("forward (training)", "generator map1", 1e-15, 1e-15, 1e-10),
        steps.Row("update 1 (generator): weights", "generator map1.bias", 2e-3, 1e-3, 1e-10),
        steps.Row("update 1 (generator): weights", "generator map1.weight", 5e-3, 4e-3, 1e-10),
    ]
    lines = steps.format_table(rows).splitlines()
    assert len(lines) == 4
    assert "2 WRONG" in lines[2]
    assert "generator map1.weight" in lines[2]
    assert lines[3].startswith("first difference: update 1 (generator): weights: generator map1.bias")
    assert "same program" in steps.format_table(rows[:1])
    steps.write_json(tmp_path / "p.json", rows, config="gaussian")
    kept = json.loads((tmp_path / "p.json").read_text())
    assert kept["config"] == "gaussian"
    assert kept["same"] is False
    assert kept["first_difference"]["tensor"] == "generator map1.bias"
    assert len(kept["rows"]) == 3


def test_the_known_difference_of_bceloss() -> None:
    """Where D is that sure, PyTorch's BCELoss loses the gradient that our losses keep: what the docstring says."""
    import tensorflow as tf

    from tfgan_lab.losses import make_loss

    for logit, same in ((-27.0, True), (-30.0, False)):
        theirs = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
        torch.nn.functional.binary_cross_entropy(torch.sigmoid(theirs), torch.ones(1, dtype=torch.float64)).backward()
        ours = tf.Variable([logit], dtype=tf.float64)
        with tf.GradientTape() as tape:
            loss = make_loss("non_saturating").g(None, ours)
        assert float(tape.gradient(loss, ours)[0]) == pytest.approx(-1, abs=1e-11)
        assert (abs(float(theirs.grad[0]) + 1) < 1e-11) is same
        assert np.isfinite(float(loss[0]))
