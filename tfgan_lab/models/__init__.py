"""Subclassed Keras networks; `build_*` makes the one that a config names."""

from __future__ import annotations

from collections.abc import Sequence

from tfgan_lab import config as config_lib
from tfgan_lab.models.cgan import BranchDiscriminator, BranchGenerator, MaxoutDiscriminator
from tfgan_lab.models.classifier import ConvClassifier
from tfgan_lab.models.dcgan import ConvDiscriminator, ConvGenerator
from tfgan_lab.models.gaussian import SetDiscriminator
from tfgan_lab.models.judge import JudgeNet
from tfgan_lab.models.layers import BatchNorm
from tfgan_lab.models.mlp import MLPDiscriminator, MLPGenerator
from tfgan_lab.models.network import Network

GENERATORS = {"mlp": MLPGenerator, "branch": BranchGenerator, "conv_generator": ConvGenerator}
DISCRIMINATORS = {
    "mlp": MLPDiscriminator,
    "branch": BranchDiscriminator,
    "maxout": MaxoutDiscriminator,
    "conv_discriminator": ConvDiscriminator,
    "set": SetDiscriminator,
}
CLASSIFIERS = {"conv_classifier": ConvClassifier, "judge_net": JudgeNet}


def build_generator(config: config_lib.GanConfig, image_shape: Sequence[int]) -> Network:
    """Makes the config's generator: call(latents, labels, training, seed) -> images."""
    make = GENERATORS[config.generator.kind]
    network = make(config.generator, config.latents.dim, image_shape, config.num_labels, config.seed)
    return _with_statistics(network, config)


def build_discriminator(config: config_lib.GanConfig, image_shape: Sequence[int]) -> Network:
    """Makes the config's discriminator: call(images, labels, training, seed) -> logits [B]."""
    make = DISCRIMINATORS[config.discriminator.kind]
    return _with_statistics(make(config.discriminator, image_shape, config.num_labels, config.seed), config)


def build_classifier(config: config_lib.ClassifierConfig, image_shape: Sequence[int]) -> Network:
    """Makes the config's classifier: call(images, training, seed) -> logits [B, 10]; features(images) -> [B, D]."""
    network = CLASSIFIERS[config.classifier.kind](config.classifier, image_shape, 10, config.seed)
    return _with_statistics(network, config)


def _with_statistics(network: Network, config: config_lib.Config) -> Network:
    for layer in network._flatten_layers():
        if isinstance(layer, BatchNorm):
            layer.own_statistics = config.norm_statistics == "own"
    return network
