"""The model of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.networks import deepgaze, msinet

if TYPE_CHECKING:
    import keras

    from config import Config

TITLES = {
    "msinet": "MSI-Net",
    "deepgaze": "DeepGaze III",
    "uniform": "uniform density",
    "centerbias": "centre bias",
    "goldstandard": "gold standard",
}
TAKE_PRIOR = ("deepgaze",)  # networks that are told where people look whatever the picture


def build(settings: Config, size: tuple[int, int], weights: str = "none") -> keras.Model:
    """A network for pictures of size (H, W); `weights` are its encoder's, see encoders.build."""
    if settings.model == "deepgaze":
        return deepgaze.build(
            settings.encoder,
            size,
            weights,
            scanpath=settings.scanpath,
            missing=settings.missing,
            mixture=settings.mixture,
        )
    return msinet.build(settings.encoder, size, settings.head, weights)


def depends_on(model: str, scanpath: bool) -> tuple[str, ...]:
    """The fields of a configuration by which trained weights mean something: with another value of
    one of them they would load, and say something else."""
    networks = {
        "msinet": msinet.DEPENDS,
        "deepgaze": deepgaze.DEPENDS + deepgaze.SCANPATHS_DEPEND * scanpath,
    }
    return networks.get(model, ())


def title(settings: Config) -> str:
    """What a report calls a network."""
    history = ", on the scanpath so far" if settings.scanpath else ""
    return f"{TITLES[settings.model]} on {settings.encoder}{history}"
