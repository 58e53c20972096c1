import logging
import shutil
from hashlib import blake2b

import h5py
import numpy as np
import pytest
from authors_files import points_picture
from corpus_files import SIZE, blurred, picture, points
from helpers import refusal
from PIL import Image

from batches.truth import truth
from data import corpora  # noqa: F401  corpora's classes register themselves
from data.corpus import OwnFolder, open_corpus
from data.samples import load, pictures
from errors import UsageError
from formats import cached
from formats.fixations import blur, counts, table
from formats.pictures import integrity  # noqa: F401  corpora's classes register themselves
from formats.pictures.decode import decode
from formats.pictures.integrity import Memory
from formats.pysaliency import write_hdf5

WIDTH, HEIGHT = SIZE
NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def own(tmp_path):
    """A folder of one's own with five stimuli and no truth yet."""
    for name in NAMES:
        picture(tmp_path / "own" / "stimuli" / f"{name}.jpg")
    return tmp_path / "own"


def load_all(folder, **options):
    corpus = open_corpus(str(folder), folder.parent)
    train, valid, *_ = load(corpus, Memory(folder.parent), **options)
    return sorted([*train, *valid], key=lambda sample: sample.name)


def give_maps(own, names=NAMES, folder="saliency"):
    for name in names:
        blurred(own / folder / f"{name}.png")


def give_csv(own, names=NAMES, rows=("1,3.25,4.75", "1,3.25,4.75", "2,39.5,31")):
    lines = ["image,subject,x,y", *(f"{name}.jpg,{row}" for name in names for row in rows)]
    (own / "fixations.csv").write_text("\n".join(lines) + "\n")


def give_hdf5(own, x=5.5):
    names = [f"{name}.jpg" for name in NAMES]
    found = table([x] * 5, [6.25] * 5, range(5))
    write_hdf5(own, names, [(HEIGHT, WIDTH, 3)] * 5, found)


def test_own_csv_keeps_fractions_and_repeats(own, caplog):
    caplog.set_level(logging.INFO, "absl")
    give_csv(own)
    samples = load_all(own)
    assert points(samples) == {
        f"{name}.jpg": [(3.25, 4.75), (3.25, 4.75), (39.5, 31)] for name in NAMES
    }
    assert "sigma of the blur assumed, 24 pixels; --pixels-per-degree" in caplog.text


def test_a_table_beside_an_hdf5_file_is_said_not_to_be_read(own, caplog):
    give_hdf5(own)
    give_csv(own)
    assert points(load_all(own))["a.jpg"] == [(5.5, 6.25)]
    said = "own: fixations from fixations.hdf5; fixations.csv beside it is not read"
    assert said in caplog.text


def test_own_hdf5(own, caplog):
    give_hdf5(own)
    assert points(load_all(own)) == {f"{name}.jpg": [(5.5, 6.25)] for name in NAMES}
    assert "not read" not in caplog.text


def test_own_pictures_of_points_are_at_pixels_centres_and_say_what_is_lost(own, caplog):
    caplog.set_level(logging.INFO, "absl")
    for name in NAMES:
        points_picture(own / "fixations" / f"{name}.png", [(0, 0), (7, 9)], SIZE)
    samples = load_all(own)
    assert points(samples) == {f"{name}.jpg": [(0.5, 0.5), (7.5, 9.5)] for name in NAMES}
    assert "repeats are lost" in caplog.text


def recorded_on(own, height, width):
    """Puts a stimuli.hdf5 there by which the pictures had another size when they were seen."""
    names = [f"{name}.jpg" for name in NAMES]
    write_hdf5(own, names, [(height, width, 3)] * 5, table([], [], []))
    (own / "fixations.hdf5").unlink()


def test_points_on_the_pictures_that_are_there_are_not_scaled_by_what_was_recorded(own):
    recorded_on(own, 2 * HEIGHT, 2 * WIDTH)
    for name in NAMES:
        points_picture(own / "fixations" / f"{name}.png", [(20, 10)], SIZE)
    assert points(load_all(own))["a.jpg"] == [(20.5, 10.5)]


