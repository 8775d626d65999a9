"""The run folder: who may write it, what a resume keeps, and one line for every reason why not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogue import offline
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal

from tfgan_lab.config import override
from tfgan_lab.errors import UserError
from tfgan_lab.export.saved_model import refuse_no_export
from tfgan_lab.training.workdir import Workdir

CONFIG = offline("mlp_gan:smoke")


def started(path: Path) -> Workdir:
    folder = Workdir(path)
    folder.claim()
    folder.keep_config(CONFIG)
    folder.release()
    return folder


def trained(path: Path) -> Workdir:
    """A folder with a checkpoint, as far as this module looks at it."""
    folder = started(path)
    (folder.checkpoints / "ckpt-10.index").write_bytes(b"")
    return folder


# Who may write it.


def test_a_claimed_folder_is_refused_to_a_second_run_naming_the_first(tmp_path: Path) -> None:
    first, second = Workdir(tmp_path / "run"), Workdir(tmp_path / "run")
    first.claim()
    message = refusal(second.claim)
    assert str(os.getpid()) in message
    assert socket.gethostname() in message
    assert str(tmp_path / "run") in message
    first.release()
    second.claim()
    second.release()


HOLDER = """
import sys, time
from tfgan_lab.training.workdir import Workdir
folder = Workdir(sys.argv[1])
folder.claim()
print("held", flush=True)
time.sleep(60)
"""


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path) -> None:
    started(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = refusal(Workdir(tmp_path).claim)
        assert f"process {holder.pid} on {socket.gethostname()}" in message
    finally:
        holder.kill()
        holder.wait()
    folder = Workdir(tmp_path)
    folder.claim()
    folder.release()


def test_a_folder_with_other_things_in_it_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert "not empty" in refusal(Workdir(tmp_path).claim)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


PARTS = [".lock", ".owner", "config.json", "run.json", "metrics.jsonl"]
FOLDERS = ["checkpoints", "samples", "tensorboard", "export", "seed=0"]


@pytest.mark.parametrize(
    "name", [*PARTS, *FOLDERS, "samples/step-00000010.npz", "checkpoints/ckpt-10.index", "export/variables"]
)
def test_a_part_that_is_a_link_is_refused_and_what_it_names_stays(name: str, tmp_path: Path) -> None:
    folder, mine = trained(tmp_path / "run"), tmp_path / "mine"
    mine.mkdir()
    (mine / "step-00000099.png").write_text("mine")
    part = folder.path / name
    part.parent.mkdir(exist_ok=True)
    if part.is_dir():
        shutil.rmtree(part)
    part.unlink(missing_ok=True)
    part.symlink_to(mine if name in FOLDERS else mine / "step-00000099.png")
    message = refusal(folder.claim)
    if name != "config.json" or "holds no run" not in message:
        assert f"{part} is a link" in message
    assert not folder.is_being_written()
    assert [(path.name, path.read_text()) for path in mine.iterdir()] == [("step-00000099.png", "mine")]


def test_a_part_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    folder.tensorboard.write_text("mine")
    assert f"{folder.tensorboard} is no folder" in refusal(folder.claim)
    folder.tensorboard.unlink()
    folder.samples.mkdir()
    os.mkfifo(folder.samples / "step-00000010.npz")  # to read it would wait for ever
    assert "step-00000010.npz is no plain file" in refusal(folder.claim)


def test_what_a_killed_process_left_is_removed_and_only_that(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    folder.samples.mkdir()
    left = [
        ".real.png.01234567.part", ".config.json.89abcdef.part", "samples/.step-00000010.png.0123abcd.part",
        "checkpoints/.config.json.0123abcd.part", ".report.html.0123abcd.part",
        "samples/.step-00000010.npz.0123abcd.part", ".export.0123abcd.part/saved_model.pb",
    ]  # fmt: skip
    mine = [
        ".notes.txt.abcdefgh", ".report.html.abcdefgh", "samples/.step-1.npz.abcdefgh", ".export.mine/model",
        "samples/step-00000010.npz.part", ".real.png",
    ]  # fmt: skip
    for name in (*left, *mine):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    folder.claim()
    folder.release()
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert [name for name in mine if not (tmp_path / name).exists()] == []
    assert not (tmp_path / ".export.0123abcd.part").exists()


@pytest.mark.parametrize(
    "written", [(), (".owner",), (".owner", ".config.json.0123abcd.part"), (".owner", "checkpoints", "run.json")]
)
def test_who_starts_at_the_same_moment_is_told_of_the_other(written: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever the first has written by then, this is not a folder that "holds no run"."""
    first = Workdir(tmp_path)
    first.claim()
    (tmp_path / ".owner").unlink()
    for name in written:
        (tmp_path / name).write_text("process 1 on here") if "." in name else (tmp_path / name).mkdir()
    assert "is being written by" in refusal(Workdir(tmp_path).claim)
    first.release()


