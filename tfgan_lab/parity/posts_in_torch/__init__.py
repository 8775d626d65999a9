"""The posts' programs in PyTorch, written by us: what ours is compared with, in numbers and in time.

Each module of `PEERS` has its networks, a `Program` (see `program.PeerProgram`) and
`train(images, labels, steps, batch_size, seed)`. They import torch; this file does not.
"""

from __future__ import annotations

# The module of each program, named for its post.
PEERS = {
    "mlp_gan": "p000_mlp_gan", "classifier": "p001_classifier", "cgan_layernorm": "p001_cgan", "montage": "p001_montage",
    "learning_gan": "p002_learning_gan", "cgan": "p003_cgan", "gaussian": "p004_gaussian",
}  # fmt: skip
