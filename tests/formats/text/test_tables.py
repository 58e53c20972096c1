import json
import logging

import numpy as np
import pytest
from helpers import one_line, refusal_of
from PIL import Image

from formats.layout import Files
from formats.text import columns, tables

HEADER = "image,subject,x,y"


def stimuli(folder, *names, size=(64, 48)):
    """Pictures of a size, by their names."""
    found = {name: folder / "stimuli" / name for name in names}
    for path in found.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(path)
    return found


def written(folder, text, name="fixations.csv", encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def read(
    folder, text, name="fixations.csv", names=("a/x.jpg", "b.png"), encoding="utf-8", **kwargs
):
    path = written(folder, text, name, encoding)
    return tables.read({name: path}, stimuli(folder, *names, **kwargs))


def refused(folder, text, name="fixations.csv", names=("a/x.jpg", "b.png"), **kwargs):
    path = written(folder, text, name, **kwargs)
    return refusal_of(path, tables.read, {name: path}, stimuli(folder, *names))


def rows(table, *fields):
    found = table.fixations
    return list(zip(*(getattr(found, name).tolist() for name in fields), strict=True))


def lines(*cells, header=HEADER):
    return "\n".join([header, *cells]) + "\n"


# one's own tables


def test_rows_are_in_order_of_time_within_image_and_subject(tmp_path):
    text = (
        "image,subject,x,y,t,duration\n"
        "b,ann,7,8,0.1,\n"
        "a/x.jpg,bob,3.25,4,2.5,0.2\n"
        "a/x.jpg,ann,5,6,0,0.3\n"
        "a/x,bob,1,2,0.5,0.4\n"
    )
    found = read(tmp_path, text)
    assert rows(found, "n", "subject", "scanpath", "x", "y", "t") == [
        (0, 0, 0, 5, 6, 0),
        (0, 1, 1, 1, 2, 0.5),
        (0, 1, 1, 3.25, 4, 2.5),
        (1, 0, 2, 7, 8, 0.1),
    ]
    np.testing.assert_array_equal(found.fixations.duration, [0.3, 0.4, 0.2, np.nan])
    assert found.sides == {}


def test_without_time_the_order_is_that_of_the_rows(tmp_path):
    text = "y, X ,subject,image\n2,9,10,b.png\n3,1,9,b.png\n4,5,10,b.png\n4,5,10,b.png\n"
    found = read(tmp_path, text, encoding="utf-8-sig")
    assert rows(found, "subject", "scanpath", "t", "x", "y") == [
        (9, 0, 0, 1, 3),
        (10, 1, 0, 9, 2),
        (10, 1, 1, 5, 4),
        (10, 1, 2, 5, 4),
    ]
    assert np.isnan(found.fixations.duration).all()


def test_observers_are_numbers_or_in_order_of_their_names(tmp_path):
    found = read(tmp_path, lines("b,10,1,2", "b,2.0,1,2", "b,2,1,2"))
    assert rows(found, "subject", "scanpath") == [(2, 0), (2, 0), (10, 1)]
    found = read(tmp_path, lines("b,10,1,2", "b,2.0,1,2", "b,p2,1,2"))
    assert rows(found, "subject", "scanpath") == [(0, 0), (1, 1), (2, 2)]


def test_a_header_alone_has_no_fixations(tmp_path):
    assert len(read(tmp_path, lines()).fixations) == 0
    assert len(read(tmp_path, lines(header=HEADER + ",t,trial,split")).fixations) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 has no column 'image': found nothing; needed are image, x, y"),
        ("\n\n", "line 1 has no column 'image': found nothing"),
        ("image,subject,x\n", "line 1 has no column 'y': found image, subject, x"),
        ("ima\0ge,subject,x,y\n", "no text in UTF-8, or UTF-16 with its mark (zeros in"),
        ("ima\bge,subject,x,y\n", "found ima?ge, subject, x, y"),
        ("image|subject|x|y\n", "found image|subject|x|y"),
        (lines("b,1,2,3", "b,1,left,3"), "line 3: x is 'left', a number is needed"),
        (lines("b,1,1e999,2"), "line 2: x is '1e999', a number"),
        (lines("b,1," + "9" * 400 + ",2"), "line 2: x is '999"),
        (lines("b,1,1_0,2"), "line 2: x is '1_0', a number"),
        (lines("b,1,1 000,2"), "line 2: x is '1 000', a number"),
        (lines("b,1,1,2,-inf", header=HEADER + ",t"), "line 2: t is '-inf', a number"),
        (lines("b,1,2,3", "", "z.png,1,2,3"), "line 4: image 'z.png' is not in stimuli/"),
        (lines("a/xx,1,2,3"), "did you mean a/x.jpg"),
        # decimal commas
        (lines("b,1,12,5,12,5"), "line 2: 6 cells under 4 titles; decimal commas"),
        (lines("b,1,12"), "line 2: 3 cells under 4 titles"),
        (lines("b,1,12,5,", header=HEADER), "line 2: 5 cells under 4 titles"),
        (lines("b,1,12,5,7", header=HEADER + ","), "line 2: 5 cells under 4 titles"),
        # columns that mean one thing
        (lines("b,1,2,3,4", header=HEADER + ",x"), "two columns are x: 'x' and 'x'"),
        (
            lines("b,1,2,3,4", header=HEADER + ",FixationX"),
            "two columns are x: 'x' and 'FixationX'",
        ),
        (lines("b,1,2,3,b", header=HEADER + ",Stimulus"), "are image: 'image' and 'Stimulus'"),
        # units
        (lines("b,1,2,3", header="image,subject,x [deg],y [deg]"), "x is 'x [deg]', which is not"),
        (lines("b,1,2,3", header="image,subject,x_deg,y_deg"), "x is 'x_deg', which is not in pix"),
        (lines("b,1,2,3,4", header=HEADER + ",t [h]"), "t is 't [h]', which is not in s, sec, ms"),
        # numbers that may be several
        (lines("b;1;1,500;2", header="image;subject;x;y"), "'1,500' may have a decimal comma or"),
        (lines('b,1,"1,500",2'), "'1,500' may have a decimal comma or"),
        (lines("b;1;1,5;2.5", header="image;subject;x;y"), "both '2.5' and '1,5'"),
        (lines("b;1;1.000,5;2", header="image;subject;x;y"), "line 2: x is '1.000,5'"),
        (lines("b;1;1,000,000;2", header="image;subject;x;y"), "line 2: x is '1,000,000'"),
        (lines('b,"1,2,3'), "no table of cells in whole quotes"),
        (lines("b," + "1" * 200_000 + ",2,3"), "no table of cells in whole quotes"),
        ("_" * 300_000, "line 1 has no column 'image'"),
        (lines("b,1," + "9" * 100_000 + "z,3"), "line 2: x is '9999"),
    ],
)
def test_faults_are_one_line_with_the_line_number(tmp_path, text, said):
    assert said in refused(tmp_path, text)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_another_encoding_is_refused(tmp_path, encoding):
    assert refused(tmp_path, lines("b,J\u00f6rg,1,2"), encoding=encoding)


