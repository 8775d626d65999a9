"""The judge: a classifier whose opinions and features the metrics on digits rest on.

One is shipped (`judge_mnist.npz`, with its facts in the .json beside it), made by the config `mnist_judge`.
For other data a user trains one (`mnist_judge:classes=…`) and names its run folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.export.loader import load_saved_model
from tfgan_lab.metrics.checks import unit_images
from tfgan_lab.system.arrays import npz_bytes, read_arrays
from tfgan_lab.system.files import json_bytes, refuse_foreign, write_atomically

# Right on a smaller share of the real data than this, a judge is of other data, and its numbers would mean nothing.
MUST_REACH = 0.5
_SURE = 0.95  # right on less than this, it is used with a warning
SHIPPED = Path(__file__).with_name("judge_mnist.npz")
_OUTPUTS = ("probabilities", "features", "scores")
_BATCH = 500  # fits the cache, and memory does not grow with the number of images


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What a judge says of N images.

    Attributes:
      probabilities: float32 [N, classes], rows sum to 1.
      features: float32 [N, D], what its last layer sees.
      scores: float32 [N, classes], its own outputs: sigmoids (post P001) or, of a softmax, the probabilities.
    """

    probabilities: np.ndarray
    features: np.ndarray
    scores: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The likeliest class of each image, int64 [N]."""
        return self.probabilities.argmax(axis=1)

    @property
    def num_classes(self) -> int:
        return self.probabilities.shape[1]


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """A trained classifier.

    Attributes:
      classify: Images float32 [B, H, W, C] in [0, 1] -> "probabilities", "features" and "scores".
      image_shape: [H, W, C].
      facts: What stands beside every number it gives: name, sha256 of its weights, what it was trained on.
    """

    classify: Callable[[Any], Mapping[str, Any]]
    image_shape: tuple[int, ...]
    facts: dict[str, Any]

    def __call__(self, images: Any) -> Opinion:
        """Judges images [N, H, W, C] in [0, 1].

        Raises:
          UserError: Images of another shape than it was trained on, values outside [0, 1], NaN.
        """
        batch = unit_images(images, "judged images")
        self.refuse_other_images(batch.shape[1:])
        pieces = (batch[start : start + _BATCH] for start in range(0, len(batch), _BATCH))
        parts = [self.classify(piece.astype(np.float32)) for piece in pieces]
        return Opinion(**{key: np.concatenate([np.asarray(part[key]) for part in parts]) for key in _OUTPUTS})

    def refuse_other_images(self, shape: tuple[int, ...]) -> None:
        """Raises `UserError` if it does not take images of that shape, [H, W, C]."""
        if shape != self.image_shape:
            raise UserError(
                f"the judge {self.facts['name']} takes images {list(self.image_shape)}, these are {list(shape)}: "
                "name one that was trained on such images with --judge=WORKDIR."
            )

    def accuracy(self, examples: Any) -> float:
        """The share of 2,000 labelled `Examples` (all, if fewer) on which it is right. Raises as `__call__`."""
        rows = np.random.default_rng(0).permutation(examples.num)[:2000]
        return float((self(examples.images[rows] / np.float32(255)).labels == examples.labels[rows]).mean())


def doubt(right: float) -> str:
    """A warning about a judge that is right on this share of the real test images; "" if it needs none."""
    if right >= _SURE:
        return ""
    return (
        f"The judge is wrong on {1 - right:.0%} of the real test images, so its numbers say little: train one on this data "
        "(`tfgan-lab train --config=mnist_judge --data_dir=…`) and name it: `tfgan-lab evaluate --judge=WORKDIR`."
    )


def judge_for(config: Any, path: str | os.PathLike[str] | None = None) -> Judge:
    """The judge of a `GanConfig`'s samples: the one that is named here, or by its `judge`, or the shipped one.

    Raises:
      UserError: As `load_judge`; and one of other images, or of other classes than the data's.
    """
    judge = load_judge(path or config.judge or None)
    judge.refuse_other_images(config.data.shape)
    known, wanted = judge.facts.get("class_names"), [*config.data.class_names]
    if known and known != wanted and not config.data.are_digits:
        raise UserError(
            f"the judge {judge.facts['name']} knows the classes {', '.join(known)}; the data's are {', '.join(wanted)}: name one "
            "that was trained on these, in this order, with --judge=WORKDIR."
        )
    return judge


def load_judge(path: str | os.PathLike[str] | None = None) -> Judge:
    """Loads the shipped judge, or one of the run folder of a classifier, its export folder, or an .npz of `write_judge`.

    Raises:
      UserError: Nothing there, damaged, or no classifier.
    """
    if path is None:
        return _from_weights(SHIPPED)
    path = Path(path)
    try:
        if path.suffix == ".npz":
            return _tried(_from_weights(path))
        return _tried(_from_saved_model(path / "export" if (path / "export" / "saved_model.pb").is_file() else path))
    except UserError:
        raise
    except Exception as error:  # TensorFlow and Keras raise nearly anything on what another program wrote
        line = first_line(error, 160)
        raise UserError(
            f"judge {path} is damaged or no classifier of tfgan-lab ({line}): name the run folder of one."
        ) from None


def _tried(judge: Judge) -> Judge:
    opinion = judge(np.zeros([2, *judge.image_shape]))
    shapes = [part.shape for part in (opinion.probabilities, opinion.scores, opinion.features)]
    if {len(shape) for shape in shapes} != {2} or {shape[0] for shape in shapes} != {2} or shapes[0] != shapes[1]:
        raise ValueError(f"of two images it gives {', '.join(map(str, shapes))}")
    if not np.allclose(opinion.probabilities.sum(axis=1), 1, atol=1e-3) or not np.isfinite(opinion.features).all():
        raise ValueError("it gives no probabilities, or NaN")
    return judge


def write_judge(
    workdir: str | os.PathLike[str], out: str | os.PathLike[str], data_dir: str | None = None
) -> dict[str, Any]:
    """Writes the classifier of a run as weights (`out`, an .npz) and facts (.json beside it).

    Returns:
      The facts: its config, accuracy on the validation and test splits, hashes, and the commands that made it.

    Raises:
      UserError: No such run, no classifier, or the data is not to be had.
    """
    from tfgan_lab.config import ClassifierConfig
    from tfgan_lab.data.mnist import load_mnist
    from tfgan_lab.training.restored import restore_run

    run = restore_run(workdir)
    config, record, out = run.config, run.workdir.read_record(), Path(out)
    if not isinstance(config, ClassifierConfig) or not config.data.are_digits:
        raise UserError(
            f"--workdir={workdir} is a {config.kind} of {config.data.kind}: a judge is a classifier, such as --config=mnist_judge, "
            "and one of other data than digits is used from its run folder."
        )
    network = run.networks["classifier"]
    refuse_foreign(out, out.with_suffix(".json"))
    content = npz_bytes({variable.name: np.asarray(variable) for variable in network.variables})
    splits, _ = load_mnist(config.data.source, run.workdir.data_dir(data_dir))  # type: ignore[attr-defined]
    live = judge_of(network, config, {"name": config.name})
    accuracy = {}
    for name in ("validation", "test"):
        part = splits[name]
        right = live(part.images / np.float32(255)).labels == part.labels  # type: ignore[operator]
        accuracy[name] = {"accuracy": float(right.mean()), "n": part.num, "sha256": part.provenance.sha256}
    facts = {
        "name": config.name, "sha256": hashlib.sha256(content).hexdigest(), "accuracy": accuracy,
        "trained_on": record.get("data", {}).get("train"), "steps": run.step, "seed": config.seed,
        "command": f"tfgan-lab train --config={config.name} --data_dir=FOLDER_WITH_MNIST --workdir=runs/{config.name}",
        "packed_by": f"python -c \"from tfgan_lab.evaluation.judge import write_judge; write_judge('runs/{config.name}', '{out.name}')\"",
        "versions": record.get("versions"), "fields": dataclasses.asdict(config),
    }  # fmt: skip
    write_atomically(out, content)
    write_atomically(out.with_suffix(".json"), json_bytes(facts))
    return facts


def judge_of(network: Any, config: Any, facts: dict[str, Any]) -> Judge:
    """A judge made of a live network (a `ClassifierConfig`'s), as its export would be."""
    import tensorflow as tf

    from tfgan_lab.export.saved_model import ClassifierModule

    classify = tf.function(ClassifierModule(network, config).classify, reduce_retracing=True, autograph=False)
    return Judge(classify, config.data.shape, facts)


def _from_weights(path: Path) -> Judge:
    from tfgan_lab.config import ClassifierConfig, from_dict
    from tfgan_lab.networks import build_classifier

    try:
        content, facts = path.read_bytes(), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"judge {path} (with its .json) cannot be read: {error}. Install the package again, or name a run folder."
        ) from None
    if not isinstance(facts, dict) or hashlib.sha256(content).hexdigest() != facts.get("sha256"):
        raise UserError(f"judge {path} is damaged: its sha256 is not the one in its .json. Install the package again.")
    try:
        config = from_dict(facts["fields"])
    except UserError as error:
        raise ValueError(f"its .json: {error}") from None
    if not isinstance(config, ClassifierConfig):
        raise ValueError(f"its .json is of a {config.kind}")
    network = build_classifier(config)
    arrays = read_arrays(content)
    for variable in network.variables:
        variable.assign(arrays[variable.name])
    return judge_of(network, config, {"name": path.stem, "class_names": [*config.data.class_names], **facts})


