"""Reads and writes PyTorch state_dicts as files.

`.pt` and `.pth` go through torch, `.npz` through NumPy alone, `.safetensors` through the package of that name.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.system.arrays import MOST_BYTES, marked_archive, npz_bytes, read_arrays
from tfgan_lab.system.files import MARK, read_bytes, refuse_foreign, write_atomically

_TORCH_ENDINGS = (".pt", ".pth", ".bin", ".ckpt")


def require_torch() -> Any:
    """Imports torch. Raises `UserError` if it is not installed."""
    try:
        import torch
    except ImportError:
        raise UserError("needs PyTorch: pip install 'tfgan-lab[torch]'") from None
    return torch


def read_state(path: str | os.PathLike[str], role: str = "") -> dict[str, Any]:
    """Reads a state_dict: tensors (or arrays) by name, nothing but numbers is ever unpickled.

    Args:
      path: What `torch.save(network.state_dict(), path)` wrote, or an .npz or .safetensors of arrays under the same names;
        also a checkpoint that holds a state_dict beside other things.
      role: The name of the network in a checkpoint of several, such as "generator".

    Raises:
      UserError: No such file, damaged, or something else than tensors by name.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: name a state_dict (.pt, .pth, .npz or .safetensors).")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    read = readers.get(path.suffix)
    state = read(path) if read else _unwrapped(_read_torch(path), path, role)
    if not isinstance(state, Mapping) or not state:
        raise UserError(
            f"{path} holds no state_dict but {_what(state)}: save one with torch.save(network.state_dict(), …)."
        )
    others = [
        f"{name} ({_what(value)})"
        for name, value in state.items()
        if not (isinstance(name, str) and hasattr(value, "shape"))
    ]
    if others:
        raise UserError(
            f"{path} is no state_dict, these are no tensors: {', '.join(others[:5])}. Save one with torch.save(network.state_dict(), …)."
        )
    return dict(state)


def write_state(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as a state_dict, whole or not at all.

    Raises:
      UserError: Another ending than .pt, .pth, .npz or .safetensors, or the file cannot be written, or is there and not ours.
    """
    path = Path(path)
    refuse_foreign(path)
    if path.suffix == ".npz":
        content = npz_bytes(arrays)
    elif path.suffix == ".safetensors":
        # In C order, which the package takes for granted: it would write other numbers of a transposed array.
        ordered = {name: np.array(array, order="C") for name, array in arrays.items()}
        content = _require_safetensors().save(ordered, metadata={"written_by": MARK})
    elif path.suffix in _TORCH_ENDINGS:
        torch, buffer = require_torch(), io.BytesIO()
        torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, buffer)
        content = marked_archive(buffer)
    else:
        raise UserError(f"{path}: a state_dict's name must end in .pt, .pth, .npz or .safetensors.")
    write_atomically(path, content)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or no .npz of arrays ({first_line(error, 120)}): save it again.") from None


def _require_safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise UserError("needs the package safetensors: pip install 'tfgan-lab[safetensors]'") from None
    return safetensors.numpy


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    package = _require_safetensors()
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"its {size:,} bytes are more than {MOST_BYTES:,}")
        return package.load(read_bytes(path))
    except Exception as error:  # its own, and KeyError for types that NumPy lacks
        raise UserError(f"{path} is damaged or no .safetensors ({first_line(error, 120)}): save it again.") from None


def _read_torch(path: Path) -> Any:
    torch = require_torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors that it will not have any more
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises nearly anything on damaged or refused files, and advises to run their code
        raise UserError(
            f"{path} is damaged, or holds more than tensors (a whole network, say), which is not loaded: "
            "where it was made, save it with torch.save(network.state_dict(), 'weights.pt')."
        ) from None


def _unwrapped(content: Any, path: Path, role: str) -> Any:
    """The state_dict in a checkpoint such as {"state_dict": …, "epoch": 3}."""
    if not isinstance(content, Mapping) or any(hasattr(value, "shape") for value in content.values()):
        return content
    held = {
        name: value
        for name, value in content.items()
        if isinstance(value, Mapping) and value and all(hasattr(tensor, "shape") for tensor in value.values())
    }
    wanted = [name for name in ("state_dict", role) if name in held] or list(held)
    if len(wanted) > 1:
        raise UserError(
            f"{path} holds several state_dicts ({', '.join(map(str, held))}): save the one you mean by itself, "
            f"torch.save(torch.load('{path.name}')[{wanted[0]!r}], 'weights.pt')."
        )
    return held[wanted[0]] if wanted else content


def _what(value: Any) -> str:
    return "nothing" if isinstance(value, Mapping) and not value else f"a {type(value).__name__}"
