"""Start-up: what a training needs is imported, and nothing else; in processes of their own."""

from __future__ import annotations

import subprocess
import sys

_START = "import sys\nfrom tfgan_lab.runtime import start_tensorflow\nstart_tensorflow(threads=1)\n"


def printed(program: str) -> str:
    ended = subprocess.run([sys.executable, "-c", _START + program], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_what_a_training_does_not_use_is_not_imported_and_can_be_imported_later() -> None:
    """Keras' helpers would bring pandas, scikit-learn, SciPy and pyplot; TFDS is for those who have data there."""
    program = """
heavy = ("matplotlib", "pandas", "scipy", "sklearn", "tensorflow_datasets", "torch")
print([name for name in heavy if name in sys.modules])
from tfgan_lab.data import open_source
from tfgan_lab.config import Mnist
assert open_source(Mnist(source="embedded"), None).train.num == 4500
print([name for name in ("tensorflow_datasets", "matplotlib", "torch") if name in sys.modules])
import keras, sklearn.metrics, scipy.stats, matplotlib.pyplot
import tfgan_lab.trainer
print("tensorflow_datasets" in sys.modules, keras.backend.backend())
"""
    assert printed(program).splitlines() == ["[]", "[]", "False tensorflow"]
