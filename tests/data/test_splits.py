import subprocess
from collections import Counter

import numpy as np
import pytest
from helpers import refusal

from data.splits import FIFTH, Folders, Given, Hashed, PerFolder, Ratio, Shuffled, folded, rank


def shuffled_as_published(names, train):
    """FIELD: names sorted; RandomState(42).shuffle(arange(n)); the first indices are train."""
    order = np.arange(len(names))
    np.random.RandomState(42).shuffle(order)
    ordered = sorted(names)
    return [ordered[i] for i in order[:train]], [ordered[i] for i in order[train:]]


@pytest.mark.parametrize(("train", "valid"), [(500, 200), (803, 200), (99, 50)])
def test_shuffled_is_the_published_split(train, valid):
    names = [f"{n}.jpg" for n in range(train + valid)]
    split = Shuffled(train, valid)(names, partial=False)
    assert split[:2] == shuffled_as_published(names, train)
    assert Shuffled(train, valid)(names[::-1], partial=False) == split


def test_shuffled_by_known_indices():
    # numpy.random.RandomState(42).shuffle(numpy.arange(10)), as printed in many a tutorial
    names = list("abcdefghij")
    train, valid, *_ = Shuffled(8, 2)(names, partial=False)
    assert "".join(train + valid) == "ibfahcjedg"


def test_per_folder_uses_one_permutation_again_in_each():
    order = np.arange(100)
    np.random.RandomState(42).shuffle(order)
    folders = [f"Category{n:02d}" for n in range(20)]
    names = [f"{folder}/{n:03d}.jpg" for folder in folders for n in range(1, 101)]
    train, valid, *_ = PerFolder(1600, 400)(names, partial=False)
    assert train == [f"{folder}/{i + 1:03d}.jpg" for folder in folders for i in order[:80]]
    assert valid == [f"{folder}/{i + 1:03d}.jpg" for folder in folders for i in order[80:]]


def test_folders_are_the_authors_split():
    names = ["train/b.jpg", "train/a.jpg", "val/a.jpg"]
    train, valid, *_ = Folders(2, 1)(names, partial=False)
    assert (sorted(train), valid) == (["train/a.jpg", "train/b.jpg"], ["val/a.jpg"])


@pytest.mark.parametrize(("count", "train"), [(2, 1), (5, 4), (7, 6), (10, 8), (1001, 801)])
def test_ratio_takes_any_number(count, train):
    split = Ratio(4, 1)([f"{n}.jpg" for n in range(count)], partial=False)
    assert tuple(map(len, split[:2])) == (train, count - train)


@pytest.mark.parametrize(("count", "train"), [(60, 43), (7, 5), (2, 1)])
def test_partial_keeps_the_ratio(count, train):
    names = [f"{n}.jpg" for n in range(count)]
    split = Shuffled(500, 200)(names, partial=True)
    assert split[:2] == shuffled_as_published(names, train)


def test_partial_keeps_the_ratio_in_each_folder():
    names = [f"{folder}/{n}.jpg" for folder in "ab" for n in range(10)]
    train, valid, *_ = PerFolder(1600, 400)(names, partial=True)
    assert Counter(name[0] for name in train) == {"a": 8, "b": 8}
    assert Counter(name[0] for name in valid) == {"a": 2, "b": 2}


@pytest.mark.parametrize("count", [699, 701, 0])
def test_fewer_or_more_pictures_than_the_split(count):
    names = [f"{n}.jpg" for n in range(count)]
    message = refusal(Shuffled(500, 200), names, partial=False)
    assert message.startswith(f"{count} stimuli with truth, 700 expected (500 train, 200 valid)")
    assert "--partial" in message


@pytest.mark.parametrize("split", [Shuffled(8, 2), Ratio(4, 1), Folders(8, 2), PerFolder(8, 2)])
@pytest.mark.parametrize("names", [[], ["train/a.jpg"]])
def test_each_side_of_a_split_needs_one(split, names):
    assert "each needs one" in refusal(split, names, partial=True)


def test_folds_by_known_indices():
    # numpy.random.RandomState(42).shuffle(numpy.arange(10)) gives i b f a h c j e d g, as above;
    # every third: i a j g, b h e, f c d
    names = list("abcdefghij")
    parts = [folded(names, fold, 3) for fold in (1, 2, 3)]
    assert ["".join(valid) for _, valid in parts] == ["iajg", "bhe", "fcd"]
    assert "".join(parts[1][0]) == "ifacjdg"


