"""The two programs that parity compares, behind one face: our experiment and a post's PyTorch peer.

Both give arrays by the state_dict's names in PyTorch's layout: weights, each layer's output, and for one step its
losses and each update's gradients and new weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tfgan_lab.config import GanConfig
from tfgan_lab.errors import UserError
from tfgan_lab.layers import Conv
from tfgan_lab.parity.draws import StepInputs, keep_masks, step_inputs, step_labels, step_latents, stream_seed, turns
from tfgan_lab.parity.weights import COUNTER, from_torch, modules_of, pairs_of, without_effect

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Update:
    """One optimiser update of a step: whose, on which gradients, and its weights afterwards."""

    role: str
    gradients: Arrays
    weights: Arrays


class OurSide:
    """An `Experiment` that does its steps on given batches.

    Args:
      experiment: From `tfgan_lab.training.experiment.build`, made under the dtype policy of the comparison.
    """

    def __init__(self, experiment: Any) -> None:
        self.experiment, self.config = experiment, experiment.config
        self.networks: dict[str, Any] = experiment.networks
        self.pairs = {role: pairs_of(network, self.config.post) for role, network in self.networks.items()}
        self.free = {role: without_effect(network, self.config.post) for role, network in self.networks.items()}
        self._compiled = tf.function(experiment.task.play, autograph=False)

    def weights(self, role: str) -> Arrays:
        """The network's tensors, running statistics included."""
        return {pair.name: pair.read() for pair in self.pairs[role]}

    def load(self, role: str, state: Mapping[str, np.ndarray]) -> None:
        """Sets the network's tensors."""
        from_torch(self.networks[role], state, self.config.post, "the common start")

    def slots(self, role: str) -> list[Arrays]:
        """The optimiser's memory, by tensor: Adam's two moments, or SGD's velocity."""
        by_variable = {id(pair.variable.value): pair for pair in self.pairs[role]}
        optimizer = self.experiment.optimizers[role]
        pairs = [by_variable[id(parameter)] for parameter in optimizer.parameters]
        return [
            {pair.name: pair.read(slot) for pair, slot in zip(pairs, slots, strict=True)} for slots in optimizer.slots
        ]

    def forward(self, role: str, images: np.ndarray, labels: np.ndarray, training: bool) -> Arrays:
        """Every layer's output on the first step's inputs: G on its first latents, D on the real batch."""
        network, config = self.networks[role], self.config
        rows = len(images)
        if role == "classifier":
            seen = network.layer_outputs(images, training=training)
        elif role == "generator":
            turn = turns(config)[0]
            classes = step_labels(config, turn, 0, rows) if config.num_labels else None
            seed = stream_seed(config, f"dropout/g/{turn}", 0)[None]  # [1, 2]
            seen = network.layer_outputs(step_latents(config, turn, 0, rows), classes, training, seed)
        else:
            seed = stream_seed(config, f"dropout/real/{_d_turn(config)}", 0)[None]  # [1, 2]
            seen = network.layer_outputs(images, labels if config.num_labels else None, training, seed)
        names = {id(node): name for name, node in modules_of(network, config.post).items()}
        found = {names[id(node)]: _channels_first(output) for node, output in seen if id(node) in names}
        return found | ({"output": _channels_first(seen[-1][1])} if role == "generator" else {})

    def step(self, step: int, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """One compiled step; returns its losses."""
        return self._losses(self._compiled(tf.constant(step, tf.int64), tf.constant(images), tf.constant(labels)))

    def watched_step(self, step: int, images: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], list[Update]]:
        """The same step, not compiled; returns its losses and its updates in order."""
        updates: list[Update] = []
        for role, optimizer in self.experiment.optimizers.items():
            self._watch(role, optimizer, updates)
        try:
            metrics = self.experiment.task.play(tf.constant(step, tf.int64), tf.constant(images), tf.constant(labels))
        finally:
            for optimizer in self.experiment.optimizers.values():
                del optimizer.apply
        return self._losses(metrics), updates

    def _watch(self, role: str, optimizer: Any, updates: list[Update]) -> None:
        apply, variables = optimizer.apply, self.networks[role].trainable_variables

        def watched(gradients: Any) -> None:
            by_variable = {id(variable): gradient for variable, gradient in zip(variables, gradients, strict=True)}
            found = {
                pair.name: pair.read(by_variable[id(pair.variable)])
                for pair in self.pairs[role]
                if id(pair.variable) in by_variable
            }
            apply(gradients)
            updates.append(Update(role, found, self.weights(role)))

        optimizer.apply = watched

    def _losses(self, metrics: Mapping[str, tf.Tensor]) -> dict[str, float]:
        return {
            name: float(metrics[name]) for name in ("d_real", "d_fake", "d_loss", "g_loss", "loss") if name in metrics
        }


