"""A stranger's experiment: layers, loss, penalty and data of its own, all in one config file, and what is said without it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from numpy.testing import assert_allclose

import tfgan_lab
from tfgan_lab.config import Data, Game, ImageData, Mnist, data_kind, override
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.layer_base import KINDS, Layer, layer
from tfgan_lab.layers import ELU, Dense
from tfgan_lab.losses import LOSSES, Loss
from tfgan_lab.networks import build_generator
from tfgan_lab.penalties import PENALTIES, Penalty
from tfgan_lab.training.train import train
from tfgan_lab.training.workdir import Workdir

FILE = '''
from typing import Literal

import numpy as np
from pydantic.dataclasses import dataclass

from tfgan_lab.config import STRICT, Adam, Every, Game, GanConfig, ImageData, Init, Latents, data_kind
from tfgan_lab.data import OPENERS, Examples, Provenance, Source
from tfgan_lab.data.examples import digest
from tfgan_lab.layer_base import Layer, Weight, layer
from tfgan_lab.layers import Dense, Flatten, Reshape, Tanh
from tfgan_lab.losses import Loss
from tfgan_lab.penalties import Penalty


def swish(x):
    import tensorflow as tf

    return x * tf.sigmoid(x)


@layer
class Gain(Layer):
    """x times a gain."""

    start: float = 1.0

    def plan(self, node):
        node.weights["gain"] = Weight((node.width,), self.start)
        return node.inputs

    def call(self, x, node, now):
        (gain,) = now.values(node, "gain")
        return x * gain


def margins():
    return Loss({"d_real": lambda real, fake: (real - 2) ** 2, "d_fake": lambda real, fake: fake**2}, lambda real, fake: (fake - 2) ** 2)


def quartic():
    return Penalty(lambda real, fakes, noise: {"real": real}, lambda squares: squares**2)


@data_kind
@dataclass(config=STRICT, kw_only=True, slots=True)
class Stripes(ImageData):
    """Rows that are bright or dark."""

    pixels: Literal["tanh", "unit"] = "tanh"
    kind: Literal["stripes"] = "stripes"

    @property
    def shape(self):
        return (6, 6, 1)


def open_stripes(data, data_dir):
    rows = np.random.default_rng(0).integers(0, 2, (64, 6, 1, 1))
    images = np.broadcast_to(rows * 255, (64, 6, 6, 1)).astype(np.uint8)
    provenance = Provenance("stripes", "train", 64, digest(images))
    return Source(Examples(64, data.shape, provenance, images), None, f"data: {provenance}")


OPENERS[Stripes] = open_stripes


def get_config():
    init = Init(kernel="torch", bias="torch")
    return GanConfig(
        name="", post="-", data=Stripes(), batch_size=8, steps=4, log=Every(steps=2), checkpoint=Every(steps=2), num_samples=4,
        generator=[Dense(12), swish, Gain(start=1.5), Dense(36), Tanh(), Reshape(6, 6, 1)],
        discriminator=[Flatten(), Dense(12), swish, Dense(1)],
        g_init=init, d_init=init, latents=Latents(dim=3), g_optimizer=Adam(learning_rate=1e-3),
        d_optimizer=Adam(learning_rate=1e-3), game=Game(loss=margins, penalty=quartic),
    )
'''  # fmt: skip


@pytest.fixture(autouse=True)
def _tables_as_before() -> Iterator[None]:
    tables: tuple[dict[str, Any], ...] = (KINDS, LOSSES, PENALTIES)
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def ran(*arguments: str) -> tuple[int, str, str]:
    """`tfgan-lab` in a process of its own, which knows nothing of any file."""
    done = subprocess.run([sys.executable, "-m", "tfgan_lab", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_one_file_holds_it_all_and_is_named_where_it_is_missing(tmp_path: Path) -> None:
    file, run = tmp_path / "stripes_gan.py", tmp_path / "run"
    file.write_text(FILE)
    code, said, faults = ran("train", f"--config={file}", f"--workdir={run}")
    assert code == 0, faults
    kept = json.loads((run / "config.json").read_text())
    assert kept["generator"][1] == {"kind": "swish"}
    assert (kept["game"]["loss"], kept["game"]["penalty"], kept["data"]["kind"]) == ("margins", "quartic", "stripes")
    for verb in ("train", "sample", "evaluate", "report"):
        code, _, faults = ran(verb, f"--workdir={run}")
        assert code == 2 and faults.count("\n") == 1, faults
        assert f"{file}: name that file with --config" in faults
    code, said, faults = ran("train", f"--config={file}", "--config.steps=6", f"--workdir={run}")
    assert code == 0 and "resuming at step 4" in said, faults
    assert ran("sample", f"--config={file}", f"--workdir={run}", f"--out={tmp_path}/x.npz")[0] == 0
    assert np.load(tmp_path / "x.npz")["samples"].shape[1:] == (6, 6, 1)


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process: the row of the table is taken away."""
    (tmp_path / "mine.py").write_text(
        "from tfgan_lab.config_files import load_config\nfrom tfgan_lab.losses import hinge\n"
        "def mine():\n    return hinge()\n"
        "def get_config():\n    config = load_config('mlp_gan:smoke')\n    config.data.source = 'embedded'\n"
        "    config.steps, config.generator[0:1] = 2, []\n    config.game.loss = mine\n    return config\n"
    )
    config = load_config(str(tmp_path / "mine.py"))
    assert config.game.loss == "mine"
    train(override(config, {"num_samples": "4"}), tmp_path / "run")
    monkeypatch.delitem(LOSSES, "mine")
    with pytest.raises(UserError, match=f"there is no loss 'mine'.* begun with {tmp_path / 'mine.py'}: name that file"):
        Workdir(tmp_path / "run").read_config()