@pytest.mark.parametrize("data", [b"\xff\xfei", b"\xff\xfe\0", b"\xd0\xcf\x11\xe0", b"PK\3\4\xff"])
def test_what_is_no_text_is_refused(tmp_path, data):
    assert "spreadsheet saves one as 'CSV UTF-8'" in refused(tmp_path, data)


@pytest.mark.parametrize(
    "name", ["fixations.csv", "fixations.tsv", "fixations.txt", "fixations.xls"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_encodings_are_found(tmp_path, name, encoding, delimiter, end):
    text = lines('"b",J\u00f6rg,1.5,2', "a/x,Ann,3,4").replace(",", delimiter).replace("\n", end)
    found = read(tmp_path, text, name, encoding=encoding)
    assert rows(found, "n", "subject", "x", "y") == [(0, 0, 3, 4), (1, 1, 1.5, 2)]


@pytest.mark.parametrize("text", ["b;1;12,5;7", "b;1;+1,25e1;,7e1", "b; 1 ;12,500; 7"])
def test_decimal_commas_are_read_where_they_can_be_told(tmp_path, text, caplog):
    caplog.set_level(logging.INFO)
    found = read(tmp_path, lines(text, "b;1;0,250;1", header="image;subject;x;y"))
    assert rows(found, "x", "y") == [(12.5, 7), (0.25, 1)]
    assert "decimal commas, such as" in caplog.text and "';' between cells" in caplog.text


def test_a_number_beyond_what_histories_hold_is_no_warning(tmp_path):
    found = read(tmp_path, lines("b,1,1e300,2", "b,1,3,4"))
    assert rows(found, "x") == [(1e300,), (3,)] and found.fixations.later().tolist() == [
        False,
        True,
    ]


def test_an_unnamed_column_is_no_field(tmp_path):
    assert rows(read(tmp_path, lines("0,b,1,2,3", header="," + HEADER)), "x", "y") == [(2, 3)]
    assert rows(read(tmp_path, lines("b,1,2,3,", header=HEADER + ",")), "x", "y") == [(2, 3)]


@pytest.mark.parametrize(
    "header",
    [
        "FileName,Participant,FixationX,FixationY,onset,Fixation_Duration",
        "stimulus,observer,x_px,y_px,time (s),duration [s]",
        "IMAGE NAME,User ID,X [px],Y (pixels),Start Time,dur",
        "picture,subject-id,x_coord,Y.Coord,timestamp_s,fix.duration",
    ],
)
def test_usual_names_of_columns_are_known_and_said(tmp_path, header, caplog):
    caplog.set_level(logging.INFO)
    found = read(tmp_path, lines("b,7,1,2,0.5,0.25", header=header))
    assert rows(found, "n", "subject", "x", "y", "t", "duration") == [(1, 7, 1, 2, 0.5, 0.25)]
    assert f"{header.split(',')[0]} as image" in caplog.text


def test_times_whose_unit_is_in_the_header_become_seconds(tmp_path):
    header = HEADER + ",t_ms,duration [\u00b5s]"
    found = read(tmp_path, lines("b,1,2,3,1500,250000", header=header))
    np.testing.assert_allclose(rows(found, "t", "duration"), [(1.5, 0.25)])


MISSING = ["", " ", ".", "NA", "<NA>", "n/a", "NaN", "null", "None", "-"]


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("column", ["image", "subject", "x", "y", "t"])
def test_rows_that_lack_something_are_left_out_and_counted(tmp_path, caplog, missing, column):
    cells = {"image": "b", "subject": "1", "x": "5", "y": "6", "t": "2"} | {column: missing}
    found = read(tmp_path, lines("b,1,1,2,1", ",".join(cells.values()), header=HEADER + ",t"))
    assert rows(found, "n", "subject", "x", "y", "t") == [(1, 1, 1, 2, 1)]
    assert f"1 of 2 rows have no {column} (empty" in caplog.text


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_duration_is_unknown(tmp_path, missing):
    found = read(tmp_path, lines(f"b,1,1,2,{missing}", header=HEADER + ",duration"))
    assert len(found.fixations) == 1 and np.isnan(found.fixations.duration).all()


@pytest.mark.parametrize("column", ["t", "trial", "order"])
def test_a_column_without_values_is_as_if_it_were_not_there(tmp_path, column, caplog):
    found = read(tmp_path, lines("b,1,1,2,NA", "b,1,3,4,", header=f"{HEADER},{column}"))
    assert rows(found, "x", "t", "scanpath") == [(1, 0, 0), (3, 1, 0)]
    assert "left out" not in caplog.text


@pytest.mark.parametrize("text", [lines("b,1,2", header="image,x,y"), lines("b,,1,2")])
def test_without_observers_no_scanpath_is_known(tmp_path, text, caplog):
    found = read(tmp_path, text)
    assert rows(found, "n", "subject", "scanpath", "x", "y") == [(1, -1, -1, 1, 2)]
    assert "no column says who looked" in caplog.text


def test_two_names_of_one_picture_from_several_folders_are_refused(tmp_path):
    said = refused(tmp_path, lines("one/b,1,1,2", "two/b,1,1,2"))
    assert "'one/b' and 'two/b' would both be" in said


def test_an_order_that_times_make_needless_may_be_missing(tmp_path):
    found = read(tmp_path, lines("b,1,1,2,0,NA", "b,1,3,4,1,1", header=HEADER + ",t,order"))
    assert rows(found, "x", "t") == [(1, 0), (3, 1)]


# scanpaths


def of_times(*times, header=HEADER + ",t"):
    return lines(*(f"b,1,{k},2,{t}" for k, t in enumerate(times)), header=header)


def paths(found):
    """The x of each scanpath, which count the rows of the file."""
    by = {}
    for x, path in rows(found, "x", "scanpath"):
        by.setdefault(path, []).append(int(x))
    return list(by.values())


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 1, 2, 0, 1), [[0, 1, 2], [3, 4]]),
        ((0.1, 1, 1, 2, 0.3, 1.5, 0, 0.5), [[0, 1, 2, 3], [4, 5], [6, 7]]),
        ((0, 1, 2), [[0, 1, 2]]),
        ((2, 0, 1), [[1, 2, 0]]),  # shuffled
        ((0, 2, 1), [[0, 2, 1]]),
        ((3, 2, 1, 0), [[3, 2, 1, 0]]),
        ((5,), [[0]]),
    ],
)
@pytest.mark.parametrize("column", ["t", "order"])
def test_a_fall_of_time_to_the_start_begins_a_viewing(tmp_path, times, expected, column):
    found = read(tmp_path, of_times(*times, header=f"{HEADER},{column}"))
    assert paths(found) == expected


