"""A run's page in a real headless browser: its generator against TensorFlow, its sliders, its width, its colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from browser import ask, browser

from tfgan_lab.report.page import report

RUNS = [
    "mlp_gan:smoke",
    "first_gan:smoke",
    "cgan_layernorm:smoke",
    "cgan_branch:smoke",
    "dcgan_montage:smoke",
    "gaussian:smoke",
]


@pytest.fixture(autouse=True)
def _with_a_browser() -> None:
    browser()  # else it is skipped before anything is trained


@pytest.mark.parametrize("reference", RUNS)
def test_the_browser_draws_what_tensorflow_draws(
    reference: str, trained: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = trained(reference)
    signature = tf.saved_model.load(str(folder / "export")).signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    latents = rng.uniform(-1, 1, (20, inputs["latents"].shape[1])).astype(np.float32) * (
        1 if "gaussian" in reference else 2
    )
    labels = np.arange(20, dtype=np.int32) % 10
    given = {"latents": tf.constant(latents)} | ({"labels": tf.constant(labels)} if "labels" in inputs else {})
    (expected,) = signature(**given).values()
    question = (
        f"const z = {json.dumps(latents.tolist())}, y = {labels.tolist()};"
        "return z.map((row, i) => Array.from(NETS.r0.draw(Float32Array.from(row), y[i])));"
    )
    drawn = np.array(ask(folder / "report.html", question, tmp_path)).reshape(expected.shape)
    difference = np.abs(drawn - expected.numpy()).max()
    print(f"{reference}: largest difference over 20 latents {difference * 255:.3f}/255")
    assert difference <= 1 / 255
    assert expected.numpy().std() > 1e-4  # there was something to be wrong about


def test_the_page_checks_itself_and_asks_no_network(trained: Any, tmp_path: Path) -> None:
    question = "return [document.querySelector('.checked').textContent, performance.getEntriesByType('resource').map((r) => r.name).filter((n) => !n.startsWith('data:'))];"
    said, asked = ask(trained("mlp_gan:smoke") / "report.html", question, tmp_path)
    assert said in {
        f"Checked in this browser: over 20 samples no pixel differs from TensorFlow's by more than {n} of 255 levels."
        for n in (0, 1)
    }
    assert asked == []


def test_a_wrong_weight_is_seen_by_the_pages_own_check(trained: Any, tmp_path: Path) -> None:
    question = (
        "const plan = structuredClone(DATA.r0.net); const steps = plan.steps.filter((s) => s.kind === 'dense');"
        "steps[0].bias = {...steps[0].bias, at: steps[0].bias.at + 8}; return checkNet(loadNet(plan));"
    )
    assert ask(trained("mlp_gan:smoke") / "report.html", question, tmp_path) > 1


def test_the_sliders_show_each_moment_and_move_the_sample(trained: Any, tmp_path: Path) -> None:
    question = """
      const moment = document.querySelector('#r0-moment'), image = document.querySelector('.generated'), seen = [];
      for (const value of [0, 1, 2]) {
        moment.value = value; moment.dispatchEvent(new Event('input', {bubbles: true}));
        seen.push([image.alt, moment.getAttribute('aria-valuetext'), image.src.length > 100]);
      }
      const canvas = document.querySelector('canvas'), pixels = () => canvas.toDataURL(), before = pixels();
      const direction = document.querySelector('#r0-direction-1');
      direction.value = 3; direction.dispatchEvent(new Event('input', {bubbles: true}));
      const moved = pixels();
      document.querySelector('[data-do=centre]').click();
      const back = pixels();
      document.querySelector('[data-do=random]').click();
      return {seen, moved: moved !== before, back: back === before, random: pixels() !== before,
              unreachable: [...document.querySelectorAll('a, button, input, summary')].filter((e) => e.tabIndex < 0).length};
    """
    said = ask(trained("mlp_gan:smoke") / "report.html", question, tmp_path)
    assert said == {
        "seen": [[f"16 samples after {step} steps, from the same latents at every step", f"{step} steps (epoch {epoch})", True]
                 for step, epoch in ((0, "0"), (10, "0.11"), (20, "0.22"))],
        "moved": True, "back": True, "random": True, "unreachable": 0,
    }  # fmt: skip


def test_the_label_chooser_asks_for_that_label(trained: Any, tmp_path: Path) -> None:
    question = """
      const canvas = document.querySelector('canvas'), drawn = new Set();
      for (const radio of document.querySelectorAll('.labels input')) { radio.click(); drawn.add(canvas.toDataURL()); }
      return [drawn.size, canvas.getAttribute('aria-label')];
    """
    assert ask(trained("cgan_layernorm:smoke") / "report.html", question, tmp_path) == [
        10,
        "a sample that was asked for the label 9",
    ]


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_follows_the_readers_colours(width: int, dark: bool, trained: Any, tmp_path: Path) -> None:
    page = report(
        [trained("cgan_layernorm:smoke"), trained("gaussian:smoke"), trained("mnist_classifier:smoke")],
        str(tmp_path / "page.html"),
    )
    question = """
      const of = (name) => getComputedStyle(document.body).getPropertyValue(name).match(/\\d+/g).map(Number).reduce((a, b) => a + b);
      return {over: document.documentElement.scrollWidth - innerWidth, width: innerWidth, paper: of('background-color'), ink: of('color'),
              chart: getComputedStyle(document.querySelector('.chart svg')).color === getComputedStyle(document.body).color};
    """
    flags = [f"--window-size={width},900", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    said = ask(page, question, tmp_path, *flags)
    assert said["over"] <= 0 and said["width"] <= max(width, 500)
    assert (said["paper"] < said["ink"]) == dark
    assert abs(said["paper"] - said["ink"]) > 500  # of 765: black on white
    assert said["chart"]
