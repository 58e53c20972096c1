import re
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from authors_files import osie_mat, pascals_mat
from helpers import one_line
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from errors import UsageError
from formats import hdf5, matlab
from formats.matlab import cells, variable

MATRIX, COMPRESSED, INT8, UINT16, INT32, UINT32, DOUBLE = 14, 15, 1, 4, 5, 6, 9
CELL, STRUCT, CHAR, SPARSE, DOUBLES = 1, 2, 4, 5, 6


def element(kind: int, data: bytes, order="<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, shape, *parts: bytes, name=b"", order="<") -> bytes:
    """An array by the specification; parts: the elements behind its name."""
    flags = element(UINT32, struct.pack(f"{order}II", kind, 0), order)
    sizes = element(INT32, struct.pack(f"{order}{len(shape)}i", *shape), order)
    body = flags + sizes + element(INT8, name, order) + b"".join(parts)
    return element(MATRIX, body, order)


def numbers(values, shape=None, name=b"", order="<") -> bytes:
    data = struct.pack(f"{order}{len(values)}d", *values)
    return matrix(
        DOUBLES, shape or (1, len(values)), element(DOUBLE, data, order), name=name, order=order
    )


def written(path: Path, *elements: bytes, order="<") -> Path:
    head = b"MATLAB 5.0 MAT-file".ljust(124)
    path.write_bytes(head + (b"\0\1IM" if order == "<" else b"\1\0MI") + b"".join(elements))
    return path


def refusal(path: Path, name="x", read=variable) -> str:
    """Return the one line in which a file is refused."""
    said = f"{path}: not a whole MATLAB file with the variable {name!r} ("
    with one_line(f"^{re.escape(said)}") as error:
        read(path, name)
    return str(error.value)


def same(one, other) -> None:
    """Raises AssertionError where two arrays, or what they hold, are not the same."""
    assert one.dtype.names == other.dtype.names
    if one.dtype.names:
        for name in one.dtype.names:
            same(one[name], other[name])
    elif one.dtype == object:
        assert one.shape == other.shape
        for a, b in zip(one.ravel(), other.ravel(), strict=True):
            same(a, b)
    elif one.size or other.size:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


# whole files

real = arrays.arrays(
    st.sampled_from(["u1", "i2", "i4", "f4", "f8", "u8"]),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 2)),
)
text = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=9)
letters = st.text("abcdefgh", min_size=1, max_size=5)


def boxed(inner):
    """Cells and structs of what there is."""

    def cell(items):
        found = np.empty((1, len(items)), object)
        found[0, :] = [*items, None][:-1]
        return found

    return st.lists(inner, max_size=3).map(cell) | st.dictionaries(
        letters, inner, min_size=1, max_size=3
    )


@given(st.recursive(real | text, boxed, max_leaves=8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_scipy_writes_is_read_as_scipy_reads_it(tmp_path_factory, value, packed):
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    savemat(path, {"other": [1], "x": value, "last": "text"}, do_compression=packed)
    same(variable(path, "x"), loadmat(path)["x"])


def test_numbers_in_either_order_of_bytes(tmp_path):
    for order in "<>":
        path = written(
            tmp_path / "a.mat", numbers([1, 2, 3, 258], (2, 2), b"x", order), order=order
        )
        assert variable(path, "x").tolist() == [[1, 3], [2, 258]]  # columns first


def test_small_elements_and_wide_letters(tmp_path):
    small = struct.pack("<HHI", INT8, 1, ord("x"))  # a name of one letter in half a word
    for order, letters in (
        ("<", "é\u0142".encode("utf-16-le")),
        (">", "é\u0142".encode("utf-16-be")),
    ):
        whole = matrix(CHAR, (1, 2), element(UINT16, letters, order), name=b"x", order=order)
        assert variable(written(tmp_path / "a.mat", whole, order=order), "x").tolist() == [
            "é\u0142"
        ]
    head = element(UINT32, struct.pack("<II", DOUBLES, 0)) + element(
        INT32, struct.pack("<ii", 1, 1)
    )
    value = struct.pack("<HHBxxx", 2, 1, 7)
    path = written(tmp_path / "a.mat", element(MATRIX, head + small + value))
    assert variable(path, "x").tolist() == [[7]]


def test_a_variable_behind_a_damaged_one(tmp_path):
    broken = struct.pack("<II", COMPRESSED, 40) + zlib.compress(numbers([1] * 99, name=b"y"))[:40]
    packed = zlib.compress(numbers([5], name=b"x"))
    whole = struct.pack("<II", COMPRESSED, len(packed)) + packed
    assert variable(written(tmp_path / "a.mat", broken, whole), "x").tolist() == [[5]]


def test_a_packed_variable_without_its_sum_is_read(tmp_path):
    """As some of MATLAB's own are, among OSIE's."""
    packed = zlib.compress(numbers([5], name=b"x"))[:-4]
    path = written(tmp_path / "a.mat", struct.pack("<II", COMPRESSED, len(packed)) + packed)
    assert variable(path, "x").tolist() == [[5]]


# damaged ones, the first four of which end a process or its memory in SciPy 1.17


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (matrix(CELL, (2**20, 2**20), name=b"x"), "more than 1000000 cells and fields"),
        (numbers([1, 2], (2**31 - 1, 2**31 - 1), b"x"), "cannot reshape"),
        (matrix(DOUBLES, (1, 2), element(99, bytes(16)), name=b"x"), "an element of kind 99"),
        (matrix(CELL, (1, 1), element(99, bytes(16)), name=b"x"), "an element of kind 99"),
        (matrix(DOUBLES, (-1, 2), element(DOUBLE, bytes(16)), name=b"x"), "shape [-1, 2]"),
        (matrix(DOUBLES, (2,), element(DOUBLE, bytes(16)), name=b"x"), "shape [2]"),
        (matrix(DOUBLES, (1, 2), name=b"x"), "it ends too early"),
        (matrix(CELL, (1, 2), numbers([1]), name=b"x"), "it ends too early"),
        (matrix(SPARSE, (1, 2), name=b"x"), "an array of class 5"),
        (matrix(0x800 | DOUBLES, (1, 2), name=b"x"), "flags 0x806"),
        (matrix(CHAR, (1, 1), element(INT32, bytes(4)), name=b"x"), "where a text is needed"),
        (numbers([1], name=b"y"), "there is none of that name"),
        (numbers([1], name=b"x")[:-20], "an element is longer than what holds it"),
        (b"\x0e", "requires a buffer"),
    ],
)
def test_what_is_damaged_or_not_known(tmp_path, whole, said):
    assert said in refusal(written(tmp_path / "a.mat", whole))


