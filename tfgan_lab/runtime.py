"""Starts TensorFlow: quietly, and so that the same seed gives the same bits."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

from tfgan_lab.cache import cpu_features, keep_programs, tensorflow_version


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps what libraries print on descriptor 2 from the user, unless an exception escapes.

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
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def no_pattern(folder: str | os.PathLike[str]) -> Iterator[str]:
    """A name of a folder for TensorFlow's readers, which take `[`, `*`, `?` and `\\` in a path for a pattern: a link where need be."""
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


# The widest vectors there are, and no copies of weights that an update may overwrite: a quarter off the steps of tiny nets.
_XLA_FLAGS = {
    "avx512f": ["--xla_cpu_prefer_vector_width=512"],
    "": ["--xla_cpu_copy_insertion_use_region_analysis=true"],
}


def _tune_xla() -> None:
    """Adds flags to $XLA_FLAGS, unless they are there; only for a TensorFlow that is known to have them."""
    if not tensorflow_version().startswith("2.21."):
        return  # a flag that it does not know ends the process
    flags, features = os.environ.get("XLA_FLAGS", "").split(), cpu_features()
    wanted = [flag for feature, some in _XLA_FLAGS.items() if not feature or feature in features for flag in some]
    there = {flag.split("=")[0] for flag in flags}
    os.environ["XLA_FLAGS"] = " ".join([*flags, *(flag for flag in wanted if flag.split("=")[0] not in there)])


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


def start_tensorflow(
    deterministic: bool = True, threads: int = 0, logical_cpus: int = 0, onednn: bool = False, cluster: bool = False
) -> None:
    """Imports TensorFlow without its start-up noise and sets what repeatability needs.

    Called once, before anything else touches TensorFlow: afterwards it takes no more settings.

    Args:
      deterministic: Same seed, same bits (on one machine with one number of threads).
      threads: Within and between ops; 0 takes all cores.
      logical_cpus: Splits the CPU into so many devices, for `tf.distribute` without GPUs; 0 leaves it whole.
      cluster: Leaves the first op to `tfgan_lab.training.cluster.join`: after it TensorFlow takes no cluster.
      onednn: Intel's kernels: faster for convolutions, slower for small dense nets on one core (see benchmarks/).
        A user's own $TF_ENABLE_ONEDNN_OPTS wins.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", str(int(onednn)))
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    _tune_xla()
    keep_programs(threads)
    with quiet_stderr(), _left_for_later(_ONLY_FOR_KERAS_HELPERS), _without_collecting():
        import keras  # noqa: F401
        import tensorflow as tf

        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        if logical_cpus:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
        if deterministic:
            tf.config.experimental.enable_op_determinism()
            # With it a loop of many steps differs in the last bit from one process to the next.
            tf.config.optimizer.set_experimental_options({"loop_optimization": False})
        if not cluster:
            tf.constant(0)  # the first op prints too: about devices
