"""The fused optimisers against loops in float64 NumPy, and Adam against PyTorch's."""

from __future__ import annotations

import functools
from typing import Any, get_args, get_type_hints

import keras
import numpy as np
import pytest
import tensorflow as tf
from catalogue import offline
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tfgan_lab.config import SGD, Adam, KerasOptimizer
from tfgan_lab.errors import UserError
from tfgan_lab.optimizers import FromKeras, FusedAdam, FusedSGD, make_optimizer
from tfgan_lab.placement import strategy
from tfgan_lab.placement.strategy import make_strategy
from tfgan_lab.training.experiment import build

STEPS = 30


def gradients(rng: np.random.Generator, scale: float = 1.0) -> list[list[np.ndarray]]:
    """For STEPS steps, of a matrix and a vector, in float32."""
    return [[(scale * rng.normal(size=shape)).astype(np.float32) for shape in ((3, 2), (4,))] for _ in range(STEPS)]


def numpy_adam(start: np.ndarray, gradients: list[np.ndarray], n: Adam) -> list[np.ndarray]:
    """Algorithm 1 of Kingma & Ba (2015); epsilon where PyTorch or TensorFlow has it."""
    w, m, v, path = start.astype(np.float64), np.zeros(start.shape), np.zeros(start.shape), []
    for t, g in enumerate(gradients, start=1):
        m, v = n.beta_1 * m + (1 - n.beta_1) * g, n.beta_2 * v + (1 - n.beta_2) * np.square(g, dtype=np.float64)
        if n.epsilon_form == "pytorch":
            w = w - n.learning_rate * (m / (1 - n.beta_1**t)) / (np.sqrt(v / (1 - n.beta_2**t)) + n.epsilon)
        else:
            w = w - n.learning_rate * np.sqrt(1 - n.beta_2**t) / (1 - n.beta_1**t) * m / (np.sqrt(v) + n.epsilon)
        path.append(w)
    return path


def numpy_sgd(start: np.ndarray, gradients: list[np.ndarray], n: SGD) -> list[np.ndarray]:
    """Momentum with the CGAN paper's schedule: the first step has the first rate and the first momentum."""
    w, velocity, path = start.astype(np.float64), np.zeros(start.shape), []
    for t, g in enumerate(gradients):
        rate = max(n.learning_rate / n.decay**t, n.min_learning_rate)
        share = min(t / n.momentum_steps, 1.0) if n.momentum_steps else 0.0
        velocity = (n.momentum + (n.final_momentum - n.momentum) * share) * velocity - rate * g
        w = w + velocity
        path.append(w)
    return path