def _from_saved_model(folder: Path) -> Judge:
    import tensorflow as tf

    from tfgan_lab.export.saved_model import read_facts

    if not (folder / "saved_model.pb").is_file():
        raise UserError(
            f"{folder} holds no exported classifier: train one (`tfgan-lab train --config=mnist_judge --data_dir=…`)."
        )
    model = load_saved_model(folder)
    try:
        weights = b"".join(path.read_bytes() for path in sorted((folder / "variables").glob("variables.data*")))
    except OSError as error:
        raise UserError(f"{folder} is damaged: {first_line(error)}. Export it again.") from None
    signature = model.signatures.get("serving_default")
    outputs = set(signature.structured_outputs) if signature is not None else set()
    if not set(_OUTPUTS) <= outputs:
        raise UserError(
            f"{folder} is no classifier that this version exported (its outputs: {', '.join(sorted(outputs)) or 'none'}): export it again."
        )
    facts = read_facts(folder)
    shape = tuple(signature.structured_input_signature[1]["images"].shape[1:])
    kept = {key: facts.get(key) for key in ("trained_on", "class_names", "step", "seed")}
    facts = {"name": facts.get("config", folder.name), "sha256": hashlib.sha256(weights).hexdigest(), **kept}

    # Bound here, as a signature alone does not keep its weights alive.
    def classify(images: Any, _model: Any = model) -> Any:
        return signature(images=tf.constant(images))

    return Judge(classify, shape, facts)
