"""`evaluate(run)`: samples of an exported model, measured; beside each number what real data and no training score."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab import data as data_lib
from tfgan_lab.config import ClassifierConfig, Config, Data, ImageData, Mnist, NumberData, Plane, Stacked, from_dict
from tfgan_lab.data.examples import Provenance
from tfgan_lab.data_kinds import of_kind
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation import accuracy, colours, digits, distribution, modes, plane
from tfgan_lab.evaluation.judge import MUST_REACH, Judge, doubt, judge_for, judge_of, load_judge
from tfgan_lab.evaluation.pieces import Sampler, draw, labels_of, untrained_sampler
from tfgan_lab.evaluation.rows import Number, in_text, lines, table
from tfgan_lab.export.loader import load_saved_model
from tfgan_lab.export.saved_model import load_generator, read_facts
from tfgan_lab.networks import build_networks
from tfgan_lab.randomness import sample_seed, stream_key
from tfgan_lab.system.files import json_bytes, refuse_foreign, write_atomically
from tfgan_lab.training.restored import on_both_statistics
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import counted, drawn_from_which, of_post

NUM_IMAGES, NUM_OF_CLASSES = 10_000, 2_000
_DIGITS_PIECE, _IMAGES_PIECE, _NUMBERS_PIECE = 1000, 25, 1_000_000  # drawn at a time


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is evaluated: an exported model, its config, and where the result goes."""

    name: str
    config: Config
    saved_model: Path
    facts: dict[str, Any]
    data_dir: str | None
    out: Path


