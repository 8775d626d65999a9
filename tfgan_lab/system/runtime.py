"""Starts TensorFlow: quietly, and so that the same seed gives the same bits."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfgan_lab.errors import UserError, first_line
from tfgan_lab.system.cache import cpu_features, keep_programs, tensorflow_version


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps what libraries print on descriptor 2 from the user, unless an error escapes.

    TensorFlow's C++ code prints while it is imported, before any of its log levels can be set.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError, ValueError):
        yield  # no descriptor 2: nothing to keep quiet
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def no_pattern(folder: str | os.PathLike[str]) -> Iterator[str]:
    """A folder's name for TensorFlow's readers, which take `[`, `*`, `?` and `\\` for a pattern: a link if need be."""
    if not set("[]*?\\") & set(os.fspath(folder)):
        yield os.fspath(folder)
        return
    with tempfile.TemporaryDirectory() as held:
        link = os.path.join(held, "folder")
        os.symlink(os.path.abspath(folder), link)
        yield link


# Keras imports these if they are there, for helpers that this package does not use: 1.5 of 3.6 seconds.
_ONLY_FOR_KERAS_HELPERS = ("matplotlib", "pandas", "scipy", "sklearn")


@contextlib.contextmanager
def _left_for_later(names: tuple[str, ...]) -> Iterator[None]:
    """Makes `import NAME` fail inside the block, so that optional imports are skipped; afterwards it works as ever."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


# The widest vectors, and no copies of weights that an update may overwrite: tiny nets' steps take a quarter less.
_XLA_FLAGS = {
    "avx512f": ["--xla_cpu_prefer_vector_width=512"],
    "": ["--xla_cpu_copy_insertion_use_region_analysis=true"],
}


def _tune_xla() -> str:
    """Adds flags to $XLA_FLAGS, unless they are there; only for a TensorFlow that is known to have them.

    Returns:
      Whose flags XLA heeds, "ours" or "the program's": it reads them when it compiles for the first time.
    """
    if not tensorflow_version().startswith("2.21."):
        return "ours"  # none: a flag that it does not know ends the process
    flags, features = os.environ.get("XLA_FLAGS", "").split(), cpu_features()
    wanted = [flag for feature, some in _XLA_FLAGS.items() if not feature or feature in features for flag in some]
    there = {flag.split("=")[0] for flag in flags}
    missing = [flag for flag in wanted if flag.split("=")[0] not in there]
    os.environ["XLA_FLAGS"] = " ".join([*flags, *missing])
    return "the program's" if missing and _xla_has_compiled() else "ours"


def _xla_has_compiled() -> bool:
    """Whether this process has compiled by XLA, which begins threads of that name then (as far as Linux shows them)."""
    names = Path("/proc/self/task").glob("*/comm")
    return any(name.read_text().startswith("tf_XLA") for name in names)


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Imports make hundreds of thousands of objects that stay: looking through them again and again takes 0.4 s."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


# How TensorFlow runs in this process; empty until it is started.
_running: dict[str, Any] = {}


def as_started() -> dict[str, Any]:
    """How TensorFlow runs in this process, for run.json; "not_as_asked" names the promises that are lost."""
    return dict(_running)


def start_for(config: Any) -> list[str]:
    """Starts TensorFlow as a config wants it to train; returns what `start_tensorflow` does."""
    return start_tensorflow(**settings_of(config))


def settings_of(config: Any) -> dict[str, Any]:
    """What a config asks of the whole process: arguments of `start_tensorflow`."""
    cluster = config.placement == "multi_worker" or (config.placement == "auto" and "TF_CONFIG" in os.environ)
    return {
        "deterministic": config.deterministic, "logical_cpus": config.replicas, "onednn": config.onednn, "cluster": cluster
    }  # fmt: skip