def test_viewings_are_said_and_so_is_sorting(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    read(tmp_path, of_times(0, 1, 2, 0, 1))
    assert "time falls back to the start in 1 scanpaths: taken as several viewings" in caplog.text
    caplog.clear()
    read(tmp_path, of_times(2, 0, 1))
    assert "rows of 1 scanpaths are not in order of time, and are sorted" in caplog.text
    caplog.clear()
    read(tmp_path, of_times(0, 1, 2, 31, 32))
    assert "leaps" not in caplog.text
    read(tmp_path, of_times(0, 1, 2, 33, 34))
    assert "time leaps in 1 scanpaths" in caplog.text and "column trial" in caplog.text


def test_columns_that_are_not_read_are_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    read(tmp_path, lines("a/x,1,2,3,L,", header=HEADER + ",eye,"))
    assert "fixations.csv: columns that are not read: eye" in caplog.text
    caplog.clear()
    read(tmp_path, lines("a/x,1,2,3"))
    assert "not read" not in caplog.text


def test_rows_that_come_twice_are_said(tmp_path, caplog):
    once = [f"a/x,{subject},{k},2" for subject in (1, 2) for k in range(5)]
    read(tmp_path, lines(*once, "a/x,1,0,2"))  # 1 of 11
    assert "of another" not in caplog.text
    read(tmp_path, lines(*once, "a/x,1,0,2", "a/x,2,4,2"))
    assert "2 of 12 rows have the picture, the observer and the very coordinates" in caplog.text


def test_scanpaths_in_the_order_of_rows_are_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    read(tmp_path, lines("a/x,1,2,3"))
    assert "no column says when (t, order); scanpaths are in the order of the rows" in caplog.text
    caplog.clear()
    read(tmp_path, lines("a/x,1,2,3,4", header=HEADER + ",order"))
    assert "no column says when" not in caplog.text


def test_a_shuffled_file_is_put_in_order(tmp_path):
    random = np.random.default_rng(1)
    cells = [f"{name},{s},{k},2,{k / 3:.3f}" for name in "ab" for s in range(9) for k in range(12)]
    text = lines(*random.permutation(cells), header=HEADER + ",t")
    found = read(tmp_path, text, names=("a.jpg", "b.jpg")).fixations
    assert found.scanpath.tolist() == np.repeat(np.arange(18), 12).tolist()
    assert found.x.tolist() == [*range(12)] * 18


def test_times_that_fall_in_both_ways_are_refused(tmp_path):
    said = refused(tmp_path, of_times(0, 1, 2, 0, 1, 2, 0, 3, 2))  # 3 of 4 rises begin early
    assert "time falls 3 times within an image and subject" in said and "column trial" in said


def test_trials_are_scanpaths_whatever_their_times(tmp_path):
    text = lines(
        "b,1,1,2,0,B", "b,1,2,2,3,A", "b,1,3,2,1,A", "b,1,4,2,1,B", header=HEADER + ",t,trial"
    )
    found = read(tmp_path, text)
    assert paths(found) == [[3, 2], [1, 4]]


def test_times_that_fall_within_a_trial_are_put_in_order(tmp_path):
    text = of_times("0,A", "1,A", "2,A", "0.1,A", header=HEADER + ",t,trial")
    assert paths(read(tmp_path, text)) == [[0, 3, 1, 2]]


def test_trials_alone_tell_scanpaths(tmp_path):
    found = read(tmp_path, lines("b,1,2,7", "b,3,4,8", "b,5,6,7", header="image,x,y,trial"))
    assert rows(found, "subject", "scanpath", "x", "t") == [
        (-1, 0, 1, 0),
        (-1, 0, 5, 1),
        (-1, 1, 3, 0),
    ]


# split


def test_sides_of_a_split_column(tmp_path):
    header = HEADER + ",split"
    text = lines("b,1,2,3,Validation", "a/x,1,2,3,", "a/x,2,2,3,train", header=header)
    assert read(tmp_path, text).sides == {"b.png": "valid", "a/x.jpg": "train"}


@pytest.mark.parametrize(
    "text", ["image;split\nb;VAL\na/x.jpg;test\n", "split,filename\nvalid,b\ntesting,x\n"]
)
def test_sides_of_a_table_of_its_own(tmp_path, text):
    path = written(tmp_path, text, "split.csv")
    found = tables.read_sides(path, stimuli(tmp_path, "b.png", "a/x.jpg"))
    assert found == {"b.png": "valid", "a/x.jpg": "test"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("train", "val"), "split of 'b.png' is train and valid"),
        (("3", ""), "split is '3', allowed"),
    ],
)
def test_sides_that_contradict_or_are_none_are_refused(tmp_path, values, said):
    text = lines(*(f"b,1,2,3,{value}" for value in values), header=HEADER + ",split")
    assert said in refused(tmp_path, text)


