from collections import Counter

import numpy as np
import pytest

from config import UsageError
from data.splits import Folders, PerFolder, Ratio, Shuffled


def refusal(do, *args, **kwargs) -> str:
    with pytest.raises(UsageError) as error:
        do(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


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
    assert split == shuffled_as_published(names, train)
    assert Shuffled(train, valid)(names[::-1], partial=False) == split


def test_shuffled_by_known_indices():
    # numpy.random.RandomState(42).shuffle(numpy.arange(10)), as printed in many a tutorial
    names = list("abcdefghij")
    train, valid = Shuffled(8, 2)(names, partial=False)
    assert "".join(train + valid) == "ibfahcjedg"


def test_per_folder_uses_one_permutation_again_in_each():
    order = np.arange(100)
    np.random.RandomState(42).shuffle(order)
    folders = [f"Category{n:02d}" for n in range(20)]
    names = [f"{folder}/{n:03d}.jpg" for folder in folders for n in range(1, 101)]
    train, valid = PerFolder(1600, 400)(names, partial=False)
    assert train == [f"{folder}/{i + 1:03d}.jpg" for folder in folders for i in order[:80]]
    assert valid == [f"{folder}/{i + 1:03d}.jpg" for folder in folders for i in order[80:]]


def test_folders_are_the_authors_split():
    names = ["train/b.jpg", "train/a.jpg", "val/a.jpg"]
    train, valid = Folders(2, 1)(names, partial=False)
    assert (sorted(train), valid) == (["train/a.jpg", "train/b.jpg"], ["val/a.jpg"])


@pytest.mark.parametrize(("count", "train"), [(2, 1), (5, 4), (7, 6), (10, 8), (1001, 801)])
def test_ratio_takes_any_number(count, train):
    split = Ratio(4, 1)([f"{n}.jpg" for n in range(count)], partial=False)
    assert tuple(map(len, split)) == (train, count - train)


@pytest.mark.parametrize(("count", "train"), [(60, 43), (7, 5), (2, 1)])
def test_partial_keeps_the_ratio(count, train):
    names = [f"{n}.jpg" for n in range(count)]
    split = Shuffled(500, 200)(names, partial=True)
    assert split == shuffled_as_published(names, train)


def test_partial_keeps_the_ratio_in_each_folder():
    names = [f"{folder}/{n}.jpg" for folder in "ab" for n in range(10)]
    train, valid = PerFolder(1600, 400)(names, partial=True)
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