def follow(numbers: Adam | SGD, steps: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """The fused optimiser's weights after every step, from zeros."""
    variables = [tf.Variable(tf.zeros(g.shape)) for g in steps[0]]
    optimizer: Any = FusedAdam(numbers, variables) if isinstance(numbers, Adam) else FusedSGD(numbers, variables)
    apply = tf.function(optimizer.apply)
    path = []
    for step in steps:
        apply([tf.constant(g) for g in step])
        path.append([variable.numpy() for variable in variables])
    return path


ADAMS = [
    Adam(learning_rate=0.01, epsilon_form="pytorch"),
    Adam(learning_rate=0.01, epsilon_form="tensorflow"),
    Adam(learning_rate=0.002, beta_1=0.5, epsilon_form="pytorch"),
    Adam(learning_rate=0.01, epsilon=1e-2, epsilon_form="pytorch"),
    Adam(learning_rate=0.01, epsilon=1e-2, epsilon_form="tensorflow"),
]
SGDS = [
    SGD(learning_rate=0.1),
    SGD(learning_rate=0.1, momentum=0.9, final_momentum=0.9),
    SGD(learning_rate=0.1, momentum=0.5, final_momentum=0.7, momentum_steps=10),
    SGD(learning_rate=0.1, decay=1.3, min_learning_rate=1e-3, momentum=0.5, final_momentum=0.7, momentum_steps=1000),
]


@pytest.mark.parametrize("numbers", [*ADAMS, *SGDS], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_against_a_float64_loop(numbers: Any, scale: float, rng: np.random.Generator) -> None:
    steps = gradients(rng, scale)
    reference = numpy_adam if isinstance(numbers, Adam) else numpy_sgd
    path = follow(numbers, steps)
    for index in range(2):
        expected = reference(np.zeros(steps[0][index].shape), [step[index] for step in steps], numbers)
        for now, then in zip(path, expected, strict=True):
            assert_allclose(now[index], then, rtol=1e-5, atol=1e-5 * np.abs(then).max())


def test_the_two_epsilon_forms_differ_where_gradients_are_small(rng: np.random.Generator) -> None:
    steps = gradients(rng, 1e-7)
    torch_form, tf_form = (
        follow(Adam(learning_rate=0.01, epsilon_form=form), steps) for form in ("pytorch", "tensorflow")
    )
    # In the first step v_hat = g^2, so that one moves by lr * g / (|g| + eps),
    # the other by lr * g / (|g| + eps / sqrt(1 - beta_2)).
    g = steps[0][0].astype(np.float64)
    assert_allclose(-torch_form[0][0], 0.01 * g / (np.abs(g) + 1e-8), rtol=1e-4)
    assert_allclose(-tf_form[0][0], 0.01 * g / (np.abs(g) + 1e-8 / np.sqrt(1e-3)), rtol=1e-4)


@pytest.mark.parametrize("numbers", [n for n in ADAMS if n.epsilon_form == "pytorch"], ids=str)
def test_against_torch(numbers: Adam, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    steps = gradients(rng)
    weights = [torch.zeros(g.shape, requires_grad=True) for g in steps[0]]
    optimizer = torch.optim.Adam(weights, numbers.learning_rate, (numbers.beta_1, numbers.beta_2), numbers.epsilon)
    for step, now in zip(steps, follow(numbers, steps), strict=True):
        for weight, g in zip(weights, step, strict=True):
            weight.grad = torch.from_numpy(g)
        optimizer.step()
        for weight, ours in zip(weights, now, strict=True):
            assert_allclose(ours, weight.detach().numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("numbers", [ADAMS[0], SGDS[2], SGDS[3]], ids=str)
def test_restored_state_goes_on_as_if_nothing_had_happened(numbers: Any, rng: np.random.Generator) -> None:
    steps = gradients(rng)
    variables = [tf.Variable(tf.ones(g.shape)) for g in steps[0]]
    make = FusedAdam if isinstance(numbers, Adam) else FusedSGD
    first: Any = make(numbers, variables)
    for step in steps[:11]:
        first.apply([tf.constant(g) for g in step])
    kept, weights = [v.numpy() for v in first.state], [v.numpy() for v in variables]
    assert kept[0] == 11

    others = [tf.Variable(w) for w in weights]
    second: Any = make(numbers, others)
    for variable, value in zip(second.state, kept, strict=True):
        variable.assign(value)
    for step in steps[11:]:
        for optimizer in (first, second):
            optimizer.apply([tf.constant(g) for g in step])
    for a, b in zip([*variables, *first.state], [*others, *second.state], strict=True):
        assert_array_equal(a.numpy(), b.numpy())


def test_state_holds_everything() -> None:
    variables = [tf.Variable(tf.ones([3, 2])), tf.Variable(tf.ones([4]))]
    adam, sgd = FusedAdam(ADAMS[0], variables), FusedSGD(SGDS[0], variables)
    assert [v.shape for v in adam.state] == [(), (3, 2), (4,), (3, 2), (4,)]
    assert [v.shape for v in sgd.state] == [(), (3, 2), (4,)]
    assert all(not v.numpy().any() for v in (*adam.state, *sgd.state))


def test_make_optimizer_takes_keras_variables() -> None:
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    adam = make_optimizer(ADAMS[0], layer.trainable_variables)
    sgd = make_optimizer(SGDS[0], layer.trainable_variables)
    assert isinstance(adam, FusedAdam)
    assert isinstance(sgd, FusedSGD)
    before = layer.kernel.numpy()
    adam.apply([tf.ones([3, 2]), tf.ones([2])])
    assert_allclose(before - layer.kernel.numpy(), 0.01, rtol=1e-4)  # Adam's first step is the rate


def test_a_missing_gradient_is_an_error_not_a_shift() -> None:
    adam = FusedAdam(ADAMS[0], [tf.Variable(tf.ones([2])), tf.Variable(tf.ones([2]))])
    with pytest.raises(ValueError, match="shorter|longer"):
        adam.apply([tf.ones([2])])


@given(t=st.integers(1, 10**6), beta_2=st.sampled_from([0.9, 0.99, 0.999, 0.9999]))
@settings(max_examples=15)
def test_the_correction_is_right_at_any_step(t: int, beta_2: float) -> None:
    """1 - beta^t in float32 would lose four digits in the first steps; the betas are the kernel's float32 ones."""
    numbers = Adam(learning_rate=0.01, beta_2=beta_2)
    variable = tf.Variable(tf.zeros([1]))
    optimizer = FusedAdam(numbers, [variable])
    optimizer.state[0].assign(t - 1)
    m, v = 0.3, 0.04
    optimizer.slots[0][0].assign([m])
    optimizer.slots[1][0].assign([v])
    g = 0.5
    optimizer.apply([tf.constant([g])])
    beta_1, beta_2 = (float(np.float32(beta)) for beta in (0.9, beta_2))
    m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g * g
    expected = -0.01 * (m / -np.expm1(t * np.log(beta_1))) / (np.sqrt(v / -np.expm1(t * np.log(beta_2))) + 1e-8)
    assert_allclose(variable.numpy(), [expected], rtol=1e-6)


def test_under_a_constant_gradient_every_step_is_the_rate() -> None:
    """With m_hat = g and v_hat = g^2 the step is lr g / |g|; the exact betas' correction is off by 6e-6 at 0.999."""
    variable = tf.Variable(tf.zeros([1], tf.float32))
    optimizer = FusedAdam(Adam(learning_rate=1.0), [variable])
    for _ in range(20):
        before = variable.numpy()
        optimizer.apply([tf.constant([0.5])])
    assert_allclose(before - variable.numpy(), [1.0], atol=2.5e-6)


def numpy_rmsprop(start: np.ndarray, gradients: list[np.ndarray], rate: float, rho: float) -> list[np.ndarray]:
    """As Keras', whose epsilon, here 1e-16, stands inside of the root."""
    w, v, path = start.astype(np.float64), np.zeros(start.shape), []
    for g in gradients:
        v = rho * v + (1 - rho) * np.square(g, dtype=np.float64)
        w = w - rate * g / np.sqrt(v + 1e-16)
        path.append(w)
    return path


def test_any_optimiser_of_keras_by_its_name_and_arguments(rng: np.random.Generator) -> None:
    steps = gradients(rng, 1e-7)  # where epsilon counts
    numbers = KerasOptimizer(name="rmsprop", learning_rate=1e-3, arguments={"rho": 0.99, "epsilon": 1e-16})
    variables = [keras.Variable(tf.zeros(g.shape)) for g in steps[0]]
    optimizer = make_optimizer(numbers, variables)
    assert isinstance(optimizer, FromKeras)
    for number, step in enumerate(steps, 1):
        optimizer.apply([tf.constant(g) for g in step])
        assert int(optimizer.iterations) == number
    for place, variable in enumerate(variables):
        expected = numpy_rmsprop(np.zeros(variable.shape), [step[place] for step in steps], 1e-3, 0.99)[-1]
        assert_allclose(variable.numpy(), expected, rtol=1e-4)
    shapes = [tuple(v.shape) for v in optimizer.state if v.shape.rank]
    assert shapes == [tuple(v.shape) for v in variables], "a square for each variable"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"roh": 0.9}, "d_optimizer.arguments of 'rmsprop'"), ({"learning_rate": 1.0}, "multiple values")],
)
def test_what_keras_does_not_take_is_one_line(arguments: Any, words: str) -> None:
    numbers = KerasOptimizer(name="rmsprop", learning_rate=1e-3, arguments=arguments)
    with pytest.raises(UserError) as refused:
        make_optimizer(numbers, [keras.Variable(tf.zeros([2]))], "d_optimizer")
    assert words in str(refused.value) and "\\n" not in str(refused.value)