def test_fractions_of_a_program_are_not_scaled_by_what_was_recorded(own):
    recorded_on(own, 2 * HEIGHT, 2 * WIDTH)
    header = "Participant name,Presented Media name,Eye movement type,Eye movement type index,"
    header += "Fixation point X [MCS norm],Fixation point Y [MCS norm]"
    rows = [f"p,{name}.jpg,Fixation,{k},0.5,0.25" for k, name in enumerate(NAMES)]
    (own / "fixations.csv").write_text("\n".join([header, *rows]) + "\n")
    assert points(load_all(own))["a.jpg"] == [(WIDTH / 2, HEIGHT / 4)]


def test_pixels_of_another_aspect_ratio_are_refused_and_fractions_and_maps_are_not(own):
    recorded_on(own, 3 * HEIGHT, 2 * WIDTH)
    give_csv(own)
    said = refusal(load_all, own)
    assert said.startswith(f"{own}: 'a.jpg': its fixations are of {2 * WIDTH}x{3 * HEIGHT} pixels")
    give_csv(own, rows=["1,0.5,0.25"])
    found = load_all(own, units="fractions")
    assert points(found)["a.jpg"] == [(WIDTH / 2, HEIGHT / 4)]
    assert found[0].sigma == pytest.approx(24 / 6**0.5)
    (own / "fixations.csv").unlink()
    give_maps(own)
    assert len(load_all(own)) == 5


def test_pictures_of_points_under_saliency_are_points(own, caplog):
    caplog.set_level(logging.INFO, "absl")
    for name in NAMES:
        points_picture(own / "saliency" / f"{name}.png", [(0, 0), (7, 9)], SIZE)
    assert points(load_all(own))["a.jpg"] == [(0.5, 0.5), (7.5, 9.5)]
    assert "own: fixations from pictures of points in saliency/, whose repeats" in caplog.text
    give_csv(own)
    (sample, *_) = load_all(own)
    assert len(sample.points) == 3 and sample.density_map is None


def test_discs_are_said(own, caplog):
    caplog.set_level(logging.INFO, "absl")
    square = [(x + 10, y + 20) for x in range(3) for y in range(3)]
    for name in NAMES:
        points_picture(own / "fixations" / f"{name}.png", square, SIZE)
    assert points(load_all(own))["a.jpg"] == [(11.5, 21.5)]
    assert "own: discs of 3x3 pixels in fixations/, each a fixation at its middle; 0 of 5" in (
        caplog.text
    )


def give_arrays(own, folder, values):
    (own / folder).mkdir()
    for name in NAMES:
        np.save(own / folder / f"{name}.npy", values)


@pytest.mark.parametrize("folder", ["saliency", "fixations"])
def test_own_arrays_of_maps(own, folder):
    values = 1e-3 * np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))
    give_arrays(own, folder, values)
    (sample, *others) = load_all(own)
    assert len(others) == 4 and sample.density_map == own / folder / "a.npy"
    np.testing.assert_allclose(truth(sample)["density"], values / values.sum(), rtol=1e-6)


def test_own_arrays_of_counts(own, caplog):
    caplog.set_level(logging.INFO, "absl")
    counts = np.zeros((HEIGHT, WIDTH), np.int64)
    counts[3, 5], counts[9, 30] = 2, 1
    give_arrays(own, "fixations", counts)
    assert points(load_all(own))["a.jpg"] == [(5.5, 3.5), (5.5, 3.5), (30.5, 9.5)]
    assert "own: fixations from arrays of counts in fixations/" in caplog.text


def test_arrays_of_log_densities_are_no_maps(own):
    give_arrays(own, "saliency", np.full((HEIGHT, WIDTH), -7.0))
    said = refusal(load_all, own)
    assert said.startswith(f"5 pictures cannot be read, first '{own / 'saliency' / 'a.npy'}': some")
    assert "negative or not finite; of log-densities, save exp" in said


