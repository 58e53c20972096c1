"""Learning rates by hand, the average against its sum, both resumed."""

import types

import keras
import numpy as np
import pytest

from model.training import optimizer


def settings(**given):
    usual = {
        "learning_rate": 0.5,
        "schedule": "constant",
        "milestones": (),
        "gamma": 0.1,
        "warmup": 0.0,
        "clip": 0.0,
        "average": 0.0,
        "epochs": 4,
    }
    return types.SimpleNamespace(**usual | given)


def rates(steps, at, **given):
    """The learning rates before these steps."""
    adam = optimizer.make(settings(**given), steps)
    found = []
    for step in at:
        adam.iterations.assign(step)
        found.append(float(adam.learning_rate))
    return found


def one_weight(adam, start=1.0):
    """A compiled model of one weight."""
    image = keras.Input((1,), name="image")
    first = keras.initializers.Constant(start)
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer=first)
    model = keras.Model(image, dense(image))
    model.compile(optimizer=adam)
    model.optimizer.build(model.trainable_variables)
    return model


def moved(model, gradients):
    """The weight after each step."""
    found = []
    for gradient in gradients:
        model.optimizer.apply([np.float32([[gradient]])], model.trainable_variables)
        found.append(float(model.get_weights()[0][0, 0]))
    return found


def test_constant():
    assert rates(5, (0, 7, 400)) == [0.5, 0.5, 0.5]


def test_multistep_falls_as_its_epochs_are_over():
    """Milestones 12 and 18 leave twelve epochs, six and the rest, of 7 steps each."""
    at = (0, 12 * 7 - 1, 12 * 7, 18 * 7 - 1, 18 * 7, 25 * 7 - 1)
    found = rates(7, at, schedule="multistep", milestones=(12, 18), learning_rate=0.001585)
    wanted = [1.585e-3, 1.585e-3, 1.585e-4, 1.585e-4, 1.585e-5, 1.585e-5]
    assert found == pytest.approx(wanted, rel=1e-6)


def test_multistep_of_any_gamma_in_any_order():
    found = rates(3, (0, 3, 6), schedule="multistep", milestones=(2, 1, 1), gamma=0.5)
    assert found == pytest.approx([0.5, 0.25, 0.125])


def test_cosine_falls_to_0_over_all_epochs():
    assert rates(5, (0, 10, 20), schedule="cosine") == pytest.approx([0.5, 0.25, 0], abs=1e-7)


def test_a_cosine_stretches_with_more_epochs():
    assert rates(5, (20,), schedule="cosine", epochs=8) == pytest.approx([0.25])


@pytest.mark.parametrize("schedule", ["constant", "multistep", "cosine"])
def test_warm_up_rises_linearly_also_over_a_part_of_an_epoch(schedule):
    given = {"schedule": schedule, "milestones": (3,)}
    rising = rates(10, (0, 1, 2, 3, 4), warmup=0.4, **given)
    assert rising == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])
    assert rates(10, (0, 5, 9, 10), warmup=1, **given) == pytest.approx([0.05, 0.3, 0.5, 0.5])


@pytest.mark.parametrize("schedule", ["constant", "multistep", "cosine"])
def test_no_step_before_the_end_is_without_a_rate(schedule):
    given = {"schedule": schedule, "milestones": (3,)}
    assert min(rates(10, range(40), warmup=1.5, **given)) > 0


def test_after_the_warm_up_each_goes_its_way():
    assert rates(10, (200,), warmup=2.0) == [0.5]
    fallen = rates(10, (29, 30), warmup=2.0, schedule="multistep", milestones=(3,))
    assert fallen == pytest.approx([0.5, 0.05])
    # Of four epochs one rises; half of the other three is 0.5 (1 + cos(pi / 2)) / 2.
    halfway = rates(10, (25, 40), warmup=1.0, schedule="cosine")
    assert halfway == pytest.approx([0.25, 0], abs=1e-7)


def test_a_warm_up_as_long_as_a_cosine():
    assert np.isfinite(rates(10, (39, 40, 41), warmup=4.0, schedule="cosine")).all()


def test_gradients_are_clipped_to_a_norm_over_all_weights():
    """(3, 4) is (0.6, 0.8) at norm 1; Adam's first moment keeps a tenth of it."""
    image = keras.Input((1,), name="image")
    a, b = (keras.layers.Dense(1, use_bias=False, name=name)(image) for name in "ab")
    model = keras.Model(image, [a, b])
    model.compile(optimizer=optimizer.make(settings(clip=1.0), 1))
    model.optimizer.apply([np.float32([[3]]), np.float32([[4]])], model.trainable_variables)
    first = [float(v.numpy()[0, 0]) for v in model.optimizer.variables if "momentum" in v.path]
    assert first == pytest.approx([0.06, 0.08])


@pytest.mark.parametrize("average", [0.5, 0.999])
def test_the_average_is_of_all_steps_with_falling_shares(average):
    """And of them alone: where the weights began counts nothing."""
    model = one_weight(optimizer.make(settings(average=average), 1), start=1000.0)
    values = []
    for gradient in np.random.default_rng(0).normal(size=8):
        values += moved(model, [gradient])
        shares = average ** np.arange(len(values))[::-1]
        with optimizer.averaged(model):
            found = model.get_weights()[0][0, 0]
        assert found == pytest.approx(np.sum(shares * values) / shares.sum(), rel=1e-6)


def test_averaging_leaves_the_steps_as_they_are():
    gradients = [0.3, -2.0, 0.1]
    plain = one_weight(optimizer.make(settings(), 1))
    both = one_weight(optimizer.make(settings(average=0.9), 1))
    assert moved(plain, gradients) == moved(both, gradients)


def test_the_trained_weights_come_back_after_an_error_too():
    model = one_weight(optimizer.make(settings(average=0.9), 1))
    values = moved(model, [1.0, -3.0])
    with pytest.raises(KeyboardInterrupt), optimizer.averaged(model):
        assert float(model.get_weights()[0][0, 0]) != values[-1]
        raise KeyboardInterrupt
    assert float(model.get_weights()[0][0, 0]) == values[-1]


def test_without_an_average_the_weights_are_their_own():
    model = one_weight(optimizer.make(settings(), 1))
    values = moved(model, [1.0])
    with optimizer.averaged(model):
        assert float(model.get_weights()[0][0, 0]) == values[-1]