# which tables


def test_a_table_for_each_picture(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    files = {
        f"fixations/{name}": written(tmp_path, text, f"fixations/{name}")
        for name, text in {
            "a/x.csv": "participant,x,y\nann,1,2\nbob,3,4\n",
            "b.csv": "x;y;participant\n5,5;6;bob\n",
        }.items()
    }
    found = tables.read(files, stimuli(tmp_path, "b.png", "a/x.jpg"))
    assert rows(found, "n", "subject", "x", "y") == [(0, 0, 1, 2), (0, 1, 3, 4), (1, 1, 5.5, 6)]
    assert "x.csv (and 1 more): participant as subject taken" in caplog.text


def test_tables_in_a_folder_may_name_their_pictures_and_must_be_alike(tmp_path):
    one = written(tmp_path, lines("b,1,2,3"), "fixations/s1.csv")
    other = written(tmp_path, lines("b,1,4,5", "a/x,1,6,7"), "fixations/s2.csv")
    names = stimuli(tmp_path, "b.png", "a/x.jpg")
    files = {"fixations/s1.csv": one, "fixations/s2.csv": other}
    assert paths(tables.read(files, names)) == [[6], [2], [4]]  # a file's are a viewing
    written(tmp_path, lines("b,1,4,5,6", header=HEADER + ",t"), "fixations/s2.csv")
    with one_line("s1.csv: no column t, but s2.csv has one"):
        tables.read(files, names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fixations.csv", "split.csv", "readme.txt"], ["fixations.csv"]),
        (["fixations.tsv", "fixations/a.png"], ["fixations.tsv"]),
        (
            ["fixations/a.csv", "fixations/README.txt", "fixations/b/c.json"],
            ["fixations/a.csv", "fixations/b/c.json"],
        ),
        (["fixations.mat", "fixations/a.mat"], []),
    ],
)
def test_which_files_are_tables(tmp_path, names, expected):
    found = tables.tables_of(Files(tmp_path, {name: name for name in names}), tmp_path)
    assert list(found) == expected