def test_a_name_that_is_no_utf8_is_one_line_that_can_be_printed() -> None:
    message = refusal(Workdir, os.fsdecode(b"runs/caf\xe9"))
    assert r"--workdir='runs/caf\udce9': its name is no UTF-8" in message
    message.encode("ascii")
    assert r"--workdir='runs/a\x00b': no folder" in refusal(Workdir, "runs/a\0b")
    assert r"'caf\udce9': its name is no UTF-8" in refusal(refuse_no_export, os.fsdecode(b"caf\xe9"))


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(path) in refusal(Workdir(path).claim)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that may be read but not written, with a run's config in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started(folder / "run")
        for path in (folder, folder / "run"):
            path.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        for path in (folder / "run").iterdir():
            path.chmod(0o444)
        yield folder
        for path in (folder, folder / "run"):
            path.chmod(0o755)


@pytest.mark.usefixtures("unprivileged")
def test_a_read_only_folder_is_one_line(read_only: Path) -> None:
    if os.access(read_only, os.W_OK, effective_ids=True):
        pytest.skip("file permissions do not count here")
    assert "cannot be written" in refusal(Workdir(read_only / "new").claim)
    assert "cannot be written" in refusal(Workdir(read_only / "run").claim)
    folder = Workdir(read_only / "run")
    assert "cannot be written" in refusal(folder.append_metrics, {"step": 1})
    assert "cannot be written" in refusal(folder.keep_config, CONFIG)
    assert folder.read_config() == CONFIG


# Its config.


