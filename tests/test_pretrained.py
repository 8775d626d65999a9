"""The generators that come with the package: each draws what its card says; damaged files and unknown names are one line."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import javascript
from numpy.testing import assert_allclose, assert_array_equal

import tfgan_lab
from tfgan_lab import cli, pretrained
from tfgan_lab.config import from_dict
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.judge import load_judge
from tfgan_lab.evaluation.pieces import draw
from tfgan_lab.export.saved_model import load_generator
from tfgan_lab.networks import build_networks
from tfgan_lab.posts.claims import claims_with
from tfgan_lab.report.page_gallery import write_gallery

NAMES = pretrained.names()
SMALL = "gaussian"
PIECE = 1000  # that `evaluate` draws at once, and the cards' numbers rest on ten of


def measured(card: dict[str, Any], name: str) -> dict[str, float]:
    return next(row["generated"] for row in card["metrics"] if row["name"] == name)


def test_all_are_there_and_small() -> None:
    assert NAMES == [
        "cgan_branch", "cgan_concat", "cgan_conv", "cgan_layernorm", "cgan_maxout", "dcgan_montage:small", "gaussian", "mlp_gan",
        "mlp_gan_smoothed",
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()) <= 10e6


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_what_its_card_says(name: str) -> None:
    """In shape and range, and in a number that was measured of these weights, within four standard errors."""
    generator, card = load_generator(f"pretrained:{name}"), pretrained.card_of(name)
    config: Any = pretrained.config_of(name)
    drawn = draw(generator.sample, PIECE if config.data.shape[0] < 64 else 50, 0, PIECE)
    assert drawn.dtype == np.float32 and drawn.shape[1:] == config.data.shape
    if config.data.is_endless:
        assert drawn.mean() == pytest.approx(measured(card, "mean")["value"], abs=4 * float(drawn.std()) / PIECE**0.5)
        assert drawn.std() == pytest.approx(measured(card, "std")["value"], rel=4 / (2 * PIECE) ** 0.5)
        return
    assert drawn.min() >= 0 and drawn.max() <= 1
    if config.data.kind != "mnist":
        from tfgan_lab.metrics import sharpness

        wanted, found = measured(card, "sharpness")["value"], sharpness(drawn)
        assert found.mean() == pytest.approx(wanted, abs=4 * float(found.std()) / len(found) ** 0.5)
        return
    labels = load_judge()(drawn).labels
    if config.num_labels:
        right = measured(card, "label_accuracy")["value"]
        error = (right * (1 - right) / PIECE) ** 0.5
        assert (labels == np.arange(PIECE) % 10).mean() == pytest.approx(right, abs=4 * error)
    else:
        assert (np.bincount(labels, minlength=10) > 0.01 * PIECE).sum() == pytest.approx(
            measured(card, "digits_drawn")["value"], abs=1
        )


@pytest.mark.parametrize("name", NAMES)
def test_its_card_is_complete(name: str) -> None:
    card = pretrained.card_of(name)
    config = from_dict(card["fields"])
    assert (card["config"], card["post"], card["seed"]) == (name, load_config(name).post, config.seed)
    assert card["command"].startswith(f"tfgan-lab train --config={name} ") and card["steps"] > 0
    assert all(row["generated"]["low"] <= row["generated"]["high"] for row in card["metrics"])
    assert card["rounding"]["mean"] < 0.002
    assert list(card["ledger"]) == [claim.id for claim in claims_with(name)]
    if not config.data.is_endless:
        assert {"source", "count", "sha256"} <= card["trained_on"]["train"].keys()


def test_sampled_by_the_command_line_as_from_python_and_as_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "cgan_branch"
    flags = [f"--pretrained={name}", f"--out={tmp_path / 'threes.npz'}"]
    assert cli.main(["sample", *flags, "--label=3", "--num=7", "--seed=5"]) == 0
    assert cli.main(["export", flags[0], f"--out={tmp_path / 'export'}"]) == 0
    with np.load(tmp_path / "threes.npz") as file:
        drawn = file["samples"]
    generator = tfgan_lab.load_generator(f"pretrained:{name}")
    assert_allclose(drawn, generator.sample(7, 5, 3), atol=1e-6)
    assert_allclose(drawn, load_generator(tmp_path / "export").sample(7, 5, 3), atol=1e-5)
    assert generator.facts["trained_on"] == pretrained.card_of(name)["trained_on"]
    assert name in generator._repr_html_() and "<img" in generator._repr_html_()
    capsys.readouterr()


def test_packing_keeps_vectors_and_rounds_matrices(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = build_networks(pretrained.config_of(SMALL))["generator"]
    for variable in generator.variables:
        variable.assign(rng.normal(size=variable.shape))
    shipped(tmp_path, monkeypatch, pretrained.packed(generator.variables))
    for new, old in zip(pretrained.load(SMALL).generator.variables, generator.variables, strict=True):
        if len(old.shape) == 1:
            assert_array_equal(new, old)
        else:
            assert_allclose(new, old, rtol=0.01, atol=1e-7)
            assert np.abs(np.asarray(new) - np.asarray(old)).max() > 0


def shipped(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, **changes: Any) -> None:
    """One generator in a folder of the test's own, with these weights and these changes to its card."""
    card = pretrained.card_of(SMALL) | {"sha256": hashlib.sha256(content).hexdigest()} | changes
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    (folder / f"{SMALL}.npz").write_bytes(content)
    (folder / f"{SMALL}.json").write_text(json.dumps(card))


