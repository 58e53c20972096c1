"""Trainings that papers and users have names for: the stages of each, as fields of Config."""

from errors import UsageError, near

SIMPLE = {
    "model": "deepgaze",
    "scanpath": True,
    "missing": "centre",
    "initial": "none",
    "learning_rate": 0.001585,
    "schedule": "multistep",
    "milestones": (12, 18),
    "epochs": 25,
    "save_every": 5,
}
STAGE = {"model": "deepgaze", "mixture": 10, "schedule": "multistep", "milestones": (3, 6, 9)}
SPATIAL = {**STAGE, "epochs": 12}
PRETRAINING = {**STAGE, "milestones": (15, 30, 45), "epochs": 60}
SCANPATH = {
    **STAGE,
    "scanpath": True,
    "freeze": "encoder,saliency_0,saliency_1",
    "milestones": (10, 20, 30, 31),
    "epochs": 32,
}
WHOLE = {**STAGE, "scanpath": True, "learning_rate": 1e-5, "epochs": 12}

# Stage name -> fields; a stage starts from the one before it, the first as the corpus has it, and
# the last bears the run's own name. Kuemmerer, Bethge, Wallis, Journal of Vision 2022.
PRESETS = {
    "deepgaze3-simple": {"": SIMPLE},
    "deepgaze3-pretraining": {"": PRETRAINING},
    "deepgaze3": {"spatial": SPATIAL, "scanpath": SCANPATH, "": WHOLE},
}


def stages(preset: str | None) -> dict[str, dict]:
    """Return the stages of a preset; without one a single stage that sets nothing.

    Raises:
        UsageError: there is no such preset; names those there are.
    """
    if preset is None:
        return {"": {}}
    if preset not in PRESETS:
        raise UsageError(
            f"--preset {preset}: must be one of {', '.join(PRESETS)}{near(preset, PRESETS)}"
        )
    return PRESETS[preset]