def test_structs_of_no_or_too_many_fields(tmp_path):
    for length, names in ((0, b"a"), (1, b""), (1, bytes(range(48, 58)) * 101)):
        parts = element(INT32, struct.pack("<i", length)), element(INT8, names)
        path = written(tmp_path / "a.mat", matrix(STRUCT, (1, 1), *parts, name=b"x"))
        assert refusal(path)


def test_arrays_deep_within_one_another(tmp_path):
    whole = numbers([1])
    for _ in range(40):
        whole = matrix(CELL, (1, 1), whole)
    named = matrix(CELL, (1, 1), whole, name=b"x")
    assert "at depth 33" in refusal(written(tmp_path / "a.mat", named))


def test_what_is_no_such_file(tmp_path):
    path = tmp_path / "a.mat"
    assert "no such file" in refusal(path).lower()
    savemat(path, {"x": [1]}, format="4")
    assert "it does not begin as one of version 5 to 7" in refusal(path)
    pascals_mat(path, [[(1, 2, 3)]])
    assert "it does not begin as one of version 5 to 7" in refusal(path)


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "LARGE", 2**16)
    packed = zlib.compress(numbers([0] * 2**16, name=b"x"))
    path = written(tmp_path / "a.mat", struct.pack("<II", COMPRESSED, len(packed)) + packed)
    assert "bytes become more than" in refusal(path)


def test_any_byte_may_be_wrong_and_any_end_missing(tmp_path):
    path = tmp_path / "a.mat"
    osie_mat(path, {"1.jpg": [([(1, 2), (3, 4)], [5, 6]), ([], [])]})
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(whole)
        spoilt[random.integers(len(whole))] = random.integers(256)
        for content in (bytes(spoilt), whole[: random.integers(len(whole))]):
            path.write_bytes(content)
            try:
                variable(path, "fixations")
            except UsageError as error:
                assert str(error).isprintable()


# version 7.3


def test_cells_that_are_none(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    pascals_mat(path, [[(1, 2, 3)], []])
    assert [cell.shape for cell in cells(path, "fixCell")] == [(3, 1), (2,)]
    with h5py.File(path, "a") as file:
        file["numbers"], file["group"] = [1.0, 2.0], h5py.SoftLink("/#refs#")
        file["texts"] = ["one"]
        for name, target in (("to texts", "texts"), ("to a group", "#refs#")):
            file.create_dataset(name, (1,), h5py.ref_dtype)[0] = file[target].ref
        file.create_dataset("to nothing", (2,), h5py.ref_dtype, fillvalue=None)
        file.create_dataset("many", (10**6,), h5py.ref_dtype, chunks=(1000,))[0] = file.ref
    for name, said in {
        "gone": "needs the dataset gone, found none",
        "numbers": "references to cells are needed",
        "group": "a link to elsewhere",
        "to texts": "datasets of numbers are needed",
        "to a group": "datasets of numbers are needed",
        "to nothing": "not a whole HDF5 file",
        "many": "claims 8000000 bytes",
    }.items():
        assert said in refusal(path, name, cells), name
    monkeypatch.setattr(matlab, "REFERENCES", 1)
    assert "2 cells, at most 1 are read" in refusal(path, "fixCell", cells)


def test_many_references_to_one_place(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "LARGE", 10**5)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["one"] = np.ones(10**3)
        file.create_dataset("x", (50,), h5py.ref_dtype)[:] = file["one"].ref
    assert "its cells are 400000 bytes, at most 100000" in refusal(tmp_path / "a.mat", "x", cells)
