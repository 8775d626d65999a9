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


@dataclass(frozen=True)
class Memorisation:
    """Are generated examples closer to the training data than unseen real ones are?

    Attributes:
        copied: share of generated examples at most a third as far from the nearest training example as from
            the second nearest, with Wilson's interval. A copier's is 1.
        distances: [N] generated examples' distances to the nearest training example, in their order.
        held_out: [K] those of the held-out examples.
    """

    copied: Estimate
    distances: NDArray[np.float64]
    held_out: NDArray[np.float64]


def memorisation(generated: ArrayLike, training: ArrayLike, held_out: ArrayLike) -> Memorisation:
    """Distances to the nearest training example of generated and of held-out real examples, and the share of copies.

    With d_1(z) and d_2(z) the Euclidean distances of z to its nearest and second nearest training example, by
    exhaustive search: distances = d_1(y), held_out = d_1(h), copied = P(d_1(y) <= d_2(y) / 3), y generated, h
    held out. Of a perfect generator both sets of distances have one law; an exact copy has distance 0.

    Source: distances beside those of held-out examples as in Meehan et al., "A non-parametric test to detect
    data-copying in generative models", 2020; `copied` is of Yoon et al., "Diffusion probabilistic models
    generalize when they fail to memorize", 2023.
    Range: distances [0, inf), unit of the examples (pixels in [0, 1]: at most sqrt(D)); copied [0, 1].
    Bias at small n: none from the numbers of generated and held-out examples; the training set should be the
    whole one, as more training examples can only shorten the distances. A blurred example is close to many
    training examples: its distance is short, but it is not copied, which asks for one training example that
    stands out. Judge by both.

    Args:
        generated: [N, D] or images, N >= 2.
        training: [M, D] or images the generator was trained on, M >= 2, without duplicates for `copied`.
        held_out: [K, D] or images of the same source that it was not trained on, K >= 2.

    Raises:
        UserError: too few examples, other widths, NaN, training or held-out examples all equal, and when
            most held-out examples are also in the training set, which leaves nothing to compare with.
    """
    t, y = feature_pair(training, generated, NAMES, at_least=(2, 2))
    h, _ = feature_pair(held_out, t[:2], ("held-out examples", NAMES[0]), at_least=(2, 2))
    own, held = _two_nearest(y, t), _two_nearest(h, t)[:, 0]
    if np.median(held) == 0:
        raise UserError("held-out examples: most are also training examples: pass a split that was not trained on.")
    copies = int((3 * own[:, 0] <= own[:, 1]).sum())
    return Memorisation(wilson_interval(copies, len(own)), own[:, 0], held)


def _two_nearest(x: Floats, t: Floats) -> NDArray[np.float64]:
    """Distances to the two nearest training examples, nearest first: [N, 2]."""
    from sklearn.neighbors import NearestNeighbors

    # The fast search is only taken when both sides have one type.
    dtype: np.dtype[Any] = np.result_type(x, t)
    found = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(t.astype(dtype, copy=False))
    index = found.kneighbors(x.astype(dtype, copy=False), return_distance=False)  # [N, 2]
    distance = np.empty(index.shape, np.float64)
    # The search expands |x - t|^2, which rounds a copy's distance away from 0: taken again from the differences.
    for column in range(2):
        for start in range(0, len(x), 4096):
            rows = slice(start, start + 4096)
            difference = x[rows].astype(np.float64) - t[index[rows, column]]  # [n, D]
            distance[rows, column] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return distance
