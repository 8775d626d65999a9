"""Weights to PyTorch's layout and back, state_dict files, and runs made from them."""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfgan_lab.errors import UserError
from tfgan_lab.layers import BatchNorm
from tfgan_lab.networks import build_networks
from tfgan_lab.parity import import_torch as importing
from tfgan_lab.parity.state_files import read_state, write_state
from tfgan_lab.parity.steps import CONFIGS, parity_config
from tfgan_lab.parity.weights import COUNTER, Pair, counter_names, from_torch, pairs_of, to_torch
from tfgan_lab.system.files import is_ours
from tfgan_lab.training.restored import restore_run


def random_state(network: Any, post: str) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    state = {pair.name: draw.normal(size=pair.shape).astype(np.float32) for pair in pairs_of(network, post)}
    return state | {name: np.asarray(7, np.int64) for name in counter_names(network, post)}


def gaussian_generator() -> Any:
    return build_networks(parity_config("gaussian"))["generator"]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_network_takes_a_state_dict_and_gives_it_back(name: str) -> None:
    config = parity_config(name)
    for network in build_networks(config).values():
        state = random_state(network, config.post)
        counters = from_torch(network, state, config.post, "a state_dict")
        back = to_torch(network, config.post, counters)
        assert list(back) == list(state)
        for key, array in state.items():
            np.testing.assert_array_equal(back[key], array)
            assert back[key].dtype == array.dtype


@pytest.mark.parametrize("name", CONFIGS)
def test_the_posts_networks_load_it_strictly(name: str) -> None:
    torch = pytest.importorskip("torch")
    from tfgan_lab.parity.peers import make_peer

    config = parity_config(name)
    peer = make_peer(config, 0)
    for role, network in build_networks(config).items():
        state = {key: torch.from_numpy(np.array(array)) for key, array in to_torch(network, config.post).items()}
        peer.networks[role].load_state_dict(state, strict=True)
        from_torch(network, peer.networks[role].state_dict(), config.post, "the peer")


@settings(max_examples=15)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=4, max_dims=4, max_side=4), elements=st.floats(-9, 9, width=32))
)
def test_a_pair_reads_what_it_wrote(kernel: np.ndarray) -> None:
    import keras

    pair = Pair("weight", keras.Variable(np.zeros_like(kernel)), (3, 2, 0, 1))
    array = np.arange(kernel.size, dtype=np.float32).reshape(pair.shape)
    pair.write(array)
    np.testing.assert_array_equal(pair.read(), array)
    np.testing.assert_array_equal(pair.read(kernel), kernel.transpose(3, 2, 0, 1))


def test_what_does_not_fit_is_named_and_changes_nothing() -> None:
    network = gaussian_generator()
    before = [np.array(variable) for variable in network.variables]
    state = random_state(network, "P004")
    del state["map1.bias"]
    state["map9.weight"] = np.zeros(3, np.float32)
    state["map2.weight"] = np.zeros((50, 49), np.float32)
    with pytest.raises(UserError) as raised:
        from_torch(network, state, "P004", "g.pt")
    message = str(raised.value)
    assert "\\n" not in message
    for part in ("g.pt", "missing map1.bias", "not expected map9.weight", "map2.weight is [50, 49], not [50, 50]"):
        assert part in message
    for variable, old in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (np.full((50, 50), np.nan, np.float32), "NaN or infinity"),
        (np.full((50, 50), 1e300), "NaN or infinity"),
        (np.zeros((50, 50), np.int64), "not floating point"),
        (np.zeros((50, 50), np.complex64), "not floating point"),
    ],
)
def test_values_that_are_no_finite_numbers_are_refused(bad: np.ndarray, why: str) -> None:
    network = gaussian_generator()
    with pytest.raises(UserError, match=why) as raised:
        from_torch(network, random_state(network, "P004") | {"map2.weight": bad}, "P004", "g.pt")
    assert "map2.weight" in str(raised.value)


@pytest.mark.parametrize(
    "name", ["mlp_gan_smoothed:batch_norm", "dcgan_montage:small", "mnist_classifier:batched", "cgan_concat:smoke"]
)
def test_variants_have_a_layout_too(name: str) -> None:
    config = parity_config(name)
    for network in build_networks(config).values():
        names = [pair.name for pair in pairs_of(network, config.post)]
        assert len(names) == len(set(names)) == len(network.variables)