def start_tensorflow(
    deterministic: bool = True, threads: int | None = None, logical_cpus: int = 0, onednn: bool = False,
    cluster: bool = False,
) -> list[str]:  # fmt: skip
    """Imports TensorFlow without its start-up noise and sets what repeatability needs; Keras computes in float32.

    TensorFlow takes most of this once, before it is used: called again, or in a program that has used it, this sets
    what can still be set.

    Args:
      deterministic: Same seed, same bits (on one machine with one number of threads).
      threads: Within and between ops; 0 takes all cores. None: as before, else all cores.
      logical_cpus: Splits the CPU into so many devices, for `tf.distribute` without GPUs; 0 leaves it whole.
      onednn: Intel's kernels: faster for convolutions, slower for small dense nets on one core (see benchmarks/).
        A user's own $TF_ENABLE_ONEDNN_OPTS wins.
      cluster: Leaves the first op to `tfgan_lab.placement.cluster.join`: after it TensorFlow takes no cluster.

    Returns:
      Settings that this process runs with instead of those asked, such as "onednn=True, not False".

    Raises:
      UserError: Keras runs on another backend, or the CPU cannot be split into so many devices.
    """
    if "tensorflow" not in sys.modules:
        _import(threads or 0, onednn)
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Keras runs on {keras.backend.backend()} in this program: set KERAS_BACKEND=tensorflow before it is imported."
        )
    # A ~/.keras/keras.json, or the program, may have set others.
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    if not _running:
        _running.update(_as_the_program_started_it())
    if logical_cpus:
        _split_cpu(logical_cpus)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        # With it a loop of many steps differs in the last bit from one process to the next.
        tf.config.optimizer.set_experimental_options({"loop_optimization": False})
    asked: dict[str, Any] = {"onednn": onednn, "deterministic": deterministic, "xla_flags": "ours"}
    if threads is not None or _running["by_the_program"]:
        asked["threads"] = threads or 0
    _running["deterministic"] = _running["deterministic"] or deterministic
    _running["not_as_asked"] = [
        f"{name}={_running[name]}, not {value}" for name, value in asked.items() if _running[name] != value
    ]
    if not cluster:
        with quiet_stderr():
            tf.constant(0)  # the first op prints too: about devices
    return _running["not_as_asked"]


def _import(threads: int, onednn: bool) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"], os.environ["TF_USE_LEGACY_KERAS"] = "tensorflow", "0"
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ.setdefault("KERAS_HOME", os.devnull)  # it would make a folder named ~
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a home that it cannot write
    xla_flags = _tune_xla()
    keep_programs(threads)
    users_own = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = users_own or str(int(onednn))
    with quiet_stderr(), _left_for_later(_ONLY_FOR_KERAS_HELPERS), _without_collecting():
        _import_keras()
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    onednn = os.environ["TF_ENABLE_ONEDNN_OPTS"].lower() in ("1", "true")
    if not users_own:
        del os.environ["TF_ENABLE_ONEDNN_OPTS"]  # programs that this one starts choose for themselves
    _running.update(by_the_program=False, onednn=onednn, threads=threads, deterministic=False, xla_flags=xla_flags)


def _import_keras() -> None:
    try:
        import keras  # noqa: F401
    except (AssertionError, AttributeError, OSError, TypeError, ValueError) as error:  # of what it reads there
        folder = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
        reason = first_line(error)
        raise UserError(
            f"{folder}/keras.json cannot be read by Keras ({reason}): correct it, or move it away."
        ) from None


def _as_the_program_started_it() -> dict[str, Any]:
    import tensorflow as tf

    try:
        from tensorflow.python.util import _pywrap_util_port

        onednn = bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):  # not a public name
        onednn = None
    threads = max(
        tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads()
    )
    return {
        "by_the_program": True, "onednn": onednn, "threads": threads, "deterministic": False, "xla_flags": _tune_xla(),
    }  # fmt: skip


def _split_cpu(devices: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [cpu]) >= devices:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    except RuntimeError:  # TensorFlow is in use
        if len(tf.config.list_logical_devices("GPU")) < devices:
            raise UserError(
                f"--config.replicas={devices}: TensorFlow splits a CPU only before it is used, and this process has used it: "
                "start another process, and train before all else."
            ) from None
