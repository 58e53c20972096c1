"""Splits that the owner of a folder gives in it."""

import pytest
from helpers import one_line

from data.given import Hints, Listed, Own, in_folders
from data.splits import Hashed

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


@pytest.fixture
def found(tmp_path):
    """Make what is found in a folder with lists: their names without ending -> their text."""

    def make(names=NAMES, column=None, partial=False, **lists):
        for name, text in lists.items():
            (tmp_path / f"{name}.txt").write_text(text)
        files = {f"{name}.txt": tmp_path / f"{name}.txt" for name in lists}
        return Hints(files, names, column or {}, partial)

    return make


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_lists_are_obeyed_with_or_without_endings(found, word):
    lists = {"train": "a\nb.jpg\n\n", word: "C.JPG\n", "test": "stimuli/d.jpg"}
    split = Own().of(found(**lists))
    sides = split(NAMES, False)
    assert sides[:3] == (["a.jpg", "b.jpg"], ["c.jpg"], ["d.jpg"])
    assert sides.origin == f"train.txt and {word}.txt and test.txt"


@pytest.mark.parametrize("word", ["val", "Valid", "validation"])
def test_folders_are_obeyed(found, word):
    names = ["train/1.jpg", "train/2.jpg", f"{word}/1.jpg", "test/x/1.jpg"]
    sides = Own().of(found(names))(names, False)
    assert sides[:3] == (names[:2], names[2:3], names[3:])
    assert "train" in sides.origin and word in sides.origin and "folders" in sides.origin


def test_one_folder_called_train_may_hold_pictures_of_trains(found):
    names = ["train/1.jpg", "bus/1.jpg", "plane/2.jpg"]
    assert in_folders(names) is None
    assert Own().of(found(names)) == Hashed()


def test_a_column_is_obeyed(found):
    column = {"a.jpg": "train", "b.jpg": "train", "c.jpg": "valid", "d.jpg": "test"}
    sides = Own().of(found(column=column))(NAMES, False)
    assert sides[:3] == (["a.jpg", "b.jpg"], ["c.jpg"], ["d.jpg"]) and "column" in sides.origin


def test_a_table_of_sides_is_obeyed(found, tmp_path):
    (tmp_path / "split.csv").write_text("image;split\nA.jpg;train\nb;train\nc;dev\nd;test\n")
    given = found()._replace(files={"split.csv": tmp_path / "split.csv"})
    sides = Own().of(given)(NAMES, False)
    assert sides[:3] == (["a.jpg", "b.jpg"], ["c.jpg"], ["d.jpg"]) and sides.origin == "split.csv"
    with one_line("'a.jpg' is to valid by the column .* to train by split.csv"):
        Own().of(given._replace(column={"a.jpg": "valid"}))


def test_ways_that_agree_do_and_ways_that_contradict_are_refused(found):
    column = {"a.jpg": "train", "b.jpg": "valid"}
    assert Own().of(found(column=column, train="a", val="b")).sides == column
    with one_line("'a.jpg' is to train by the column .* to valid by train.txt and val.txt"):
        Own().of(found(column=column, train="b", val="a"))


def test_all_ways_are_compared_and_fill_up_each_other(found, tmp_path):
    (tmp_path / "split.csv").write_text("image,split\nb,train\nc,test\n")
    files = {"split.csv": tmp_path / "split.csv"}
    given = found(column={"a.jpg": "valid"}, train="b", val="a")
    split = Own().of(given._replace(files={**given.files, **files}))
    sides = split(NAMES[:3], False)
    assert sides[:3] == (["b.jpg"], ["a.jpg"], ["c.jpg"])
    assert sides.origin == "the column split of its table and split.csv"
    given = found(column={"a.jpg": "valid"}, train="a")
    with one_line("'a.jpg' is to valid by the column .*, to train by train.txt"):
        Own().of(given._replace(files={**given.files, **files}))


def test_a_list_of_another_kind_is_said_not_to_be_read(found, caplog):
    files = {"fixations.csv": None, "train.csv": None}
    assert Own().of(found()._replace(files=files)) == Hashed()
    assert "train.csv is not read: lists of a split are train.txt" in caplog.text


def test_lists_of_one_side_are_one_list(found):
    sides = Own().of(found(val="a", valid="b", train="c\nd"))(NAMES, False)
    assert sides[:3] == (["c.jpg", "d.jpg"], ["a.jpg", "b.jpg"], [])


def test_who_validates_is_said_where_nobody_says_it(found):
    split = Own().of(found(train="a\nb"))
    assert split(NAMES, False).origin == "train.txt, without any to validate: the others"
    split = Own().of(found(train="a\nb\nc\nd"))
    assert split(NAMES, False).origin == "train.txt, without any to validate: a fifth by hash"
    assert split(NAMES, False, (1, 2)).origin == "fold 1 of 2"


def test_folds_are_of_the_pictures_on_the_lists(found):
    split = Own().of(found(train="a\nb", val="c"))
    train, valid, *_ = split(NAMES, False, (1, 3))
    assert sorted(train + valid) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"train": "a\nb", "val": "b\nc"}, "'b.jpg' is in two of train.txt and val.txt"),
        (
            {"train": "a\nq", "val": "c"},
            "train.txt: 1 of its 2 names are of no stimulus, first 'q'",
        ),
    ],
)
def test_lists_that_are_none_are_refused(found, lists, said):
    with one_line(said):
        Own().of(found(**lists))


def test_a_list_that_is_no_text(found, tmp_path):
    here = found(train="a", val="b")
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    with one_line("val.txt: not a readable list of names"):
        Own().of(here)


def test_names_that_are_not_there_are_left_out_with_partial_and_of_a_test_list(found, caplog):
    split = Own().of(found(train="a\nq", val="b", test="c\nr", partial=True))
    assert split.sides == {"a.jpg": "train", "b.jpg": "valid", "c.jpg": "test"}
    assert "train.txt: 1 of its 2 names are of no stimulus, first 'q'" in caplog.text
    assert "test.txt: 1 of its 2 names" in caplog.text


def test_a_class_names_its_lists(found):
    files = found(fold1="a\nb", fold2="c\nd")
    split = Listed("fold1.txt", "fold2.txt").of(files)
    assert split(NAMES, False)[:3] == (["a.jpg", "b.jpg"], ["c.jpg", "d.jpg"], [])
    with one_line("no val.txt, which lists"):
        Listed("fold1.txt").of(files)


def test_without_any_the_owner_leaves_it_to_a_hash(found):
    assert Own().of(found()) == Hashed()
