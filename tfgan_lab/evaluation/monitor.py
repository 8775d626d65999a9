"""Cheap metrics of a generator of digits, or of other classes, while it trains: how many it draws, and a Fréchet distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgan_lab import metrics
from tfgan_lab.evaluation.digits import classes_drawn, too_few
from tfgan_lab.evaluation.judge import MUST_REACH, judge_for
from tfgan_lab.evaluation.pieces import Sampler, draw, labels_of, sampler_of
from tfgan_lab.networks import drawn_from
from tfgan_lab.randomness import stream_key
from tfgan_lab.training.experiment import Experiment

_NUM, _PIECE = 2_000, 1_000


class Monitor:
    """Judges 2,000 samples by the config's judge, always of the same latents, in evaluation mode.

    It is made at its first use, and nothing that it does reaches the training: the weights stay as they are, and its
    random numbers are its own stream.
    """

    def __init__(self, experiment: Experiment) -> None:
        config: Any = experiment.config
        test: Any = experiment.source.test
        self.judge = judge_for(config)
        with experiment.strategy.scope():
            networks = experiment.networks
            self._samplers = {"": sampler_of(drawn_from(networks), config)}
            if "average" in networks:
                self._samplers["raw_"] = sampler_of(networks["generator"], config)
        self._seed, self._num_labels = stream_key(config.seed, "metrics"), config.num_labels
        rows = np.random.default_rng(config.seed).permutation(test.num)[:_NUM]
        self._labels = test.labels
        opinion = self.judge(test.images[rows] / np.float32(255))
        self._right = float((opinion.labels == test.labels[rows]).mean())
        fault = too_few(test.labels, opinion)
        self.note = f"metrics in training: the judge's accuracy alone ({fault})" if fault else ""
        self._real: Any = () if fault else metrics.feature_moments(opinion.features)

    def __call__(self) -> dict[str, float]:
        """judge_accuracy (on real test images), digits (or other classes: how many are more than a tenth of an even
        share of the samples), kl_data (nats, to the test split's shares), frechet.

        Of a conditional generator also label_accuracy: the share that the judge reads as the class asked for. Where
        the average of G's weights is what is drawn from, the same of G itself, as raw_NAME.
        Where the judge knows less than half of the real data (Fashion-MNIST has the shape of digits), or that is too
        little (then `note` says so), its accuracy alone.
        """
        values = {"judge_accuracy": self._right}
        if self._right < MUST_REACH or not self._real:
            return values
        for prefix, sample in self._samplers.items():
            values |= {f"{prefix}{name}": value for name, value in self._judged(sample).items()}
        return values

    def samples(self) -> np.ndarray:
        """The 2,000 samples that are judged, [2000, H, W, C] in [0, 1]."""
        return self._drawn(self._samplers[""])

    def _drawn(self, sample: Sampler) -> np.ndarray:
        return draw(sample, _NUM, self._seed, _PIECE)

    def _judged(self, sample: Sampler) -> dict[str, float]:
        opinion = self.judge(self._drawn(sample))
        classes = opinion.num_classes
        kl_data = metrics.mode_histogram(opinion.labels, classes, self._labels).kl_data
        mean, covariance = self._real
        frechet = metrics.frechet_from_moments(mean, covariance, *metrics.feature_moments(opinion.features))
        assert kl_data is not None
        values = {"digits": float(classes_drawn(opinion.labels, classes)), "kl_data": kl_data, "frechet": frechet}
        if self._num_labels:
            asked = labels_of(_NUM, self._num_labels, _PIECE)
            values["label_accuracy"] = float((opinion.labels == asked).mean())
        return values
