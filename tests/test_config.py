"""Configs: typed, checked all at once, the same after JSON, and never anything but one line for a mistake."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from catalogue import REFERENCES
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal

from tfgan_lab import config as config_lib
from tfgan_lab.config import (
    Changes,
    GanConfig,
    differences,
    flattened,
    from_dict,
    from_json,
    override,
    to_json,
    validate,
)
from tfgan_lab.config_files import configs_folder, load_config
from tfgan_lab.errors import UserError, nearest
from tfgan_lab.training.workdir import Workdir

BASE: Any = validate(load_config("mlp_gan:smoke"))
VALUES = dataclasses.asdict(BASE)


@pytest.mark.parametrize("reference", REFERENCES)
def test_every_config_is_valid_and_survives_json(reference: str) -> None:
    config = validate(load_config(reference))
    again = from_json(to_json(config))
    assert again == config
    assert type(again) is type(config)
    assert to_json(again) == to_json(config)
    assert differences(config, again) == []
    assert config.name == reference


def test_json_is_plain_json() -> None:
    values = json.loads(to_json(BASE))
    assert values["generator"][0] == {"units": 16, "spectral_norm": False, "kind": "dense"}
    assert values["generator"][-2:] == [
        {"kind": "tanh"},
        {"height": 28, "width": 28, "channels": 1, "order": "chw", "kind": "reshape"},
    ]
    assert values["game"]["d_steps"] == 1


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("game.d_steps", "5", 5),
        ("game.fresh_real", "false", False),
        ("seed", "17", 17),
        ("epochs", "0.5", 0.5),
        ("g_optimizer.learning_rate", "3e-4", 3e-4),
        ("generator.0.units", "64", 64),
        ("discriminator.2.negative_slope", "0.2", 0.2),
        ("game.loss", "minimax", "minimax"),
        ("data.source", "embedded", "embedded"),
        ("log.steps", "7", 7),
        ("name", "5", "5"),
    ],
)
def test_an_override_has_the_type_of_its_field(field: str, text: str, expected: Any) -> None:
    changed: Any = override(BASE, {field: text})
    for part in field.split("."):
        changed = changed[int(part)] if isinstance(changed, list) else getattr(changed, part)
    assert changed == expected
    assert type(changed) is type(expected)


@pytest.mark.parametrize(
    ("field", "text", "other"),
    [
        ("epochs", "1", "steps"), ("steps", "7", "epochs"), ("log.epochs", "0.5", "log.steps"), ("log.steps", "3", "log.epochs"),
    ],
)  # fmt: skip
def test_epochs_set_by_a_flag_clear_steps_and_the_other_way(field: str, text: str, other: str) -> None:
    for before in ({"steps": "20", "log.steps": "10"}, {"epochs": "2", "log.epochs": "3"}):
        changed = flattened(override(override(BASE, before), {field: text}))
        assert changed[field] == float(text)
        assert changed[other] == 0
        assert flattened(override(BASE, before | {other: "0", field: text}))[field] == float(text)
    with pytest.raises(UserError, match="exclude each other: set one") as caught:
        override(BASE, {field: text, other: "1"})
    assert f"--config.{field}" in str(caught.value)
    assert f"--config.{other}" in str(caught.value)


def test_a_config_with_both_trains_its_steps_and_says_so() -> None:
    """As earlier versions wrote them."""
    config = from_json(to_json(BASE).replace('"epochs": 0.0,\n  "steps": 20', '"epochs": 300.0,\n  "steps": 20'))
    assert (config.epochs, config.steps) == (0, 20)
    assert differences(BASE, config) == []


def test_an_override_changes_that_field_alone_and_not_its_argument() -> None:
    before = to_json(BASE)
    changed = override(BASE, {"game.d_steps": "5", "seed": "3"})
    assert differences(BASE, changed) == ["game.d_steps: 1 -> 5", "seed: 0 -> 3"]
    assert to_json(BASE) == before
    # The smoke variant shares one `Every` between fields: a copy must not.
    assert differences(BASE, override(BASE, {"log.steps": "3"})) == ["log.steps: 10 -> 3"]


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("game.d_stepz", "5", "'d_steps'"),
        ("sed", "5", "'seed'"),
        ("gaem.d_steps", "5", "'game'"),
        ("g_optimiser.learning_rate", "1", "'g_optimizer'"),
        ("game", "5", "group of fields"),
        ("game.d_steps.x", "5", "single value"),
        ("", "5", "no field ''"),
        (".", "5", "no field ''"),
        ("game.d_steps", "five", "game.d_steps"),
        ("game.d_steps", "1.5", "game.d_steps"),
        ("game.d_steps", "0", "greater than 0"),
        ("g_optimizer.learning_rate", "-1e-4", "g_optimizer.learning_rate"),
        ("g_optimizer.learning_rate", "nan", "g_optimizer.learning_rate"),
        ("g_optimizer.learning_rate", "inf", "g_optimizer.learning_rate"),
        ("g_optimizer.beta_1", "1", "g_optimizer.beta_1"),
        ("g_optimizer.epsilon", "0", "g_optimizer.epsilon"),
        ("game.smoothing", "-0.1", "game.smoothing"),
        ("generator.2.rate", "1", "generator.2: rate='1'"),
        ("generator.0.units", "-1", "generator.0: units='-1'"),
        ("generator.0.unit", "3", "'units'"),
        ("generator.99.units", "3", "generator.0 to generator.8"),
        ("generator.first", "3", "generator.0 to generator.8"),
        ("generator", "3", "--config.generator.0.units"),
        ("generator.0", "3", "--config.generator.0.units"),
        ("generator.0.kind", "conv", "cannot be overridden"),
        ("kind", "classifier", "cannot be overridden"),
        ("deterministic", "maybe", "deterministic"),
        ("batch_size", "0", "batch_size"),
        ("batch_size", "-200", "batch_size"),
        ("epochs", "-1", "epochs"),
        ("seed", "-1", "seed"),
        ("seed", str(2**63), "seed"),
        ("data.source", "mist", "'embedded'"),
        ("seed", " ", "seed"),
        ("epochs", "1e308", "epochs"),
        ("log.epochs", "1e308", "log.epochs"),
        ("latents.dim", str(10**12), "latents.dim"),
        ("generator.0.units", "9" * 400, "generator.0: units"),
        ("g_optimizer.learning_rate", "1e300", "g_optimizer.learning_rate"),
        ("g_optimizer.learning_rate", "1e-300", "g_optimizer.learning_rate"),
        ("game.d_steps", "1000000", "game.d_steps"),
        ("replicas", "33", "replicas"),
        ("num_labels", "11", "num_labels=11, but mnist has 10 classes"),
        ("num_seeds", "1000000000", "num_seeds"),
    ],
)
def test_a_wrong_override_is_refused_in_one_line_that_names_the_field(field: str, text: str, said: str) -> None:
    assert said in refusal(override, BASE, {field: text})


@pytest.mark.parametrize(
    ("field", "number"),
    [(field, number) for field in ("data.mean", "data.std") for number in ("nan", "inf", "-inf", "1e38")]
    + [("data.std", "1e-300"), ("data.std", "2e-6"), ("data.separation", "nan")],
)
def test_the_target_distribution_is_one_that_float32_can_hold(field: str, number: str) -> None:
    gaussian = validate(load_config("gaussian:smoke"))
    assert f"{field}=" in refusal(override, gaussian, {field: number})
    if field == "data.std" and number != "2e-6":
        assert f"{field}=" in refusal(override, gaussian, {"data.mean": "0", field: number})


def test_a_histogram_needs_two_numbers() -> None:
    gaussian = validate(load_config("gaussian:smoke"))
    assert "num_samples" in refusal(override, gaussian, {"num_samples": "1"})
    assert override(gaussian, {"num_samples": "2"}).num_samples == 2


def test_all_faults_are_named_at_once() -> None:
    message = refusal(
        override,
        BASE,
        {"seed": "x", "g_optimizer.learning_rate": "-1", "generator.0.units": "a", "data.pixels": "log"},
    )
    for field in ("seed", "g_optimizer.learning_rate", "generator.0", "data.pixels"):
        assert field in message


def with_optimizer(**fields: Any) -> dict[str, Any]:
    return VALUES | {"g_optimizer": {"name": "rmsprop", "learning_rate": 1e-3, "kind": "keras"} | fields}


def test_an_argument_of_a_keras_optimiser_keeps_its_type() -> None:
    arguments = {"ns_steps": 2, "rho": 0.5, "centered": True}
    config: Any = from_dict(with_optimizer(arguments=arguments))
    for again in (config, from_json(to_json(config))):
        kept = again.g_optimizer.arguments
        assert kept == arguments and [type(value) for value in kept.values()] == [int, float, bool]
    texts = {"ns_steps": "5", "rho": "1e-3", "centered": "false"}
    changed: Any = override(config, {f"g_optimizer.arguments.{key}": text for key, text in texts.items()})
    assert repr(changed.g_optimizer.arguments) == "{'ns_steps': 5, 'rho': 0.001, 'centered': False}"


@pytest.mark.parametrize(
    ("arguments", "field", "text", "words"),
    [
        ({"rho": 0.9}, "arguments.rho", "much", "g_optimizer.arguments.rho='much': input should be a finite number"),
        ({"rho": 0.9}, "arguments.rho", "nan", "g_optimizer.arguments.rho='nan': input should be a finite number"),
        ({"rho": 0.9}, "arguments.rho", "-inf", "g_optimizer.arguments.rho='-inf': input should be a finite number"),
        ({"rho": 0.9}, "arguments.roh", "1", "'roh' in g_optimizer.arguments. Did you mean 'rho'? Write a config file"),
        ({}, "arguments.rho", "1", "no field 'rho' in g_optimizer.arguments. Write a config file to add an argument."),
        ({}, "arguments", "1", "g_optimizer.arguments is an empty group of fields: write a config file to fill it."),
        ({"rho": 0.9}, "arguments", "1", "such as --config.g_optimizer.arguments.rho."),
        ({}, "name", "rmspropp", "g_optimizer.name='rmspropp': input should be 'adadelta', "),
        ({}, "name", "multioptimizer", "g_optimizer.name='multioptimizer': input should be"),
    ],
)
def test_a_mistake_about_a_keras_optimiser_names_its_field(
    arguments: dict[str, Any], field: str, text: str, words: str
) -> None:
    config = from_dict(with_optimizer(arguments=arguments))
    message = refusal(override, config, {f"g_optimizer.{field}": text})
    assert words in message and "; " not in message


def test_unknown_and_missing_fields_of_a_config_are_named_with_the_nearest() -> None:
    values = {**VALUES, "stepz": 3, "game": {**VALUES["game"], "d_stepz": 1}}
    del values["name"]
    message = refusal(from_dict, values)
    assert "'stepz'" in message
    assert "'game.d_stepz'" in message
    assert "'name' is missing" in message
    assert "'steps'" in message, "the nearest valid name helps"
    assert "'d_steps'" in message


def test_a_config_file_with_an_unknown_field_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from tfgan_lab.config import Game\ndef get_config(variant=''):\n    return Game(d_stepz=3)\n")
    message = refusal(load_config, str(path))
    assert "mine.py" in message
    assert "line 3" in message
    assert "d_stepz" in message
    assert "d_steps" in message.replace("d_stepz", "")


def test_a_config_file_is_typed_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from tfgan_lab.config import Game\ndef get_config(variant=''):\n    game = Game()\n    game.d_steps = 'many'\n"
    )
    message = refusal(load_config, str(path))
    assert "line 4" in message
    assert "d_steps" in message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def get_config(variant=''):\n    return 1 / 0\n", "line 2"),
        ("def get_config(variant=''\n", "line 1"),
        ("import no_such_module_of_mine\n", "no_such_module_of_mine"),
        ("x = 1\n", "get_config"),
        ("def get_config(variant=''):\n    pass\n", "returns None"),
        ("def get_config(variant=''):\n    return {'epochs': 1}\n", "returns a dict"),
        ("def get_config(variant=''):\n    return 'mlp_gan'\n", "returns a str"),
        ("import json\ndef get_config(variant=''):\n    return json\n", "returns a module"),
        (
            "from tfgan_lab.config import GanConfig\ndef get_config(variant=''):\n    return GanConfig\n",
            "must return a GanConfig or",
        ),
        ("import sys\nsys.exit(0)\n", "line 2: SystemExit 0"),
        ("def get_config(variant=''):\n    raise GeneratorExit\n", "line 2: GeneratorExit"),
        ("x = '\0'\n", "null bytes"),
        ("class Silent(Exception):\n    def __str__(self):\n        raise self\nraise Silent\n", "line 4: Silent"),
    ],
)
def test_a_broken_config_file_is_one_line_with_its_place(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    message = refusal(load_config, str(path))
    assert "mine.py" in message
    assert said in message


def test_a_config_file_that_is_interrupted_is_an_interruption(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_config(str(tmp_path / "mine.py"))


def test_a_config_file_that_is_changed_within_a_second_is_read_again(tmp_path: Path) -> None:
    path, time = tmp_path / "mine.py", 1_700_000_000
    text = (configs_folder() / "mlp_gan.py").read_text()
    for batch_size in (200, 300):
        path.write_text(text.replace("batch_size=200", f"batch_size={batch_size}"))
        os.utime(path, (time, time))
        assert load_config(str(path)).batch_size == batch_size
    assert os.listdir(tmp_path) == ["mine.py"], "no bytecode is left beside a user's file"


def test_no_two_fields_of_a_config_are_one_object() -> None:
    config = load_config("mlp_gan:wgan")
    assert config.g_optimizer == config.d_optimizer
    config.d_optimizer.learning_rate = 1e-3
    assert config.g_optimizer.learning_rate != 1e-3


def test_an_unknown_config_or_variant_is_refused_with_the_nearest(tmp_path: Path) -> None:
    assert "'mlp_gan'" in refusal(load_config, "mlp_gna")
    assert "smoke" in refusal(load_config, "mlp_gan:smok")
    assert str(tmp_path / "none.py") in refusal(load_config, str(tmp_path / "none.py"))
    assert "no config" in refusal(load_config, "x" * 5000)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0, "steps": 0}, "epochs and steps"),
        ({"num_labels": 10, "data": {"kind": "gaussian", "mean": 0, "std": 1}}, "labelled"),
        ({"data": {"kind": "gaussian", "mean": 0, "std": 1}}, "a discriminator of Sets go together"),
        ({"game": {"first": "generator"}}, "fakes='shared'"),
        ({"game": {"fakes": "shared", "d_update": "separate"}}, "fakes='shared'"),
        ({"game": {"fakes": "shared", "d_steps": 2}}, "fakes='shared'"),
        ({"num_labels": 10}, "no layer of generator takes labels: add ConcatLabel"),
        (
            {"discriminator": [{"kind": "concat_label"}]},
            "discriminator: concat_label takes labels: num_labels must not be 0",
        ),
        ({"discriminator": [{"kind": "sets", "size": 7}]}, "size of the discriminator's Sets, 7"),
        ({"moments": {"steps": 10}}, "moments (post P004) are of numbers: mnist has none"),
        ({"d_init": {"kernel": "normal", "bias": "zeros"}}, "set d_init.std"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(from_dict, {**VALUES, **changes})


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([{"kind": "dens", "units": 3}], "generator.0: there is no kind 'dens'. Did you mean 'dense'?"),
        ([{"kind": "dense"}], "generator.0: field 'units' is missing"),
        ([{"kind": "dense", "unit": 3}], "there is no field 'unit'. Did you mean 'units'?"),
        ([{"kind": "relu"}, 7], "generator.1: this is no layer"),
        ([{"kind": "join", "layers": [], "label": [{"kind": "dropout", "rate": 2}]}], "generator.0: label.0: rate=2"),
        ([], "generator=[]"),
        ({"hidden": [16, 16], "kind": "mlp"}, "earlier versions described them otherwise: train the run again"),
    ],
)
def test_layers_that_are_none_are_named_by_their_place(layers: Any, said: str) -> None:
    assert said in refusal(from_dict, {**VALUES, "generator": layers})


def test_a_layer_is_checked_where_a_config_file_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from tfgan_lab.layers import Dense\ndef get_config(variant=''):\n    return [Dense(units='many')]\n"
    )
    assert "mine.py, line 3: units='many'" in refusal(load_config, str(path))
    path.write_text("from tfgan_lab.layers import Dense\ndef get_config(variant=''):\n    return [Dense(3, unit=2)]\n")
    message = refusal(load_config, str(path))
    assert "'unit'" in message and "'units'" in message


def test_what_stands_behind_a_configs_name_are_its_arguments() -> None:
    config: Any = validate(load_config("mlp_gan:minimax,hidden=64"))
    assert (config.name, config.game.loss) == ("mlp_gan:minimax,hidden=64", "minimax")
    assert {one.units for one in config.discriminator if hasattr(one, "units")} == {64, 1}
    assert "takes no 'hiden'. Did you mean 'hidden'?" in refusal(load_config, "mlp_gan:hiden=64")
    for value in ("wide", "True", "1.0", "[1]", "'64'", "(" * 9999):
        message = refusal(load_config, f"mlp_gan:hidden={value}")
        assert f"hidden={value[:100]}" in message
        assert "hidden must be int | None." in message
    assert "units=0" in refusal(load_config, "mlp_gan:hidden=0")
    assert "hidden is given twice" in refusal(load_config, "mlp_gan:hidden=1,hidden=2")
    assert "variant is given twice" in refusal(load_config, "mlp_gan:smoke,minimax")
    for part in ("", "hidden=", "smoke,", ",smoke", "smoke,,hidden=3"):  # such as of an unset shell variable
        assert "behind the colon is empty" in refusal(load_config, f"mlp_gan:{part}")


def test_differences_name_every_changed_field_in_both_directions() -> None:
    other = override(BASE, {"game.d_steps": "2", "g_optimizer.learning_rate": "0.5"})
    assert differences(BASE, other) == ["g_optimizer.learning_rate: 0.0001 -> 0.5", "game.d_steps: 1 -> 2"]
    assert differences(other, BASE) == ["g_optimizer.learning_rate: 0.5 -> 0.0001", "game.d_steps: 2 -> 1"]
    gaussian = validate(load_config("gaussian:smoke"))
    changed = differences(BASE, gaussian)
    assert any("(absent) ->" in line for line in changed)
    assert any("-> (absent)" in line for line in changed)


def test_nearest_says_all_names_when_none_is_near() -> None:
    assert nearest("qqq", ["seed", "steps"]) == " Valid: seed, steps."
    assert nearest("sede", ["seed", "steps"]) == " Did you mean 'seed'?"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["gan", "dense", "join", "-1", "1e400", 10**30, -1, 1e308, "{step.__class__}", "\ud800", "../x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(sorted(VALUES)), inner, max_size=4)
    ),
    max_leaves=8,
)


def a_config_or_one_line(text: str) -> None:
    """What `from_json` may do with any text."""
    try:
        config = from_json(text)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
    else:
        assert from_json(to_json(config)) == config or any(
            isinstance(v, float) and math.isnan(v) for v in _leaves(dataclasses.asdict(config))
        )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    return [value]


@given(st.text())
def test_any_text_is_a_config_or_one_line(text: str) -> None:
    a_config_or_one_line(text)


@given(JSON)
def test_any_json_is_a_config_or_one_line(value: Any) -> None:
    a_config_or_one_line(json.dumps(value))


@given(st.data())
def test_any_damage_to_a_real_config_is_a_config_or_one_line(data: st.DataObject) -> None:
    values = json.loads(
        to_json(
            validate(
                load_config(
                    data.draw(
                        st.sampled_from(["mlp_gan", "gaussian", "mnist_classifier", "cgan_maxout", "dcgan_montage"])
                    )
                )
            )
        )
    )
    for _ in range(data.draw(st.integers(1, 3))):
        node: Any = values
        while True:
            key = data.draw(st.sampled_from(sorted(node)))
            if isinstance(node[key], dict) and node[key] and data.draw(st.booleans()):
                node = node[key]
                continue
            break
        match data.draw(st.sampled_from(["replace", "remove", "add", "rename"])):
            case "replace":
                node[key] = data.draw(JSON)
            case "remove" if len(node) > 1:
                del node[key]
            case "rename":
                node[key + data.draw(st.text(max_size=3))] = node.pop(key)
            case _:
                node[data.draw(st.text(max_size=6))] = data.draw(JSON)
    a_config_or_one_line(json.dumps(values))


def test_json_too_deep_or_too_long_is_one_line() -> None:
    assert "not a config" in refusal(from_json, "[" * 100_000)
    assert "not a config" in refusal(from_json, '{"a":' * 100_000)
    assert "not a config" in refusal(from_json, "1" * 10_000)
    assert "not a config" in refusal(from_json, '{"batch_size": ' + "9" * 5000 + "}")
    assert len(refusal(from_json, '{"kind": "gan", "name": "' + "x" * 10**6)) < 500
    assert "some/run/config.json" in refusal(from_json, "{", "some/run/config.json")
    assert "some/run/config.json: " in refusal(from_json, '{"x": 1}', "some/run/config.json")


FIELDS = st.sampled_from(
    [
        "seed",
        "game.d_steps",
        "generator.0.units",
        "generator.2.rate",
        "generator.0",
        "log",
        "data.pixels",
        "epochs",
        "deterministic",
    ]
)


@given(field=FIELDS | st.text(max_size=12), text=st.text(max_size=12))
def test_any_override_is_a_config_or_one_line(field: str, text: str) -> None:
    try:
        changed = override(BASE, {field: text})
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(changed, GanConfig)
        assert from_json(to_json(changed)) == changed


def test_the_module_needs_no_framework() -> None:
    assert not {"tf", "tensorflow", "keras", "np"} & set(vars(config_lib))


@pytest.mark.parametrize(
    "template",
    [
        "{step.__class__}", "{step[0]}", "{step!r}", "{step:>99999999999}", "{}", "{0}", "{", "}", "{d_loss:{step}}",
        "{nosuch}", "{d_loss:d}", "{kind:5.2f}", "{step:c}", "{d_los}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["log_line", "evaluate_line"])
def test_templates_name_numbers_and_nothing_else(field: str, template: str) -> None:
    """A config.json is data, whoever wrote it; and a line that cannot be filled in would end a run at its first one."""
    assert field in refusal(override, from_json(to_json(load_config("mlp_gan:smoke"))), {field: template})


def test_a_fault_of_any_length_is_a_short_line() -> None:
    values = json.loads(to_json(load_config("mlp_gan:smoke")))
    values["batch_size"] = "x\n" * 1_000_000
    with pytest.raises(UserError) as caught:
        from_json(json.dumps(values))
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_replicas_go_with_mirrored_alone() -> None:
    config = validate(load_config("mlp_gan:smoke"))
    assert override(config, {"placement": "mirrored", "replicas": "2"}).replicas == 2
    with pytest.raises(UserError, match="placement=mirrored"):
        override(config, {"replicas": "2"})
    assert "replicas='1000000'" in refusal(override, config, {"placement": "mirrored", "replicas": "1000000"})


def test_a_line_names_the_terms_of_its_loss() -> None:
    relativistic = {"game.loss": "relativistic", "log_line": "{d_pair:.3f}"}
    assert override(BASE, relativistic).log_line == "{d_pair:.3f}"
    assert "d_pair" in refusal(override, BASE, {"log_line": "{d_pair}"})
    assert "d_real" in refusal(override, BASE, relativistic | {"log_line": "{d_real}"})


@pytest.mark.parametrize(
    ("field", "value", "changed", "stops_resuming"),
    [
        ("generator.0.units", "8", Changes.WEIGHTS, True),
        ("game.smoothing", "0.1", Changes.WEIGHTS, True),
        ("data.source", "embedded", Changes.DATA, True),
        ("seed", "7", Changes.SEED, True),
        ("onednn", "True", Changes.ROUNDING, True),
        ("sample.steps", "7", Changes.PICTURES, True),
        ("log.epochs", "0.5", Changes.PICTURES, True),
        ("evaluate.steps", "7", Changes.EVALUATIONS, True),
        ("steps", "7", Changes.LENGTH, False),
        ("placement", "one", Changes.PLACE, False),
        ("checkpoint.steps", "7", Changes.ASIDE, False),
        ("metrics.steps", "7", Changes.ASIDE, False),
        ("evaluate_print.steps", "7", Changes.PRINTED, False),
        ("log_line", "{step}", Changes.PRINTED, False),
    ],
)
def test_a_field_says_what_it_changes_and_whether_it_stops_resuming(
    field: str, value: str, changed: Changes, stops_resuming: bool, tmp_path: Path
) -> None:
    config = validate(load_config("mlp_gan"))
    other = override(config, {field: value})
    assert config_lib.what_changes(config, field) is changed
    folder = Workdir(tmp_path)
    folder.keep_config(config)
    (folder.checkpoints / "step-1.index").touch()
    with pytest.raises(UserError, match=field) if stops_resuming else contextlib.nullcontext():
        folder.refuse_drift(other)
