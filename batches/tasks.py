"""What networks are trained and tested for: a class a task, by the names of networks.registry.

An object of a task is made of samples, and of how many of the task's own samples (fixations, heads)
are shown with each picture; it has
    plan(weigh, *, seed, epoch, flip)  what an epoch shows, in order, as a function of (seed, epoch)
        alone: `id` and `weight`, (rows,) or (rows, F) of F samples a picture, and `flip` (rows,)
    sample(id)   the picture of a row
    keys(size)   the keys that come with the picture
    names()      what to call each of the task's samples, by its `id`
A task itself has
    truth(samples)  the names, as losses and metrics have them, of what is known of all samples;
        UsageError where they lack what the task needs
    asked(samples)  the samples but for the truth that a network is not told of
    answers(sample, frames)  the log-densities that answer for a picture, taken from an iterator of
        all, each with the fixations (n, 2) that it is for, None for all
    drawn_by     the command that draws the answers for a picture without truth
    label        what a report adds to the network's title
    conditional  whether a network is told more than the picture, so that what is known of the
        picture alone is no upper bound of it
    validated_by  the seed by which its samples are drawn to validate; None for all, in order
"""

from batches.free_viewing import FreeViewing
from batches.scanpaths import Scanpaths

TASKS = {"free viewing": FreeViewing, "scanpaths": Scanpaths}
