"""Metrics of generated digits, or of other classes that a judge knows: by the judge's features and classes, by pixels, by distance to the training data."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tfgan_lab import metrics
from tfgan_lab.data import Source
from tfgan_lab.errors import UserError
from tfgan_lab.evaluation.judge import Judge, Opinion
from tfgan_lab.evaluation.rows import Metric, Number
from tfgan_lab.metrics import Estimate, bootstrap_interval, jackknife_interval

# A class counts as drawn if it is more than a tenth of an even share of the samples (of ten classes, 1 %).
RARE = 0.1
_PARZEN_START = 45_000  # the 50,000th image of the original training set: our order puts the validation 5,000 last
_PARZEN_NUM = 1_000
_COPIES = 1_000  # samples whose nearest training digits are looked for
_PAIRS = 1_000  # of MS-SSIM
_MOST_BYTES = 2**30  # of a split's images as floats; all digits take a fifth

METRICS = {
    "label_accuracy": Metric("label accuracy", "higher"),
    "nearest_neighbour_error": Metric("1-NN error on real images, pixels", "lower"),
    "frechet_distance": Metric("Fréchet distance, judge features", "lower"),
    "kernel_distance": Metric("kernel distance, judge features", "lower", None),
    "precision": Metric("precision (k=5), judge features", "higher"),
    "recall": Metric("recall (k=5), judge features", "higher"),
    "density": Metric("density (k=5), judge features", "higher"),
    "coverage": Metric("coverage (k=5), judge features", "higher"),
    "two_sample_accuracy": Metric("1-NN real-or-not, judge features", "as real"),
    "classifier_score": Metric("classifier score (1 to number of classes)", "higher", 1.0),
    "digits_drawn": Metric("classes drawn (each > 1/10 of an even share)", "higher"),
    "kl_data": Metric("KL of class shares to the test split's", "lower"),
    "parzen_log_likelihood": Metric("Parzen log-likelihood (nats)", "higher", None),
    "ms_ssim": Metric("MS-SSIM of random pairs", "as real"),
    "neighbour_distance_ratio": Metric("distance to training images / unseen images'", "as real"),
    "closer_than_unseen": Metric("closer to training than unseen images", "as real"),
    "copied": Metric("copies of training images", "lower"),
}


@dataclasses.dataclass(frozen=True)
class RealDigits:
    """What samples are compared with. Images are float32 [N, H, W, C] in [0, 1].

    Attributes:
      test, test_labels: The test split, shuffled.
      opinion: The judge's of it.
      train, train_labels: The training split, shuffled, `parzen` last.
      parzen: Images of the training split on which Parzen's width is chosen.
      parzen_source: Which these are.
    """

    test: np.ndarray
    test_labels: np.ndarray
    opinion: Opinion
    train: np.ndarray
    train_labels: np.ndarray
    parzen: np.ndarray
    parzen_source: str

    @property
    def unseen(self) -> tuple[np.ndarray, np.ndarray]:
        """Two disjoint sets of test images: held out, and such as stand in for samples."""
        half = min(_COPIES, len(self.test) // 2)
        return self.test[:half], self.test[-half:]


def too_few(test_labels: np.ndarray, opinion: Opinion, num_train: int | None = None) -> str:
    """Why data is too little to compare samples with by a judge's features; "" if it is not.

    `opinion` is the judge's of any images of the test split; `num_train` counts training images that are compared, too.
    """
    # A tenth less, as the jackknife takes, is still more than there are features.
    least = opinion.features.shape[1] * 5 // 4
    absent = sorted(set(range(opinion.num_classes)) - set(test_labels.tolist()))
    if len(opinion.features) < least:
        return f"{len(opinion.features)} test images judged, wanted {least} at least"
    if num_train is not None and num_train < least:
        return f"{num_train} training images to compare with, wanted {least} at least"
    return f"no {absent[0]} among the test images" if absent else ""


def real_digits(source: Source, judge: Judge, seed: int) -> RealDigits:
    """Takes both splits of a digit source and has the judge look at the test split.

    Raises:
      UserError: They are too small to compare samples with.
    """
    train: Any = source.train
    test: Any = source.test
    # The embedded digits are sorted by class: nothing here may depend on the order.
    rng = np.random.default_rng(seed)
    test_rows, train_rows = rng.permutation(test.num), rng.permutation(train.num)
    if train.num >= _PARZEN_START + _PARZEN_NUM and train.provenance.source == "idx files":
        widths = np.arange(_PARZEN_START, _PARZEN_START + _PARZEN_NUM)
        which = "training images 50,000 to 50,999"
    else:
        widths = np.linspace(0, train.num - 1, min(_PARZEN_NUM, train.num // 5)).astype(int)
        which = f"{len(widths):,} of the training images"
    most = _MOST_BYTES // (4 * math.prod(train.shape))
    # Last, because those that stand in for samples are the first: a width is never chosen on the samples themselves.
    train_rows = np.concatenate([train_rows[~np.isin(train_rows, widths)][:most], widths])
    test_rows = test_rows[:most]
    test_images = test.images[test_rows] / np.float32(255)
    opinion = judge(test_images)
    fault = too_few(test.labels, opinion, train.num - len(widths))
    if fault:
        raise UserError(f"{test.provenance.source} cannot be evaluated on: {fault}. Name other data with --data_dir.")
    return RealDigits(
        test_images, test.labels[test_rows], opinion, train.images[train_rows] / np.float32(255), train.labels[train_rows],
        train.images[widths] / np.float32(255), which,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the table, and what a reader of its numbers may want to know besides (plain values)."""

    numbers: dict[str, Number]
    details: dict[str, Any]


