"""Damaged predictions (.npy) and tables of fixations, one's own or of other programs."""

import io
import re
from pathlib import Path

import numpy as np
from fuzz.mutations import Field, Format
from fuzz.outcomes import expect, tried
from fuzz.tables import check_fixations

from errors import UsageError
from formats.pictures.arrays import read_array
from formats.text import json_scanpaths, tables

CSV = "image,subject,x,y,t,duration\n" + "".join(
    f"{k % 3}.jpg,{k % 2},{k + 0.5},{k * 7 % 48},{k / 4},\n" for k in range(20)
)
TOBII = (
    "Recording timestamp [ms]\tParticipant name\tPresented Media name\tEye movement type\t"
    "Eye movement type index\tFixation point X [MCS px]\tFixation point Y [MCS px]\n"
)
TOBII += "".join(
    f"{k * 8}\tann\t{k // 8}.jpg\t{'Fixation' if k % 4 else 'Saccade'}\t{k // 4}\t{k}\t{k}\n"
    for k in range(24)
)
COCO = b'[{"name": "1.jpg", "subject": 1, "X": [840.5, 1], "Y": [525, 2], "T": [99, 100]}]'
NESTED = {"brackets": b"[" * 190, "minus": b"-" * 9000 + b"1", "tuples": b"(" * 90 + b")" * 90}


def numbers(data: bytes) -> list[Field]:
    """Every whole number that is written in digits, near the beginning."""
    found = re.finditer(rb"\d+", data[:1000])
    return [Field(match.start(), len(match[0]), "text") for match in found]


def npy_fields(data: bytes) -> list[Field]:
    return [Field(6, 1, "little"), Field(7, 1, "little"), Field(8, 2, "little"), *numbers(data)]


def lines(data: bytes) -> list[tuple[int, int]]:
    ends = [match.end() for match in re.finditer(rb"\n", data)]
    return list(zip([0, *ends], ends, strict=False))


TEXT = Format(lines, numbers)
FORMS = {"npy": Format(fields=npy_fields), "csv": TEXT, "tsv": TEXT, "json": TEXT}


def saved(values: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, values, **options)
    return buffer.getvalue()


def described(shape: bytes) -> bytes:
    """A .npy file of eight numbers that calls its shape so."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + b", }\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(64)


def bases(folder: Path) -> dict[str, bytes]:
    levels = np.linspace(0, 1, 48 * 64).reshape(48, 64)
    found = {f"npy {kind}": saved(levels.astype(kind)) for kind in ("<f8", ">f4", "u1", "?", "<i8")}
    found |= {
        "npy columns": saved(np.asfortranarray(levels)),
        "npy 2.0": saved(levels, version=(2, 0)),
        "npy 3.0": saved(levels, version=(3, 0)),
        "npy structured": saved(np.zeros(3, [("a", "f8"), ("b", "U4")])),
        "npy pickled": saved(np.array([{}, None]), allow_pickle=True),
        "csv": CSV.encode(),
        "csv windows": CSV.replace("\n", "\r\n").encode("utf-8-sig"),
        "csv utf-16": CSV.encode("utf-16"),
        "csv semicolons": CSV.replace(",", ";").replace(".", ",").replace(",jpg", ".jpg").encode(),
        "tsv tobii": TOBII.encode(),
        "json coco": COCO,
        "csv names": CSV.replace(".jpg,0", ".jpg,anna").replace(".jpg,1", '.jpg,"b, c"').encode(),
    }
    return found | {f"npy {name}": described(shape) for name, shape in NESTED.items()}


def form(name: str) -> Format:
    return FORMS[name.split()[0]]


def ending(name: str) -> str:
    return f".{name.split()[0]}"


def check(path: Path) -> bool:
    """Whether it was read; AssertionError where that is wrong."""
    if path.suffix == ".npy":
        values = tried(UsageError, path, read_array, path)
        expect(values is None or values.dtype.kind in "fiub", "no numbers")
        return values is not None
    if path.suffix == ".json":
        return tried(UsageError, path, json_scanpaths.read, path) is not None
    stimuli = {f"{k}.jpg": Path(f"{k}.jpg") for k in range(3)}
    found = tried(UsageError, path, tables.read, {f"fixations{path.suffix}": path}, stimuli)
    if found is not None:
        check_fixations(found.fixations)
    return found is not None
