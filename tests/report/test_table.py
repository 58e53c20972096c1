import json
import math

import pytest

from report.statistics import summarise
from report.table import (
    aligned,
    compare,
    comparison_text,
    explained_text,
    read_metrics,
    read_table,
    runs,
    text_table,
    write_metrics,
    write_table,
)

NAMES = ("LL", "IG", "AUC", "AUC_Judd", "sAUC", "NSS", "CC", "SIM", "KLDiv")


def row(name, fixations=3, baselines=None, **metrics):
    return {
        "name": name,
        "fixations": fixations,
        "metrics": metrics,
        "baselines": baselines or {},
    }


def evaluation(rows, protocol="Tuebingen protocol"):
    return {"protocol": protocol, "corpus": "own", "model": "run", **summarise(rows)}


def test_metrics_are_stored_under_the_names_that_were_promised(tmp_path):
    rows = [row("a", 1, {"uniform": {"IG": -1.0}}, IG=1.0), row("b", 3, {}, IG=2.0)]
    write_metrics(tmp_path / "reports" / "run.metrics.json", evaluation(rows))
    found = json.loads((tmp_path / "reports" / "run.metrics.json").read_text())
    assert found == {
        "protocol": "Tuebingen protocol",
        "corpus": "own",
        "model": "run",
        "n_images": 2,
        "n_fixations": 4,
        "image": {"IG": 1.5},
        "fixation": {"IG": 1.75},
        "interval": {"IG": [1.0, 2.0]},
        "baselines": {"uniform": {"image": {}, "fixation": {}}},
        "explained": None,
    }