def test_inverted_maps_are_said(own, caplog):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bump = 255 - 200 * np.exp(-((x - 20) ** 2 + (y - 16) ** 2) / 40)
    for name in NAMES:
        (own / "saliency").mkdir(exist_ok=True)
        Image.fromarray(np.uint8(bump)).save(own / "saliency" / f"{name}.png")
    load_all(own)
    assert "own: 5 of 5 maps are brighter at the border than in the middle; if they" in caplog.text
    caplog.clear()
    for name in NAMES[:1]:  # the others may be of people who looked past the middle
        Image.fromarray(255 - np.uint8(bump)).save(own / "saliency" / f"{name}.png")
    load_all(own)
    assert "brighter at the border" not in caplog.text


def test_files_in_stimuli_that_nobody_reads_are_named(own, caplog):
    give_csv(own)
    (own / "stimuli" / "notes.txt").write_text("of the camera")
    assert len(load_all(own)) == 5
    (own / "stimuli" / "f.HEIC").write_bytes(b"ftypheic")
    said = refusal(load_all, own)
    assert said.startswith(f"{own}/stimuli: 1 files are not read, first 'f.HEIC'; readable are")
    assert len(load_all(own, partial=True)) == 5
    assert "first 'f.HEIC'; readable are" in caplog.text


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "avif", "pbm"])
def test_pictures_are_read_whatever_they_are_called(own, ending):
    (own / "stimuli" / "a.jpg").rename(own / "stimuli" / f"a.{ending}")
    give_maps(own)
    assert load_all(own)[0].name == f"a.{ending}"


def test_truth_that_nobody_reads_is_named(own):
    (own / "fixations").mkdir()
    for name in NAMES:
        (own / "fixations" / f"{name}.mat").write_bytes(b"MATLAB")
    assert "of which 5 files are not read, first 'fixations/a.mat': save them as pictures" in (
        refusal(load_all, own)
    )


def test_a_table_of_a_kind_that_is_not_read_is_named(own):
    (own / "Fixations.xlsx").touch()
    said = (
        "of which 1 files are not read, first 'Fixations.xlsx': save them as pictures, as .npy or"
    )
    assert said in refusal(load_all, own)


@pytest.mark.parametrize("folder", ["saliency", "fixations"])
def test_own_blurred_maps(own, folder):
    give_maps(own, folder=folder)
    for sample in load_all(own):
        assert sample.points is None
        assert sample.density_map == own / folder / f"{sample.name[0]}.png"


def test_the_split_is_80_to_20(own):
    give_maps(own)
    corpus = open_corpus(str(own), own.parent)
    train, valid, *_ = load(corpus, Memory(own.parent))
    assert (len(train), len(valid)) == (4, 1)


def test_the_richest_truth_is_used(own):
    give_maps(own)
    for name in NAMES:
        points_picture(own / "fixations" / f"{name}.png", [(0, 0)], SIZE)
    assert points(load_all(own))["a.jpg"] == [(0.5, 0.5)]
    give_csv(own)
    assert points(load_all(own))["a.jpg"] == [(3.25, 4.75), (3.25, 4.75), (39.5, 31)]
    give_hdf5(own)
    samples = load_all(own)
    assert points(samples)["a.jpg"] == [(5.5, 6.25)]
    # no one has said how wide to blur: the maps that are there are the better density
    assert samples[0].density_map == own / "saliency" / "a.png"


def test_pixels_per_degree_blurs_the_points_instead_of_taking_maps(own):
    give_maps(own)
    give_csv(own)
    sample = load_all(own, sigma=3.0)[0]
    assert sample.density_map is None
    drawn = counts([3.25, 3.25, 39.5], [4.75, 4.75, 31], (HEIGHT, WIDTH))
    wide = blur(drawn, 3.0)
    np.testing.assert_allclose(truth(sample)["density"], wide / wide.sum(), rtol=1e-6)


def test_subfolders_pair_with_subfolders(tmp_path):
    own = tmp_path / "own"
    for folder in ("x", "y"):
        picture(own / "stimuli" / folder / "001.jpg")
        blurred(own / "saliency" / folder / "001.png")
    for sample in load_all(own):
        assert sample.density_map.parent.name == sample.name[0]