def test_the_names_that_configs_take_are_those_of_keras() -> None:
    kinds = {
        name.lower()
        for name, kind in vars(keras.optimizers).items()
        if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
    }
    not_by_name = {"optimizer", "lossscaleoptimizer", "multioptimizer"}
    assert {*get_args(get_type_hints(KerasOptimizer)["name"])} == kinds - not_by_name


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("rmsprop", {"rho": 0.99}), ("adam", {"gradient_accumulation_steps": 2}), ("muon", {"ns_steps": 5})],
)
def test_an_optimiser_of_keras_is_the_same_under_xla(name: Any, arguments: Any, rng: np.random.Generator) -> None:
    steps, paths = gradients(rng)[:4], []
    for xla in (False, True):
        variables = [keras.Variable(tf.ones(g.shape)) for g in steps[0]]
        optimizer = make_optimizer(KerasOptimizer(name=name, learning_rate=0.1, arguments=arguments), variables)

        def play(optimizer: Any, steps: Any) -> Any:
            for step in steps:
                optimizer.apply(step)
            return tf.convert_to_tensor(optimizer.iterations)

        inputs = [[tf.constant(g) for g in step] for step in steps]
        count = tf.function(functools.partial(play, optimizer), jit_compile=xla, autograph=False)(inputs)
        assert int(count) == int(optimizer.iterations) == 4 // arguments.get("gradient_accumulation_steps", 1)
        paths.append([variable.numpy() for variable in variables])
    for plain, compiled in zip(*paths, strict=True):
        assert np.abs(plain - 1).min() > 0.01
        assert_allclose(compiled, plain, rtol=1e-4)


