"""Damaged files of MATLAB, in the shapes in which the authors of corpora ship their fixations."""

import io
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from authors_files import cat2000_mat, dutomron_mat, osie_mat, pascals_mat, salicon_mat
from fuzz.hdf5_forms import HDF5
from fuzz.matlab_forms import MATLAB
from fuzz.mutations import Format
from fuzz.outcomes import tried
from fuzz.tables import check_fixations
from scipy.io import loadmat, savemat

from errors import UsageError
from formats import authors

READERS = {
    "salicon": authors.read_salicon,
    "cat2000": authors.read_cat2000,
    "dutomron": authors.read_dutomron,
    "osie": authors.read_osie,
    "pascals": authors.read_pascals,
}


def makers(folder: Path) -> dict:
    """Small files of the layouts, by the corpus."""
    counts = np.zeros((48, 64))
    counts[[3, 9, 40], [5, 60, 2]] = 1, 2, 7
    points = [[(3, 4), (1.5, 1), (3, 4)], [], [(64, 48)]]
    rows = [(0, 7, 2), (5, 6, 1), (8, 9, 2)]
    observers = [([(39.5, 26.7), (1.2, 1.2)], [246, 1136]), ([], []), ([(3, 4)], [100])]
    cells = [[(11, 21, 1), (12, 22, 3), (13, 23, 1)], [], [(5, 6, 8)]]
    path = folder / "whole.mat"
    return {
        "salicon": lambda: salicon_mat(path, points),
        "cat2000": lambda: cat2000_mat(path, counts),
        "dutomron": lambda: dutomron_mat(path, rows, (64, 48)),
        "osie": lambda: osie_mat(path, {"1.jpg": observers, "2.jpg": observers[::-1]}),
        "pascals": lambda: pascals_mat(path, cells),
    }


@cache
def bases(folder: Path) -> dict[str, bytes]:
    """Whole files by "<corpus> <variant>": plain and packed, behind MATLAB's own header."""
    found, path = {}, folder / "whole.mat"
    for corpus, make_file in makers(folder).items():
        make_file()
        found[corpus] = undated(path.read_bytes())
        if corpus == "pascals":
            found["pascals behind"] = behind(path.read_bytes())
            continue
        variables = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
        savemat(path, variables, do_compression=True)
        found[f"{corpus} packed"] = undated(path.read_bytes())
    path.unlink()
    return found


def undated(data: bytes) -> bytes:
    """Without the time of writing in its first line."""
    return b"MATLAB 5.0 MAT-file".ljust(116) + data[116:] if data[:6] == b"MATLAB" else data


def behind(data: bytes) -> bytes:
    """The same HDF5 objects behind the 512 bytes with which MATLAB begins a file."""
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(data)) as plain, h5py.File(buffer, "w", userblock_size=512) as file:
        cells = [plain[reference][...] for reference in plain["fixCell"][0]]
        references = file.create_dataset("fixCell", (1, len(cells)), h5py.ref_dtype)
        for index, cell in enumerate(cells):
            references[0, index] = file.create_dataset(f"#refs#/{index}", data=cell).ref
    head = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM"
    return head.ljust(512, b"\0") + buffer.getvalue()[512:]


def form(name: str) -> Format:
    return HDF5 if name.startswith("pascals") else MATLAB


def ending(name: str) -> str:
    """Says whose reader it is for, as a corpus does."""
    return f".{name.split()[0]}.mat"


def check(path: Path) -> bool:
    """Whether the corpus' own reader read it; AssertionError where that is wrong."""
    corpus = path.suffixes[-2].lstrip(".")
    stimuli = {f"{k}.jpg": Path(f"{k}.jpg") for k in range(1, 4)}
    if corpus in ("salicon", "cat2000", "dutomron"):
        files = {"1.mat": path}
    else:
        files = {"fixations.mat": path}
    found = tried(UsageError, path, READERS[corpus], files, stimuli)
    if found is not None:
        check_fixations(found)
    return found is not None
