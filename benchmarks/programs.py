"""The rows of the table: a config of ours, and the post's program that it is measured against."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from tfgan_lab.parity.posts_in_torch import PEERS

Run = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Program:
    """One row.

    Attributes:
      name: In the table.
      config: Ours, and `overrides` of its fields.
      peer: Name in `tfgan_lab.parity.posts_in_torch.PEERS`, or "tf1" for post P002's own kind of program.
      peer_numbers, peer_train: Keyword arguments of the peer's `Program` and `train`.
      seeds: Trained at once by ours; a step is then one seed's.
      job_steps: Of a whole job (`benchmarks.jobs`).
    """

    name: str
    config: str
    peer: str
    batch: int
    overrides: dict[str, str] = dataclasses.field(default_factory=dict)
    peer_numbers: dict[str, Any] = dataclasses.field(default_factory=dict)
    peer_train: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int = 1
    job_steps: int = 1000


_BRANCH, _PAPER = {"generator": "branch"}, {"generator": "paper", "discriminator": "maxout"}
_FACES = {"data.num_faces": "64"}
PROGRAMS = [
    Program("mlp_gan", "mlp_gan", "mlp_gan", 200),
    Program("mlp_gan DataLoader", "mlp_gan", "mlp_gan", 200, peer_train={"loader": True}),
    Program("mlp_gan_smoothed", "mlp_gan_smoothed", "learning_gan", 100),
    Program("mlp_gan_smoothed TF1", "mlp_gan_smoothed", "tf1", 100),
    Program("cgan_concat b4", "cgan_concat", "cgan", 4),
    Program("cgan_concat b100", "cgan_concat:batched", "cgan", 100),
    Program("cgan_branch b4", "cgan_branch", "cgan", 4, peer_numbers=_BRANCH),
    Program("cgan_branch b100", "cgan_branch:batched", "cgan", 100, peer_numbers=_BRANCH),
    Program("cgan_maxout b100", "cgan_maxout", "cgan", 100, peer_numbers=_PAPER),
    Program("cgan_layernorm b1", "cgan_layernorm", "cgan_layernorm", 1),
    Program("mnist_classifier b1", "mnist_classifier", "classifier", 1),
    Program("gaussian", "gaussian", "gaussian", 100),
    Program("gaussian, 32 seeds", "gaussian", "gaussian", 100, seeds=32),
    Program("dcgan_montage b1", "dcgan_montage", "montage", 1, _FACES, job_steps=20),
    Program("dcgan_montage b1 bf16", "dcgan_montage:bfloat16", "montage", 1, _FACES, job_steps=20),
    Program("dcgan_montage b8", "dcgan_montage", "montage", 8, _FACES, job_steps=5),
]


def config_of(program: Program) -> Any:
    """Our config of a row."""
    from tfgan_lab.config import override, validate
    from tfgan_lab.config_files import load_config

    config = validate(load_config(program.config))
    source = {"data.source": "embedded"} if config.data.kind == "mnist" else {}
    return override(config, source | {"batch_size": str(program.batch)} | program.overrides)


def ours(program: Program) -> tuple[Run, Any]:
    """A function that runs n of our steps, and what was built."""
    from tfgan_lab import data
    from tfgan_lab.config import override
    from tfgan_lab.training.engine import make_engine
    from tfgan_lab.training.experiment import build

    config: Any = config_of(program)
    source = data.open_source(config.data, None)
    if program.seeds > 1:
        from pathlib import Path

        from tfgan_lab.training.many_seeds import ManySeeds

        together: Any = override(config, {"num_seeds": str(program.seeds)})
        many = ManySeeds(together, source, Path("nothing is written"))
        engine, built = many.engine, many.slot
    else:
        built = build(config, source)
        engine = make_engine(config.compile, built.strategy, built.task, built.batches)
    done = 0

    def run(steps: int) -> None:
        nonlocal done
        engine.run(done, steps)
        done += steps

    return run, built


def arrays_of(program: Program) -> tuple[np.ndarray, np.ndarray | None]:
    """The data for a peer, without TensorFlow: uint8 [N, H, W, C] and labels [N]."""
    if program.peer == "montage":
        return np.random.default_rng(0).integers(0, 256, (64, 128, 128, 3), np.uint8), None
    from tfgan_lab.data.mnist import load_mnist

    part = load_mnist("embedded", None)[0]["train+validation"]
    assert part.images is not None and part.labels is not None
    whole = part.num // program.batch * program.batch
    return part.images[:whole], part.labels[:whole]


def peer(program: Program, threads: int) -> Run:
    """A function that runs n steps of the post's program."""
    if program.peer == "tf1":
        from benchmarks import tf1_learning_gan

        pixels = arrays_of(program)[0].reshape(-1, 784).astype(np.float32) / 255
        other = tf1_learning_gan.Program(threads)
        return lambda steps: void(tf1_learning_gan.train(pixels, steps, other, program.batch))
    import torch

    torch.set_num_threads(threads)
    module = importlib.import_module(f"tfgan_lab.parity.posts_in_torch.{PEERS[program.peer]}")
    body = module.Program(**program.peer_numbers)
    if program.peer == "gaussian":
        return lambda steps: void(module.train(steps=steps, program=body))
    raw, numbers = arrays_of(program)
    images = torch.from_numpy(np.ascontiguousarray(raw.transpose(0, 3, 1, 2))).float() / 255
    if program.peer in ("mlp_gan", "learning_gan", "cgan"):
        images = images * 2 - 1
    images = images if program.peer in ("montage", "classifier") else images.flatten(1)
    labels = None if numbers is None else torch.from_numpy(numbers).long()
    keywords = {"batch_size": program.batch, **program.peer_train}
    return lambda steps: void(module.train(images, labels, steps, program=body, **keywords))


def rivals(program: Program, threads: int) -> dict[str, Run]:
    """The best programs that one would write for the same game: PyTorch tuned, and JAX (if installed)."""
    return {name: make(program, threads) for name, make in makers(program).items()}


def makers(program: Program) -> dict[str, Callable[[Program, int], Run]]:
    """What makes each rival, by name; nothing of it is imported yet.

    Of the montage, whose time is its convolutions', PyTorch's own bfloat16 beside ours; else none.
    """
    if program.seeds > 1 or program.peer == "tf1" or program.peer_train:
        return {}
    if program.peer == "montage":
        return {"tuned": _autocast} if config_of(program).precision == "bfloat16" else {}
    if importlib.util.find_spec("jax"):
        return {"tuned": _tuned, "jax": _jax}
    return {"tuned": _tuned}


def _autocast(program: Program, threads: int) -> Run:
    import torch

    posts = peer(program, threads)

    def run(steps: int) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            posts(steps)

    return run


def _tuned(program: Program, threads: int) -> Run:
    import torch

    from benchmarks import torch_peer

    torch.set_num_threads(threads)
    return torch_peer.program(config_of(program), *_arrays_or_none(program))


def _jax(program: Program, threads: int) -> Run:
    from benchmarks import jax_peer

    del threads  # JAX takes every core that the process has
    return jax_peer.program(config_of(program), *_arrays_or_none(program))


def _arrays_or_none(program: Program) -> tuple[np.ndarray | None, np.ndarray | None]:
    return (None, None) if config_of(program).data.is_endless else arrays_of(program)


def void(result: Any) -> None:
    """Drops what a program returns."""
    del result
