"""Has the generator copied its training data? Distances to the nearest training example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfgan_lab.errors import UserError
from tfgan_lab.metrics.checks import Floats, feature_pair
from tfgan_lab.metrics.intervals import Estimate, wilson_interval

NAMES = ("training examples", "generated examples")


def nearest_training_neighbours(
    examples: ArrayLike, training: ArrayLike, *, k: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Euclidean distances to the k nearest training examples, and which they are.

    d_ij = |x_i - t_j|_2, the k smallest over j, by exhaustive search; the distances of the found pairs are
    computed again from their differences, so that a copy has distance 0 exactly.

    Source: the nearest-training-example figures of Goodfellow et al. 2014.
    Range: [0, inf), unit of the examples (pixels in [0, 1]: at most sqrt(D)).
    Bias at small n: more training examples can only shorten the distances.

    Args:
        examples: [N, D] or images.
        training: [M, D] or images, M >= k, M >= 2.
        k: at least 1.

    Returns:
        Distances [N, k], nearest first, and positions in `training` [N, k].

    Raises:
        UserError: fewer training examples than k, other widths, NaN, all training examples equal.
    """
    if k < 1:
        raise UserError(f"nearest training neighbours: k={k} is not a neighbour, ask for at least 1.")
    t, x = feature_pair(training, examples, NAMES, at_least=(max(k, 2), 1))
    return _search(x, t, k)


@dataclass(frozen=True)
class Memorisation:
    """Are generated examples closer to the training data than unseen real ones are?

    Attributes:
        distance_ratio: median distance generated to training / median distance held-out to training.
            1 for a perfect generator, 0 for a copier.
        closer: probability that a generated example is closer to the training data than a held-out one
            (ties count half). 0.5 for a perfect generator, 1 for a copier.
        copied: share of generated examples at most a third as far from the nearest training example as from
            the second nearest, with Wilson's interval. A copier's is 1.
        copied_held_out: the same share for held-out real examples: its floor.
        distances: [N] generated examples' distances to the nearest training example.
        neighbours: [N] positions of those training examples, for a picture of pairs.
    """

    distance_ratio: float
    closer: float
    copied: Estimate
    copied_held_out: Estimate
    distances: NDArray[np.float64]
    neighbours: NDArray[np.int64]


def memorisation(
    generated: ArrayLike, training: ArrayLike, held_out: ArrayLike, *, confidence: float = 0.95
) -> Memorisation:
    """Compares distances to the nearest training example of generated and of held-out real examples.

    With d(z) the distance of z to its nearest training example: distance_ratio = median d(y) / median d(h),
    closer = P(d(y) < d(h)) + P(d(y) = d(h)) / 2, y generated, h held out; copied = P(d_1(y) <= d_2(y) / 3).

    Source: `closer` is the statistic of Meehan et al., "A non-parametric test to detect data-copying in
    generative models", 2020; `copied` that of Yoon et al., "Diffusion probabilistic models generalize when
    they fail to memorize", 2023.
    Range: distance_ratio [0, inf), closer and copied [0, 1]; no units.
    Bias at small n: none from the numbers of generated and held-out examples; the training set should be the
    whole one. A blurred example is close to many training examples: it lowers distance_ratio and raises
    closer, but not copied, which asks for one training example that stands out. Judge by all three.

    Args:
        generated: [N, D] or images, N >= 2.
        training: [M, D] or images the generator was trained on, M >= 2, without duplicates for `copied`.
        held_out: [K, D] or images of the same source that it was not trained on, K >= 2.

    Raises:
        UserError: too few examples, other widths, NaN, training or held-out examples all equal, and when
            every held-out example is also in the training set, which leaves nothing to compare with.
    """
    t, y = feature_pair(training, generated, NAMES, at_least=(2, 2))
    h, _ = feature_pair(held_out, t[:2], ("held-out examples", NAMES[0]), at_least=(2, 2))
    y_distance, y_index = _search(y, t, 2)
    h_distance, _ = _search(h, t, 2)
    own, held = y_distance[:, 0], np.sort(h_distance[:, 0])
    typical = float(np.median(held))
    if typical == 0:
        raise UserError("held-out examples: most are also training examples: pass a split that was not trained on.")
    above, from_here = (len(held) - np.searchsorted(held, own, side=side) for side in ("right", "left"))
    return Memorisation(
        distance_ratio=float(np.median(own)) / typical,
        closer=float((above + from_here).mean()) / 2 / len(held),
        copied=_copied(y_distance, confidence),
        copied_held_out=_copied(h_distance, confidence),
        distances=own,
        neighbours=y_index[:, 0],
    )


def _copied(distances: NDArray[np.float64], confidence: float) -> Estimate:
    copies = int((3 * distances[:, 0] <= distances[:, 1]).sum())
    return wilson_interval(copies, len(distances), confidence)


def _search(x: Floats, t: Floats, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from sklearn.neighbors import NearestNeighbors

    # The fast search is only taken when both sides have one type.
    dtype: np.dtype[Any] = np.result_type(x, t)
    found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(t.astype(dtype, copy=False))
    index = found.kneighbors(x.astype(dtype, copy=False), return_distance=False).astype(np.int64)  # [N, k]
    distance = np.empty(index.shape, np.float64)
    for column in range(k):
        for start in range(0, len(x), 4096):
            rows = slice(start, start + 4096)
            difference = x[rows].astype(np.float64) - t[index[rows, column]]  # [n, D]
            distance[rows, column] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return distance, index
