"""What TensorBoard's own readers find in a run's event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams import metadata

from tfgan_lab.config import flattened
from tfgan_lab.report.tensorboard import TensorBoard
from tfgan_lab.training.workdir import Workdir


def reader_of(workdir: Path) -> Any:
    reader = EventAccumulator(str(workdir / "tensorboard"), size_guidance={"tensors": 0})
    reader.Reload()
    return reader


@pytest.mark.parametrize(
    "reference", ["mlp_gan:smoke", "cgan_branch:smoke", "gaussian:smoke", "mnist_classifier:smoke"]
)
def test_the_config_is_there_as_hparams(reference: str, trained: Any) -> None:
    content = reader_of(trained(reference)).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = metadata.parse_session_start_info_plugin_data(content).hparams
    read = {name: getattr(value, value.WhichOneof("kind")) for name, value in hparams.items()}
    fields = flattened(Workdir(trained(reference)).read_config())
    printed = {"log_line", "evaluate_line", "evaluate_print.steps", "evaluate_print.epochs", "data.classes"}
    for name in fields.keys() - printed:
        assert read[name] == (
            fields[name] if isinstance(fields[name], str | bool | int | float) else str(fields[name])
        ), name
    assert read["batch_size"] == fields["batch_size"]


def test_hparams_say_which_metrics_compare_runs_and_that_the_run_ended(trained: Any) -> None:
    reader = reader_of(trained("mlp_gan:smoke"))
    experiment = metadata.parse_experiment_plugin_data(
        reader.SummaryMetadata("_hparams_/experiment").plugin_data.content
    )
    compared = {info.name.tag for info in experiment.metric_infos}
    assert {"eval/p_real", "train/g_loss_mean"} <= compared & set(reader.Tags()["tensors"])
    end = metadata.parse_session_end_info_plugin_data(
        reader.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    )
    assert end.status == 1  # STATUS_SUCCESS


@pytest.mark.parametrize(("reference", "roles"), [
    ("mlp_gan:smoke", {"generator", "discriminator"}), ("cgan_layernorm:smoke", {"generator", "discriminator"}),
    ("gaussian:smoke", {"generator", "discriminator"}), ("mnist_classifier:smoke", {"classifier"}),
])  # fmt: skip
def test_the_graph_shows_the_networks_by_their_roles(reference: str, roles: set[str], trained: Any) -> None:
    reader = reader_of(trained(reference))
    assert reader.Tags()["graph"]
    graph = GraphDef.FromString(reader.Graph().SerializeToString())
    assert roles <= {node.name.split("/")[0] for node in graph.node}
    matmuls = [node for node in graph.node if node.op == "MatMul"]
    assert len(matmuls) >= len(roles)


def test_events_are_written_again_and_a_users_files_beside_them_stay(tmp_path: Path) -> None:
    folder = Workdir(tmp_path)
    (folder.tensorboard / "mine").mkdir(parents=True)
    (folder.tensorboard / "notes.txt").write_text("mine")
    for value in (1.0, 2.0):
        board = TensorBoard(folder, [{"kind": "train", "step": 1, "epoch": 1.0, "d_loss": value}])
        board.close()
    (event,) = reader_of(tmp_path).Tensors("train/d_loss")
    assert tf.make_ndarray(event.tensor_proto) == 2.0
    assert {"mine", "notes.txt"} < {path.name for path in folder.tensorboard.iterdir()}


def test_pictures_are_the_sample_grids(trained: Any) -> None:
    workdir = trained("mlp_gan:smoke")
    events = reader_of(workdir).Tensors("samples")
    assert [event.step for event in events] == [0, 10, 20]
    width, height, encoded = tf.make_ndarray(events[-1].tensor_proto)
    kept = tf.io.decode_png((workdir / "samples" / "step-00000020.png").read_bytes(), channels=3)
    assert (int(height), int(width)) == tuple(kept.shape[:2])
    assert bool(tf.reduce_all(tf.io.decode_png(encoded, channels=3) == kept))