def samples_column(images: np.ndarray, asked: np.ndarray | None, real: RealDigits, judge: Judge, seed: int) -> Column:
    """All metrics of generated images; `asked` are the labels that a conditional generator was asked for."""
    opinion = judge(images)
    column = common_numbers(images, opinion, real, seed)
    if asked is not None:
        accuracy = metrics.label_accuracy(opinion.labels, asked, opinion.num_classes)
        column.numbers["label_accuracy"] = accuracy.overall
        column.numbers["nearest_neighbour_error"] = _nearest_neighbour_error(images, asked, real)
        column.details["label_accuracy_per_class"] = [None if of is None else of.value for of in accuracy.per_class]
    column.numbers.update(_copying(images[:_COPIES], real, seed))
    return column


def real_column(num: int, conditional: bool, real: RealDigits, judge: Judge, seed: int) -> Column:
    """The same metrics with `num` training images (or all there are but `parzen`) in the samples' place.

    So it has the bias of the same number of samples. Where being a training image would tell (label accuracy, copying),
    test images stand in. MNIST's two splits have different writers: even real training digits are told from the test
    split a little more often than by chance (1-NN real-or-not 0.53), those that the judge never saw as much as others.
    """
    num = min(num, len(real.train) - len(real.parzen))
    images, labels = real.train[:num], real.train_labels[:num]
    column = common_numbers(images, judge(images), real, seed)
    if conditional:
        accuracy = metrics.label_accuracy(real.opinion.labels, real.test_labels, real.opinion.num_classes)
        column.numbers["label_accuracy"] = accuracy.overall
        column.numbers["nearest_neighbour_error"] = _nearest_neighbour_error(images, labels, real)
    column.numbers.update(_copying(real.unseen[1], real, seed))
    return column


def common_numbers(images: np.ndarray, opinion: Opinion, real: RealDigits, seed: int) -> Column:
    """What can be said of any set of images: generated, or real ones in their place."""
    features, reference = opinion.features, real.opinion.features
    balls = metrics.precision_recall_density_coverage(reference, features)
    equal = min(len(features), len(reference))
    parzen = metrics.parzen_log_likelihood(images, real.parzen, real.test)
    classes = opinion.num_classes
    histogram = metrics.mode_histogram(opinion.labels, classes, real.test_labels, RARE)
    numbers: dict[str, Number] = {
        "frechet_distance": jackknife_interval(metrics.frechet_distance, reference, features, seed=seed),
        "kernel_distance": metrics.kernel_distance(reference, features, seed=seed),
        "precision": balls.precision, "recall": balls.recall, "density": balls.density, "coverage": balls.coverage,
        "two_sample_accuracy": metrics.two_sample_accuracy(reference[:equal], features[:equal]).accuracy,
        "classifier_score": jackknife_interval(metrics.classifier_score, opinion.probabilities, seed=seed),
        "digits_drawn": bootstrap_interval(lambda labels: classes_drawn(labels, classes), opinion.labels, resamples=200, seed=seed),
        "kl_data": jackknife_interval(lambda labels: _kl(labels, real.test_labels, classes), opinion.labels, seed=seed),
        "parzen_log_likelihood": parzen.log_likelihood,
        "ms_ssim": metrics.ms_ssim_diversity(images, pairs=_PAIRS, seed=seed) if min(images.shape[1:3]) >= metrics.WINDOW else None,
    }  # fmt: skip
    details = {
        "n": len(images), "digit_counts": histogram.counts, "kl_uniform": histogram.kl_uniform,
        "parzen_sigma": parzen.sigma, "parzen_sigma_at_edge": parzen.at_edge,
    }  # fmt: skip
    return Column(numbers, details)


def classes_drawn(labels: np.ndarray, num_classes: int) -> int:
    """How many classes are more than a tenth of an even share of the samples; `labels` int [N] are the judge's."""
    return num_classes - len(metrics.mode_histogram(labels, num_classes, rare=RARE).missing)


def _kl(labels: np.ndarray, data_labels: np.ndarray, num_classes: int) -> float:
    divergence = metrics.mode_histogram(labels, num_classes, data_labels).kl_data
    assert divergence is not None
    return divergence


def _nearest_neighbour_error(images: np.ndarray, labels: np.ndarray, real: RealDigits) -> Estimate:
    classes = real.opinion.num_classes
    return metrics.nearest_neighbour_error(images, labels, real.test, real.test_labels, num_classes=classes)


def _copying(images: np.ndarray, real: RealDigits, seed: int) -> dict[str, Number]:
    """Signs of copying: of a perfect generator the ratio is 1 and the probability to be closer 0.5, of a copier 0 and 1.

    Ties count half. A blurred image is close to many training images, so blur looks like copying to both, not to
    `copied`.
    """
    from scipy.stats import mannwhitneyu

    found = metrics.memorisation(images, real.train, real.unseen[0])
    distances = found.distances, found.held_out

    def ratio(own: np.ndarray, unseen: np.ndarray) -> float:
        return float(np.median(own) / np.median(unseen))

    def closer(own: np.ndarray, unseen: np.ndarray) -> float:
        return float(mannwhitneyu(unseen, own).statistic) / len(own) / len(unseen)

    return {
        "neighbour_distance_ratio": bootstrap_interval(ratio, *distances, seed=seed),
        "closer_than_unseen": bootstrap_interval(closer, *distances, resamples=200, seed=seed),
        "copied": found.copied,
    }
