import ast
import io
import tokenize
from pathlib import Path

import pytest
from corpus_files import MAKERS, picture
from helpers import refusal

from data import corpora, scenes  # noqa: F401  corpora's classes register themselves
from data.corpus import (
    Assumed,
    Corpus,
    OwnFolder,
    Source,
    corpus_name,
    find,
    has_stimuli,
    inventory,
    open_corpus,
)
from data.splits import Shuffled

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean_registry(monkeypatch):
    monkeypatch.setattr(Corpus, "registry", dict(Corpus.registry))


def define(name="ADVERTS", doc="Adverts (Someone, 2020).", **fields):
    whole = {"size": (240, 320), "split": Shuffled(8, 2), "sigma": 24, "__doc__": doc}
    left = {key: value for key, value in (whole | fields).items() if value is not ...}
    return type(Corpus)(name, (Corpus,), left)


def test_defining_a_class_registers_it():
    class ADVERTS(Corpus):
        """Adverts (Someone, 2020)."""

        size = (240, 320)
        split = Shuffled(8, 2)
        sigma = 24

    assert Corpus.registry["adverts"] is ADVERTS
    assert find("Adverts") is ADVERTS
    assert ADVERTS.initial is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"doc": None}, "needs a docstring"),
        ({"size": ...}, "lacks size"),
        ({"split": ...}, "lacks split"),
        ({"sigma": ...}, "lacks sigma"),
        ({"size": (240, 321)}, "size (240, 321) must be (height, width), multiples of 8"),
        ({"size": (0, 320)}, "size (0, 320) must be"),
        ({"size": (240,)}, "size (240,) must be"),
        ({"size": 240}, "size 240 must be"),
        ({"size": (240.0, 320)}, "size (240.0, 320) must be"),
        ({"sigma": 0}, "sigma 0 must be above 0"),
        ({"sigma": "24"}, "sigma '24' must be above 0"),
        ({"split": (8, 2)}, "split (8, 2) must be one of data.splits"),
        ({"sources": Source("http://a/b.zip", {})}, "sources must be a tuple of Source"),
        ({"skip": "Output"}, "skip must be a tuple of str"),
        ({"sources": (Source("http://a/b.zip", {"*.jpg": "pictures/"}),)}, "into 'pictures/'"),
        ({"name": "CORPUS"}, "corpus is a module's name"),
        ({"name": "Samples"}, "samples is a module's name"),
        ({"name": "Osie"}, "there is a corpus osie already"),
        ({"name": "CAT_2000"}, "there is a corpus cat2000 already"),
    ],
)
def test_a_class_that_is_no_corpus_is_refused_and_not_registered(fields, said):
    before = dict(Corpus.registry)
    message = refusal(define, **fields)
    assert said in message
    assert message.startswith(f"corpus class {fields.get('name', 'ADVERTS')}: ")
    assert Corpus.registry == before


def test_corpora_beside_the_modules_are_no_modules(monkeypatch, tmp_path):
    # data/osie/ is what `python main.py download -d osie` makes
    (tmp_path / "adverts").mkdir()
    monkeypatch.setattr("data.__path__", [str(ROOT / "data"), str(tmp_path)])
    define("ADVERTS")


def test_a_source_is_called_as_the_last_part_of_its_address():
    assert Source("http://a.org/b/c.zip?dl=1", {}).name == "c.zip"
    assert Source("http://a.org/b/c.zip", {}, name="d.zip").name == "d.zip"


@pytest.mark.parametrize("folder", ["osie", "OSIE", "Osie"])
def test_a_corpus_is_found_in_any_case_of_letters(folder, tmp_path):
    picture(tmp_path / folder / "stimuli" / "1.jpg")
    assert find("OsIe").locate(tmp_path) == tmp_path / folder
    assert open_corpus("OSIE", tmp_path).folder == tmp_path / folder
    assert has_stimuli("osie", tmp_path)
    assert corpus_name("OSIE") == "osie"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("dutomron", "DUT-OMRON"),
        ("pascals", "PASCAL-S"),
        ("fixationadd1000", "fixation_add1000"),
        ("synthetic_shifted", "synthetic-shifted"),
    ],
)
def test_a_corpus_is_found_as_papers_spell_it(name, folder, tmp_path):
    picture(tmp_path / folder / "stimuli" / "1.jpg")
    assert find(folder) is find(name)
    assert find(name).locate(tmp_path) == tmp_path / folder
    assert corpus_name(str(tmp_path / folder)) == name