def test_a_stimulus_without_map_is_named_and_counted(own):
    give_maps(own, names="abe")
    message = refusal(load_all, own)
    assert message == (
        f"{own}: 2 stimuli have no map, first 'c.jpg'; --partial trains on the others"
    )
    assert [sample.name for sample in load_all(own, partial=True)] == ["a.jpg", "b.jpg", "e.jpg"]


def test_a_stimulus_without_fixations_is_named_and_counted(own, caplog):
    give_csv(own, names="abce")
    assert "1 stimuli have no fixations, first 'd.jpg'" in refusal(load_all, own)
    assert len(load_all(own, partial=True)) == 4
    assert "first 'd.jpg'; left out" in caplog.text


def test_no_fixations_at_all_are_no_truth(own):
    give_csv(own, names=())
    assert "5 stimuli have no fixations, first 'a.jpg'" in refusal(load_all, own)


def test_a_map_without_stimulus_is_named_and_counted(own, caplog):
    give_maps(own, names=(*NAMES, "f", "g"))
    assert refusal(load_all, own).startswith(
        f"{own}: 2 maps have no stimulus, first 'f.png'; one would be named 'a.jpg'; --partial"
    )
    assert len(load_all(own, partial=True)) == 5
    assert "2 maps have no stimulus, first 'f.png'; left out" in caplog.text


def test_points_without_stimulus_are_named_and_counted(own):
    for name in (*NAMES, "f"):
        points_picture(own / "fixations" / f"{name}.png", [(0, 0)], SIZE)
    assert "1 maps have no stimulus, first 'f.png'" in refusal(load_all, own)
    assert len(points(load_all(own, partial=True))) == 5


def test_fixations_of_a_picture_that_is_not_there_are_named(own):
    give_csv(own, names=(*NAMES, "f"))
    message = refusal(load_all, own)
    assert "line 17: image 'f.jpg' is not in stimuli/" in message


def test_two_stimuli_of_one_name(own):
    give_maps(own)
    picture(own / "stimuli" / "a.png")
    assert refusal(load_all, own) == f"{own}: 'a.jpg' and 'a.png' have one name; keep one of them"


def test_two_maps_of_one_name(own):
    give_maps(own)
    blurred(own / "saliency" / "a.jpg")
    assert "'a.jpg' and 'a.png' are of one stimulus, 'a.jpg'" in refusal(load_all, own)


@pytest.mark.parametrize("folder", ["stimuli", "saliency"])
@pytest.mark.parametrize("kept", [0, 10, 300, -20])
def test_a_damaged_picture_is_found_before_training(own, folder, kept):
    give_maps(own)
    damaged = own / folder / ("c.jpg" if folder == "stimuli" else "c.png")
    if folder == "saliency":
        shutil.copy(own / "stimuli" / "a.jpg", damaged)
    damaged.write_bytes(damaged.read_bytes()[:kept])
    message = refusal(load_all, own)
    assert message.startswith(f"1 pictures cannot be read, first '{damaged}': ")
    why = message.partition("': ")[2].lower()
    assert ("truncated" if kept else "empty") in why


def test_an_empty_folder(tmp_path):
    for folder in ("empty", "bare"):
        (tmp_path / folder / "stimuli").mkdir(parents=True)
    (tmp_path / "empty" / "stimuli").rmdir()
    assert refusal(load_all, tmp_path / "empty").endswith("no folder stimuli/ in it, found nothing")
    assert refusal(load_all, tmp_path / "bare").endswith("no pictures in stimuli/, found stimuli")


def test_pictures_without_any_truth(own):
    message = refusal(load_all, own)
    assert message.startswith(
        f"{own}: no truth, found stimuli; needs fixations.hdf5, fixations.csv"
    )


def test_fewer_pictures_than_the_split(tmp_path):
    for number in (1001, 1002, 1003):
        picture(tmp_path / "osie" / "stimuli" / f"{number}.jpg")
        blurred(tmp_path / "osie" / "saliency" / f"{number}.jpg")
    message = refusal(load_all, tmp_path / "osie")
    assert message.startswith(f"{tmp_path / 'osie'}: 3 stimuli with truth, 700 expected")
    assert "--partial" in message
    assert len(load_all(tmp_path / "osie", partial=True)) == 3


