"""Trains the PyTorch programs of the posts on a GPU, the seeds of one arm side by side, and keeps their weights.

    python evidence/train_peers.py --workdir=RUNS --data_dir=MNIST_FOLDER --seeds=5 cgan_concat,epochs=2 mlp_gan
    tfgan-lab compare ledger --peers --workdir=RUNS ...          (on a machine with TensorFlow: measures them)

Needs PyTorch, Pillow and pydantic, and of TensorFlow nothing. An arm is a config and what is changed in it, as the
ledger's folders are named. On a GPU an arm's seeds share one CUDA graph of ten steps, each on a stream of its own: the
programs are mostly the launching of small kernels, and a graph launches them all at once. The arithmetic is that of the
program's own `update`, with PyTorch's own Adam (its fused kernel). Each seed has its own start; batches and noise of
seeds that share a graph come from one stream of random numbers.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tfgan_lab.config import SGD, Config, override, validate
from tfgan_lab.config_files import load_config
from tfgan_lab.errors import UserError
from tfgan_lab.parity import peer_weights
from tfgan_lab.parity.peers import make_peer

UNROLLED = 10  # steps in a graph


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arms", nargs="+", help="such as cgan_concat,epochs=2 (a config, then FIELD=VALUE)")
    parser.add_argument("--workdir", type=Path, required=True, help="of the ledger: ARM/peer,seed=N/weights.npz")
    parser.add_argument(
        "--data_dir", help="as train's; without TensorFlow MNIST's idx files, or an .npz of images, labels and sha256"
    )
    parser.add_argument("--first_seed", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    parser.add_argument("--half", action="store_true", help="keep the weights in float16, to carry them")
    values = parser.parse_args()
    try:
        for arm in values.arms:
            _train_arm(arm, values)
    except UserError as error:
        parser.exit(2, f"{error}\n")


def _train_arm(arm: str, values: Any) -> None:
    name, *changes = arm.split(",")
    if wrong := [change for change in changes if "=" not in change]:
        raise UserError(f"{arm}: {wrong[0]!r} is no FIELD=VALUE, such as epochs=2.")
    base = {"placement": "one", **dict(change.split("=", 1) for change in changes)}
    configs = [override(validate(load_config(name)), {**base, "seed": str(seed)}) for seed in _seeds(values)]
    if values.device != "cpu" and (
        configs[0].post == "P002" or isinstance(getattr(configs[0], "g_optimizer", None), SGD)
    ):
        raise UserError(f"{arm}: its optimiser changes at every step, which a recorded step cannot: say --device=cpu.")
    if configs[0].data.is_endless:
        raise UserError(
            f"{arm}: its numbers are drawn, which takes seconds on a CPU: tfgan-lab compare ledger --peers."
        )
    images, labels, digest = _data(configs[0], values.data_dir)
    batches = len(images) // configs[0].batch_size
    steps = configs[0].steps or round(configs[0].epochs * batches)
    if values.device != "cpu" and (steps % UNROLLED or batches % UNROLLED):
        raise UserError(
            f"{arm}: {steps} steps, {batches} an epoch; on a GPU both must be multiples of {UNROLLED}: "
            "change steps or batch_size, or say --device=cpu."
        )
    made = {"train_sha256": digest, "torch": torch.__version__}
    begun = started = time.perf_counter()
    if values.device == "cpu":
        torch.set_num_threads(1)
        trained = (peer_weights.train_peer(config, steps, images, labels) for config in configs)
    else:
        torch.set_default_device("cuda")
        made |= {"device": torch.cuda.get_device_name(), "seeds_together": len(configs)}
        trained = iter(train_together(configs, steps, images, labels))
    for config, states in zip(configs, trained, strict=True):
        if values.half:
            states = {
                role: {
                    key: array.astype(np.float16) if array.dtype == np.float32 else array
                    for key, array in state.items()
                }
                for role, state in states.items()
            }
        peer_weights.keep(values.workdir / arm / f"peer,seed={config.seed}", config, steps, states, made, started)
        if "seeds_together" not in made:
            started = time.perf_counter()
    print(f"{arm}: {steps:,} steps, {len(configs)} seeds, {time.perf_counter() - begun:.0f} s", flush=True)


def _seeds(values: Any) -> range:
    return range(values.first_seed, values.first_seed + values.seeds)


def _data(config: Any, data_dir: str | None) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images [N, H, W, C] uint8, labels [N] and the digest of the training split."""
    if data_dir and data_dir.endswith(".npz"):
        with np.load(data_dir) as arrays:
            return arrays["images"], arrays["labels"], str(arrays["sha256"])
    from tfgan_lab.data import open_source

    source: Any = open_source(config.data, data_dir)
    return source.train.images, source.train.labels, source.provenance["train"].sha256


def train_together(
    configs: list[Config], steps: int, images: np.ndarray, labels: np.ndarray | None
) -> list[peer_weights.States]:
    """Trains one config's seeds on the GPU, `steps` (a multiple of `UNROLLED`, as an epoch's is) each.

    Args:
      configs: One for each seed.
      steps: Of each.
      images, labels: [N, H, W, C] uint8, [N].
    """
    first: Any = configs[0]
    peers = [make_peer(config, config.seed) for config in configs]
    for optimizer in (optimizer for peer in peers for optimizer in peer.optimizers.values()):
        for group in optimizer.param_groups:
            group.update(capturable=True, fused=True)
    torch.manual_seed(peer_weights.data_seed(first))
    with torch.device("cpu"):
        pictures, classes = peer_weights.for_torch(first, images, labels)
    pictures, classes = pictures.cuda(), classes.cuda()
    batches = len(pictures) // first.batch_size
    orders = [torch.empty(batches, first.batch_size, dtype=torch.int64) for _ in peers]
    streams = [torch.cuda.Stream() for _ in peers]
    at = torch.zeros(1, dtype=torch.int64)

    def play() -> None:
        main = torch.cuda.current_stream()
        for peer, order, stream in zip(peers, orders, streams, strict=True):
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                for ahead in range(UNROLLED):
                    rows = order.index_select(0, at + ahead).flatten()  # [B]
                    batch = pictures.index_select(0, rows), classes.index_select(0, rows)
                    peer.update(*batch, *peer.draw(first.batch_size))
        for stream in streams:
            main.wait_stream(stream)
        at.add_(UNROLLED)

    def shuffle() -> None:
        for order in orders:
            order.copy_(torch.randperm(len(pictures))[: order.numel()].view_as(order))
        at.zero_()

    shuffle()
    replay = _played_and_captured(play)
    begin = time.perf_counter()
    for done in range(UNROLLED, steps, UNROLLED):
        if done % batches == 0:
            shuffle()
            torch.cuda.synchronize()
            spent = time.perf_counter() - begin
            print(
                f"{first.name} step {done:,}/{steps:,}, {spent / done * 1000:.3f} ms a step",
                file=sys.stderr,
                flush=True,
            )
        replay()
    torch.cuda.synchronize()
    return [peer_weights.states_of(peer) for peer in peers]


def _played_and_captured(play: Callable[[], None]) -> Callable[[], None]:
    """Plays once, for what is made once must be there before capture; returns what plays again, as one CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        play()
    torch.cuda.current_stream().wait_stream(aside)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        play()
    return graph.replay


if __name__ == "__main__":
    main()