@pytest.mark.parametrize("folds", [2, 7, 10, 23])
def test_every_name_validates_in_one_fold_and_trains_in_the_others(folds):
    names = [f"{n:02}" for n in range(23)]
    parts = [folded(names, fold, folds) for fold in range(1, folds + 1)]
    assert sorted(name for _, valid in parts for name in valid) == names
    assert all(sorted(train + valid) == names for train, valid in parts)
    assert len({len(valid) for _, valid in parts}) <= 2


@pytest.mark.parametrize("split", [Shuffled(8, 2), Folders(8, 2), Ratio(4, 1)])
def test_folds_take_the_place_of_any_split(split):
    names = [f"train/{n}" for n in range(10)]
    assert split(names[::-1], False, fold=(2, 5))[:2] == folded(names, 2, 5)


def test_folds_are_of_a_whole_corpus_unless_partial():
    names = [str(n) for n in range(9)]
    assert "9 stimuli with truth, 10 expected" in refusal(Shuffled(8, 2), names, False, (1, 3))
    assert len(Shuffled(8, 2)(names, True, (1, 3))[1]) == 3


@pytest.mark.parametrize(
    ("fold", "said"),
    [
        ((0, 3), "fold 0 of 3; allowed are 1..3"),
        ((4, 3), "fold 4 of 3; allowed are 1..3"),
        ((1, 1), "1 folds of 5 stimuli; allowed are 2..5"),
        ((1, 6), "6 folds of 5 stimuli; allowed are 2..5"),
    ],
)
def test_folds_that_are_none(fold, said):
    assert refusal(folded, list("abcde"), *fold) == said


# by hash


def test_hashes_are_those_of_blake2b():
    # b2sum -l 64 of the name without its ending: its first 8 bytes, the highest first
    digest = subprocess.run(
        ["b2sum", "-l", "64"], input="B\u00fcro/1".encode(), capture_output=True, check=True
    ).stdout.split()[0]
    assert rank("B\u00fcro/1.jpg") == rank("Bu\u0308ro/1.png") == int(digest, 16)


def test_a_name_keeps_its_side_whatever_others_come_or_go():
    names = [f"{n}.jpg" for n in range(1000)]
    train, valid, test, _ = Hashed()(names, partial=False)
    assert sorted(train + valid) == sorted(names) and test == []
    assert valid == sorted(name for name in names if rank(name) < FIFTH)
    assert 150 < len(valid) < 250
    for part in (names[:300], names[::7]):
        assert {*Hashed()(part, False).valid} == {*valid} & {*part}


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_of_few_names_the_lowest_validates_and_never_all(count):
    names = [f"{n}.jpg" for n in range(count)]
    by_hash = sorted(names, key=rank)
    train, valid, *_ = Hashed()(names, False)
    assert by_hash[0] in valid and by_hash[-1] in train
    low = [name for name in range(9999) if rank(str(name)) < FIFTH][:count]
    assert len(Hashed()([str(name) for name in low], False).valid) == count - 1


# given


def given(**sides):
    return Given({n: side for side, names in sides.items() for n in names}, "a list")


def test_given_sides_are_taken_in_their_order():
    split = given(train=["c", "a"], valid=["b"], test=["d"])
    assert split(["a", "b", "c", "d"], False) == (["c", "a"], ["b"], ["d"], "a list")


def test_names_on_no_side_are_left_out_and_said(caplog):
    found = given(train=["a"], valid=["b"])(["a", "b", "c"], False)
    assert found[:3] == (["a"], ["b"], [])
    assert "1 stimuli are on no side, first 'c'; left out (a list)" in caplog.text


def test_one_side_alone_means_that_the_rest_is_the_other():
    names = list("abcdef")
    assert given(valid=["b"])(names, False)[:2] == (["a", "c", "d", "e", "f"], ["b"])
    assert given(train=["b"])(names, False)[:2] == (["b"], ["a", "c", "d", "e", "f"])


def test_without_validation_a_fifth_of_what_trains_validates_and_nothing_of_the_test_side():
    names = [str(n) for n in range(100)]
    for split in (given(train=names[:80], test=names[80:]), given(test=names[80:])):
        train, valid, test, _ = split(names, False)
        assert test == names[80:] and sorted(train + valid) == sorted(names[:80])
        assert valid == sorted(name for name in names[:80] if rank(name) < FIFTH)


def test_folds_leave_the_test_side_alone():
    names = [str(n) for n in range(20)]
    train, valid, test, _ = given(train=names[:10], valid=names[10:15], test=names[15:])(
        names, False, (1, 5)
    )
    assert test == names[15:] and sorted(train + valid) == sorted(names[:15]) and len(valid) == 3