def evaluate(
    run: str | os.PathLike[str], data_dir: str | None = None, num: int | None = None, judge: str | None = None, seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Evaluates the exported model of a run.

    Args:
      run: A run folder, or a SavedModel folder that tfgan-lab exported.
      data_dir: Where the real data is, if not where it was for training.
      num: Samples to draw; None for 10,000 images (2,000 of a user's classes), 100,000 numbers, 2,500 points or 26,000
        stacked digits. Montages: at most half the real images, and 1,000.
      judge: The run folder of a classifier; None for the config's or, for digits, the shipped one.
      seed: Same seed, same samples.
      out: The JSON file; None for metrics.json in the run folder, or beside the SavedModel.

    Returns:
      What is written: "metrics" (rows with "generated", "real" and "untrained" numbers, each with its interval),
      "model", "data", "judge", "n", "details", and the time and memory it took.

    Raises:
      UserError: No such model, data or judge; too few samples for a metric; NaN samples; `out` is there and not ours.
    """
    started, cpu = time.perf_counter(), time.process_time()
    subject = _subject(Path(run), out, data_dir)
    refuse_foreign(subject.out)
    if isinstance(subject.config, ClassifierConfig):
        refuse_foreign(*accuracy.picture_files(subject.out.parent))
    _refuse_unread(subject.config, num, judge)
    source = data_lib.open_source(subject.config.data, subject.data_dir)
    result: dict[str, Any] = {
        "model": {
            "run": subject.name, "config": subject.config.name, "post": subject.config.post, "step": subject.facts.get("step"),
            "trained_on": subject.facts.get("trained_on"),
        } | {name: fact for name, fact in subject.facts.items() if name == "raw"},
        "data": {name: str(part) for name, part in source.provenance.items()} or {"target": source.chosen.removeprefix("data: ")},
        "seed": seed,
    }  # fmt: skip
    if isinstance(subject.config, ClassifierConfig):
        result |= _classifier(subject, source)
    else:
        measure = of_kind(MEASURES, subject.config.data, "tfgan_lab.evaluation.exported.MEASURES")
        result |= measure.all(subject, source, num, judge, seed)
    trained_on = (subject.facts.get("trained_on") or {}).get("train")
    if trained_on and not _same(trained_on, source.provenance.get("train")):
        result["notes"] = [*result.get("notes", []), f"other data than it was trained on: {in_words(trained_on)}"]
    result |= {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_memory_mb": _peak_memory(),
    }
    write_atomically(subject.out, json_bytes(result))
    result["written"] = str(subject.out)
    return result


def print_table(result: dict[str, Any]) -> None:
    """Prints what `evaluate` returned."""
    model = result["model"]
    after = f"after {counted(model['step'] or 0, 'step')}: {model['run']}, seed {result['seed']}"
    print(f"{model['config']} ({of_post(model['post'])}) {after}")
    if "raw" in model:
        print(f"drawn from {drawn_from_which(model['raw'])}")
    print(", ".join(f"{name} n={count:,}" for name, count in result["n"].items()), end="; data: ")
    print("; ".join(result["data"].values()))
    if result.get("judge"):
        print(f"judge: {result['judge']['line']}")
    print("", *lines(result["metrics"]), "", *result.get("notes", []), sep="\n")
    took = f"{result['seconds']:.0f} s ({result['cpu_seconds']:.0f} s of CPU), {result['peak_memory_mb']:,} MB"
    print(f"{took}: {result['written']}", flush=True)


def in_words(provenance: Any) -> str:
    """A provenance in one line, from run.json's or generator.json's record of it."""
    with contextlib.suppress(TypeError, ValueError):  # of a record that another program wrote
        return str(Provenance(**provenance))
    return str(provenance).removeprefix("data: ")


def _same(recorded: Any, found: Any) -> bool:
    """Whether a record of a provenance is of the data found now, wherever they came from."""
    return found is not None and in_words(recorded).endswith(found.sha256[:12])


def _refuse_unread(config: Config, num: int | None, judge: str | None) -> None:
    """Raises `UserError` for what is asked for and would change nothing."""
    if num and isinstance(config, ClassifierConfig):
        raise UserError(f"--num={num} is of generators: a classifier is measured on the whole test split: omit it.")
    if judge and (isinstance(config, ClassifierConfig) or config.data.is_endless):
        raise UserError(
            f"--judge={judge} judges images that a generator draws, which {config.name} is not for: omit it."
        )


def _subject(path: Path, out: str | os.PathLike[str] | None, data_dir: str | None) -> Subject:
    folder = Workdir(path)
    if folder.exists():
        config = folder.read_single_config()
        if not (folder.export / "saved_model.pb").is_file():
            raise UserError(
                f"--workdir={path} has no export yet: `tfgan-lab train --workdir={path}` to its end, or `tfgan-lab export --workdir={path}`."
            )
        target, facts = Path(out or path / "metrics.json"), read_facts(folder.export)
        return Subject(str(path), config, folder.export, facts, folder.data_dir(data_dir), target)
    if not (path / "saved_model.pb").is_file():
        raise UserError(
            f"{path} holds neither a run (config.json) nor a SavedModel: name one of them with --workdir or --saved_model."
        )
    facts = read_facts(path)
    if "fields" not in facts:
        raise UserError(
            f"{path} has no config in its generator.json: was it exported by tfgan-lab? Export it again, or evaluate its --workdir."
        )
    target = Path(out or path.parent / f"{path.resolve().name}.metrics.json")
    return Subject(str(path), from_dict(facts["fields"]), path, facts, data_dir, target)


def _columns(
    subject: Subject, num: int, seed: int, piece: int, real: np.ndarray, column: Callable[[np.ndarray], dict[str, Number]]
) -> dict[str, dict[str, Number]]:  # fmt: skip
    """The table's columns: of so many samples of the model, of real data in their place, of an untrained generator."""
    config: Any = subject.config
    generated = column(draw(_sampler(subject), num, seed, piece))
    untrained = column(draw(untrained_sampler(config), num, seed, piece))
    return {"generated": generated, "real": column(real), "untrained": untrained}


def _sampler(subject: Subject) -> Sampler:
    return load_generator(subject.saved_model).sample


def _refuse_stranger(judge: Judge, right: float, images: str) -> None:
    if right < MUST_REACH:
        raise UserError(
            f"the judge {judge.facts['name']} is right on only {right:.0%} of these test {images}: train one on this data "
            "(`tfgan-lab train --config=mnist_judge --data_dir=…`) and name it with --judge=WORKDIR."
        )


def _by_judge(subject: Subject, source: Any, num: int | None, judge_path: str | None, seed: int) -> dict[str, Any]:
    config: Any = subject.config
    num = num or (NUM_IMAGES if config.data.are_digits else NUM_OF_CLASSES)
    judge = judge_for(config, judge_path)
    real = digits.real_digits(source, judge, seed)
    right = float((real.opinion.labels == real.test_labels).mean())
    _refuse_stranger(judge, right, "images")
    asked = labels_of(num, config.num_labels, _DIGITS_PIECE) if config.num_labels else None

    def column(sampler: Sampler) -> digits.Column:
        return digits.samples_column(draw(sampler, num, seed, _DIGITS_PIECE), asked, real, judge, seed)

    columns = {
        "generated": column(_sampler(subject)), "real": digits.real_column(num, asked is not None, real, judge, seed),
        "untrained": column(untrained_sampler(config)),
    }  # fmt: skip
    details = columns["generated"].details
    counts, names = details["digit_counts"], config.data.class_names
    rare = digits.RARE / len(counts)
    missing = [name for name, count in zip(names, counts, strict=True) if count <= rare * num]
    return {
        "n": {"samples": num, "test": len(real.test), "real instead": columns["real"].details["n"], "training": len(real.train)},
        "judge": judge.facts | {
            "accuracy_here": right,
            "line": f"{judge.facts['name']}, sha256 {judge.facts['sha256'][:12]}, right on {right:.2%} of the test split here",
        },
        "metrics": table(digits.METRICS, {name: column.numbers for name, column in columns.items()}),
        "details": {name: column.details for name, column in columns.items()},
        "notes": [
            *filter(None, [doubt(right), _taught_otherwise(judge, source) if judge_path or config.judge else ""]),
            f"classes by the judge, {names[0]} to {names[-1]}: {' '.join(map(str, counts))}; {100 * rare:.2g} % or less: {', '.join(missing) or 'none'}",
            f"Parzen: sigma {details['parzen_sigma']:.3g}, chosen on {real.parzen_source}",
            "real data instead: training images in the samples' place (for label accuracy and copying, test images)",
        ],
    }  # fmt: skip


def _taught_otherwise(judge: Judge, source: Any) -> str:
    """A note if a judge was trained on other images than the generator, among which may be some of its test split."""
    taught = judge.facts.get("trained_on") or {}
    taught = taught.get("train", taught)
    if not taught or _same(taught, source.train.provenance):
        return ""
    return f"the judge was trained on other images than the generator, perhaps on some of these test images: {in_words(taught)}"


def _numbers(subject: Subject, source: Any, num: int | None, judge: str | None, seed: int) -> dict[str, Any]:
    data: Any = subject.config.data
    num = num or distribution.NUM
    real = _of_the_law(data, [num], seed, "real")
    columns = _columns(subject, num, seed, _NUMBERS_PIECE, real, lambda x: distribution.column(x, data, seed))
    return {"n": {"numbers": num}, "metrics": table(distribution.metrics_for(data), columns)}


def _points(subject: Subject, source: Any, num: int | None, judge: str | None, seed: int) -> dict[str, Any]:
    data: Any = subject.config.data
    num = num or plane.NUM
    real, other = (_of_the_law(data, [num, 2], seed, name) for name in ("real", "other"))
    columns = _columns(subject, num, seed, _NUMBERS_PIECE, real, lambda x: plane.column(x, other, data, seed))
    return {"n": {"points": num}, "metrics": table(plane.metrics_for(data), columns)}


def _of_the_law(data: Any, shape: list[int], seed: int, name: str) -> np.ndarray:
    return data.draw(shape, sample_seed(stream_key(seed, f"evaluate/{name}"))).numpy()


def _stacked(subject: Subject, source: Any, num: int | None, judge_path: str | None, seed: int) -> dict[str, Any]:
    data: Any = subject.config.data
    num, judge = num or modes.NUM, load_judge(judge_path)
    right = judge.accuracy(data_lib.open_source(data.digits, subject.data_dir).test)
    _refuse_stranger(judge, right, "digits")
    real = source.train.images[:num] / np.float32(255)
    columns = _columns(
        subject, num, seed, _DIGITS_PIECE, real, lambda images: modes.column(modes.modes_of(images, judge), seed)
    )  # fmt: skip
    return {
        "n": {"samples": num, "real instead": len(real)},
        "judge": judge.facts | {"accuracy_here": right, "line": f"{judge.facts['name']}, right on {right:.2%} of the test digits"},
        "metrics": table(modes.METRICS, columns),
        "notes": [*filter(None, [doubt(right)]), "real data instead: training images, which are drawn at random"],
    }  # fmt: skip


def _images(subject: Subject, source: Any, num: int | None, judge: str | None, seed: int) -> dict[str, Any]:
    config: Any = subject.config
    if config.data.class_names and (judge or config.judge):
        return _by_judge(subject, source, num, judge, seed)
    if judge is not None:
        raise UserError(
            f"--judge={judge}: such images are judged by random features, not by a classifier: omit --judge."
        )
    first, second = colours.two_halves(source.train, min(num or NUM_IMAGES, colours.MOST), seed)
    columns = _columns(subject, len(first), seed, _IMAGES_PIECE, second, lambda x: colours.column(x, first, seed))
    return {
        "n": {"samples": len(first), "real half": len(first), "other real half": len(second)},
        "metrics": table(colours.METRICS, columns),
        "notes": [f"features: {colours.FEATURES}", "real data instead: the other half; both are of the training split"],
    }


def _numbers_in_short(subject: Subject) -> list[str]:
    data: Any = subject.config.data
    seed = 0  # as `evaluate` has it, unless another is named
    sample = draw(_sampler(subject), distribution.NUM, seed, _NUMBERS_PIECE)
    rows = table(distribution.metrics_for(data), {"generated": distribution.column(sample, data, seed)})
    numbers = (f"{row['label']} {in_text(row['generated'])}" for row in rows)
    return [f"{distribution.NUM:,} generated numbers: {', '.join(numbers)}"]


@dataclasses.dataclass(frozen=True)
class Measure:
    """How an exported generator of a kind of data is measured.

    Attributes:
      all: (subject, source, num, judge, seed) -> what `evaluate` adds to its result: "n", "metrics" and perhaps more.
      in_short: subject -> lines at the end of training.
    """

    all: Callable[[Subject, data_lib.Source, int | None, str | None, int], dict[str, Any]]
    in_short: Callable[[Subject], list[str]] = lambda subject: []


# What is measured of an exported generator, by kind of data.
MEASURES: dict[type[Data], Measure] = {
    Mnist: Measure(_by_judge), ImageData: Measure(_images), NumberData: Measure(_numbers, _numbers_in_short),
    Plane: Measure(_points), Stacked: Measure(_stacked),
}  # fmt: skip


def _classifier(subject: Subject, source: Any) -> dict[str, Any]:
    config: Any = subject.config
    answers, names = _answers_and_pictures(subject, source.test)
    untrained = _accuracy(build_networks(config)["classifier"], config, source.test)
    columns = {
        "generated": accuracy.column(answers) | _on_both_statistics(subject, source.test), "untrained": untrained
    }  # fmt: skip
    return {
        "n": {"test": source.test.num},
        "metrics": table(accuracy.metrics_for(config.data.called(answers.scores.shape[1])), columns),
        "details": {"confusion": answers.confusion.tolist()},
        "notes": [f"look at: {', '.join(names)}"],
    }


def _answers_and_pictures(subject: Subject, test: Any) -> tuple[accuracy.Answers, list[str]]:
    folder = subject.out.parent
    answers = _answers(load_judge(subject.saved_model), test)
    return answers, [str(folder / name) for name in accuracy.write_pictures(folder, answers, test, subject.config)]


def _on_both_statistics(subject: Subject, test: Any) -> dict[str, Any]:
    """A classifier's accuracy by what its BatchNorm takes, as far as it has one on images."""
    config: Any = subject.config
    networks = on_both_statistics(config, "classifier", load_saved_model(subject.saved_model).weights)
    return {f"accuracy_{which}": _accuracy(one, config, test)["accuracy"] for which, one in networks.items()}


def _accuracy(network: Any, config: Config, test: Any) -> dict[str, Any]:
    return accuracy.column(_answers(judge_of(network, config, {"name": config.name}), test))


def _answers(judge: Judge, test: Any) -> accuracy.Answers:
    return accuracy.Answers(judge(test.images / np.float32(255)).scores, test.labels)


def finish(folder: Workdir, experiment: Any) -> list[str]:
    """The cheap final numbers of a training run that has just been exported, as lines to print.

    Numbers: moments and distances of 100,000 of them. Classifier: its accuracy with interval, and two pictures.
    """
    config, test = experiment.config, experiment.source.test
    subject = Subject(str(folder.path), config, folder.export, {}, None, folder.path / "metrics.json")
    if not isinstance(config, ClassifierConfig):
        return of_kind(MEASURES, config.data, "tfgan_lab.evaluation.exported.MEASURES").in_short(subject)
    answers, names = _answers_and_pictures(subject, test)
    found = {"accuracy": accuracy.column(answers)["accuracy"], **_on_both_statistics(subject, test)}
    said = [
        f"{accuracy.METRICS[name].label} {right.value:.4f} [{right.low:.4f}, {right.high:.4f}] on {test.provenance}"
        for name, right in found.items()
    ]
    return [*said, f"its mistakes, and its outputs for one image: {', '.join(names)}"]


def _peak_memory() -> int:
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
