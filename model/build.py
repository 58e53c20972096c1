"""The model of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model import deepgaze, msinet

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


def title(settings: Config) -> str:
    """What a report calls a network."""
    history = ", on the scanpath so far" if settings.scanpath else ""
    return f"{TITLES[settings.model]} on {settings.encoder}{history}"