FAULTS = {
    "its sha256 is not its card's": {"sha256": "0"},
    "(2, 50, 50)": {},  # the first matrix is another's
    "no config of a GAN": {"fields": 3},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_one_line(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = pretrained.load(SMALL).generator.variables
    first, other = (v for v in variables if len(v.shape) == 2 and v.shape[1] == 50)
    arrays = {v.name: v for v in variables} | {first.name: other}
    named = [type("Named", (), {"name": n, "__array__": lambda _, *a, v=v, **k: np.asarray(v)})() for n, v in arrays.items()]  # fmt: skip
    content = pretrained.packed(named if not FAULTS[fault] else variables)
    shipped(tmp_path, monkeypatch, content, **FAULTS[fault])
    with pytest.raises(UserError, match="Install the package again") as refusal:
        load_generator(f"pretrained:{SMALL}")
    assert "\\n" not in str(refusal.value) and fault.strip("(2, )") in str(refusal.value)


@pytest.mark.parametrize(("name", "content"), [("json", b"{"), ("json", b"3"), ("npz", b"")])
def test_a_cut_file_is_one_line(name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in pretrained.FOLDER.glob(f"{SMALL}.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    (tmp_path / f"{SMALL}.{name}").write_bytes(content)
    with pytest.raises(UserError, match="Install the package again"):
        pretrained.load(SMALL)
    (tmp_path / f"{SMALL}.npz").unlink()
    with pytest.raises(UserError, match="Install the package again"):
        pretrained.load(SMALL)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["sample", "--pretrained=cgan_concta"], r"cgan_concta: no such generator .* Did you mean 'cgan_concat'"),
        (["export", "--pretrained=9"], rf"Valid: .*{SMALL}"),
        (["sample", f"--pretrained={SMALL}", "--workdir=runs/x"], "name one"),
        (["sample", f"--pretrained={SMALL}", "--label=3"], "no labels"),
        (["sample", f"--pretrained={SMALL}", "--raw"], "keeps no average"),
        (["gallery", "--out=page.txt"], "must end in .html"),
    ],
)
def test_a_mistake_is_one_line(
    flags: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(flags) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_the_gallery_draws_what_tensorflow_draws(tmp_path: Path) -> None:
    """Every generator of the page, run by its own JavaScript, on the pixels that it carries of TensorFlow's."""
    page = write_gallery(tmp_path / "gallery.html")
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 5e6
    assert re.findall(r'<h2 id="g\d+-name">(.*?)</h2>', text) == NAMES
    assert f"<dd>{pretrained.card_of('gaussian')['ledger']['C004']}</dd>" in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert data
    code = text.rpartition("<script>")[2].partition("// The page's sliders")[0].replace('"use strict";', "")
    worst = javascript(
        f"""{code}
        const data = {data[1]};
        const worst = {{}};
        for (const [key, {{ net }}] of Object.entries(data)) worst[key] = checkNet(loadNet(net, await inflated(net)));
        return worst;""",
        tmp_path,
    )
    print(worst)
    for index, name in enumerate(NAMES):
        assert worst[f"g{index}"] <= (1e-3 if pretrained.config_of(name).data.is_endless else 1), name