def test_one_picture_is_too_few(tmp_path):
    picture(tmp_path / "own" / "stimuli" / "a.jpg")
    blurred(tmp_path / "own" / "saliency" / "a.jpg")
    assert "each needs one" in refusal(load_all, tmp_path / "own")


def test_a_map_of_another_aspect_ratio(own):
    give_maps(own)
    blurred(own / "saliency" / "b.png", (HEIGHT, WIDTH))
    assert refusal(load_all, own) == (
        f"{own}: 1 maps are of another aspect ratio than their stimulus, "
        "first of 'b.jpg': map 32x40, stimulus 40x32"
    )


@pytest.mark.parametrize("size", [(20, 16), (80, 64), (13, 10), (125, 100), (1000, 800)])
def test_a_map_of_another_size_is_fine(own, size):
    give_maps(own)
    blurred(own / "saliency" / "b.png", size)
    assert len(load_all(own)) == 5


def test_a_black_map_is_no_truth(own, caplog):
    give_maps(own)
    Image.new("L", (WIDTH, HEIGHT)).save(own / "saliency" / "b.png")
    assert "b.jpg" not in {sample.name for sample in load_all(own)}
    assert "1 stimuli have no fixation that counts, or a black map, first 'b.jpg'" in caplog.text


def test_points_of_another_aspect_ratio(own):
    for name in NAMES:
        points_picture(own / "fixations" / f"{name}.png", [(0, 0)], (HEIGHT, WIDTH))
    assert "points on 32x40 pixels, but the stimulus has 40x32" in refusal(load_all, own)


def test_fixations_outside_are_dropped_counted_and_said(own, caplog):
    outside = ("1,-0.1,4", "1,40,4", "1,4,32", "1,4,-1")
    give_csv(own, rows=("1,0,0", "1,39.99,31.99", *outside))
    assert "20 of 30 fixations lie outside" in refusal(load_all, own)
    samples = load_all(own, drop=True)
    assert set(map(tuple, points(samples).values())) == {((0, 0), (39.99, 31.99))}
    assert "20 of 30 fixations lie outside their picture" in caplog.text


@pytest.mark.parametrize("name", ["fixations.tsv", "fixations/all.csv"])
def test_a_column_split_of_a_table_is_obeyed(own, name):
    sides = {"a": "test", "b": "val", "c": "train", "d": "train", "e": "val"}
    rows = [f"{name}\t{side}\t1\t3.25\t4.75" for name, side in sides.items()]
    (own / name).parent.mkdir(exist_ok=True)
    (own / name).write_text("\n".join(["image\tsplit\tsubject\tx\ty", *rows]) + "\n")
    corpus = open_corpus(str(own), own.parent)
    parts = load(corpus, Memory(own.parent))[:3]
    found = [[sample.name for sample in part] for part in parts]
    assert found == [["c.jpg", "d.jpg"], ["b.jpg", "e.jpg"], ["a.jpg"]]


def test_a_stimulus_whose_fixations_are_all_outside_is_left_out_and_said(own, caplog):
    give_csv(own)
    text = (own / "fixations.csv").read_text().splitlines()
    rows = [row for row in text if not row.startswith("b.jpg")] + ["b.jpg,1,-5,4"]
    (own / "fixations.csv").write_text("\n".join(rows) + "\n")
    assert "b.jpg" not in {sample.name for sample in load_all(own)}
    assert "1 stimuli have no fixation that counts, or a black map, first 'b.jpg'" in caplog.text


def test_nothing_is_said_or_dropped_when_all_are_inside(own, caplog):
    give_csv(own)
    load_all(own)
    assert "outside" not in caplog.text


def test_pictures_are_decoded_once_and_again_when_they_change(own, monkeypatch):
    give_maps(own)
    load_all(own)
    seen = []
    decode = integrity.decode
    monkeypatch.setattr(integrity, "decode", lambda path: seen.append(path) or decode(path))
    load_all(own)
    assert seen == []
    changed = picture(own / "stimuli" / "b.jpg", (80, 64))
    shapes = {sample.name: sample.shape for sample in load_all(own)}
    assert seen == [changed]
    assert shapes == {f"{n}.jpg": (64, 80) if n == "b" else (32, 40) for n in NAMES}


