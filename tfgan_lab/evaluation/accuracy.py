"""Metrics of a classifier on the test split, and its pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgan_lab import metrics
from tfgan_lab.evaluation.rows import Metric

METRICS = {
    "accuracy": Metric("accuracy", "higher"),
    "accuracy_own": Metric("accuracy, BatchNorm on each image's own statistics", "higher"),
    "accuracy_running": Metric("accuracy, BatchNorm on running statistics", "higher"),
}


def metrics_for(names: Sequence[str]) -> dict[str, Metric]:
    """The table's rows for classes of these names."""
    return METRICS | {f"accuracy_{k}": Metric(f"accuracy on class {name}", "higher") for k, name in enumerate(names)}


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a classifier says of N images.

    Attributes:
      scores: [N, classes].
      labels: The true ones, int [N].
    """

    scores: np.ndarray
    labels: np.ndarray

    @property
    def confusion(self) -> np.ndarray:
        """Counts, int [true, predicted]."""
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.scores.argmax(axis=1), labels=range(self.scores.shape[1]))


def column(answers: Answers) -> dict[str, Any]:
    """Accuracy over all and by true class."""
    found = metrics.label_accuracy(answers.scores.argmax(axis=1), answers.labels, answers.scores.shape[1])
    return {"accuracy": found.overall, **{f"accuracy_{k}": of for k, of in enumerate(found.per_class)}}
