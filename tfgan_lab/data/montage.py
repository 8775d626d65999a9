"""Images for the DCGAN of post P001: any source, cropped at the centre, in memory or streamed.

One TensorFlow function reads, decodes, crops and resizes every image once. What fits in memory stays there; of the rest
the crops are kept in the cache folder, from which any batch is read at once: batches are random rows, so what tf.data
would keep, a file in the order of one epoch, would not do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tfgan_lab.config import Montage
from tfgan_lab.data.examples import Examples, Provenance, digest, digest_of
from tfgan_lab.data.face_files import kept_faces
from tfgan_lab.data.montage_hdf5 import open_hdf5
from tfgan_lab.data.montage_sources import (
    MAX_PIXELS,
    ImageSource,
    celeb_a_copy,
    centre_start,
    open_celeb_a,
    open_folder,
    upright,
    visible_files,
)
from tfgan_lab.data.source import Source
from tfgan_lab.data.stored import StoredImages, store_images
from tfgan_lab.errors import UserError, nearest
from tfgan_lab.system.cache import cache_dir, kept, note_of

_LOAD_BATCH = 64


def open_data(data: Montage, data_dir: str | None) -> Source:
    """The training split alone."""
    examples = load(
        data.source, data_dir or "", crop=data.crop, size=data.size, num=data.num_faces, seed=data.faces_seed,
        small=data.small_images, memory_mb=data.memory_mb,
    )  # fmt: skip
    return Source(examples, None, f"data: {examples.provenance}")


def load(
    source: str, path: str | None, *, crop: int, size: int, num: int, seed: int, small: str, memory_mb: int
) -> Examples:
    """Loads RGB images, cropped at the centre.

    Args:
      source: "hdf5", "folder", "celeb_a" or "faces"; or "auto", what `path` is (a file: hdf5; a folder: celeb_a if TFDS
        prepared it there, else folder), and the embedded faces without a path.
      path: HDF5 file, image folder or TFDS folder; the faces need none.
      crop: Side of the central square that is cut out, in pixels.
      size: Side of the images handed over: the crop, filtered to this size where it differs.
      num: How many faces to draw (source faces only).
      seed: Which set of faces (source faces only).
      small: "refuse" images smaller than the crop, or "resize" their shorter side up to it.
      memory_mb: The images are kept in memory if they fit in so many MiB, else read from a file in the cache folder.

    Returns:
      uint8 images [num, size, size, 3], without labels.

    Raises:
      UserError: A mistake in an argument or in the data, in one line.
    """
    kind, place = _resolve(source, path, num=num, seed=seed)
    shape = (size, size, 3)
    kept_as = _kept_as(kind, place, crop, size, small)
    note = note_of(kept_as)
    if note is None or note["count"] * math.prod(shape) <= memory_mb * 2**20:
        opened = _open(kind, place, crop=crop, seed=seed)
        try:
            _check_sizes(opened, crop, small)
            count = len(opened.names)
            if count * math.prod(shape) <= memory_mb * 2**20:
                each = (image for batch in _read_all(opened, crop, size) for image in batch)
                images = np.fromiter(each, np.dtype((np.uint8, shape)), count)
                provenance = Provenance(opened.title, "train", count, digest(images), opened.detail)
                return Examples(count, shape, provenance, images)
            note = kept(kept_as, lambda partial: _keep(partial, opened, crop, size))
        finally:
            opened.close()
    provenance = Provenance(note["title"], "train", note["count"], note["sha256"], note["detail"])
    return Examples(note["count"], shape, provenance, StoredImages(kept_as))


def _resolve(source: str, path: str | None, *, num: int, seed: int) -> tuple[str, Path]:
    """Which kind of source is meant, and the file or folder that holds it."""
    if source == "faces" or (source == "auto" and not path):
        return "faces", kept_faces(seed, num)
    if path and not Path(path).exists():
        raise UserError(f"--data_dir={path}: no such file or folder.{_beside(Path(path))}")
    if source == "auto":
        source = "hdf5" if not Path(str(path)).is_dir() else "celeb_a" if celeb_a_copy(path) else "folder"
    if source == "celeb_a":
        copy = celeb_a_copy(path)
        if copy is None:
            raise UserError(
                f"data.source=celeb_a: no prepared copy in {path or 'the TFDS folder'}: run "
                "`tfds build celeb_a` once (with --data_dir=FOLDER to keep it elsewhere)."
            )
        return source, copy
    if not path:
        raise UserError(f"data.source={source} needs --data_dir=PATH to the {source} of images.")
    if (source == "folder") != Path(path).is_dir():
        raise UserError(f"data.source={source}: {path} is not one; say data.source=auto.")
    return source, Path(path)


def _open(kind: str, place: Path, *, crop: int, seed: int) -> ImageSource:
    if kind == "celeb_a":
        return open_celeb_a(place)
    if kind == "folder":
        return open_folder(str(place))
    opened = open_hdf5(str(place), crop)
    return dataclasses.replace(opened, title="embedded faces", detail=f"seed {seed}") if kind == "faces" else opened


def _kept_as(kind: str, place: Path, crop: int, size: int, small: str) -> Path:
    """Where the crops of a source are kept that do not fit in memory: another place for every state of its files."""
    files = [place / name for name in visible_files(place)] if place.is_dir() else [place]
    states = [(str(file), file.stat() if file.exists() else file.lstat()) for file in files]
    facts = [(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns) for name, status in states]
    key = repr((kind, str(place.absolute()), crop, size, small, facts))
    return cache_dir() / "crops" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.npy"


def _keep(partial: Path, source: ImageSource, crop: int, size: int) -> dict[str, Any]:
    """Writes all crops to a file; returns what is to be noted of them."""
    rows: list[bytes] = []
    count = len(source.names)
    needed, free = count * size * size * 3, shutil.disk_usage(partial.parent).free
    if needed > free:
        raise UserError(
            f"data.memory_mb: {count:,} crops take {needed / 2**30:.1f} GiB in {partial.parent}, where {free / 2**30:.1f} "
            "are free: name another folder with $TFGAN_LAB_CACHE, or set a larger --config.data.memory_mb."
        )

    def batches() -> Iterator[np.ndarray]:
        for batch in _read_all(source, crop, size):
            rows.extend(hashlib.sha256(image.tobytes()).digest() for image in batch)
            yield batch

    store_images(partial, batches(), (count, size, size, 3))
    return {"title": source.title, "detail": source.detail, "count": count, "sha256": digest_of(rows)}


def _beside(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return ""
    return nearest(path.name, names) if 0 < len(names) <= 20 else ""


def _check_sizes(source: ImageSource, crop: int, small: str) -> None:
    for name, (height, width) in zip(source.names, source.sizes, strict=True):
        shorter, longer = sorted((height, width))
        if shorter < crop and small == "refuse":
            raise UserError(
                f"'{name}' is {height}x{width}, smaller than the {crop}x{crop} crop: use a smaller data.crop, "
                "or data.small_images=resize."
            )
        if shorter < crop and longer * crop * crop > MAX_PIXELS * shorter:
            raise UserError(f"'{name}' is {height}x{width}: too long and thin to be resized to {crop} pixels.")


def make_fetch(source: ImageSource, *, crop: int, size: int) -> Callable[[Any], Any]:
    """Returns a function of a scalar int64 tensor: the uint8 [size, size, 3] image at that position.

    Reading is Python; decoding, which is most of the work, is TensorFlow's own and runs in parallel.
    """
    import tensorflow as tf

    def read(index: np.ndarray) -> bytes | np.ndarray:
        found = source.read(int(index))
        return upright(found) if isinstance(found, bytes) else found

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


def _read_all(source: ImageSource, crop: int, size: int) -> Iterator[np.ndarray]:
    """All images once, in batches [<= 64, size, size, 3]."""
    import tensorflow as tf

    from tfgan_lab.data.pipeline import untuned

    count, fetch = len(source.names), make_fetch(source, crop=crop, size=size)
    fetch_plainly = tf.autograph.experimental.do_not_convert(fetch)
    numbers = untuned(tf.data.Dataset.range(count))
    dataset = numbers.map(fetch_plainly, num_parallel_calls=os.cpu_count(), deterministic=True)
    done = 0
    try:
        with tqdm(total=count, desc=source.title, unit="image", disable=None, leave=False) as bar:
            for batch in dataset.batch(_LOAD_BATCH).prefetch(2).as_numpy_iterator():
                yield batch
                done += len(batch)
                bar.update(len(batch))
    except tf.errors.OpError:
        _name_the_culprit(source, fetch, done)
        raise


def _name_the_culprit(source: ImageSource, fetch: Callable[[Any], Any], start: int) -> None:
    """Reads on one by one from where a parallel reading failed, to tell which image it was."""
    import tensorflow as tf

    for index in range(start, min(start + 4 * _LOAD_BATCH, len(source.names))):
        source.read(index)
        try:
            fetch(tf.constant(index, tf.int64))
        except (tf.errors.OpError, OSError) as error:  # the latter of Pillow
            reason = getattr(error, "message", str(error)).split("\n")[0].split(" [Op:")[0][:160]
            raise UserError(f"'{source.names[index]}' cannot be decoded ({reason}).") from None
