"""The posts' programs in PyTorch, written by us: what ours is compared with, in numbers and in time.

Each module of `PEERS` has its networks, a `Program` (see `program.PeerProgram`) and
`train(images, labels, steps, batch_size, seed)`. They import torch; this file does not.
"""

from __future__ import annotations

PEERS = {
    "mlp_gan": "P000",
    "classifier": "P001",
    "cgan_layernorm": "P001",
    "montage": "P001",
    "learning_gan": "P002",
    "cgan": "P003",
    "gaussian": "P004",
}
