"""Montage images: every source, and the same pixels however they are read."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from montages import CROP, FACES, encoded, load, middle, streamed
from PIL import Image
from refusals import refusal

from tfgan_lab.data import montage
from tfgan_lab.data.examples import digest
from tfgan_lab.data.faces import draw_faces
from tfgan_lab.data.montage_hdf5 import open_hdf5
from tfgan_lab.data.montage_sources import centre_start

pytestmark = pytest.mark.usefixtures("own_cache")


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_centre_starts_where_the_posts_does(size: int, crop: int) -> None:
    assert centre_start(size, crop) == size // 2 - crop // 2


# The same pixels, from every source.


@pytest.mark.parametrize("crop", [24, 23, 31])
def test_hdf5_arrays(montage_arrays: Path, crop: int) -> None:
    examples = load("auto", montage_arrays, crop=crop, size=crop)
    assert (examples.num, examples.shape) == (6, (crop, crop, 3))
    np.testing.assert_array_equal(examples.images, [middle(face, crop) for face in FACES])
    assert examples.provenance.sha256 == digest(examples.images)
    assert examples.provenance.count == 6
    again = load("hdf5", montage_arrays, crop=crop, size=crop, memory_mb=0)
    np.testing.assert_array_equal(streamed(again), examples.images)
    np.testing.assert_array_equal(again.images[np.array([4, 0, 4])], examples.images[[4, 0, 4]])
    assert again.provenance == examples.provenance


def test_hdf5_arrays_of_another_size_than_the_crop(montage_arrays: Path) -> None:
    examples, again = (load("auto", montage_arrays, size=14, memory_mb=memory) for memory in (64, 0))
    assert examples.shape == (14, 14, 3)
    np.testing.assert_array_equal(streamed(again), examples.images)


def test_streamed_batches_are_the_resident_ones(montage_arrays: Path) -> None:
    import tensorflow as tf

    from tfgan_lab.data.pipeline import ImageBatches

    resident, again = (load("hdf5", montage_arrays, memory_mb=memory) for memory in (64, 0))
    feeds = (ImageBatches(examples, 2, 1, "unit", 3).dataset(1) for examples in (resident, again))
    for (ours, _), (theirs, _) in tf.data.Dataset.zip(tuple(feeds)).take(7):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("opaque", [False, True])
def test_hdf5_encoded(tmp_path: Path, opaque: bool) -> None:
    path = tmp_path / "encoded.h5"
    with h5py.File(path, "w") as file:
        for index, face in enumerate(FACES):
            data = encoded(face) + b"\0\0\0"  # Trailing zeros must not upset anything.
            file[f"{index}.png"] = np.void(data) if opaque else np.frombuffer(data, np.uint8)
    examples = load("auto", path)
    np.testing.assert_array_equal(examples.images, [middle(face) for face in FACES])
    np.testing.assert_array_equal(streamed(load("auto", path, memory_mb=0)), examples.images)


def test_folder_in_the_order_of_names(montage_folder: Path) -> None:
    examples = load("auto", montage_folder)
    np.testing.assert_array_equal(examples.images, [middle(FACES[index]) for index in (0, 2, 4, 1, 3, 5)])
    np.testing.assert_array_equal(streamed(load("folder", montage_folder, memory_mb=0)), examples.images)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_folder_kinds_of_png(tmp_path: Path, mode: str) -> None:
    """Grey and palettes become RGB as Pillow has it; alpha is dropped."""
    if mode == "I;16":
        picture = Image.fromarray((FACES[0][..., 0].astype(np.uint16) << 8) + 7)
        expected = np.repeat(FACES[0][..., :1], 3, axis=2)
    else:
        picture = Image.fromarray(FACES[0]).convert(mode)
        expected = np.asarray(picture.convert("RGB"))
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load("auto", tmp_path).images, [middle(expected)])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_folder_kinds_of_jpeg(tmp_path: Path, mode: str) -> None:
    smooth = Image.fromarray(FACES[0]).resize((60, 60)).convert(mode)
    smooth.save(tmp_path / "a.JPG", quality=95)
    expected = np.asarray(Image.open(tmp_path / "a.JPG").convert("RGB")).astype(int)
    loaded = load("auto", tmp_path).images
    assert loaded is not None
    difference = np.abs(loaded[0].astype(int) - middle(expected))
    assert difference.mean() < 2  # Two JPEG decoders need not agree to the last bit.
    assert middle(expected).std() > 20


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_folder_of_webp(tmp_path: Path, mode: str) -> None:
    Image.fromarray(FACES[0]).convert(mode).save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(load("auto", tmp_path).images, [middle(FACES[0])])
    content = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(content[:-10])
    assert "a.webp (not a PNG, JPEG or WebP image)" in refusal(lambda: load("auto", tmp_path))
    (tmp_path / "a.webp").write_bytes(content[:60] + bytes(len(content) - 60))
    assert "'a.webp' cannot be decoded" in refusal(lambda: load("auto", tmp_path))


def test_resized_like_pillow(montage_arrays: Path) -> None:
    for size in (12, 10, 40):
        images = load("auto", montage_arrays, size=size).images
        assert images is not None
        for image, face in zip(images, FACES, strict=True):
            reference = Image.fromarray(middle(face)).resize((size, size), Image.Resampling.BILINEAR)
            difference = image.astype(int) - np.asarray(reference).astype(int)
            assert np.abs(difference).max() <= 1
            assert abs(difference.mean()) < 0.2  # Rounded to the nearest level, not down.


def test_small_images_are_refused_or_resized(montage_folder: Path) -> None:
    Image.fromarray(FACES[0][:20, :30]).save(montage_folder / "small.png")
    message = refusal(lambda: load("auto", montage_folder))
    assert "small.png" in message
    assert "20x30" in message
    assert "small_images=resize" in message
    images = load("auto", montage_folder, small="resize").images
    assert images is not None
    reference = Image.fromarray(FACES[0][:20, :30]).resize((36, 24), Image.Resampling.BILINEAR)
    assert np.abs(images[-1].astype(int) - middle(np.asarray(reference)).astype(int)).max() <= 1
    np.testing.assert_array_equal(images[0], middle(FACES[0]))  # The large ones are left alone.
    np.testing.assert_array_equal(streamed(load("auto", montage_folder, small="resize", memory_mb=0)), images)


def test_small_and_very_long_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 300_000, 3), np.uint8)).save(tmp_path / "line.png")
    assert "too long and thin" in refusal(lambda: load("auto", tmp_path, small="resize", crop=256, size=256))


def test_embedded_faces() -> None:
    examples = load("auto", None, crop=128, size=128, num=4, seed=3)
    np.testing.assert_array_equal(examples.images, [middle(face, 128) for face in draw_faces(3, 4)])
    assert (examples.provenance.source, examples.provenance.detail) == ("embedded faces", "seed 3")
    again = load("faces", None, crop=128, size=128, num=4, seed=3, memory_mb=0)
    np.testing.assert_array_equal(streamed(again), examples.images)


def test_memory_budget_decides() -> None:
    whole = 6 * 256 * 256 * 3  # 1.125 MiB
    assert whole > 2**20
    faces = {"num": 6, "crop": 128, "size": 256}
    assert [load("faces", None, memory_mb=memory, **faces).in_memory for memory in (1, 2, 1)] == [False, True, False]


def test_the_digest_knows_the_images(montage_arrays: Path) -> None:
    before = [load("auto", montage_arrays, memory_mb=megabytes).provenance.sha256 for megabytes in (0, 64)]
    assert before == [load("auto", montage_arrays, memory_mb=megabytes).provenance.sha256 for megabytes in (0, 64)]
    with h5py.File(montage_arrays, "r+") as file:
        file["some/group/3.png"][18, 15] = 255 - file["some/group/3.png"][18, 15]
    after = [load("auto", montage_arrays, memory_mb=megabytes).provenance.sha256 for megabytes in (0, 64)]
    assert before[0] == before[1] != after[0] == after[1]


def test_crops_are_kept_and_the_source_is_not_read_again(
    montage_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    first = load("auto", montage_folder, memory_mb=0)
    (kept,) = (tmp_path / "cache" / "crops").glob("*.npy")
    np.testing.assert_array_equal(np.load(kept), streamed(first))
    with monkeypatch.context() as patch:
        patch.setattr(montage, "_open", None)
        again = load("auto", montage_folder, memory_mb=0)
        assert again.provenance == first.provenance
        np.testing.assert_array_equal(streamed(again), streamed(first))
    cut = kept.read_bytes()[:-1]
    kept.unlink()
    kept.write_bytes(cut)
    np.testing.assert_array_equal(streamed(load("auto", montage_folder, memory_mb=0)), streamed(first))
    (montage_folder / "b" / "3.png").unlink()
    assert load("auto", montage_folder, memory_mb=0).num == 5
    assert len(streamed(first)) == 6, "what is being read stays whole"


def test_no_room_for_the_crops_is_one_line(
    montage_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFGAN_LAB_CACHE", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10_000))
        message = refusal(lambda: load("auto", montage_folder, memory_mb=0))
    assert "6 crops take 0.0 GiB" in message and "$TFGAN_LAB_CACHE" in message and "data.memory_mb" in message

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(montage, "store_images", full)
        message = refusal(lambda: load("auto", montage_folder, memory_mb=0))
    assert "cannot be written (No space left on device): free space, or name another folder" in message
    assert not [path for path in (tmp_path / "cache" / "crops").iterdir() if path.suffix != ".lock"]


# Names and photographs.


def test_names_that_are_no_utf8(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.png")).write_bytes(encoded(FACES[0]))
    (folder / os.fsdecode(b"\xfe.bin")).write_text("hello")
    examples = load("auto", folder)
    np.testing.assert_array_equal(examples.images, [middle(FACES[0])])
    assert examples.provenance.detail == r"caf\xe9, 1 files skipped"
    assert r"caf\xe9: skipped 1 of 2 files: \xfe.bin (not a PNG" in caplog.text
    np.testing.assert_array_equal(streamed(load("auto", folder, memory_mb=0)), [middle(FACES[0])])
    assert r"'\xff.png' is 36x31" in refusal(lambda: load("auto", folder, crop=33, size=33))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(tmp_path: Path, orientation: int) -> None:
    """A camera stores its sensor's rows, and in EXIF which side was up."""
    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Pillow's transpositions, undone
    upright = Image.fromarray(FACES[0])
    sensor = upright if turned is None else upright.transpose(Image.Transpose(turned))
    exif = Image.Exif()
    exif[0x0112] = orientation
    sensor.save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(load("auto", tmp_path, crop=31, size=31).images, [middle(FACES[0], 31)])
    smaller = refusal(lambda: load("auto", tmp_path, crop=34, size=34))
    assert "36x31" in smaller


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"junk" * 9])
def test_damaged_exif_is_no_reason_to_refuse(tmp_path: Path, exif: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(encoded(FACES[0], "JPEG", exif=exif))
    assert load("auto", tmp_path).num == 1


def test_celeb_a_from_a_prepared_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    faces = list(draw_faces(1, 5))
    image = tfds.features.Image(shape=(218, 178, 3), encoding_format="jpeg")
    tfds.dataset_builders.AdhocBuilder(
        name="celeb_a",
        version="2.1.0",
        features=tfds.features.FeaturesDict({"image": image}),
        split_datasets={
            "train": [(key, {"image": face}) for key, face in enumerate(faces)],
            "test": [(key, {"image": face}) for key, face in enumerate(faces[:2])],
        },
        data_dir=str(tmp_path),
    ).download_and_prepare()
    builder = tfds.builder_from_directory(str(tmp_path / "celeb_a" / "2.1.0"))
    expected = [middle(each["image"], 128) for each in tfds.as_numpy(builder.as_dataset("train"))]
    examples = load("auto", tmp_path, crop=128, size=128)
    np.testing.assert_array_equal(examples.images, expected)
    np.testing.assert_array_equal(streamed(load("celeb_a", tmp_path, crop=128, size=128, memory_mb=0)), expected)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert load("celeb_a", None).num == len(expected)
    shard = next(tmp_path.glob("celeb_a/*/*train.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-9])
    assert "cut short" in refusal(lambda: load("celeb_a", None))
    shard.unlink()
    assert "has 0 of 1" in refusal(lambda: load("celeb_a", None))


def test_hdf5_may_be_read_by_many_threads(montage_arrays: Path) -> None:
    source = open_hdf5(str(montage_arrays), CROP)
    with ThreadPoolExecutor(8) as pool:
        for index, image in enumerate(pool.map(source.read, [k % 6 for k in range(600)])):
            np.testing.assert_array_equal(image, middle(FACES[index % 6]))