@pytest.mark.parametrize("other", ["fixations.tsv", "fixations.json", "fixations/a.csv"])
def test_two_records_of_fixations_are_refused(tmp_path, other):
    files = Files(tmp_path, {name: name for name in ("fixations.csv", other)})
    with one_line(f"fixations in fixations.csv and in {other.partition('a.csv')[0]}; keep one"):
        tables.tables_of(files, tmp_path)


# exports


TOBII = (
    "Recording timestamp [ms]\tParticipant name\tRecording name\tPresented Stimulus name\t"
    "Presented Media name\tEye movement type\tGaze event duration [ms]\tEye movement type index\t"
    "Fixation point X [{0}]\tFixation point Y [{0}]\tFixation point X [DACS px]\tAOI [b, c; d]\n"
    "0\tP01\tR1\tEyetracker Calibration\tcal.png\tFixation\t300\t0\t{1}\t{2}\t9\t\n"
    "100\tP01\tR1\tb\tb.png\tFixation\t250\t1\t{1}\t{2}\t900\t1\n"
    "108\tP01\tR1\tb\tb.png\tFixation\t250\t1\t{1}\t{2}\t900\t1\n"
    "110\tP01\tR1\t\t\tFixation\t250\t1\t\t\t\t\n"
    "116\tP01\tR1\tb\tb.png\tFixation\t250\t1\t{1}\t{2}\t900\t1\n"
    "124\tP01\tR1\tb\tb.png\tSaccade\t30\t9\t{1}\t{2}\t\t1\n"
    "132\tP01\tR1\tb\tb.png\tFixation\t200\t2\t{1}\t{2}\t901\t1\n"
    "140\tP01\tR1\tb\tb.png\tFixation\t200\t3\t\t\t901\t1\n"
    "148\tP01\tR1\ta\tx.jpg\tFixation\t200\t4\t{1}\t{2}\t901\t1\n"
    "156\tP01\tR1\tb\tb.png\tFixation\t100\t5\t{1}\t{2}\t902\t1\n"
)


