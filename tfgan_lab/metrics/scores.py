"""Numbers from a classifier's opinion of the samples: score, label accuracy, modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import class_labels, class_probabilities, same_length
from tfgan_lab.metrics.intervals import Estimate, share_interval


def classifier_score(probabilities: ArrayLike) -> float:
    """exp of the mean KL(p(y|x) || p(y)): the form of the Inception score, with any classifier.

    S = exp( mean_x sum_y p(y|x) ln( p(y|x) / p(y) ) ), p(y) the mean of p(y|x) over the samples. High when
    each sample is classified with confidence and the classes are equally frequent.

    Source: Salimans et al., "Improved techniques for training GANs", 2016 (there Inception v3 and the mean
    over 10 splits; here all samples at once, since a split only adds bias).
    Range: [1, K] for K classes; no unit. It sees neither real data nor variety within a class.
    Bias at small n: downwards by about a factor 1 - (K - 1) / (2 n) for confident predictions (p(y) is
    fitted to the same samples).

    Args:
        probabilities: [N, K] rows that sum to 1, N >= K >= 2.

    Raises:
        UserError: fewer samples than classes, logits instead of probabilities, NaN.
    """
    table = class_probabilities(probabilities, "classifier probabilities")
    # Averaging entropies keeps 0 ln 0 = 0 in one place.
    return float(np.exp(_entropy(table.mean(axis=0)) - _entropy(table).mean()))


@dataclass(frozen=True)
class LabelAccuracy:
    """How often a conditional generator draws the class it is asked for.

    Attributes:
        overall: share of all samples, with Wilson's interval.
        per_class: K shares by wanted class; None for a class nobody asked for.
    """

    overall: Estimate
    per_class: tuple[Estimate | None, ...]


def label_accuracy(predicted: ArrayLike, wanted: ArrayLike, num_classes: int = 10) -> LabelAccuracy:
    """The share of conditional samples that a classifier gives the label they were asked for.

    A = mean_i [predicted_i = wanted_i], with Wilson's interval.

    Source: the classification accuracy of Odena et al., "Conditional image synthesis with auxiliary
    classifier GANs", 2017; interval by Wilson 1927.
    Range: [0, 1]; chance is 1 / K. The classifier's own errors are in it: stand its accuracy on real data
    beside.
    Bias at small n: none.

    Args:
        predicted: [N] the classifier's class numbers.
        wanted: [N] the labels given to the generator.
        num_classes: K; labels are 0 .. K - 1.

    Raises:
        UserError: no samples, lengths that differ, labels that are not integers in 0 .. K - 1.
    """
    got = class_labels(predicted, "predicted labels", num_classes)
    asked = class_labels(wanted, "wanted labels", num_classes)
    same_length(got, asked, ("predicted labels", "wanted labels"))
    right = got == asked

    classes = [right[asked == k] for k in range(num_classes)]
    return LabelAccuracy(share_interval(right), tuple(share_interval(of) if len(of) else None for of in classes))


@dataclass(frozen=True)
class ModeHistogram:
    """How the samples spread over the classes.

    Attributes:
        counts: K numbers of samples by class.
        missing: the classes with a share of at most `rare` times their expected share.
        kl_uniform: KL(samples || uniform) in nats.
        kl_data: KL(samples || histogram of the data) in nats; None without data.
    """

    counts: tuple[int, ...]
    missing: tuple[int, ...]
    kl_uniform: float
    kl_data: float | None


def mode_histogram(
    predicted: ArrayLike, num_classes: int = 10, data_labels: ArrayLike | None = None, rare: float = 0.0
) -> ModeHistogram:
    """Counts the samples of each class, names missing classes, measures KL to even shares and to the data.

    KL(p || q) = sum_k p_k ln(p_k / q_k), p the samples' shares, q uniform or the data's shares.

    Source: modes covered and KL as in Metz et al., "Unrolled generative adversarial networks", 2017.
    Range: KL in [0, ln K] to uniform, [0, inf) to data, in nats. Missing: a subset of 0 .. K - 1.
    Bias at small n: KL of even samples is about (K - 1) / (2 n) instead of 0; a class of share p is missed by
    chance with probability (1 - p)^n. A classifier's errors fill missing classes: raise `rare` then.

    Args:
        predicted: [N] the classifier's class numbers of the samples, N >= K.
        num_classes: K.
        data_labels: [M] labels of the real data, every class present, or None.
        rare: a class counts as missing when its share is at most this fraction of the expected one (of the
            data's share if given, else 1 / K); 0 asks for not a single sample. In [0, 1).

    Raises:
        UserError: fewer samples than classes, labels out of range, a class absent from the data.
    """
    if not 0 <= rare < 1:
        raise UserError(f"mode histogram: rare={rare} is not in [0, 1).")
    labels = class_labels(predicted, "predicted labels", num_classes, at_least=num_classes)
    counts = np.bincount(labels, minlength=num_classes)
    share = counts / counts.sum()
    even = np.full(num_classes, 1 / num_classes)
    expected, kl_data = even, None
    if data_labels is not None:
        data = np.bincount(class_labels(data_labels, "data labels", num_classes), minlength=num_classes)
        if (data == 0).any():
            raise UserError(f"data labels: no example of class {int(np.argmin(data))}: pass the whole data set.")
        expected = data / data.sum()
        kl_data = _divergence(share, expected)
    missing = tuple(int(k) for k in np.flatnonzero(share <= rare * expected))
    return ModeHistogram(tuple(int(c) for c in counts), missing, _divergence(share, even), kl_data)


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    from scipy.special import rel_entr

    # Rounding can leave a KL of equal histograms below zero.
    return max(float(rel_entr(p, q).sum()), 0.0)


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import entr

    return entr(p).sum(axis=-1)