def test_a_damaged_picture_is_looked_at_again_and_the_others_are_not(own, monkeypatch):
    give_maps(own)
    damaged = own / "stimuli" / "c.jpg"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"")
    refusal(load_all, own)
    decode, seen = integrity.decode, []
    monkeypatch.setattr(integrity, "decode", lambda path: seen.append(path) or decode(path))
    refusal(load_all, own)
    damaged.write_bytes(whole)
    load_all(own)
    assert seen == [damaged, damaged]


def test_pictures_of_a_folder_keep_their_subfolders(tmp_path):
    for name in ("a.jpg", "x/a.png", "x/y/a.bmp", ".hidden/a.jpg", "._a.jpg"):
        picture(tmp_path / "album" / name)
    (tmp_path / "album" / "notes.txt").touch()
    samples = pictures(tmp_path / "album", Memory(tmp_path))
    assert [sample.name for sample in samples] == ["a.jpg", "x/a.png", "x/y/a.bmp"]
    assert all(sample.points is sample.density_map is None for sample in samples)


def test_what_is_no_picture_beside_some_is_said(tmp_path, caplog):
    picture(tmp_path / "album" / "a.png")
    (tmp_path / "album" / "b.heic").write_bytes(b"ftypheic")
    (tmp_path / "album" / "c.txt").write_text("notes")
    assert [s.name for s in pictures(tmp_path / "album", Memory(tmp_path))] == ["a.png"]
    assert "album: 1 files are not read, first 'b.heic'; readable are .apng" in caplog.text


def test_one_picture(tmp_path):
    path = picture(tmp_path / "a.jpg", (50, 20))
    (sample,) = pictures(path, Memory(tmp_path))
    assert (sample.name, sample.stimulus, sample.shape) == ("a.jpg", path, (20, 50))


def test_pictures_that_cannot_be_drawn(tmp_path):
    (tmp_path / "album").mkdir()
    with pytest.raises(UsageError, match="no pictures in it; they end in .apng"):
        pictures(tmp_path / "album", Memory(tmp_path))
    picture(tmp_path / "album" / "a.jpg")
    picture(tmp_path / "album" / "a.png")
    with pytest.raises(UsageError, match="'a.jpg' and 'a.png' have one name"):
        pictures(tmp_path / "album", Memory(tmp_path))
    (tmp_path / "album" / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="1 pictures cannot be read, first .*a.png': "):
        pictures(tmp_path / "album" / "a.png", Memory(tmp_path))


def test_the_rows_of_a_sample_know_observer_order_and_time(own):
    text = "image,subject,x,y,t,duration"
    rows = [f"{name}.jpg,{s},{k},{t},{t},0.5" for name in NAMES for s in (1, 2) for k, t in RISING]
    (own / "fixations.csv").write_text("\n".join([text, *rows]) + "\n")
    for sample in load_all(own):
        rows = sample.table
        assert rows.subject.tolist() == [1] * 3 + [2] * 3
        assert rows.t.tolist() == [0, 1, 2] * 2 and rows.x.tolist() == [4, 9, 2] * 2
        assert rows.duration.tolist() == [0.5] * 6 and rows.ordered
        assert len(set(rows.scanpath[:3])) == len(set(rows.scanpath[3:])) == 1
        np.testing.assert_array_equal(sample.points, np.stack([rows.x, rows.y], 1))


RISING = ((2, 2), (4, 0), (9, 1))  # out of the order of t


def test_points_of_pictures_know_neither_observer_nor_order(own):
    for name in NAMES:
        points_picture(own / "fixations" / f"{name}.png", [(0, 0), (7, 9)], SIZE)
    for sample in load_all(own):
        assert sample.table.subject.tolist() == sample.table.scanpath.tolist() == [-1, -1]