def test_the_same_config_may_go_on_and_a_longer_run_too(tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.keep_config(CONFIG)
    longer = override(CONFIG, {"steps": "40", "keep_checkpoints": "5", "placement": "mirrored", "replicas": "2"})
    folder.keep_config(longer)
    assert folder.read_config() == longer


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seed", "1", "seed: 0 -> 1"),
        ("g_optimizer.learning_rate", "0.5", "g_optimizer.learning_rate: 0.0001 -> 0.5"),
        ("game.d_steps", "2", "game.d_steps: 1 -> 2"),
        ("batch_size", "25", "batch_size: 50 -> 25"),
        ("deterministic", "false", "deterministic: True -> False"),
        ("onednn", "true", "onednn: False -> True"),
    ],
)
def test_a_drifted_config_is_refused_with_the_difference(field: str, value: str, said: str, tmp_path: Path) -> None:
    folder = trained(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    message = refusal(folder.keep_config, override(CONFIG, {field: value}))
    assert said in message
    assert str(tmp_path) in message
    assert (tmp_path / "config.json").read_bytes() == before


def test_another_experiment_is_refused_in_one_readable_line(tmp_path: Path) -> None:
    message = refusal(trained(tmp_path).keep_config, offline("gaussian:smoke"))
    assert "name: mlp_gan:smoke -> gaussian:smoke" in message or "another config" in message
    assert len(message) < 2000


def test_before_the_first_checkpoint_another_config_starts_a_new_record(tmp_path: Path) -> None:
    """So the corrected command is not refused because of the first one, which failed or diverged."""
    folder = started(tmp_path)
    folder.write_record(data_dir="/there", data={}, diverged=3)
    folder.keep_config(CONFIG)
    assert folder.read_record() == {"data_dir": "/there", "diverged": 3}, "the same again: as it was"
    other = override(CONFIG, {"batch_size": "25"})
    assert folder.record_of(other) == {}
    folder.keep_config(other)
    assert folder.read_config() == other
    assert folder.read_record() == {}
    (folder.checkpoints / "ckpt-10.index").write_bytes(b"")
    assert "batch_size: 25 -> 50" in refusal(folder.keep_config, CONFIG)


def test_a_config_edited_by_hand_is_refused_until_it_is_put_back(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    path, whole = tmp_path / "config.json", (tmp_path / "config.json").read_text()
    path.write_text(whole.replace('"learning_rate": 0.0001', '"learning_rate": 0.5').replace('"seed": 0', '"seed": 7'))
    message = refusal(folder.read_config)
    assert "config.json was edited after its checkpoints were trained" in message
    assert "seed: 0 -> 7" in message
    assert "g_optimizer.learning_rate: 0.0001 -> 0.5" in message
    assert "put that back" in message
    folder.keep_config(CONFIG)  # the command that began it
    assert path.read_text() == whole
    path.write_text(whole.replace('"steps": 20', '"steps": 40', 1))
    config: Any = folder.read_config()
    assert config.steps == 40, "what may change may be edited"


@pytest.mark.parametrize("copy", [None, b"", b"{", b"\xff"])
def test_checkpoints_of_earlier_versions_are_accepted_once_and_bound(copy: bytes | None, tmp_path: Path) -> None:
    folder = trained(tmp_path)
    (folder.checkpoints / "config.json").unlink()
    if copy is not None:
        (folder.checkpoints / "config.json").write_bytes(copy)
    assert folder.read_config() == CONFIG
    assert "seed: 0 -> 1" in refusal(folder.keep_config, override(CONFIG, {"seed": "1"}))
    folder.keep_config(CONFIG)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    assert "was edited" in refusal(folder.read_config)


def test_the_folder_of_many_seeds_is_bound_by_their_checkpoints(tmp_path: Path) -> None:
    folder = started(tmp_path)
    trained(tmp_path / "seed=1")
    assert "num_seeds: 1 -> 3" in refusal(folder.keep_config, override(CONFIG, {"num_seeds": "3", "compile": "loop"}))


def test_no_run_and_a_broken_config_are_one_line(tmp_path: Path) -> None:
    assert "no config.json" in refusal(Workdir(tmp_path / "nothing").read_config)
    for content in (b"", b"{", b"[]", b"\xff\xfe", b'{"kind": "gan"}'):
        (tmp_path / "config.json").write_bytes(content)
        assert "config" in refusal(Workdir(tmp_path).read_config)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    assert "config.json" in refusal(Workdir(tmp_path).read_config)


# Its record and its metrics.


def test_the_record_keeps_what_was_written_before(tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.write_record(a=1, b={"c": 2})
    folder.write_record(a=3)
    assert folder.read_record() == {"a": 3, "b": {"c": 2}}
    for content in ("", "[]", "{", "null", "[" * 100_000):
        (tmp_path / "run.json").write_text(content)
        assert folder.read_record() == {}


PART = {"source": "s", "split": "train", "count": 5, "sha256": "ab", "detail": ""}
SESSION = {"from": 0, "to": 20, "seconds": 1.5}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("data", {"train": PART, "target": "N(4, 1)"}, [[], None, "x", {"train": None}, {"train": {**PART, "count": "5"}},
            {"train": {**PART, "more": 1}}, {"train": {"source": "s"}}, {"train": {**PART, "count": -1}}]),
        ("data_dir", "/there", [4, [], {}]),
        ("sessions", [SESSION], [3, {}, [3], [{}], [{**SESSION, "seconds": "1"}], [{**SESSION, "seconds": None}]]),
        ("imported", {"generator": {"file": "g.pt", "counters": {"bn": 3}}}, [3, {"generator": 3}, {"generator": {"counters": [1]}}]),
        ("versions", {"tensorflow": "2"}, [[], "2", {"tensorflow": 2}]),
        ("command", "tfgan-lab train", [1, []]),
        ("total_steps", 20, [-1, "20", 2.5, True, None, 10**30]),
        ("steps_per_epoch", 90, ["x", [], 1e400]),
        ("diverged", 7, ["7", -7]),
        ("anything", ["else"], []),
    ],
)  # fmt: skip
def test_facts_that_no_run_wrote_are_omitted(name: str, good: Any, bad: list[Any], tmp_path: Path) -> None:
    folder = Workdir(tmp_path)
    for fact, expected in [(good, {name: good}), *((fact, {}) for fact in bad)]:
        (tmp_path / "run.json").write_text(json.dumps({name: fact}))
        assert folder.read_record() == expected, fact


@pytest.mark.parametrize(
    "row",
    [
        "null", "3", '"x"', "[1]", "{}", '{"kind": "train", "step": 1}', '{"kind": "note", "step": 1, "epoch": 1.0}',
        '{"kind": ["train"], "step": 1, "epoch": 1.0}', '{"kind": "train", "step": "1", "epoch": 1.0}',
        '{"kind": "train", "step": -1, "epoch": 1.0}', '{"kind": "train", "step": true, "epoch": 1.0}',
        '{"kind": "train", "step": 1, "epoch": null}', '{"kind": "eval", "step": 1, "epoch": 1.0, "p_real": "high"}',
        '{"kind": "eval", "step": 1, "epoch": 1.0, "p_real": 0.5}', '{"kind": "metrics", "step": 1, "epoch": 1.0, "digits": 3.0}',
        '{"kind": "eval", "step": 1, "epoch": 1.0, "p_real": NaN}', '{"kind": "eval", "step": 1, "epoch": 1.0, "p_real": null}',
        '{"kind": "eval", "step": 1, "epoch": 1.0, "p_real": 1e999}', '{"kind": "train", "step": 99999999999999999999, "epoch": 1.0}',
    ],
)  # fmt: skip
def test_rows_that_no_run_wrote_are_omitted(row: str, tmp_path: Path) -> None:
    folder, good = started(tmp_path), {"kind": "train", "step": 10, "epoch": 0.1, "loss": 0.1}
    folder.append_metrics(good)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(f"{row}\n")
    assert folder.read_metrics() == [good]
    folder.cut_after(10)
    assert folder.read_metrics() == [good]


def test_rows_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    folder = started(tmp_path)
    for step in (10, 20, 30):
        for kind in ("train", "eval"):
            folder.append_metrics({"kind": kind, "step": step, "epoch": step / 7, "loss": step / 3})
        folder.samples.mkdir(exist_ok=True)
        for name in (f"step-{step:08d}.npz", f"step-{step:08d}.png", f"surface-{step:08d}.png"):
            (folder.samples / name).write_bytes(b"x")
    lines = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    folder.cut_after(20)
    assert [(row["kind"], row["step"]) for row in folder.read_metrics()] == [
        ("train", 10),
        ("eval", 10),
        ("train", 20),
        ("eval", 20),
    ]
    assert (tmp_path / "metrics.jsonl").read_bytes() == b"".join(lines[:4]), "bit for bit as they were"
    assert sorted(path.name for path in folder.samples.iterdir()) == [
        *(f"step-{s:08d}{e}" for s in (10, 20) for e in (".npz", ".png")),
        "surface-00000010.png",
        "surface-00000020.png",
    ]
    folder.cut_after(0)
    assert folder.read_metrics() == []


@pytest.mark.parametrize(
    "tail",
    [
        b"[" * 100_000 + b"\n",
        b'{"kind": "train", "st',
        b"{",
        b'{"kind": "train"}\n',
        b"\x00\x00\x00",
        b"\xff\xfe\n",
        b"[1]\n",
        b"null",
    ],
)
def test_a_half_written_last_row_is_left_out(tail: bytes, tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.append_metrics({"kind": "train", "step": 10, "epoch": 0.1, "loss": 0.1})
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(whole + tail)
    assert folder.read_metrics() == [{"kind": "train", "step": 10, "epoch": 0.1, "loss": 0.1}]
    folder.cut_after(10)
    assert (tmp_path / "metrics.jsonl").read_bytes() == whole
    folder.append_metrics({"kind": "train", "step": 20, "epoch": 0.2, "loss": 0.2})
    assert [row["step"] for row in folder.read_metrics()] == [10, 20]


@given(cut=st.integers(0, 200), junk=st.binary(max_size=20))
def test_any_damage_to_the_metrics_is_survived(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Workdir(name)
        for step in range(1, 5):
            folder.append_metrics({"kind": "train", "step": step, "epoch": 0.5, "loss": 0.5})
        content = (folder.path / "metrics.jsonl").read_bytes()
        (folder.path / "metrics.jsonl").write_bytes(content[:cut] + junk)
        folder.cut_after(3)
        kept = folder.read_metrics()
        assert all(isinstance(row["step"], int) and row["step"] <= 3 for row in kept)
        assert len(kept) >= min(3, content[:cut].count(b"\n"))
        assert [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()] == kept


def test_numbers_survive_the_file_exactly(tmp_path: Path) -> None:
    folder = started(tmp_path)
    row = {"kind": "train", "step": 1, "epoch": 1.0, "loss": 0.1 + 0.2, "tiny": 5e-324, "large": 3.4028234663852886e38}
    folder.append_metrics(row)
    assert folder.read_metrics() == [row]


def test_data_that_is_gone_is_named_with_the_run_that_was_trained_on_it(tmp_path: Path) -> None:
    run, data = Workdir(tmp_path / "run"), tmp_path / "data"
    run.claim()
    assert run.data_dir(None) is None
    run.write_record(data_dir=str(data))
    with pytest.raises(UserError, match=rf"run was trained on data in {data}, which is gone.*--data_dir"):
        run.data_dir(None)
    assert run.data_dir("elsewhere") == "elsewhere"
    data.mkdir()
    assert run.data_dir("") == str(data)
    run.release()