def test_a_network_of_no_post_is_refused() -> None:
    config = parity_config("cgan_branch:branch_d")
    config.discriminator.insert(3, BatchNorm())
    with pytest.raises(UserError, match="post P003 has no such network"):
        pairs_of(build_networks(config)["discriminator"], config.post)
    config = parity_config("mlp_gan")
    config.generator.insert(1, BatchNorm())
    with pytest.raises(UserError, match="post P004 has no such network"):
        pairs_of(build_networks(config)["generator"], "P004")


# Files.


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x05", b"PK\x03\x04 no archive", b"x" * 5000, b"PK\x05\x06" + bytes(18)],
    ids=["empty", "short", "zip", "text", "no members"],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("ending", [".npz", ".pt", ".safetensors"])
def test_damaged_files_are_named(content: bytes, ending: str, tmp_path: Path) -> None:
    pytest.importorskip({".pt": "torch", ".safetensors": "safetensors"}.get(ending, "numpy"))
    path = tmp_path / f"g{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"g{ending}") as raised:
        read_state(path)
    assert "\\n" not in str(raised.value)


def test_a_truncated_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    write_state(path, {"weight": np.arange(500.0)})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"g\.npz is damaged"):
        read_state(path)


def test_safetensors_hold_arrays_of_any_order_under_our_mark(tmp_path: Path) -> None:
    """The package itself writes the memory of a transposed array as if it were in C order."""
    numpy_files = pytest.importorskip("safetensors.numpy")
    across = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_state(tmp_path / "g.safetensors", {"across": across.T, "every other": across[:, ::2], "count": np.array(7)})
    for found in (read_state(tmp_path / "g.safetensors"), numpy_files.load_file(tmp_path / "g.safetensors")):
        np.testing.assert_array_equal(found["across"], across.T)
        np.testing.assert_array_equal(found["every other"], [[0, 2], [3, 5]])
        assert found["count"].shape == ()
    assert is_ours(tmp_path / "g.safetensors")
    (tmp_path / "g.safetensors").write_bytes((tmp_path / "g.safetensors").read_bytes()[:-8])
    with pytest.raises(UserError, match=r"g\.safetensors is damaged"):
        read_state(tmp_path / "g.safetensors")


def test_without_safetensors_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    (tmp_path / "g.safetensors").touch()
    for call in (lambda: read_state(tmp_path / "g.safetensors"), lambda: write_state(tmp_path / "h.safetensors", {})):
        with pytest.raises(UserError, match=r"pip install 'tfgan-lab\[safetensors\]'"):
            call()


def test_no_pickle_is_unpacked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.array([{"a": 1}], dtype=object))
    (tmp_path / "g.npz").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=r"g\.npz is damaged or no \.npz of arrays"):
        read_state(tmp_path / "g.npz")
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(UserError, match="holds more than tensors"):
        read_state(tmp_path / "module.pt")
    torch.save({"epoch": 3, "net": {"layer": {"weight": torch.zeros(2)}}}, tmp_path / "nested.pt")
    with pytest.raises(UserError, match=r"no tensors: epoch \(a int\), net \(a dict\)"):
        read_state(tmp_path / "nested.pt")
    for refused in ("module.pt", "nested.pt"):
        with pytest.raises(UserError) as caught:
            read_state(tmp_path / refused)
        assert "torch.save(network.state_dict(), " in str(caught.value)
        assert "weights_only" not in str(caught.value)
        assert str(caught.value).isprintable()
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(UserError, match="no state_dict but a list"):
        read_state(tmp_path / "list.pt")