def test_functions_become_kinds_and_rows_under_their_names() -> None:
    def cubed(x: Any) -> Any:
        """x^3."""
        return x**3

    def mine() -> Loss:
        return LOSSES["hinge"]()

    def weak() -> Penalty:
        return PENALTIES["r1"]

    config: Any = offline("mlp_gan:smoke")
    config.generator = [cubed, *config.generator]
    config.game = Game(loss=mine, penalty=weak)  # type: ignore[arg-type]
    again = override(config, {"seed": "1"})
    assert (again.game.loss, again.game.penalty, again.generator[0].kind) == ("mine", "weak", "cubed")
    assert PENALTIES["weak"] is PENALTIES["r1"]
    plain: Any = offline("mlp_gan:smoke", seed="1")
    z = tf.random.stateless_normal([3, 100], [0, 1])
    with_it, without = (build_generator(one) for one in (again, plain))
    assert_allclose(with_it(z), without(z**3), rtol=1e-6)


def test_names_of_the_package_stay_its_own() -> None:
    def hinge() -> Loss:
        return Loss({}, lambda real, fake: fake)

    def r1() -> Penalty:
        return PENALTIES["r2"]

    def dense(x: Any) -> Any:
        return x

    for make in (
        lambda: Game(loss=hinge),
        lambda: Game(penalty=r1),
        lambda: layer(dense),
        lambda: Game(loss=lambda: None),
    ):  # type: ignore[arg-type]
        with pytest.raises(UserError, match="under a name of its own"):
            make()
    assert LOSSES["hinge"] is not hinge and KINDS["dense"] is Dense
    with pytest.raises(UserError, match="the package has a layer of kind 'elu'"):
        layer(type("Elu", (Layer,), {"__annotations__": {}, "__module__": "mine"}))
    assert KINDS["elu"] is ELU

    @dataclasses.dataclass(frozen=True)
    class Digits(ImageData):
        kind: Literal["mnist"] = "mnist"

    with pytest.raises(UserError, match="the package has data of kind 'mnist'"):
        data_kind(Digits)
    assert Data.kinds["mnist"] is Mnist


def wave(x: Any) -> Any:
    return tf.sin(x)


def traced(x: Any) -> Any:
    return tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.float32), x.shape)


def test_a_layer_of_numbers_is_exported_and_any_other_is_refused_before_the_training(tmp_path: Path) -> None:
    config: Any = offline("mlp_gan:smoke", steps="2")
    for function in (wave, traced):
        layers = [function, *config.generator]
        if function is wave:
            tfgan_lab.train(dataclasses.replace(config, generator=layers), tmp_path / "wave", verbose=False)
            assert tfgan_lab.load_generator(tmp_path / "wave").sample(2, seed=0).shape == (2, 28, 28, 1)
        else:
            with pytest.raises(UserError, match="its network holds EagerPyFunc, which no export may hold"):
                tfgan_lab.train(dataclasses.replace(config, generator=layers), tmp_path / "traced", verbose=False)
            assert Workdir(tmp_path / "traced").read_metrics() == []


def test_a_function_that_fits_no_shape_is_one_line() -> None:
    def paired(x: Any) -> Any:
        return tf.reshape(x, [-1, 7])

    config: Any = offline("mlp_gan:smoke")
    config.generator = [paired, *config.generator]
    with pytest.raises(UserError, match=r"generator.0 \(paired\) takes no \[100\]"):
        build_generator(override(config, {}))
