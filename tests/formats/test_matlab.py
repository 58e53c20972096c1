import zlib
from struct import error, pack, unpack_from

import h5py
import numpy as np
import pytest
from authors_files import pascals_mat
from helpers import refusal
from scipy.io import savemat

from formats import matlab


def test_a_variable_of_any_version_that_scipy_reads(tmp_path):
    for options in ({}, {"do_compression": True}, {"format": "4"}):
        savemat(tmp_path / "a.mat", {"x": [[1.5, 2]], "y": [[3]]}, **options)
        assert matlab.variable(tmp_path / "a.mat", "x").tolist() == [[1.5, 2]]


def test_a_variable_that_is_not_there(tmp_path):
    savemat(tmp_path / "a.mat", {"x": [1]})
    said = "needs the variable 'gaze', found none of that name"
    assert refusal(matlab.variable, tmp_path / "a.mat", "gaze") == said


def cells_of_numbers(path, **options) -> bytes:
    values = np.empty((1, 10), object)
    values[0] = [np.ones((1, n)) for n in range(10)]
    savemat(path, {"x": values, "empty": [{}, []]}, **options)
    return path.read_bytes()


def test_an_array_with_more_cells_than_it_says(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(
        cells_of_numbers(path).replace(pack("<4I", 5, 8, 1, 10), pack("<4I", 5, 8, 1, 2))
    )
    with pytest.raises(ValueError, match="has not all of its 2 cells"):
        matlab.variable(path, "x")


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_off_between_variables_or_in_one(tmp_path, packed):
    path = tmp_path / "a.mat"
    whole = cells_of_numbers(path, do_compression=packed)
    first = 136 + unpack_from("<I", whole, 132)[0]
    path.write_bytes(whole[:first])
    assert matlab.variable(path, "x").shape == (1, 10)
    for size in (first + 8, len(whole) - 8):
        path.write_bytes(whole[:size])
        with pytest.raises((ValueError, error)):
            matlab.variable(path, "x")


def test_a_packed_variable_without_the_mark_of_its_end(tmp_path):
    """As MATLAB leaves it where 81920 bytes are packed."""
    path = tmp_path / "a.mat"
    savemat(path, {"x": np.ones(10233)})
    plain = path.read_bytes()
    packer = zlib.compressobj()
    packed = packer.compress(plain[128:]) + packer.flush(zlib.Z_SYNC_FLUSH)
    path.write_bytes(plain[:128] + pack("<2I", 15, len(packed)) + packed)
    assert matlab.variable(path, "x").sum() == 10233


@pytest.mark.parametrize("values", [np.array([1j]), "text", np.array([{}]), [[None]]])
def test_what_is_no_real_number_is_refused(values):
    with pytest.raises(ValueError, match="real numbers are needed"):
        matlab.reals(values)


def test_complex_coordinates_do_not_lose_a_part(tmp_path):
    savemat(tmp_path / "a.mat", {"s": [[1 + 1j, 2, 1]]})
    assert "real numbers are needed" in refusal(matlab.dutomron, tmp_path / "a.mat")


def test_two_records_of_one_picture(tmp_path):
    records = np.zeros((2, 1), object)
    for index in range(2):
        records[index, 0] = {"img": "a.jpg", "subjects": np.zeros((0, 1), object)}
    savemat(tmp_path / "a.mat", {"fixations": records})
    assert "two records of one picture" in refusal(matlab.osie, tmp_path / "a.mat")


# version 7.3


def test_cells_that_are_none(tmp_path):
    path = tmp_path / "a.mat"
    pascals_mat(path, [[(1, 2, 3)], []])
    assert [cell.shape for cell in matlab.cells(path, "fixCell")] == [(3, 1), (2,)]
    with h5py.File(path, "a") as file:
        file["numbers"], file["group"] = [1.0, 2.0], h5py.SoftLink("/#refs#")
        file["texts"] = ["one"]
        for name, target in (("to texts", "texts"), ("to a group", "#refs#")):
            file.create_dataset(name, (1,), h5py.ref_dtype)[0] = file[target].ref
        file.create_dataset("many", (10**6,), h5py.ref_dtype, chunks=(1000,))[0] = file.ref
    for name, said in {
        "gone": "needs the dataset gone, found none",
        "numbers": "references to cells are needed",
        "group": "a link to elsewhere",
        "to texts": "datasets of numbers are needed",
        "to a group": "datasets of numbers are needed",
        "many": "claims 8000000 bytes",
    }.items():
        assert said in refusal(matlab.cells, path, name), name