def wrappings(state: dict[str, Any]) -> dict[str, Any]:
    """What people save of a network whose state_dict has names "model.0.weight", "model.2.bias" and the like."""
    plain = {name.removeprefix("model."): array for name, array in state.items()}
    return {
        "as the post's": state,
        "DataParallel": {f"module.{name}": array for name, array in state.items()},
        "nn.Sequential": plain,
        "DataParallel of an nn.Sequential": {f"module.{name}": array for name, array in plain.items()},
        "an attribute of another name": {f"net.main.{name}": array for name, array in plain.items()},
        "another place in the nn.Sequential": {
            f"{3 * int(name.split('.')[0])}.{name.split('.')[1]}": array for name, array in reversed(plain.items())
        },
        "a checkpoint": {"state_dict": state, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
        "a checkpoint of the one network": {"model_state_dict": plain, "epoch": 3},
        "a checkpoint of both": {"generator": state, "discriminator": {"weight": plain["0.weight"]}, "epoch": 3},
    }


@pytest.mark.parametrize("name", ["mlp_gan:smoke", "dcgan_montage:smoke", "gaussian"])
def test_what_people_save_is_taken(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tfgan_lab.config_files import load_config

    config: Any = load_config(name)
    network = build_networks(config)["generator"]
    state = random_state(network, config.post)
    for index, module in enumerate(dict.fromkeys(key.rpartition(".")[0] for key in state)):
        for key in [key for key in state if key.rpartition(".")[0] == module and name == "gaussian"]:
            state[f"model.{2 * index}.{key.rpartition('.')[2]}"] = state.pop(key)  # as a plain nn.Sequential
    tensors = {key: torch.from_numpy(array) for key, array in state.items()}
    for what, saved in wrappings(tensors).items():
        torch.save(saved, tmp_path / "given.pt")
        found = importing.under_posts_names(read_state(tmp_path / "given.pt", "generator"), network, config.post)
        from_torch(network, found, config.post, what)
        for one, (key, array) in zip(to_torch(network, config.post).values(), state.items(), strict=True):
            if not key.endswith(COUNTER):
                np.testing.assert_array_equal(one, array, err_msg=f"{what}: {key}")


def test_a_checkpoint_of_several_networks_is_refused_by_their_names(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"netG": {"a": torch.zeros(2)}, "netD\x1b[1m": {"a": torch.zeros(2)}}, tmp_path / "both.pt")
    with pytest.raises(UserError, match=r"several state_dicts \(netG, netD\\x1b\[1m\): .*\['netG'\]"):
        read_state(tmp_path / "both.pt", "generator")


def test_layers_that_are_not_the_networks_stay_as_they_are_called() -> None:
    network = gaussian_generator()
    for names in (["0.weight", "0.bias"], ["a.weight", "b.bias"], ["weight"], ["x.y.z", "x.y"]):
        assert list(importing.under_posts_names(dict.fromkeys(names, 0), network, "P004")) == names


def test_a_missing_file_and_a_strange_ending(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_state(tmp_path / "g.pt")
    with pytest.raises(UserError, match=r"must end in \.pt, \.pth, \.npz or \.safetensors"):
        write_state(tmp_path / "g.h5", {})
    assert list(tmp_path.iterdir()) == []


def test_without_pytorch_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgan_lab.parity.steps import run_parity

    monkeypatch.setitem(importlib.import_module("sys").modules, "torch", None)
    (tmp_path / "g.pt").write_bytes(b"x")
    for call in (
        lambda: read_state(tmp_path / "g.pt"),
        lambda: write_state(tmp_path / "h.pt", {}),
        lambda: run_parity("gaussian"),
    ):
        with pytest.raises(UserError, match=r"^needs PyTorch: pip install 'tfgan-lab\[torch\]'$"):
            call()


def test_half_precision_widens_exactly() -> None:
    torch = pytest.importorskip("torch")
    network = gaussian_generator()
    state = {key: torch.from_numpy(array).to(torch.bfloat16) for key, array in random_state(network, "P004").items()}
    from_torch(network, state, "P004", "g.pt")
    for key, array in to_torch(network, "P004").items():
        np.testing.assert_array_equal(array, state[key].float().numpy())


def foreign_states(torch: Any, state: dict[str, Any]) -> dict[str, Any]:
    """What people save that is no state_dict of this network, each to be refused."""
    return {
        "a list": list(state.values()), "nothing": {}, "a number": 3, "none": None, "texts": dict.fromkeys(state, "x"),
        "numbers": dict.fromkeys(state, 1.0), "scalars": {key: value.sum() for key, value in state.items()},
        "no elements": {key: value[:0] for key, value in state.items()}, "a network": torch.nn.Linear(2, 3),
        "complex": {key: value.to(torch.complex64) for key, value in state.items()},
        "quantized": {key: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8) for key, value in state.items()},
        "no memory": {key: value.to("meta") for key, value in state.items()}, "places": dict(enumerate(state.values())),
        "two deep": {"a": {"b": state}}, "far too large": {**state, next(iter(state)): torch.zeros(1).expand(10**12)},
    }  # fmt: skip


def test_a_foreign_state_dict_is_one_line_and_makes_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says of a file while it reads it, such as a quantized one, is no news either."""
    torch = pytest.importorskip("torch")
    load = torch.load

    def talkative(*arguments: Any, **named: Any) -> Any:
        warnings.warn("deprecated", UserWarning, stacklevel=2)
        return load(*arguments, **named)

    monkeypatch.setattr(torch, "load", talkative)
    state = {key: torch.from_numpy(value) for key, value in random_state(gaussian_generator(), "P004").items()}
    given = tmp_path / "given.pt"
    for what, content in foreign_states(torch, state).items():
        torch.save(content, given)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with pytest.raises(UserError) as caught:
                importing.import_torch(given, "gaussian", tmp_path / "run")
        assert not said, what
        assert str(given) in str(caught.value), what
        assert "\\n" not in str(caught.value), what
        assert not (tmp_path / "run").exists(), what


# Runs.


@pytest.mark.parametrize("ending", [".npz", ".pt", ".safetensors"])
@pytest.mark.parametrize("name", ["dcgan_montage:smoke", "mnist_classifier", "gaussian"])
def test_a_state_dict_becomes_a_run_and_comes_back(name: str, ending: str, tmp_path: Path) -> None:
    pytest.importorskip({".pt": "torch", ".safetensors": "safetensors"}.get(ending, "numpy"))
    from tfgan_lab.config_files import load_config

    config = load_config(name)
    role, network = next(iter(build_networks(config).items()))
    state = random_state(network, config.post)
    write_state(tmp_path / f"given{ending}", state)
    workdir = importing.import_torch(tmp_path / f"given{ending}", name, tmp_path / "run", step=9)
    run = restore_run(workdir.path)
    assert run.step == 9
    assert workdir.read_record()["imported"][role]["file"] == f"given{ending}"
    out = importing.export_torch(workdir.path, tmp_path / f"back{ending}")
    back = read_state(out)
    assert sorted(back) == sorted(state)
    for key, array in state.items():
        np.testing.assert_array_equal(np.asarray(back[key]), array)


def test_an_imported_run_is_sampled_exported_and_trained_on(tmp_path: Path) -> None:
    from tfgan_lab.export.saved_model import export_network, load_generator
    from tfgan_lab.report.sample import sample_run
    from tfgan_lab.training.train import train

    config = parity_config("gaussian:smoke")
    networks = build_networks(config)
    for role, network in networks.items():
        write_state(tmp_path / f"{role}.npz", to_torch(network, "P004"))
    folder = tmp_path / "run"
    importing.import_torch(
        tmp_path / "generator.npz", config, folder, discriminator_path=tmp_path / "discriminator.npz", step=3
    )
    drawn, run = sample_run(folder, 5, 1)
    assert run.step == 3
    difference = export_network(run.config, run.networks["generator"], run.workdir.export, {})
    assert difference < 1e-5
    np.testing.assert_allclose(load_generator(folder).sample(5, 1), drawn, rtol=1e-5, atol=1e-6)
    config.steps = 5
    train(config, folder)
    assert restore_run(folder).step == 5


def test_import_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    network = gaussian_generator()
    given = tmp_path / "g.npz"
    write_state(given, random_state(network, "P004"))
    with pytest.raises(UserError, match="has no such network"):
        importing.import_torch(given, "gaussian", tmp_path / "a", role="classifier")
    write_state(tmp_path / "h.npz", {"x": np.zeros(1)})
    with pytest.raises(UserError, match=r"h\.npz does not fit .* missing map1\.weight"):
        importing.import_torch(tmp_path / "h.npz", "gaussian", tmp_path / "a")
    with pytest.raises(UserError, match="--step=0"):
        importing.import_torch(given, "gaussian", tmp_path / "a", step=0)
    with pytest.raises(UserError, match="omit it"):
        importing.import_torch(given, "mnist_classifier", tmp_path / "a", discriminator_path=given)
    assert not (tmp_path / "a").exists()
    importing.import_torch(given, "gaussian", tmp_path / "a")
    with pytest.raises(UserError, match="holds a run already"):
        importing.import_torch(given, "gaussian", tmp_path / "a")
    with pytest.raises(UserError, match="has no such network"):
        importing.export_torch(tmp_path / "a", tmp_path / "x.npz", role="judge")
    with pytest.raises(UserError, match="holds no run"):
        importing.export_torch(tmp_path / "b", tmp_path / "x.npz")