@pytest.mark.parametrize(
    ("unit", "x", "y"),
    [("MCS px", "16", "12"), ("MCS norm", "0.25", "0.25"), ("MCSnorm", "0,25", "0,25")],
)
def test_tobii_has_a_row_for_each_sample(tmp_path, caplog, unit, x, y):
    caplog.set_level(logging.INFO)
    found = read(tmp_path, TOBII.format(unit, x, y), "fixations.tsv", size=(64, 48))
    assert rows(found, "n", "subject", "scanpath", "x", "y") == [
        (0, 0, 0, 16, 12),
        (1, 0, 1, 16, 12),
        (1, 0, 1, 16, 12),
        (1, 0, 2, 16, 12),  # shown again
    ]
    np.testing.assert_allclose(
        rows(found, "t", "duration"), [(0.148, 0.2), (0.1, 0.25), (0.132, 0.2), (0.156, 0.1)]
    )
    for said in (
        "Tobii",
        "1 of 6 fixations are on no picture",
        "1 pictures that are not in stimuli/",
    ):
        assert said in caplog.text


def test_one_index_of_two_people_or_pictures_is_two_fixations(tmp_path):
    text = (
        "Participant name,Presented Media name,Eye movement type,Eye movement type index,"
        "Fixation point X [MCS px],Fixation point Y [MCS px]\n"
        "ann,b.png,Fixation,7,10,20\nbea,b.png,Fixation,7,11,21\nbea,x.jpg,Fixation,7,12,22\n"
    )
    found = read(tmp_path, text)
    assert rows(found, "n", "subject", "x") == [(0, 1, 12), (1, 0, 10), (1, 1, 11)]


