"""Precision, recall, density, coverage and the 1-nearest-neighbour tests, by exact neighbours of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import Floats, class_labels, feature_pair, same_length
from tfgan_lab.metrics.intervals import Estimate, mean_interval, share_interval

NAMES = ("real examples", "generated examples")
CHUNK_MIB = 64


@dataclass(frozen=True)
class Neighbourhoods:
    """Precision, recall, density and coverage.

    The intervals (Wilson's; Student's for density) take the other set's balls as given. For the whole spread
    use `jackknife_interval` on the value wanted.

    Attributes:
        precision: share of generated examples inside some real ball.
        recall: share of real examples inside some generated ball.
        density: mean number of real balls around a generated example, divided by k.
        coverage: share of real balls that hold a generated example.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def precision_recall_density_coverage(real: ArrayLike, generated: ArrayLike, *, k: int = 5) -> Neighbourhoods:
    """Fidelity and diversity from balls around each example that reach to its k-th neighbour in its own set.

    With B(x) the closed ball at x whose radius is the distance to x's k-th neighbour, x itself not counted:
    precision = mean_y [ y in some B(x) ],      recall   = mean_x [ x in some B(y) ],
    density   = mean_y #{ x : y in B(x) } / k,  coverage = mean_x [ some y in B(x) ]; x real, y generated.

    Source: precision and recall by Kynkäänniemi et al. 2019 (k = 3 there); density and coverage by Naeem et
    al., "Reliable fidelity and diversity metrics for generative models", 2020 (k = 5).
    Range: precision, recall, coverage [0, 1]; density [0, inf), about 1 for equal laws; no units.
    Bias at small n: precision, recall and coverage of two samples of one law stay below 1 and depend on n
    and k; coverage is about 1 - 2^-k there for equal sizes, free of the law. Outliers among the real inflate
    precision.

    Args:
        real: [N, D] features, or images that are flattened, N > k.
        generated: [M, D], M > k.
        k: at least 1.

    Raises:
        UserError: k or fewer examples, other widths, NaN, all real examples equal.
    """
    from sklearn.metrics import pairwise_distances_chunked

    if k < 1:
        raise UserError(f"precision/recall: k={k} is not a neighbour, ask for at least 1.")
    x, y = feature_pair(real, generated, NAMES, at_least=(k + 1, k + 1))
    x_radius, y_radius = _kth_distance(x, k), _kth_distance(y, k)
    balls_around = np.zeros(len(y), np.int64)
    recalled, covered = np.zeros((2, len(x)), np.bool_)

    def tally(distances: Floats, start: int) -> None:
        rows = slice(start, start + len(distances))
        inside = distances <= x_radius[rows, np.newaxis]  # [n, M]
        balls_around[:] += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (distances <= y_radius).any(axis=1)

    for _ in pairwise_distances_chunked(x, y, reduce_func=tally, working_memory=CHUNK_MIB):
        pass
    precision, recall, coverage = (share_interval(of) for of in (balls_around > 0, recalled, covered))
    return Neighbourhoods(precision, recall, mean_interval(balls_around / k), coverage)


def nearest_neighbour_error(
    generated: ArrayLike, generated_labels: ArrayLike, test: ArrayLike, test_labels: ArrayLike, *, num_classes: int = 10
) -> Estimate:
    """The 1-nearest-neighbour test: error on real digits of a classifier that saw only generated ones.

    E = mean_i [ label of the generated example nearest to test_i (Euclidean) differs from test_i's label ].

    Source: Radford et al., "Unsupervised representation learning with deep convolutional GANs", 2016
    (supplement): pixels, all 10,000 MNIST test digits, 50,000 generated ones for its main column.
    Range: [0, 1]; 1 - 1 / K is chance for balanced classes; real training digits in the generated ones'
    place give the floor, 5.4 % for 10,000 of MNIST and 3.3 % for 50,000 (measured, pixels).
    Bias at small n: upwards (few examples leave gaps); compare only errors from as many generated ones.

    Args:
        generated: [N, D] or images.
        generated_labels: [N] labels the generator was asked for.
        test: [M, D] or images, real.
        test_labels: [M].
        num_classes: K; labels are 0 .. K - 1.

    Raises:
        UserError: fewer generated examples than classes, lengths or widths that differ, NaN, labels out of
            range.
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = feature_pair(test, generated, ("real test examples", NAMES[1]))
    x_labels = class_labels(test_labels, "test labels", num_classes)
    y_labels = class_labels(generated_labels, "generated labels", num_classes, at_least=num_classes)
    same_length(x, x_labels, ("test examples", "test labels"))
    same_length(y, y_labels, ("generated examples", "generated labels"))
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(y).kneighbors(x, return_distance=False)
    return share_interval(y_labels[nearest[:, 0]] != x_labels)


@dataclass(frozen=True)
class TwoSampleTest:
    """Leave-one-out 1-NN accuracy of telling real from generated; 0.5 when they cannot be told apart.

    Attributes:
        accuracy: over both sets, with Wilson's interval (neighbours make it a little too narrow).
        real: share of real examples whose nearest neighbour is real; high alone: modes are missing.
        generated: share of generated examples whose nearest neighbour is generated; high alone: tight
            clusters.
    """

    accuracy: Estimate
    real: Estimate
    generated: Estimate


def two_sample_accuracy(real: ArrayLike, generated: ArrayLike) -> TwoSampleTest:
    """Accuracy with which each example's nearest neighbour among all others tells whether it is real.

    A = (hits among the real + hits among the generated) / (2 N), a hit: the nearest other example of the
    pooled set comes from the same set.

    Source: Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", 2017; Xu et al., "An empirical
    study on evaluation metrics of GANs", 2018, for the two halves.
    Range: [0, 1]; 0.5 for equal laws, 1 for sets apart, below 0.5 for generated copies of the real examples.
    Bias at small n: equal laws give (N - 1) / (2 N - 1), a little under 0.5.

    Args:
        real: [N, D] features or images, N >= 2.
        generated: [N, D], as many: other shares move the chance level.

    Raises:
        UserError: fewer than 2 examples, sizes or widths that differ, NaN, all real examples equal.
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = feature_pair(real, generated, NAMES, at_least=(2, 2))
    same_length(x, y, NAMES)
    pooled = np.concatenate([x, y])  # [2 N, D]
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(pooled).kneighbors(return_distance=False)[:, 0]
    is_real = np.arange(len(pooled)) < len(x)
    hit = is_real[nearest] == is_real
    return TwoSampleTest(share_interval(hit), share_interval(hit[is_real]), share_interval(hit[~is_real]))


def _kth_distance(rows: Floats, k: int) -> NDArray[Any]:
    from sklearn.neighbors import NearestNeighbors

    # Without a query each row's own zero distance is omitted.
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors()[0][:, -1]
