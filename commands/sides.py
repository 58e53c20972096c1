"""The samples of a corpus' training and validation side."""

from pathlib import Path

from config import Config
from data.corpus import Corpus
from data.samples import Sample, load


def load_sides(
    corpus: Corpus, cache: Path, settings: Config, skip_first: bool = False
) -> tuple[list[Sample], list[Sample]]:
    """A corpus' training and validation samples, as a configuration has them; `skip_first`: without
    the first fixation of each scanpath in what counts."""
    return load(
        corpus,
        cache / "checked.json",
        settings.partial,
        settings.pixels_per_degree,
        fold=(settings.fold, settings.folds) if settings.fold else None,
        subset=Path(settings.subset) if settings.subset else None,
        skip_first=skip_first,
    )