def test_tobii_studio_and_times_without_a_unit(tmp_path):
    text = (
        "ParticipantName,MediaName,RecordingTimestamp,FixationIndex,GazeEventType,GazeEventDuration,"
        "FixationPointX (MCSpx),FixationPointY (MCSpx)\n"
        "ann,b.png,7000,1,Fixation,250,10,20\nann,b.png,7500,2,Fixation,300,11,21\n"
    )
    found = read(tmp_path, text)
    assert rows(found, "n", "x", "y", "t", "duration") == [
        (1, 10, 20, 0, 0.25),
        (1, 11, 21, 1, 0.3),
    ]


@pytest.mark.parametrize("unit", ["[DACS px]", "(MCSmm)", "[]", ""])
def test_tobii_on_the_screen_is_refused(tmp_path, unit):
    text = TOBII.format("unit", 1, 2).replace("[unit]", unit)
    said = refused(tmp_path, text, "fixations.tsv")
    assert "not in mcspx, mcsnorm; export 'Fixation point X' and 'Y' in MCS px or MCS norm" in said


def test_coordinates_in_two_units_are_refused(tmp_path):
    text = TOBII.format("MCS px", 1, 2).replace("Y [MCS px]", "Y [MCS norm]")
    assert "are in two units" in refused(tmp_path, text, "fixations.tsv")


def test_tobii_needs_the_index_of_fixations(tmp_path):
    text = TOBII.format("MCS px", 1, 2).replace("Eye movement type index", "other")
    assert "no column 'index'" in refused(tmp_path, text, "fixations.tsv")


EYELINK = (
    "RECORDING_SESSION_LABEL\tTRIAL_INDEX\timage\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\t"
    "CURRENT_FIX_Y\tCURRENT_FIX_START\tCURRENT_FIX_DURATION\n"
    "s1\t1\tb.png\t1\t3.5\t4.5\t100\t250\n"
    "s1\t1\tb.png\t2\t.\t.\t400\t250\n"
    "s1\t2\tb.png\t1\t5\t6\t90\t200\n"
    "s2\t1\tpractice.png\t1\t5\t6\t90\t200\n"
)


@pytest.mark.parametrize("name", ["fixations.txt", "fixations.xls"])
def test_eyelink_has_milliseconds_trials_and_the_screens_pixels(tmp_path, caplog, name):
    caplog.set_level(logging.INFO)
    found = read(tmp_path, EYELINK, name, encoding="utf-16")
    assert rows(found, "n", "scanpath", "x", "y", "t", "duration") == [
        (1, 0, 3.5, 4.5, 0.1, 0.25),
        (1, 1, 5, 6, 0.09, 0.2),
    ]
    for said in ("EyeLink", "pixels of the screen", "1 of 4 rows have no x or y", "'practice.png'"):
        assert said in caplog.text


def test_an_export_of_other_pictures_is_refused(tmp_path):
    said = refused(tmp_path, EYELINK, "fixations.txt", names=("q.png",))
    assert "none of its 2 pictures is in stimuli/, first 'b.png'" in said


# COCO-Search18 and COCO-FreeView