def test_what_is_dropped_leaves_the_rows_of_the_others(own):
    give_csv(own, rows=("1,3,4", "1,-1,4", "1,5,6"))
    for sample in load_all(own, drop=True):
        assert sample.table.x.tolist() == [3, 5] and sample.table.t.tolist() == [0, 2]
        # what lies outside was looked at before what came after it, as in pysaliency
        assert sample.table.history[1, :2].tolist() == [[-1, 4], [3, 4]]
        assert sample.table.later().tolist() == [False, True]


def test_a_sample_knows_its_pictures_digest(own):
    give_csv(own)
    for sample in load_all(own) + load_all(own):  # found, then remembered
        seen = decode(sample.stimulus)
        content = str(seen.shape).encode() + seen.tobytes()
        expected = blake2b(content, digest_size=8).hexdigest()
        assert sample.digest == sample.bare().digest == expected
    assert sample.bare().table is sample.bare().points is None
    (alone,) = pictures(own / "stimuli" / "e.jpg", Memory(own.parent))
    assert alone.digest == sample.digest


# folds and subsets


def sides(folder, **options):
    corpus = open_corpus(str(folder), folder.parent)
    parts = load(corpus, Memory(folder.parent), **options)
    return [[sample.name for sample in part] for part in parts[:2]]


def test_folds_share_no_picture(own):
    give_csv(own)
    parts = [sides(own, fold=(fold, 5)) for fold in range(1, 6)]
    assert sorted(name for _, (name,) in parts) == [f"{name}.jpg" for name in NAMES]
    assert all(len(train) == 4 and valid[0] not in train for train, valid in parts)
    assert refusal(load_all, own, fold=(6, 5)) == f"{own}: fold 6 of 5; allowed are 1..5"


def test_a_subset_is_of_the_training_side_alone(own, caplog):
    caplog.set_level(logging.INFO, "absl")
    give_csv(own)
    train, valid = sides(own)
    names = own.parent / "names.txt"
    names.write_text(f"\ufeff{train[2]}\n\n  {train[0][:-4]} \n{valid[0]}\n", encoding="utf-8")
    assert sides(own, subset=names) == [[train[0], train[2]], valid]
    assert "1 of its names are not on the training side" in caplog.text


def test_a_subset_that_is_none(own):
    give_csv(own)
    names = own.parent / "names.txt"
    assert f"--subset {names}: not a readable list of names (" in refusal(
        load_all, own, subset=names
    )
    names.write_text("a.jpg\nq.jpg\nz\n")
    said = f"--subset {names}: 2 of its 3 names are of no stimulus, first 'q.jpg'; allowed"
    assert refusal(load_all, own, subset=names).startswith(said)
    names.write_text(sides(own)[1][0])
    assert refusal(load_all, own, subset=names).endswith(
        "none of the 4 stimuli to train on is in it"
    )
    names.write_bytes(b"\xff\xfe\n")
    assert "not a readable list" in refusal(load_all, own, subset=names)


# pysaliency's files as they lie on disks