def test_what_is_no_folder_of_the_corpus_is_not_taken_for_it(tmp_path):
    (tmp_path / "osie").touch()
    for folder in (".osie", ".osie.part", "osie2", "my osie"):
        picture(tmp_path / folder / "stimuli" / "1.jpg")
    assert find("osie").locate(tmp_path) is None
    assert find("osie").locate(tmp_path / "nowhere") is None
    assert not has_stimuli("osie", tmp_path)


def test_of_two_folders_the_one_of_the_very_name_is_taken(tmp_path):
    for folder in ("OSIE", "osie"):
        picture(tmp_path / folder / "stimuli" / "1.jpg")
    assert find("osie").locate(tmp_path) == tmp_path / "osie"


def test_unknown_corpora_and_missing_ones(tmp_path):
    message = refusal(open_corpus, "oise", tmp_path)
    assert "-d oise: no such corpus or folder (did you mean osie?)" in message
    message = refusal(open_corpus, "osie", tmp_path)
    assert f"osie is not in {tmp_path}" in message
    assert "python main.py download -d osie" in message


def test_a_path_is_a_corpus_of_its_class_or_ones_own(tmp_path):
    for folder in ("OSIE", "Holiday"):
        picture(tmp_path / folder / "stimuli" / "1.jpg")
    known = open_corpus(str(tmp_path / "OSIE"), Path("nowhere"))
    own = open_corpus(str(tmp_path / "Holiday"), Path("nowhere"))
    assert (type(known), known.name) == (find("osie"), "osie")
    assert (type(own), own.name) == (OwnFolder, "holiday")
    # what -d takes for them again, from a run's JSON
    assert known.address == str(tmp_path / "OSIE")
    assert own.address == str(tmp_path / "Holiday")
    assert corpus_name(str(tmp_path / "Holiday")) == "holiday"


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "osie" / "pictures").mkdir(parents=True)
    message = refusal(open_corpus, "osie", tmp_path)
    assert message == f"{tmp_path / 'osie'}: no pictures in stimuli/, found pictures"


def test_inventory_says_what_is_there(tmp_path):
    picture(tmp_path / "OSIE" / "stimuli" / "1.jpg")
    (tmp_path / "OSIE" / "fixations.csv").touch()
    for folder in ("stimuli", "ALLSTIMULI"):
        picture(tmp_path / "mit1003" / folder / "1.jpeg")
    lines = inventory(tmp_path)
    assert len(lines) == 2 * len(Corpus.registry)
    said = dict(zip(lines[::2], lines[1::2], strict=True))
    line = next(lines for name, lines in said.items() if name.startswith("osie:"))
    assert line == f"    {tmp_path / 'OSIE'}: 1 of 700 stimuli, fixations.csv"
    line = next(lines for name, lines in said.items() if name.startswith("mit1003:"))
    assert line.endswith("are both stimuli/1.jpeg; keep one")  # and the others are still listed


def test_a_sigma_says_whether_it_is_assumed():
    assumed = {name for name in MAKERS if isinstance(find(name).sigma, Assumed)}
    assert assumed == {"salicon", "mit1003", "pascals", "fixationadd1000"}


def code_words(path):
    """Names and strings of a module, without comments and docstrings."""
    text = path.read_text()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented) and ast.get_docstring(node)
    }
    kinds = (tokenize.NAME, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds and token.start[0] not in docstrings:
            yield token.start[0], token.string.lower()


def test_no_corpus_is_named_outside_its_class():
    theirs = {"corpora.py", "scenes.py", "authors.py"}  # classes, and readers of authors' files
    folders = ("", "data", "model", "report", "download")
    modules = [p for f in folders for p in (ROOT / f).glob("*.py") if p.name not in theirs]
    assert len(modules) > 20
    names = [*MAKERS, *scenes.DEMO]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules
        for line, word in code_words(path)
        for name in names
        if name in word
    ]
    assert found == []