def test_json_is_strict(tmp_path):
    def refuse(token):
        raise AssertionError(token)

    rows = [row("a", LL=-math.inf, IG=math.nan, CC=0.5)]
    write_metrics(tmp_path / "a.metrics.json", {**evaluation(rows), "predictions": tmp_path})
    text = (tmp_path / "a.metrics.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    assert found["image"] == {"LL": None, "IG": None, "CC": 0.5}
    assert found["interval"]["LL"] == [None, None]
    assert found["predictions"] == str(tmp_path)
    assert read_metrics(tmp_path / "a.metrics.json") == found


@pytest.mark.parametrize("text", ["{", "[]", '{"image": {}}', None])
def test_damaged_metrics_are_an_error_of_one_line(tmp_path, text):
    path = tmp_path / "a.metrics.json"
    if text:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.metrics\.json: .*test writes it$"):
        read_metrics(path)


def test_table_reads_back_exactly(tmp_path):
    rows = [
        row('a, "b"\n.jpg', 12, {"uniform": {"NSS": 1 / 3}}, NSS=0.1 + 0.2, CC=-math.inf),
        row("Action/日本.jpg", 0, {"goldstandard": {"IG": 2.5}}, NSS=2.0, AUC_Judd=1e-300),
    ]
    write_table(tmp_path / "reports" / "run.csv", rows)
    head = (tmp_path / "reports" / "run.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head == "name,fixations,NSS,CC,AUC_Judd,uniform.NSS,goldstandard.IG"
    found = read_table(tmp_path / "reports" / "run.csv")
    for one in rows:
        one["baselines"] = {"uniform": {}, "goldstandard": {}} | one["baselines"]
    assert found == rows


def test_names_that_are_no_unicode_and_nan_read_back(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_table(tmp_path / "a.csv", [row(name, NSS=math.nan)])
    (found,) = read_table(tmp_path / "a.csv")
    assert found["name"] == name and math.isnan(found["metrics"]["NSS"])


@pytest.mark.parametrize(
    "text", ["", "image,NSS\n", "name,fixations,NSS\na,1\n", "name,fixations,NSS\na,b,c\n", None]
)
def test_a_damaged_table_is_an_error_of_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"a\.csv: .*test writes it$") as error:
        read_table(tmp_path / "a.csv")
    assert "\n" not in str(error.value)


def test_text_is_aligned_and_blank_where_nothing_is_known():
    lines = {
        "model": {"CC": 0.5, "KLDiv": -1.25},
        "centre bias": {"CC": -0.0001, "KLDiv": math.nan},
        "gold": {"KLDiv": -math.inf},
    }
    assert aligned(lines).splitlines() == [
        "                   CC     KLDiv",
        "model           0.500    -1.250",
        "centre bias     0.000       nan",
        "gold                       -inf",
    ]


def test_long_names_widen_all_columns():
    lines = aligned({"m": {"CC": 0.5, "InfoGain_MIT": 1.0}}).splitlines()
    assert lines == ["             CC  InfoGain_MIT", "m         0.500         1.000"]


def test_terminal_table_names_protocol_averaging_and_interval():
    rows = [
        row("a", 1, {"centerbias": {"IG": 0.0}, "goldstandard": {"IG": 2.0}}, IG=1.0, CC=0.25),
        row("b", 3, {"centerbias": {"IG": 0.0}, "goldstandard": {"IG": 4.0}}, IG=2.0, CC=0.75),
    ]
    assert text_table(evaluation(rows), "run").splitlines() == [
        "Tuebingen protocol; means over 2 pictures (last line: over 4 fixations)",
        "                      IG        CC",
        "centre bias        0.000",
        "gold standard      3.000",
        "run                1.500     0.500",
        "  95 % from        1.000     0.250",
        "  to               2.000     0.750",
        "  per fixation     1.750     0.625",
        "50.0 % of the explainable information (95 % interval 50.0 % to 50.0 %): mean IG over that "
        "of the gold standard",
    ]


def test_whole_terminal_table_is_120_columns_wide_at_most():
    values = {name: -12.3456 for name in NAMES}
    bases = {name: values for name in ("uniform", "centerbias", "goldstandard", "truth")}
    rows = [row(name, 3, bases, **values) for name in ("a", "b")]
    text = text_table(evaluation(rows), "msinet_osie_10_folds")
    assert max(map(len, text.splitlines())) <= 120
    assert all(name in text for name in NAMES)


def test_share_says_on_how_many_pictures_where_some_lack_it():
    rows = [row("a", 3, {"goldstandard": {"IG": 2.0}}, IG=1.0), row("b", IG=1.0)]
    assert explained_text(evaluation(rows)).endswith("of the gold standard on 1 pictures")
    assert explained_text(evaluation(rows[1:])) == ""


@pytest.fixture
def stored(tmp_path):
    def store(name, rows, protocol="Tuebingen protocol"):
        path = tmp_path / f"{name}.metrics.json"
        write_metrics(path, evaluation(rows, protocol))
        write_table(tmp_path / f"{name}.csv", rows)
        return path

    return store


def test_two_evaluations_are_compared_by_picture(stored):
    a = stored("a.b", [row("x", NSS=1.0, CC=0.5), row("y", NSS=2.0, CC=0.5), row("z", NSS=9, CC=1)])
    b = stored("c", [row("y", NSS=2.5, CC=0.25), row("x", NSS=1.5, CC=0.75)])
    text = comparison_text(compare(a, b), "first", "second", "Tuebingen protocol")
    assert text.splitlines() == [
        "A: first, B: second; Tuebingen protocol; means over 2 pictures that both have (left out: "
        "1 of A, 0 of B)",
        "                     A         B     B - A   95 % from        to",
        "NSS              1.500     2.000    +0.500      +0.500    +0.500  *",
        "CC               0.500     0.500    +0.000      -0.250    +0.250",
        "* the interval of the paired difference is without 0",
    ]


def test_what_cannot_be_compared_says_why_in_one_line(stored):
    a, other = stored("a", [row("x", NSS=1.0)]), stored("b", [row("y", NSS=1.0)])
    with pytest.raises(ValueError, match=r"a\.metrics\.json and .*b\.metrics\.json: no picture in"):
        compare(a, other)
    old = stored("c", [row("x", NSS=1.0)], "MIT protocol")
    with pytest.raises(ValueError, match="'Tuebingen protocol', .*'MIT protocol'"):
        compare(a, old)
    (a.parent / "a.csv").unlink()
    with pytest.raises(ValueError, match=r"a\.csv: no such file"):
        compare(a, a)


def test_runs_are_listed_from_the_json_beside_their_weights(tmp_path):
    assert runs(tmp_path) == ["none yet"]
    best = tmp_path / "ckpts" / "best"
    best.mkdir(parents=True)
    about = {"corpus": "osie", "config": {"encoder": "vgg16"}, "epoch": 3}
    about["metrics"] = {"epoch": 3, "loss": 1.0, "val_kld": 0.5}
    (best / "r.json").write_text(json.dumps(about))
    (best / "s.json").write_text("{}")
    (best / "t.json").write_text("{")
    assert runs(tmp_path) == [
        "r: osie, msinet on vgg16, epoch 3, kld 0.500",
        "s: its JSON is damaged",
        "t: its JSON is damaged",
    ]