def test_accumulated_gradients_are_one_update() -> None:
    """The count is the updates', from which an average's warm-up is told."""
    variables = [keras.Variable(tf.zeros([2]))]
    numbers = KerasOptimizer(name="sgd", learning_rate=1.0, arguments={"gradient_accumulation_steps": 2})
    optimizer = make_optimizer(numbers, variables)
    counts = []
    for g in (1.0, 3.0, 5.0, 7.0):
        optimizer.apply([tf.constant([g, 0.0])])
        counts.append((int(optimizer.iterations), float(variables[0][0])))
    assert counts == [(0, 0.0), (1, -2.0), (1, -2.0), (2, -8.0)]


@pytest.mark.parametrize("argument", ["clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps"])
def test_what_keras_does_before_it_sums_over_replicas_is_refused(argument: str) -> None:
    numbers = KerasOptimizer(name="adam", learning_rate=0.1, arguments={argument: 2})
    with make_strategy(offline("mlp_gan:smoke", placement="mirrored")).scope():
        variables = [keras.Variable(tf.zeros([2]))]
        with pytest.raises(UserError, match=f"g_optimizer.arguments.{argument} does not go with replicas"):
            make_optimizer(numbers, variables, "g_optimizer")


def test_auto_keeps_an_optimiser_that_clips_on_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tf.config.list_logical_devices("CPU")
    monkeypatch.setattr(strategy.tf.config, "list_logical_devices", lambda kind: listed)
    config: Any = offline("mlp_gan:smoke", placement="auto")
    for arguments, replicas in (({}, 2), ({"clipnorm": 1.0}, 1)):
        config.d_optimizer = KerasOptimizer(name="adam", learning_rate=0.1, arguments=arguments)
        assert make_strategy(config).num_replicas_in_sync == replicas


@pytest.mark.parametrize("field", ["g_optimizer", "d_optimizer"])
def test_a_refusal_says_which_optimiser(field: str, small_source: Any) -> None:
    config: Any = offline("mlp_gan:smoke", placement="one")
    setattr(config, field, KerasOptimizer(name="rmsprop", learning_rate=1e-3, arguments={"roh": 0.9}))
    with pytest.raises(UserError, match=f"config: {field}.arguments of 'rmsprop'"):
        build(config, small_source)


def test_a_weight_without_part_in_the_loss_is_one_line() -> None:
    weights = [tf.Variable([1.0]), tf.Variable([2.0])]
    optimizer = FusedAdam(Adam(learning_rate=0.1), weights)
    with pytest.raises(UserError, match="has no part in the loss"):
        optimizer.apply([tf.constant([1.0]), None])  # type: ignore[list-item]