class TheirSide:
    """A PyTorch peer that does its steps on our draws.

    Args:
      peer: From `peers.make_peer`.
      config: Our side's config, from which the draws are recomputed.
      dtype: "float64" or "float32".
    """

    def __init__(self, peer: Any, config: Any, dtype: str) -> None:
        self.peer, self.config, self.dtype = peer, config, dtype
        for network in peer.networks.values():
            network.to(_torch_dtype(dtype))

    def load(self, role: str, state: Mapping[str, np.ndarray]) -> None:
        """Sets the network's tensors. Raises `UserError` naming those that are missing, extra or misshapen."""
        import torch

        own = self.peer.networks[role].state_dict()
        given = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
        given |= {name: tensor for name, tensor in own.items() if name.endswith(COUNTER)}
        try:
            self.peer.networks[role].load_state_dict(given)
        except RuntimeError as error:
            faults = "; ".join(line.strip() for line in str(error).splitlines()[1:])
            raise UserError(f"{self.config.name}: its {role} is not built as the post's: {faults}") from None

    def take(self, role: str, weights: Mapping[str, np.ndarray], slots: list[Arrays]) -> None:
        """Continues from our state: weights, and the optimiser's memory after as many steps as this side has done."""
        import torch

        self.load(role, weights)
        (group,), memory = self.peer.optimizers[role].param_groups, self.peer.optimizers[role].state
        for name, parameter in self.peer.networks[role].named_parameters():
            if "exp_avg" in memory[parameter]:
                for key, slot in zip(("exp_avg", "exp_avg_sq"), slots, strict=True):
                    memory[parameter][key].copy_(torch.from_numpy(np.array(slot[name])))
            else:
                # Ours has the rate inside the velocity: velocity = -rate * buffer.
                memory[parameter]["momentum_buffer"].copy_(torch.from_numpy(slots[0][name] / -group["lr"]))

    def weights(self, role: str) -> Arrays:
        """The network's tensors, running statistics included."""
        return {
            name: tensor.numpy().copy()
            for name, tensor in self.peer.networks[role].state_dict().items()
            if not name.endswith(COUNTER)
        }

    def forward(self, role: str, images: np.ndarray, labels: np.ndarray, training: bool) -> Arrays:
        """Every layer's output on the first step's inputs: G on its first latents, D on the real batch."""
        import torch

        inputs, masks = self._forward_inputs(role, images, labels)
        network = self.peer.networks[role]
        was_training = network.training
        network.train(training)
        with self._outputs_of(network) as seen, self._masked(network, masks if training else []), torch.no_grad():
            output = network(*inputs)
        network.train(was_training)
        return dict(seen) | ({"output": output.numpy()} if role == "generator" else {})

    def step(self, step: int, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """One step on our draws; returns its losses."""
        inputs = step_inputs(self.config, step, images, labels)
        try:
            return self.peer.step(inputs.real, inputs.labels, *inputs.draws, masks=inputs.masks)
        except ValueError as error:  # masks too few, left over or of another shape; another number of draws
            raise UserError(f"{self.config.name}: its step does not draw what the post's does: {error}.") from None

    def watched_step(self, step: int, images: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], list[Update]]:
        """The same; also its updates in order."""
        updates: list[Update] = []
        watched = [self._watch(role, optimizer, updates) for role, optimizer in self.peer.optimizers.items()]
        try:
            losses = self.step(step, images, labels)
        finally:
            for handle in itertools.chain(*watched):
                handle.remove()
        return losses, updates

    def _watch(self, role: str, optimizer: Any, updates: list[Update]) -> list[Any]:
        network, found = self.peer.networks[role], Arrays()

        def before(*_: Any) -> None:
            found.update({name: parameter.grad.numpy().copy() for name, parameter in network.named_parameters()})

        def after(*_: Any) -> None:
            updates.append(Update(role, dict(found), self.weights(role)))

        return [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]

    def _forward_inputs(self, role: str, images: np.ndarray, labels: np.ndarray) -> tuple[list[Any], list[np.ndarray]]:
        inputs: StepInputs = step_inputs(self.config, 0, images, labels)
        real = self._tensor(inputs.real)
        if role == "classifier":
            return [real], []
        if role == "discriminator":
            flat = not isinstance(self.config.discriminator[0], Conv)
            real = real.reshape(len(real), -1) if flat else real
            real = self.peer.preprocess(real) if hasattr(self.peer, "preprocess") else real
            masks = keep_masks(self.config, role, f"dropout/real/{_d_turn(self.config)}", 0, len(images))
            return [real, *self._one_hot(labels)], masks
        turn = turns(self.config)[0]
        latents = self._tensor(step_latents(self.config, turn, 0, len(images)))
        classes = step_labels(self.config, turn, 0, len(images)) if self.config.num_labels else labels
        return [latents, *self._one_hot(classes)], keep_masks(self.config, role, f"dropout/g/{turn}", 0, len(images))

    def _one_hot(self, labels: np.ndarray) -> list[Any]:
        return [self._tensor(np.eye(10)[labels])] if getattr(self.config, "num_labels", 0) else []

    def _tensor(self, array: np.ndarray) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(_torch_dtype(self.dtype))

    @staticmethod
    @contextmanager
    def _outputs_of(network: Any) -> Iterator[Arrays]:
        seen: Arrays = {}

        def remember(name: str) -> Any:
            # A copy: the post's activations work in place on it.
            return lambda module, args, output: seen.update({name: output.detach().clone().numpy()})

        leaves = [(name, module) for name, module in network.named_modules() if list(module.parameters(recurse=False))]
        handles = [module.register_forward_hook(remember(name)) for name, module in leaves]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    @staticmethod
    @contextmanager
    def _masked(network: Any, masks: list[np.ndarray]) -> Iterator[None]:
        import torch

        from tfgan_lab.parity.posts_in_torch.program import queue_masks

        with queue_masks(network, [torch.from_numpy(mask) for mask in masks]):
            yield


def _d_turn(config: GanConfig) -> str:
    return "shared" if config.game.fakes == "shared" else "d0"


def _torch_dtype(dtype: str) -> Any:
    import torch

    return {"float64": torch.float64, "float32": torch.float32}[dtype]


def _channels_first(images: Any) -> np.ndarray:
    array = np.asarray(images)
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def common_start(role: str, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> Arrays:
    """The weights that both start from: a fixed function of their names, and nothing in them 0 or 1.

    Scales and running variances lie in [0.8, 1.2), biases and running means in [-0.1, 0.1), matrices and kernels in
    +-1/sqrt(fan_in).
    """
    start = {}
    for name, shape in shapes.items():
        key = int.from_bytes(hashlib.blake2b(f"{role}/{name}".encode(), digest_size=8).digest())
        numbers = np.random.Generator(np.random.PCG64(key)).random(shape) * 2 - 1
        if len(shape) > 1:
            numbers /= np.sqrt(np.prod(shape[1:]))
        elif name.endswith((".weight", ".running_var")):
            numbers = 1 + 0.2 * numbers
        else:
            numbers *= 0.1
        # Exact in float32, so that both precisions start from the same numbers.
        start[name] = numbers.astype(np.float32).astype(dtype)
    return start
