"""Damaged files of pysaliency: fixations, lists of stimuli, and stimuli in memory."""

import io
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from fuzz.hdf5_forms import HDF5
from fuzz.mutations import Format
from fuzz.outcomes import expect, tried
from fuzz.pictures import noise

from errors import UsageError
from formats.fixations import Fixations, table
from formats.pictures.decode import decode, shape
from formats.pysaliency import read_hdf5, write_hdf5
from formats.stimuli import read_stimuli, write_out

REAL = Path(__file__).parents[3] / "shared" / "corpora" / "osie_pysaliency" / "variants"
STIMULI = 3  # of those that a file lists, so many are read


def fixations(ordered: bool) -> Fixations:
    """A few scanpaths of several lengths."""
    lengths = [5, 1, 3, 7, 2]
    path = np.repeat(np.arange(5), lengths)
    x, y = np.random.default_rng(2).uniform(0, 48, (2, len(path)))
    t = np.concatenate([np.arange(length) / 4 for length in lengths])
    durations = np.full(len(path), 0.25)
    return table(x, y, path // 2, path % 3, t, durations, path if ordered else -1)


def written(folder: Path, ordered: bool) -> dict[str, bytes]:
    """The files that the program writes itself."""
    write_hdf5(folder, ["a.jpg", "b/c.png", "d.png"], [(48, 64, 3)] * 3, fixations(ordered))
    return {name: (folder / f"{name}.hdf5").read_bytes() for name in ("fixations", "stimuli")}


def stored(kind, version, content: dict, library="earliest", text=np.bytes_, **options) -> bytes:
    """An HDF5 file of a type and version; content: path in it -> values."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=library, userblock_size=options.pop("block", 0)) as file:
        file.attrs["type"], file.attrs["version"] = text(kind), text(version)
        for name, values in content.items():
            values = np.asarray(values)
            if values.dtype.hasobject:  # of texts only where they are is packed
                options = {key: options[key] for key in options if key != "shuffle"}
            large = values.ndim > 1 or values.dtype.hasobject
            file.create_dataset(name, data=values, **(options if large else {}))
    return buffer.getvalue()


def matrices() -> dict[str, np.ndarray]:
    """The columns of `fixations`, a row a scanpath, padded with NaN."""
    whole = fixations(True)
    found = {name: np.full((5, 7), np.nan) for name in ("x", "y", "t", "duration")}
    for name, matrix in found.items():
        for row in range(5):
            values = getattr(whole, name)[whole.scanpath == row]
            matrix[row, : len(values)] = values
    return found


def variants() -> dict[str, bytes]:
    """Every type that is read, by its layout; packed, checksummed, and of the newest library."""
    m, lengths = matrices(), [5, 1, 3, 7, 2]
    each = {"n": [0, 0, 1, 1, 2], "subject": [0, 1, 2, 0, 1]}
    trains = {f"train_{name}s": m[name] for name in "xyt"} | {"train_lengths": lengths}
    trains |= {f"train_{name}s": values for name, values in each.items()}
    trains["scanpath_fixation_attributes/durations"] = m["duration"]
    paths = {"xs": m["x"], "ys": m["y"], "length": lengths, "n": each["n"]}
    paths |= {"scanpath_attributes/subject": ["anna", "ben", "cy", "anna", "ben"]}
    paths |= {"fixation_attributes/ts": m["t"], "fixation_attributes/durations": m["duration"]}
    paths = {f"scanpaths/{name}": value for name, value in paths.items()}
    paths["scanpaths/scanpath_attributes/subject"] = np.array(
        paths["scanpaths/scanpath_attributes/subject"], h5py.string_dtype()
    )
    names = np.array(["a.jpg", "b/c.png", "d.png"], h5py.string_dtype())
    pictures = {"0": noise(3), "1": noise(), "2": noise(3)[:9], "name": names}
    packed = {"compression": "gzip", "shuffle": True}
    return {
        "trains packed": stored("FixationTrains", "1.3", trains, **packed),
        "trains newest": stored("FixationTrains", "1.3", trains, "latest"),
        "trains behind": stored("FixationTrains", "1.3", trains, block=512),
        "scanpaths": stored("ScanpathFixations", "1.0", paths),
        "scanpaths newest": stored("ScanpathFixations", "1.0", paths, "latest", **packed),
        "pictures": stored("Stimuli", "1.1", pictures, compression="gzip"),
        "pictures newest": stored("Stimuli", "1.1", pictures, "latest", **packed),
        "pictures raw": stored("Stimuli", "1.1", pictures),
        "trains with texts": stored("FixationTrains", "1.3", trains, text=str),
        "list with texts": stored("FileStimuli", "2.1", {"filenames": names}, text=str),
        "list in chunks": stored("FileStimuli", "2.1", {"filenames": names}, chunks=(2,)),
        "list newest": stored("FileStimuli", "2.1", {"filenames": names}, "latest"),
        "list behind": stored("FileStimuli", "2.1", {"filenames": names}, block=1024),
    }


@cache
def bases(folder: Path) -> dict[str, bytes]:
    """Whole files by name; the real ones, of 12 stimuli, where they are beside the checkout."""
    found = variants()
    for ordered in (True, False):
        for name, data in written(folder, ordered).items():
            found[f"own {name} {'ordered' if ordered else 'plain'}"] = data
    for path in sorted(REAL.glob("*/*.hdf5")):
        found[f"real {path.parent.name} {path.stem}"] = path.read_bytes()
    return found


def form(name: str) -> Format:
    return HDF5


def ending(name: str) -> str:
    return ".hdf5"


def check(path: Path) -> bool:
    """Whether it was read as fixations or as stimuli; AssertionError where that is wrong."""
    found = tried(UsageError, path, read_hdf5, path)
    if found is not None:
        check_fixations(found)
    listed = tried(UsageError, path, read_stimuli, path, {})
    inside = [each for each in (listed or []) if each.inside][:STIMULI]
    if inside and tried(UsageError, path, write_out, path, inside) is None:
        for each in filter(Path.is_file, (each.source for each in inside)):
            expect(decode(each).shape[:2] == shape(each), "another picture than was written")
    return found is not None or listed is not None


def check_fixations(found: Fixations) -> None:
    columns = [found.x, found.y, found.n, found.subject, found.t, found.duration, found.scanpath]
    expect(all(column.shape == (len(found),) for column in columns), "columns of several lengths")
    expect(not np.isnan([*found.x, *found.y]).any(), "coordinates that are no numbers")
    expect(found.n.min(initial=0) >= 0, "fixations on no stimulus")
    if found.ordered:
        expect(bool((np.diff(found.scanpath) >= 0).all()), "scanpaths out of order")
