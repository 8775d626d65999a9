"""Images for the DCGAN of post P001: any source, cropped at the centre, resident or streamed.

One TensorFlow function reads, decodes, crops and resizes an image. Resident data are that function applied to
every image once; streamed data are that function handed to the pipeline. So both hold the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfgan_lab.data.examples import Examples, Provenance, digest
from tfgan_lab.data.montage_hdf5 import open_hdf5
from tfgan_lab.data.montage_sources import (
    MAX_PIXELS,
    ImageSource,
    celeb_a_copy,
    centre_start,
    open_celeb_a,
    open_faces,
    open_folder,
)
from tfgan_lab.errors import UserError, nearest

SOURCES = ("auto", "hdf5", "folder", "celeb_a", "faces")
SPLITS = ("train", "validation", "test")
_LOAD_BATCH = 64


def load(
    source: str,
    path: str | None,
    *,
    crop: int,
    size: int,
    num: int,
    seed: int,
    small: str,
    memory_mb: int,
    split: str = "train",
) -> Examples:
    """Loads RGB images, cropped at the centre.

    Args:
      source: One of `SOURCES`. "auto" is what `path` is (a file: hdf5; a folder: celeb_a if TFDS prepared it
        there, else folder), and the embedded faces without a path.
      path: HDF5 file, image folder or TFDS folder; the faces need none.
      crop: Side of the central square that is cut out, in pixels.
      size: Side of the images handed over: the crop, filtered to this size where it differs.
      num: How many faces to draw (source faces only).
      seed: Which set of faces (source faces only).
      small: "refuse" images smaller than the crop, or "resize" their shorter side up to it.
      memory_mb: The images are kept in memory if they fit in so many MiB, else streamed.
      split: One of `SPLITS`. A file or a folder has "train" alone.

    Returns:
      uint8 images [num, size, size, 3], without labels.

    Raises:
      UserError: A mistake in an argument or in the data, in one line.
    """
    opened = open_source(source, path, crop=crop, num=num, seed=seed, split=split)
    try:
        _check_sizes(opened, crop, small)
        fetch = make_fetch(opened, crop=crop, size=size)
        count, shape = len(opened.names), (size, size, 3)
        if count * size * size * 3 <= memory_mb * 2**20:
            images = _read_all(opened, fetch, shape)
            opened.close()
            provenance = Provenance(opened.title, split, count, digest(images), opened.detail)
            return Examples(count, shape, provenance, images)
    except BaseException:
        opened.close()
        raise
    detail = f"{opened.detail}; streamed: sha256 of names, sizes and first bytes, not of pixels"
    provenance = Provenance(opened.title, split, count, opened.fingerprint, detail)
    whole = not opened.encoded and min(min(sides) for sides in opened.sizes) >= crop
    many = make_fetch_many(opened, crop=crop, size=size) if whole else None
    return Examples(count, shape, provenance, fetch=fetch, fetch_many=many)


def open_source(source: str, path: str | None, *, crop: int, num: int, seed: int, split: str) -> ImageSource:
    """Opens a source by name; the arguments are those of `load`."""
    if source not in SOURCES:
        raise UserError(f"data.source={source!r}: no such source.{nearest(source, SOURCES)}")
    if split not in SPLITS:
        raise UserError(f"split {split!r}: no such split.{nearest(split, SPLITS)}")
    if source == "faces" or (source == "auto" and not path):
        return open_faces(num, seed, split)
    if path and not Path(path).exists():
        raise UserError(f"--data_dir={path}: no such file or folder.{_beside(Path(path))}")
    if source == "auto":
        source = _kind_of(str(path))
    if source == "celeb_a":
        return open_celeb_a(path, split)
    if not path:
        raise UserError(f"data.source={source} needs --data_dir=PATH to the {source} of images.")
    if split != "train":
        raise UserError(f"split {split!r}: {path} has one split, 'train'.")
    if (source == "folder") != Path(path).is_dir():
        raise UserError(f"data.source={source}: {path} is not one; say data.source=auto.")
    return open_folder(path) if source == "folder" else open_hdf5(path, crop)


def _kind_of(path: str) -> str:
    if not Path(path).is_dir():
        return "hdf5"
    return "celeb_a" if celeb_a_copy(path) else "folder"


def _beside(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return ""
    return nearest(path.name, names) if 0 < len(names) <= 20 else ""


def _check_sizes(source: ImageSource, crop: int, small: str) -> None:
    if small not in ("refuse", "resize"):
        raise UserError(f"data.small_images={small!r}: say refuse or resize.")
    for name, (height, width) in zip(source.names, source.sizes, strict=True):
        shorter, longer = sorted((height, width))
        if shorter < crop and small == "refuse":
            raise UserError(
                f"'{name}' is {height}x{width}, smaller than the {crop}x{crop} crop: use a smaller data.crop, "
                "or data.small_images=resize."
            )
        if shorter < crop and longer * crop * crop > MAX_PIXELS * shorter:
            raise UserError(f"'{name}' is {height}x{width}: too long and thin to be resized to {crop} pixels.")


def crop_center(img: np.ndarray, width: int, height: int) -> np.ndarray:
    """Cuts [height, width, C] out of the middle of [H, W, C] (post P001, `crop_center`).

    Raises:
      ValueError: The image is smaller than the crop.
    """
    if img.shape[0] < height or img.shape[1] < width:
        raise ValueError(f"crop_center: an image of {img.shape[0]}x{img.shape[1]} has no {height}x{width} crop")
    left, top = centre_start(img.shape[1], width), centre_start(img.shape[0], height)
    return img[top : top + height, left : left + width]


def make_fetch(source: ImageSource, *, crop: int, size: int) -> Callable[[Any], Any]:
    """Returns a function of a scalar int64 tensor: the uint8 [size, size, 3] image at that position.

    Reading is Python; decoding, which is most of the work, is TensorFlow's own and runs in parallel.
    """
    import tensorflow as tf

    def read(index: np.ndarray) -> bytes | np.ndarray:
        return source.read(int(index))

    def fetch(index: Any) -> Any:
        image = tf.numpy_function(read, [index], tf.string if source.encoded else tf.uint8)
        if source.encoded:
            image = tf.io.decode_image(image, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        image = _enlarged(image, crop)
        shape = tf.shape(image)
        top, left = centre_start(shape[0], crop), centre_start(shape[1], crop)
        image = image[top : top + crop, left : left + crop]
        image = tf.ensure_shape(image, [crop, crop, 3])
        return image if size == crop else _resized(image, [size, size])

    return fetch


def make_fetch_many(source: ImageSource, *, crop: int, size: int) -> Callable[[Any], Any]:
    """Returns a function of int64 [N]: the uint8 [N, size, size, 3] images there, for sources of arrays that are big enough.

    Nothing is to be decoded, so one call into Python reads them all: a call for each would take longer than reading.
    """
    import tensorflow as tf

    def read(indices: np.ndarray) -> np.ndarray:
        return np.stack([crop_center(np.asarray(source.read(int(index))), crop, crop) for index in indices])

    def fetch_many(indices: Any) -> Any:
        images = tf.ensure_shape(tf.numpy_function(read, [indices], tf.uint8), [*indices.shape, crop, crop, 3])
        return images if size == crop else _resized(images, [size, size])

    return fetch_many


def _enlarged(image: Any, crop: int) -> Any:
    """Scales an image up until its shorter side is the crop; leaves a larger one alone."""
    import tensorflow as tf

    sides = tf.shape(image)[:2]
    shorter = tf.reduce_min(sides)
    larger = tf.cast(tf.round(tf.cast(sides, tf.float64) * crop / tf.cast(shorter, tf.float64)), tf.int32)
    return tf.cond(shorter < crop, lambda: _resized(image, larger), lambda: image)


def _resized(image: Any, sides: Any) -> Any:
    """Bilinear, with the filter as wide as the shrinkage, so that fine detail does not alias."""
    import tensorflow as tf

    scaled = tf.image.resize(image, sides, method="bilinear", antialias=True)
    return tf.cast(tf.round(scaled), tf.uint8)


def _read_all(source: ImageSource, fetch: Callable[[Any], Any], shape: tuple[int, ...]) -> np.ndarray:
    import tensorflow as tf

    count = len(source.names)
    images = np.empty((count, *shape), np.uint8)
    fetch_plainly = tf.autograph.experimental.do_not_convert(fetch)
    dataset = tf.data.Dataset.range(count).map(fetch_plainly, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    done = 0
    try:
        with tqdm(total=count, desc=source.title, unit="image", disable=None, leave=False) as bar:
            for batch in dataset.batch(_LOAD_BATCH).prefetch(2).as_numpy_iterator():
                images[done : done + len(batch)] = batch
                done += len(batch)
                bar.update(len(batch))
    except tf.errors.OpError:
        _name_the_culprit(source, fetch, done)
        raise
    return images


def _name_the_culprit(source: ImageSource, fetch: Callable[[Any], Any], start: int) -> None:
    """Reads on one by one from where a parallel reading failed, to tell which image it was."""
    import tensorflow as tf

    for index in range(start, min(start + 4 * _LOAD_BATCH, len(source.names))):
        source.read(index)
        try:
            fetch(tf.constant(index, tf.int64))
        except tf.errors.OpError as error:
            reason = error.message.split("\n")[0].split(" [Op:")[0][:160]
            raise UserError(f"'{source.names[index]}' cannot be decoded ({reason}).") from None


class MontageDataset:
    """The post's dataset class: indexable, one crop at a time (post P001, MontageDataset.py).

    Args:
      path: HDF5 file or folder of images.
      crop: Side of the central crop, in pixels; smaller images are refused.
    """

    def __init__(self, path: str, *, crop: int) -> None:
        """Opens the images; raises `UserError` like `load`."""
        kind = "folder" if Path(path).is_dir() else "hdf5"
        self._source = open_source(kind, path, crop=crop, num=0, seed=0, split="train")
        _check_sizes(self._source, crop, "refuse")
        self._fetch = make_fetch(self._source, crop=crop, size=crop)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._source.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Returns one crop: float32 [crop, crop, 3] in [0, 1].

        Raises:
          IndexError: The index is negative or past the end.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self._fetch(np.int64(index)).numpy().astype(np.float32) / 255.0

    def plot_image(self, index: int) -> None:
        """Shows one crop on the current axes of matplotlib."""
        import matplotlib.pyplot as plt

        plt.imshow(self[index], interpolation="nearest")
