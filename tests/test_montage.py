"""Montage images: every source, the same pixels however they are read, and one line for each mistake."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tfgan_lab.data import montage, montage_sources
from tfgan_lab.data.examples import Examples, digest
from tfgan_lab.data.faces import draw_faces
from tfgan_lab.data.montage_hdf5 import write_montage
from tfgan_lab.errors import UserError

CROP = 24
FACES = draw_faces(0, 6, 36, 31)  # uint8 [6, 36, 31, 3]


def load(source: str, path: Any, **changes: Any) -> Examples:
    arguments = {"crop": CROP, "size": CROP, "num": 5, "seed": 0, "small": "refuse", "memory_mb": 64}
    return montage.load(source, None if path is None else str(path), **(arguments | changes))


def encoded(image: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def middle(image: np.ndarray, crop: int = CROP) -> np.ndarray:
    """The centre crop, worked out apart from the package."""
    height, width = image.shape[:2]
    top, left = height // 2 - crop // 2, width // 2 - crop // 2
    return image[top:, left:][:crop, :crop]


def streamed(examples: Examples) -> np.ndarray:
    import tensorflow as tf

    assert examples.images is None
    assert examples.fetch is not None
    dataset = tf.data.Dataset.range(examples.num).map(examples.fetch, num_parallel_calls=4)
    images = np.stack(list(dataset.as_numpy_iterator()))
    assert images.dtype == np.uint8
    return images


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    path = tmp_path / "arrays.h5"
    with h5py.File(path, "w") as file:
        for index, face in enumerate(FACES):
            file.create_dataset(f"some/group/{index}.png", data=face, chunks=(9, 31, 2), compression="gzip")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    (root / "b").mkdir(parents=True)
    for index, face in enumerate(FACES):
        (root / ("b" if index % 2 else ".") / f"{index}.png").write_bytes(encoded(face))
    return root


# The post's arithmetic.


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_crop_center_is_the_posts(height: int, width: int, new_height: int, new_width: int) -> None:
    image = np.arange(height * width * 3).reshape(height, width, 3)
    if new_height > height or new_width > width:
        with pytest.raises(ValueError, match="has no"):
            montage.crop_center(image, new_width, new_height)
        return
    crop = montage.crop_center(image, new_width, new_height)
    assert crop.shape == (new_height, new_width, 3)
    assert crop[0, 0, 0] == ((height // 2 - new_height // 2) * width + width // 2 - new_width // 2) * 3


# The same pixels, from every source.


@pytest.mark.parametrize("crop", [24, 23, 31])
def test_hdf5_arrays(arrays: Path, crop: int) -> None:
    examples = load("auto", arrays, crop=crop, size=crop)
    assert (examples.num, examples.shape) == (6, (crop, crop, 3))
    np.testing.assert_array_equal(examples.images, [middle(face, crop) for face in FACES])
    assert examples.provenance.sha256 == digest(examples.images)
    assert examples.provenance.count == 6
    np.testing.assert_array_equal(streamed(load("hdf5", arrays, crop=crop, size=crop, memory_mb=0)), examples.images)


@pytest.mark.parametrize("opaque", [False, True])
def test_hdf5_encoded(tmp_path: Path, opaque: bool) -> None:
    path = tmp_path / "encoded.h5"
    with h5py.File(path, "w") as file:
        for index, face in enumerate(FACES):
            data = encoded(face) + b"\0\0\0"  # Trailing zeros must not upset anything.
            file[f"{index}.png"] = np.void(data) if opaque else np.frombuffer(data, np.uint8)
    examples = load("auto", path)
    np.testing.assert_array_equal(examples.images, [middle(face) for face in FACES])
    again = load("auto", path, memory_mb=0)
    np.testing.assert_array_equal(streamed(again), examples.images)
    assert "not of pixels" in again.provenance.detail


def test_folder_in_the_order_of_names(folder: Path) -> None:
    examples = load("auto", folder)
    np.testing.assert_array_equal(examples.images, [middle(FACES[index]) for index in (0, 2, 4, 1, 3, 5)])
    np.testing.assert_array_equal(streamed(load("folder", folder, memory_mb=0)), examples.images)


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


def test_resized_like_pillow(arrays: Path) -> None:
    for size in (12, 10, 40):
        images = load("auto", arrays, size=size).images
        assert images is not None
        for image, face in zip(images, FACES, strict=True):
            reference = Image.fromarray(middle(face)).resize((size, size), Image.Resampling.BILINEAR)
            difference = image.astype(int) - np.asarray(reference).astype(int)
            assert np.abs(difference).max() <= 1
            assert abs(difference.mean()) < 0.2  # Rounded to the nearest level, not down.


def test_small_images_are_refused_or_resized(folder: Path) -> None:
    Image.fromarray(FACES[0][:20, :30]).save(folder / "small.png")
    message = refusal(lambda: load("auto", folder))
    assert "small.png" in message
    assert "20x30" in message
    assert "small_images=resize" in message
    images = load("auto", folder, small="resize").images
    assert images is not None
    reference = Image.fromarray(FACES[0][:20, :30]).resize((36, 24), Image.Resampling.BILINEAR)
    assert np.abs(images[-1].astype(int) - middle(np.asarray(reference)).astype(int)).max() <= 1
    np.testing.assert_array_equal(images[0], middle(FACES[0]))  # The large ones are left alone.
    np.testing.assert_array_equal(streamed(load("auto", folder, small="resize", memory_mb=0)), images)


def test_small_and_very_long_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 300_000, 3), np.uint8)).save(tmp_path / "line.png")
    assert "too long and thin" in refusal(lambda: load("auto", tmp_path, small="resize", crop=256, size=256))


def test_embedded_faces() -> None:
    examples = load("auto", None, crop=128, size=128, num=4, seed=3)
    np.testing.assert_array_equal(examples.images, [middle(face, 128) for face in draw_faces(3, 4)])
    again = load("faces", None, crop=128, size=128, num=4, seed=3, memory_mb=0)
    np.testing.assert_array_equal(streamed(again), examples.images)
    test = load("faces", None, crop=128, size=128, num=4, seed=3, split="test")
    assert examples.images is not None
    assert test.images is not None
    assert not {image.tobytes() for image in examples.images} & {image.tobytes() for image in test.images}


def test_memory_budget_decides() -> None:
    whole = 6 * 256 * 256 * 3  # 1.125 MiB
    assert whole > 2**20
    faces = {"num": 6, "crop": 128, "size": 256}
    assert load("faces", None, memory_mb=1, **faces).fetch is not None
    assert load("faces", None, memory_mb=2, **faces).images is not None


def test_the_digest_knows_the_images(arrays: Path) -> None:
    before = [load("auto", arrays, memory_mb=megabytes).provenance.sha256 for megabytes in (0, 64)]
    assert before == [load("auto", arrays, memory_mb=megabytes).provenance.sha256 for megabytes in (0, 64)]
    with h5py.File(arrays, "r+") as file:
        file["some/group/3.png"][18, 15] = 255 - file["some/group/3.png"][18, 15]
    after = [load("auto", arrays, memory_mb=megabytes).provenance.sha256 for megabytes in (0, 64)]
    assert after[1] != before[1]


def test_celeb_a_from_a_prepared_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    faces = draw_faces(1, 5)
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
    assert load("celeb_a", None, split="test").num == 2
    assert "validation" in refusal(lambda: load("celeb_a", None, split="validation"))
    shard = next(tmp_path.glob("celeb_a/*/*train.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-9])
    assert "cut short" in refusal(lambda: load("celeb_a", None))
    shard.unlink()
    assert "has 0 of 1" in refusal(lambda: load("celeb_a", None))


# The post's dataset class.


def test_montage_dataset(arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    dataset = montage.MontageDataset(str(arrays), crop=CROP)
    assert len(dataset) == 6
    assert dataset[2].dtype == np.float32
    np.testing.assert_array_equal(dataset[2], middle(FACES[2]).astype(np.float32) / 255)
    assert len(list(dataset)) == 6  # IndexError is what ends a loop over it.
    for index in (6, -1, 10**9):
        with pytest.raises(IndexError):
            dataset[index]
    figure = plt.figure()
    dataset.plot_image(1)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), dataset[1])
    plt.close(figure)


def test_hdf5_may_be_read_by_many_threads(arrays: Path) -> None:
    source = montage.open_source("hdf5", str(arrays), crop=CROP, num=0, seed=0, split="train")
    with ThreadPoolExecutor(8) as pool:
        for index, image in enumerate(pool.map(source.read, [k % 6 for k in range(600)])):
            np.testing.assert_array_equal(image, middle(FACES[index % 6]))


# Writing.


def test_write_montage(tmp_path: Path) -> None:
    path = tmp_path / "faces.h5"
    write_montage(str(path), 3, seed=4)
    with h5py.File(path) as file:
        assert sorted(file["montage"]) == ["0.png", "1.png", "2.png"]
        for index, face in enumerate(draw_faces(4, 3)):
            np.testing.assert_array_equal(file[f"montage/{index}.png"][()], face)
        assert file["montage/0.png"].compression == "gzip"
    np.testing.assert_array_equal(
        load("auto", path, crop=128, size=128).images, load("faces", None, crop=128, size=128, num=3, seed=4).images
    )
    before = path.read_bytes()
    assert "exists already" in refusal(lambda: write_montage(str(path), 1, seed=0))
    assert path.read_bytes() == before
    write_montage(str(path), 1, seed=0, overwrite=True)
    assert load("auto", path).num == 1
    assert os.listdir(tmp_path) == ["faces.h5"]


def test_write_montage_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, index: int) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr("tfgan_lab.data.montage_hdf5.draw_face", fail)
    with pytest.raises(KeyboardInterrupt):
        write_montage(str(tmp_path / "faces.h5"), 2, seed=0)
    assert os.listdir(tmp_path) == []
    assert "cannot be written" in refusal(lambda: write_montage(str(tmp_path / "no" / "faces.h5"), 2, seed=0))
    assert "--num=0" in refusal(lambda: write_montage(str(tmp_path / "faces.h5"), 0, seed=0))


# Mistakes in arguments.


@pytest.mark.parametrize(
    ("source", "path", "changes", "words"),
    [
        ("hdf", None, {}, "'hdf5'"),
        ("hdf5", None, {}, "needs --data_dir"),
        ("folder", None, {}, "needs --data_dir"),
        ("auto", "nowhere.h5", {}, "no such file or folder"),
        ("auto", ".", {"split": "tests"}, "'test'"),
        ("auto", ".", {"split": "test"}, "one split, 'train'"),
        ("hdf5", ".", {}, "is not one"),
        ("auto", ".", {}, "no PNG or JPEG images"),
        ("celeb_a", ".", {}, "tfds build celeb_a"),
        ("faces", None, {"small": "ignore"}, "refuse or resize"),
        ("faces", None, {"crop": 200}, "smaller than the 200x200 crop"),
    ],
)
def test_mistaken_arguments(tmp_path: Path, source: str, path: str | None, changes: dict[str, Any], words: str) -> None:
    assert words in refusal(lambda: load(source, path and tmp_path / path, **changes))


def test_a_mistyped_path_names_the_neighbour(arrays: Path) -> None:
    assert "Did you mean 'arrays.h5'?" in refusal(lambda: load("auto", arrays.with_name("array.h5")))


# Broken HDF5 files.


def broken(tmp_path: Path, fill: Callable[[h5py.File], Any]) -> str:
    path = tmp_path / "broken.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    message = refusal(lambda: load("auto", path))
    assert "broken.h5" in message
    return message


def test_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    path.write_text("hello")
    assert "not an HDF5 file" in refusal(lambda: load("auto", path))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_truncated_hdf5(arrays: Path, share: float) -> None:
    data = arrays.read_bytes()
    arrays.write_bytes(data[: int(len(data) * share)])
    assert "cut short" in refusal(lambda: load("auto", arrays))


def test_nothing_usable_is_listed(tmp_path: Path) -> None:
    message = broken(tmp_path, lambda file: file.create_dataset("images/0001.png", data=FACES[0]))
    assert "no members named '0.png'" in message
    assert "'images/0001.png' uint8[36, 31, 3]" in message
    assert "no datasets" in broken(tmp_path, lambda file: file.create_group("empty"))


def test_a_gap_in_the_numbers_is_named(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        for number in (0, 1, 2, 4, 10):
            file[f"{number}.png"] = FACES[0]

    assert "'3.png' is missing" in broken(tmp_path, fill)
    assert "'0.png' is missing" in broken(tmp_path, lambda file: file.create_dataset("1.png", data=FACES[0]))


def test_a_number_twice(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["a/0.png"] = file["b/0.png"] = FACES[0]

    message = broken(tmp_path, fill)
    assert "'a/0.png'" in message
    assert "'b/0.png'" in message


@pytest.mark.parametrize(
    "member",
    [
        FACES[0].astype(np.float32),
        FACES[0][..., 0],
        np.zeros((30, 30, 4), np.uint8),
        np.zeros((0, 30, 3), np.uint8),
        np.zeros((30, 30, 3), np.int8),
        np.float64(1),
        "a string",
        h5py.Empty("u1"),
        np.zeros(2, [("a", "u1")]),
    ],
    ids=lambda member: f"{getattr(member, 'dtype', 'str')}{getattr(member, 'shape', '')}",
)
def test_members_of_another_kind(tmp_path: Path, member: Any) -> None:
    message = broken(tmp_path, lambda file: file.create_dataset("g/0.png", data=member))
    assert "'g/0.png'" in message
    assert "must be a uint8 array [height, width, 3]" in message


def test_encoded_members_that_are_no_images(tmp_path: Path) -> None:
    def fill(data: bytes) -> Callable[[h5py.File], Any]:
        return lambda file: file.create_dataset("0.png", data=np.frombuffer(data, np.uint8))

    png = encoded(FACES[0])
    assert "cut short" in broken(tmp_path, fill(png[:-20]))
    assert "check sum" in broken(tmp_path, fill(png[:300] + bytes([png[300] ^ 1]) + png[301:]))
    assert "not a PNG or JPEG" in broken(tmp_path, fill(encoded(FACES[0], "GIF") + b"\xff\xd9"))
    assert "'0.png'" in broken(tmp_path, fill(b""))


def test_both_kinds_in_one_file(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["0.png"] = FACES[0]
        file["1.png"] = np.frombuffer(encoded(FACES[1]), np.uint8)

    assert "use one kind" in broken(tmp_path, fill)


def test_links_out_of_the_file_are_refused(tmp_path: Path, arrays: Path) -> None:
    (tmp_path / "raw").write_bytes(FACES[0].tobytes())
    layout = h5py.VirtualLayout((36, 31, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(arrays), "some/group/0.png", (36, 31, 3))
    fills: list[Callable[[h5py.File], Any]] = [
        lambda file: file.__setitem__("0.png", h5py.ExternalLink(str(arrays), "some/group/0.png")),
        lambda file: file.__setitem__("group", h5py.ExternalLink(str(arrays), "some/group")),
        lambda file: file.__setitem__("0.png", h5py.SoftLink("/elsewhere")),
        lambda file: file.create_virtual_dataset("0.png", layout),
        lambda file: file.create_dataset(
            "0.png", (36, 31, 3), np.uint8, external=[(str(tmp_path / "raw"), 0, FACES[0].size)]
        ),
    ]
    for fill in fills:
        message = broken(tmp_path, fill)
        assert "store the image itself" in message


def test_groups_that_hold_each_other(tmp_path: Path) -> None:
    path = tmp_path / "loop.h5"
    with h5py.File(path, "w") as file:
        file["a/0.png"] = FACES[0]
        file["a/again"] = file["a"]
        file["a/alias"] = h5py.SoftLink("/a")
    assert load("auto", path).num == 1


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    def empty(file: h5py.File) -> None:
        file.create_dataset("0.png", (10**6, 10**6, 3), np.uint8)  # Nothing is stored.

    def chunk(file: h5py.File) -> None:
        file.create_dataset(
            "0.png", (40, 40, 3), np.uint8, maxshape=(None, None, 3), chunks=(20_000, 10_000, 3), compression="gzip"
        )

    assert "larger than" in broken(tmp_path, empty)
    assert "larger than" in broken(tmp_path, chunk)


def test_a_damaged_chunk_is_named(arrays: Path) -> None:
    with h5py.File(arrays) as file:
        place = file["some/group/4.png"].id.get_chunk_info(3).byte_offset
    data = bytearray(arrays.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    arrays.write_bytes(data)
    message = refusal(lambda: load("auto", arrays))
    assert "'some/group/4.png' cannot be read" in message


# Broken folders.


def test_one_stray_file_is_skipped_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden").write_text("hello")
    with caplog.at_level("WARNING"):
        examples = load("auto", folder)
    assert examples.num == 6
    assert "notes.txt (not a PNG or JPEG image)" in caplog.text
    assert ".hidden" not in caplog.text
    assert "1 files skipped" in examples.provenance.detail


def test_many_broken_files_are_refused(folder: Path) -> None:
    (folder / "0.png").write_bytes(b"")
    (folder / "2.png").write_bytes(encoded(FACES[0])[:-30])
    message = refusal(lambda: load("auto", folder))
    assert "2 of 6 files" in message
    assert "0.png" in message
    assert "2.png (cut short" in message


def test_the_share_that_may_be_skipped(tmp_path: Path) -> None:
    for index in range(250):
        os.link(_one_png(tmp_path), tmp_path / f"{index}.png")
    for name in ("x", "y"):
        (tmp_path / name).write_text("no image")
    assert load("auto", tmp_path).num == 251
    (tmp_path / "z").write_text("no image")
    assert "3 of 254" in refusal(lambda: load("auto", tmp_path))


def _one_png(folder: Path) -> Path:
    path = folder / "one.png"
    if not path.exists():
        path.write_bytes(encoded(FACES[0]))
    return path


def test_damage_inside_a_file_is_named(folder: Path) -> None:
    """Not seen at first sight, so found when it is read: by name, resident or streamed."""
    import tensorflow as tf

    data = bytearray((folder / "b" / "3.png").read_bytes())
    data[400] ^= 1
    (folder / "b" / "3.png").write_bytes(data)
    assert "b/3.png: damaged" in refusal(lambda: load("auto", folder))
    with pytest.raises(tf.errors.OpError, match=r"b/3\.png"):
        streamed(load("auto", folder, memory_mb=0))


def _png(height: int, width: int, pixels: bytes) -> bytes:
    """A PNG whose check sums are right, whatever else is wrong with it."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", pixels) + part(b"IEND", b"")


def test_a_png_that_only_its_decoder_refuses(tmp_path: Path) -> None:
    (tmp_path / "odd.png").write_bytes(_png(30, 30, b"no zlib stream"))
    assert "'odd.png' cannot be decoded" in refusal(lambda: load("auto", tmp_path))


def test_a_bomb_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(60_000, 60_000, zlib.compress(bytes(1000))))
    message = refusal(lambda: load("auto", tmp_path))
    assert "bomb.png (more than 40,000,000 pixels)" in message
    monkeypatch.setattr(montage_sources, "MAX_PIXELS", 36 * 31 - 1)
    (tmp_path / "bomb.png").write_bytes(encoded(FACES[0]))
    assert "36x31 is more than" in refusal(lambda: load("auto", tmp_path))


def test_a_named_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert load("auto", folder).num == 6


@given(st.binary(max_size=200), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_an_image_or_are_not(noise: bytes, keep: int) -> None:
    for data in (noise, encoded(FACES[0])[:keep] + noise, b"\xff\xd8\xff\xe0" + noise + b"\xff\xd9"):
        try:
            montage_sources.check_encoded(data)
            montage_sources.image_size(io.BytesIO(data))
        except montage_sources.BadImage:
            continue
