"""The samples of a corpus' sides, and the record of them that a run keeps."""

import shutil

from conftest import make_own

from commands.sides import load_sides, record
from config import Config
from data.corpus import open_corpus
from formats.pictures.integrity import Memory


def names(samples):
    return [sample.name for sample in samples]


def test_a_run_of_a_fold_keeps_its_fold_when_pictures_come_and_go(tmp_path):
    settings, own = Config(folds=3, fold=2, partial=True), make_own(tmp_path / "own")
    before = load_sides(open_corpus(str(own), tmp_path), Memory(None), settings)
    assert (len(before.train), len(before.valid)) == (9, 4)
    gone = before.train[0].name
    shutil.copytree(make_own(tmp_path / "more", count=16), own, dirs_exist_ok=True)
    rows = (own / "fixations.csv").read_text().splitlines()
    (own / "fixations.csv").write_text("\n".join(r for r in rows if not r.startswith(gone)) + "\n")
    corpus = open_corpus(str(own), tmp_path)
    after = load_sides(corpus, Memory(None), settings, kept={"split": record(before)})
    assert names(after.train) == names(before.train)[1:]
    assert names(after.valid) == names(before.valid)
    anew = load_sides(corpus, Memory(None), settings)
    assert (len(anew.train), len(anew.valid)) == (10, 5)
