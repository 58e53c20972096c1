"""Adam, the course of its learning rate, and the running average of the weights that it moves."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
from keras import ops
from keras.optimizers import schedules

from config import Config


def make(settings: Config, steps: int) -> keras.optimizers.Adam:
    """Return Adam (Kingma & Ba, ICLR 2015) as the configuration has it; an epoch has `steps`.

    Gradients are clipped to a global norm of `clip` (0: not at all).
    """
    rate, clip = schedule(settings, steps), settings.clip or None
    if settings.average:
        return AveragingAdam(settings.average, learning_rate=rate, global_clipnorm=clip)
    return keras.optimizers.Adam(rate, global_clipnorm=clip)


def schedule(settings: Config, steps: int) -> float | schedules.LearningRateSchedule:
    """Return the learning rate as a function of the step alone: a resumed run needs no state.

    After a linear rise over `warmup` epochs, whose first step moves already, it stays where it is
    (constant), is multiplied by gamma as each of the `milestones` epochs is over (multistep), or
    falls along a cosine to 0 at the end of all epochs (Loshchilov & Hutter, ICLR 2017).
    """
    rate, rise = float(settings.learning_rate), round(settings.warmup * steps)
    if settings.schedule == "cosine":
        cosine = schedules.CosineDecay(rate, max(1, settings.epochs * steps - rise))
        if not rise:
            return cosine
        return Warmup(lambda step: cosine(ops.maximum(step - rise, 0)), rise)
    if settings.schedule == "multistep":
        milestones = sorted(set(settings.milestones))
        # Keras keeps a value up to and including its boundary.
        last = [epoch * steps - 1 for epoch in milestones]
        values = [rate * settings.gamma**index for index in range(len(milestones) + 1)]
        rate = schedules.PiecewiseConstantDecay(last, values)
    return Warmup(rate, rise) if rise else rate


class Warmup(schedules.LearningRateSchedule):
    """Any course of the learning rate, times 1 / steps, 2 / steps, ... 1 and 1 from then on."""

    def __init__(self, course: float | Callable, steps: int):
        self.course, self.steps = course, steps

    def __call__(self, step):
        rate = self.course(step) if callable(self.course) else self.course
        return rate * ops.minimum(1.0, ops.cast(step + 1, "float32") / self.steps)


class AveragingAdam(keras.optimizers.Adam):
    """Adam that keeps a running average of the weights in its state (Polyak & Juditsky, 1992).

    The average of the weights after each step, with a share that falls by `average` a step.
    Keras' own `use_ema` starts from the first step's weights, and gives them a share that lasts for
    1 / (1 - average) steps; here, as Adam does with its moments, shares are scaled to sum to 1.
    """

    def __init__(self, average: float, **rest):
        super().__init__(**rest)
        self.average = average

    def build(self, variables) -> None:
        if self.built:
            return
        super().build(variables)
        self.averages = self.add_optimizer_variables(variables, "average")

    def update_step(self, gradient, variable, learning_rate) -> None:
        super().update_step(gradient, variable, learning_rate)
        done = ops.cast(self.iterations + 1, variable.dtype)
        # expm1, for 1 - average ** done would lose the digits that make the first step's share 1.
        share = (1 - self.average) / -ops.expm1(done * math.log(self.average))
        average = self.average_of(variable)
        self.assign_add(average, (variable - average) * share)

    def average_of(self, variable):
        """Return the running average of a variable that is trained."""
        return self.averages[self._get_variable_index(variable)]


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Give the compiled model, inside, its averaged weights, where its optimizer keeps some;
    afterwards those that train, bit for bit."""
    if not isinstance(model.optimizer, AveragingAdam):
        yield
        return
    trained = [(variable, variable.numpy()) for variable in model.trainable_variables]
    for variable, _ in trained:
        variable.assign(model.optimizer.average_of(variable).numpy())
    try:
        yield
    finally:
        for variable, value in trained:
            variable.assign(value)
