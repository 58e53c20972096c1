"""Damaged predictions (.npy) and tables of fixations (.csv), one's own or of other programs."""

import io
import re
from pathlib import Path

import numpy as np
from fuzz.mutations import Field, Format
from fuzz.outcomes import expect, tried
from fuzz.tables import check_fixations

from config import UsageError
from data.arrays import read_array
from data.authors import read_csv

CSV = "image,subject,x,y,t,duration\n" + "".join(
    f"{k % 3}.jpg,{k % 2},{k + 0.5},{k * 7 % 48},{k / 4},\n" for k in range(20)
)
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


FORMS = {"npy": Format(fields=npy_fields), "csv": Format(lines, numbers)}


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
    found = tried(
        UsageError, path, read_csv, path, {f"{k}.jpg": Path(f"{k}.jpg") for k in range(3)}
    )
    if found is not None:
        # NaN may stand in one's own table: it is outside of any picture.
        check_fixations(found.select(~np.isnan(found.x + found.y)))
    return found is not None