def lab_stimuli(folder, names, version="2.1"):
    with h5py.File(folder / "stimuli.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("FileStimuli"), np.bytes_(version)
        file["filenames"] = names


def lab_fixations(folder, x):
    """A scanpath of two fixations on each stimulus; the first of them is at x."""
    write_hdf5(folder, [str(n) for n in range(len(x))], [(HEIGHT, WIDTH)] * len(x), table(
        [v for first in x for v in (first, 7.5)], 1.25, [n for n in range(len(x)) for _ in "ab"],
        3, [0, 1] * len(x), 0.2, [n for n in range(len(x)) for _ in "ab"],
    ))  # fmt: skip
    (folder / "stimuli.hdf5").unlink()


@pytest.mark.parametrize("name", ["mit1003", "osie", "cat2000", "own"])
@pytest.mark.parametrize("kind", ["memory", "named", "files", "elsewhere", "old"])
def test_a_labs_files_train_without_conversion(tmp_path, name, kind):
    folder = tmp_path / name
    folder.mkdir()
    names = ["c.jpeg", "a.jpeg", "b.jpeg", "e.jpeg", "d.jpeg"]  # in no order
    lab_fixations(folder, range(5))
    where = {"files": "Stimuli/", "elsewhere": "images/", "old": "images/"}.get(kind)
    if where:
        for level, file in enumerate(names):
            picture(folder / where / file, level=100 + level)
        prefix = "/home/you/MIT/" if kind == "old" else ""
        lab_stimuli(folder, [prefix + where + n for n in names], "1.0" if prefix else "2.1")
    else:
        with h5py.File(folder / "stimuli.hdf5", "w") as file:
            file.attrs["type"], file.attrs["version"] = np.bytes_("Stimuli"), np.bytes_("1.1")
            for index in range(5):
                pixels = np.full((HEIGHT, WIDTH, 3), 100 + index, np.uint8)
                file.create_dataset(str(index), data=pixels, compression="gzip")
            if kind == "named":
                file["name"] = names
    before = sorted(folder.rglob("*"))
    samples = load_all(folder, partial=name != "own")
    assert sorted(folder.rglob("*")) == before
    expected = sorted(names) if kind != "memory" else [str(n) for n in range(5)]
    assert [sample.name for sample in samples] == expected
    for sample in samples:
        index = expected.index(sample.name) if kind == "memory" else names.index(sample.name)
        assert sample.points.tolist() == [[index, 1.25], [7.5, 1.25]] and sample.table.ordered
        assert abs(int(decode(sample.stimulus)[0, 0, 0]) - 100 - index) <= (3 if where else 0)
        assert sample.shape == (HEIGHT, WIDTH) and len(sample.digest) == 16


def test_pictures_in_memory_are_all_of_the_stimuli(own):
    lab_fixations(own, range(2))
    with h5py.File(own / "stimuli.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("Stimuli"), np.bytes_("1.0")
        file["0"], file["1"] = (np.full((HEIGHT, WIDTH), level, np.uint8) for level in (7, 9))
    assert [decode(s.stimulus)[0, 0, 0] for s in load_all(own)] == [7, 9]  # and not a.jpg ...


def test_pictures_in_memory_are_written_out_where_they_are_used(own, tmp_path, monkeypatch):
    monkeypatch.setattr(cached, "_folder", tmp_path / "cache")
    with h5py.File(own / "stimuli.hdf5", "w") as file:
        file.attrs["type"], file.attrs["version"] = np.bytes_("Stimuli"), np.bytes_("1.0")
        file["0"] = np.zeros((HEIGHT, WIDTH), np.uint8)
    assert len(OwnFolder.contents(own)[1]) == 1  # as info asks
    assert not [*(tmp_path / "cache").rglob("*.png")]
    corpus = open_corpus(str(own), own.parent)
    assert [*corpus.stimuli.values()] == [*(tmp_path / "cache").rglob("*.png")]


def test_a_stimulus_that_is_not_there_is_named(own, caplog):
    lab_fixations(own, range(5))
    lab_stimuli(own, [f"stimuli/{name}.jpg" for name in (*NAMES[:4], "gone")])
    (own / "stimuli" / "e.jpg").unlink()
    path = own / "fixations.hdf5"
    said = f"{path}: 1 of its stimuli are not here, first 'gone.jpg'; --partial leaves them out"
    assert refusal(load_all, own) == said
    assert len(load_all(own, partial=True)) == 4
    assert "their 2 fixations are left out" in caplog.text


def test_stimuli_of_which_none_is_there_are_named(tmp_path):
    (tmp_path / "own").mkdir()
    lab_fixations(tmp_path / "own", range(2))
    lab_stimuli(tmp_path / "own", ["images/a.jpg", "images/b.jpg"])
    assert "no pictures in stimuli/, where 'stimuli.hdf5' has 'images/a.jpg'" in refusal(
        load_all, tmp_path / "own"
    )


def test_stimuli_and_fixations_that_do_not_belong_together(own):
    lab_fixations(own, range(5))
    lab_stimuli(own, [f"stimuli/{name}.jpg" for name in NAMES[:4]])
    assert (
        refusal(load_all, own)
        == f"{own}/fixations.hdf5: fixations on stimuli 0..4, allowed are 0..3"
    )
    (own / "stimuli.hdf5").write_bytes(b"")
    assert refusal(load_all, own).startswith(f"{own}/stimuli.hdf5: not a whole .hdf5 file (")
