"""What is installed and found on this machine, and which verbs lack something."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tfgan_lab import __version__
from tfgan_lab.errors import UserError
from tfgan_lab.system.cache import usable_cores

# By distribution name: the module that it brings.
_REQUIRED = {
    "tensorflow": "tensorflow", "keras": "keras", "numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn",
    "matplotlib": "matplotlib", "pillow": "PIL", "h5py": "h5py", "tensorboard": "tensorboard", "jinja2": "jinja2",
    "pydantic": "pydantic", "absl-py": "absl", "filelock": "filelock", "tqdm": "tqdm", "mlxtend": "mlxtend",
    "tensorflow-datasets": "tensorflow_datasets", "joblib": "joblib", "psutil": "psutil",
    "python-avatars": "python_avatars", "resvg-py": "resvg_py",
}  # fmt: skip
# By extra: what it brings and for what.
_EXTRAS = {
    "cluster": ({"distributed": "distributed"}, "study --cluster, compare ledger --cluster"),
    "torch": ({"torch": "torch"}, "compare parity, compare ledger --peers, compare import-torch, compare export-torch"),
    "litert": ({"ai-edge-litert": "ai_edge_litert"}, "export --format=litert"),
    "onnx": ({"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"}, "export --format=onnx"),
    "serving": ({"tensorflow-serving-api": "tensorflow_serving"}, "export --format=serving"),
    "safetensors": ({"safetensors": "safetensors"}, "compare import-torch and export-torch of .safetensors"),
}

_DRIVER, _CPU = Path("/proc/driver/nvidia/gpus"), Path("/proc/cpuinfo")


def report(data_dir: str | None) -> Iterator[str]:
    """Lines to print: versions, devices, data found, and what is missing for which verb.

    Args:
      data_dir: Where to look for MNIST besides the usual places.
    """
    yield "versions"
    yield f"  tfgan_lab {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    every = {**_REQUIRED, **{name: module for brought, _ in _EXTRAS.values() for name, module in brought.items()}}
    yield f"  {', '.join(f'{name} {_version(name)}' for name, module in every.items() if _there(module))}"
    missing = [name for name, module in _REQUIRED.items() if not _there(module)]
    yield "devices"
    yield f"  {_cores()}, {_bfloat16()}{'' if missing else '; ' + _gpus()}"
    yield "data"
    if not missing:
        yield f"  MNIST: {_mnist(data_dir)}"
    yield "  montage: any .h5 file or folder of images by --data_dir; without one the package draws faces"
    yield "  gaussian, plane: drawn as they are needed"
    yield "missing"
    lacking = [
        f"  {verbs}: pip install 'tfgan-lab[{extra}]' brings {', '.join(n for n, m in brought.items() if not _there(m))}"
        for extra, (brought, verbs) in _EXTRAS.items()
        if not all(map(_there, brought.values()))
    ]
    if missing:
        lacking.insert(0, f"  everything: {', '.join(missing)} (pip install tfgan-lab brings it)")
    yield from lacking or ["  nothing: every verb can run"]


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(no version)"


def _cores() -> str:
    cores, usable = os.cpu_count() or 1, usable_cores()
    return f"{usable} of {cores} CPU cores" if usable < cores else f"{cores} CPU core{'s' if cores > 1 else ''}"


def _bfloat16() -> str:
    """Whether --config.precision=bfloat16 pays on this CPU, as far as Linux says it."""
    try:
        flags = set(re.search(r"^flags\s*:(.*)$", _CPU.read_text(errors="replace"), re.MULTILINE)[1].split())  # type: ignore[index]
    except (OSError, TypeError):
        return "bfloat16 unknown"
    has = sorted(flags & {"avx512_bf16", "amx_bf16"})
    return f"which multiply in bfloat16 ({', '.join(has)})" if has else "without bfloat16"


def _gpus() -> str:
    from tfgan_lab.system.runtime import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    if gpus:
        return f"{len(gpus)} GPU: {', '.join(names)}"
    shown = driver_gpus()
    if not shown:
        return "no GPU that TensorFlow can use"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    remedy = (
        "pip install 'tfgan-lab[gpu]' brings TensorFlow's CUDA libraries"
        if hidden is None
        else f"unset $CUDA_VISIBLE_DEVICES (now {hidden!r}); if that is not it: pip install 'tfgan-lab[gpu]'"
    )
    return f"the driver shows {', '.join(shown)}, but TensorFlow cannot use it: {remedy}"


def driver_gpus() -> list[str]:
    """Names of the GPUs that NVIDIA's driver shows, whether TensorFlow can use them or not."""
    found = []
    for facts in sorted(_DRIVER.glob("*/information")):
        found += re.findall(r"^Model:\s*(.+)$", facts.read_text(errors="replace"), re.MULTILINE)
    if not found and shutil.which("nvidia-smi"):  # where Linux is a guest of Windows there is only this
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
            found = re.findall(r"^GPU \d+: (.+?)(?: \(UUID.*)?$", listed.stdout, re.MULTILINE)
    return found


def _mnist(data_dir: str | None) -> str:
    from tfgan_lab.config import Mnist
    from tfgan_lab.data import open_source

    try:
        source = open_source(Mnist(), data_dir)
    except UserError as error:
        return str(error)
    return f"{source.chosen.removeprefix('data: ')}; {source.provenance['train']}"
