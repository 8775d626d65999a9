"""Starts TensorFlow: quietly, and so that the same seed gives the same bits."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


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


def start_tensorflow(deterministic: bool = True) -> None:
    """Imports TensorFlow without its start-up noise and sets what repeatability needs.

    Set before anything is traced: results of graphs traced earlier stay as they are.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Small dense nets run faster on one core without oneDNN's kernels (see benchmarks/); a user's own setting wins.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with quiet_stderr():
        import tensorflow as tf

        tf.constant(0)  # the first op prints too: about devices
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        # With it a loop of many steps differs in the last bit from one process to the next.
        tf.config.optimizer.set_experimental_options({"loop_optimization": False})