def scanpath(name="b.png", subject=1, xs=(840, 160), ys=(525, 105), ts=(200, 300), **more):
    return {"name": name, "subject": subject, "X": [*xs], "Y": [*ys], "T": [*ts], **more}


@pytest.mark.parametrize("size", [(1680, 1050), (512, 320)])
def test_coco_scanpaths_are_in_pixels_of_the_display(tmp_path, caplog, size):
    caplog.set_level(logging.INFO)
    records = [
        scanpath(task="cup", split="train", condition="present"),
        scanpath(task="fork", split="train", xs=(850, 5), ys=(520, 10)),
        scanpath("other.jpg", task="cup", split="valid"),
        scanpath("x.jpg", 2, task="cup", split="valid"),
    ]
    found = read(tmp_path, json.dumps(records), "fixations.json", size=size)
    scale = size[0] / 1680
    np.testing.assert_allclose(
        rows(found, "n", "subject", "scanpath", "x", "y", "t", "duration"),
        [
            (0, 2, 0, 840 * scale, 525 * scale, 0, 0.2),
            (0, 2, 0, 160 * scale, 105 * scale, 1, 0.3),
            (1, 1, 1, 840 * scale, 525 * scale, 0, 0.2),
            (1, 1, 1, 160 * scale, 105 * scale, 1, 0.3),
            (1, 1, 2, 850 * scale, 520 * scale, 0, 0.2),
            (1, 1, 2, 5 * scale, 10 * scale, 1, 0.3),
        ],
    )
    assert found.sides == {"b.png": "train", "a/x.jpg": "valid"}
    assert "--skip-first" in caplog.text and "'cup/other.jpg'" in caplog.text


def test_coco_scanpaths_of_smaller_pictures_stand_as_they_are(tmp_path):
    records = [scanpath(xs=(256, 500), ys=(160, 300))]
    found = read(tmp_path, json.dumps(records), "fixations.json", size=(512, 320))
    assert rows(found, "x", "y") == [(256, 160), (500, 300)]


@pytest.mark.parametrize(
    ("size", "xs", "said"),
    [
        ((640, 480), (840, 1), "a picture has 640x480 pixels"),
        ((1680, 1050), (256, 1), "begin near 256, 525, which is the centre neither"),
    ],
)
def test_coco_scanpaths_in_another_frame_are_refused(tmp_path, size, xs, said):
    path = written(tmp_path, json.dumps([scanpath(xs=xs)]), "fixations.json")
    names = stimuli(tmp_path, "b.png", size=size)
    assert said in refusal_of(path, tables.read, {"fixations.json": path}, names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON (JSONDecodeError)"),
        ("[" * 100_000, "no JSON (RecursionError)"),
        ("\xff", "no JSON"),
        ("{}", "dict, a list of scanpaths is needed"),
        ("[{}]", "scanpath 1 lacks one of name, subject, X, Y"),
        ("[3]", "scanpath 1 lacks"),
        (json.dumps([scanpath(), scanpath(xs=[1])]), "scanpath 2: X, Y and T must be lists"),
        (json.dumps([scanpath(xs=["left", 1])]), "scanpath 1: X, Y and T must be lists"),
        (json.dumps([scanpath(xs=[[1], [2]])]), "scanpath 1: X, Y and T must be lists"),
        (json.dumps([scanpath(xs=[1, float("inf")])]), "scanpath 1: X, Y and T must be lists"),
        (json.dumps([scanpath(xs=[1, 10**400])]), "scanpath 1: X, Y and T must be lists"),
        (json.dumps([scanpath() | {"X": 3}]), "scanpath 1: X, Y and T must be lists"),
    ],
)
def test_other_json_is_refused(tmp_path, text, said):
    data = text.encode("latin-1")
    assert said in refused(tmp_path, data, "fixations.json")


def test_a_large_table_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "ROWS", 3)
    found = read(tmp_path, lines(*(f"b,1,{k},{k}" for k in range(10))))
    assert found.fixations.x.tolist() == [*range(10)]
