import json
import math

import pytest

from report.statistics import summarise
from report.table import (
    aligned,
    compare,
    explained_lines,
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


def evaluation(rows, **parts):
    """An evaluation, and what it says that it measured."""
    measured = {"protocol": "Tuebingen protocol", "pictures": "1", "density": "2"}
    measured |= {"baseline": ["3"], "negatives": "4", **parts}
    about = {"protocol": measured["protocol"], "measured": measured, "corpus": "own"}
    return {**about, "model": "run", **summarise(rows)}


def test_metrics_are_stored_under_the_names_that_were_promised(tmp_path):
    rows = [row("a", 1, {"uniform": {"IG": -1.0}}, IG=1.0), row("b", 3, {}, IG=2.0)]
    write_metrics(tmp_path / "reports" / "run.metrics.json", evaluation(rows))
    found = json.loads((tmp_path / "reports" / "run.metrics.json").read_text())
    assert found.pop("measured")["pictures"] == "1"
    assert found == {
        "protocol": "Tuebingen protocol",
        "corpus": "own",
        "model": "run",
        "n_images": 2,
        "n_fixations": 4,
        "n_infinite": 0,
        "image": {"IG": 1.5},
        "fixation": {"IG": 1.75},
        "interval": {"IG": [None, None]},
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


def test_text_is_aligned_with_a_dash_where_nothing_is_known():
    lines = {
        "model": {"CC": 0.5, "KLDiv": -1.25},
        "centre bias": {"CC": -0.0001, "KLDiv": math.nan},
        "gold": {"KLDiv": -math.inf},
    }
    assert aligned(lines).splitlines() == [
        "                   CC     KLDiv",
        "model           0.500    -1.250",
        "centre bias     0.000         -",
        "gold                -      -inf",
    ]


def test_long_names_widen_all_columns():
    lines = aligned({"m": {"CC": 0.5, "InfoGain_MIT": 1.0}}).splitlines()
    assert lines == ["             CC  InfoGain_MIT", "m         0.500         1.000"]


def pictures(count, **baselines):
    """Rows whose IG is 0, 2, 0, 2, ... where the gold standard's is 4."""
    baselines = {"centerbias": {"IG": 0.0}, "goldstandard": {"IG": 4.0}, **baselines}
    return [row(f"{i:02d}", 1 + i % 2 * 2, baselines, IG=i % 2 * 2.0, CC=0.5) for i in range(count)]


def test_terminal_table_names_protocol_averaging_and_interval():
    lines = text_table(evaluation(pictures(20)), "run").splitlines()
    head, names, *body, share = lines
    assert head == "Tuebingen protocol; means over 20 pictures (last line: over 40 fixations)"
    assert names.split() == ["IG", "CC"]
    centre, gold, run, low, high, fixation = (line.split() for line in body)
    assert centre == ["centre", "bias", "0.000", "-"] and gold == ["gold", "standard", "4.000", "-"]
    assert run == ["run", "1.000", "0.500"]
    assert low[:-2] == ["95", "%", "(n", "=", "20)", "from"] and high[0] == "to"
    assert float(low[-2]) < 1 < float(high[-2])
    assert fixation == ["per", "fixation", "1.500", "-"]
    value = "25.0 % of the leave-one-out gold standard's IG, a lower bound of what can be known"
    assert share.startswith(f"{value} (95 % interval 1") and share.endswith(" %, 20 pictures)")


def test_few_pictures_have_no_interval_and_that_is_said():
    lines = text_table(evaluation(pictures(4)), "run").splitlines()
    assert not [line for line in lines if "95 %" in line]
    assert "no intervals: 4 pictures, at least 10 are needed" in lines
    assert lines[-1].endswith("a lower bound of what can be known (4 pictures)")


def test_whole_terminal_table_is_120_columns_wide_at_most():
    values = {name: -12.3456 for name in NAMES}
    bases = {name: values for name in ("uniform", "centerbias", "goldstandard", "truth")}
    rows = [row(name, 3, bases, **values) for name in ("a", "b")]
    text = text_table(evaluation(rows), "msinet_osie_10_folds")
    assert max(map(len, text.splitlines())) <= 120
    assert all(name in text for name in NAMES)


def test_shares_of_all_that_is_known_stand_under_one_another():
    lines = explained_lines(evaluation(pictures(4, observers={"IG": 8.0}, truth={"IG": 5.0})))
    assert lines == [
        "25.0 % of the leave-one-out gold standard's IG, a lower bound of what can be known (4 "
        "pictures)",
        "12.5 % of the IG of all observers' own kernel density, its upper end (4 pictures)",
        "20.0 % of the true density's IG, all that can be known (4 pictures)",
    ]


def test_an_infinite_information_gain_has_no_share_and_says_so():
    rows = pictures(4)
    rows[1]["metrics"]["IG"] = -math.inf
    assert explained_lines(evaluation(rows)) == [
        "no share of the gold standard's IG: IG is not finite on 1 of 4 pictures"
    ]
    assert explained_lines(evaluation([row("b", IG=1.0)])) == []


@pytest.fixture
def stored(tmp_path):
    def store(name, rows, **parts):
        path = tmp_path / f"{name}.metrics.json"
        write_metrics(path, evaluation(rows, **parts))
        write_table(tmp_path / f"{name}.csv", rows)
        return path

    return store


def scored(count, more):
    """Rows of so many pictures; `more` is added to their NSS."""
    values = [dict(NSS=i % 3 + more, CC=0.5, IG=1.0, sAUC=0.7) for i in range(count)]
    return [row(f"{i:02d}", **metrics) for i, metrics in enumerate(values)]


def test_two_evaluations_are_compared_by_picture(stored):
    text = compare(stored("a.b", scored(12, 0)), stored("c", scored(12, 0.5)[::-1]))
    assert text.splitlines() == [
        "A: a.b, B: c; Tuebingen protocol; means over 12 pictures",
        "                     A         B     B - A   95 % from        to",
        "NSS              1.000     1.500    +0.500      +0.500    +0.500  *",
        "CC               0.500     0.500    +0.000      +0.000    +0.000",
        "IG               1.000     1.000    +0.000      +0.000    +0.000",
        "sAUC             0.700     0.700    +0.000      +0.000    +0.000",
        "* 0 is outside of the interval; unadjusted for the number of metrics",
    ]


def test_few_pictures_are_compared_without_intervals(stored):
    lines = compare(stored("a", scored(3, 0)), stored("b", scored(3, 0.5))).splitlines()
    assert lines[2] == "NSS              1.000     1.500    +0.500           -         -"
    assert lines[-1] == "no intervals: 3 pictures, at least 10 are needed"


@pytest.mark.parametrize(
    ("part", "left", "why"),
    [
        ("baseline", "IG", "training sides of the baselines"),
        ("negatives", "sAUC", "negatives"),
        ("density", "CC", "empirical densities"),
    ],
)
def test_what_measured_otherwise_is_left_out_and_said(stored, part, left, why):
    text = compare(stored("a", scored(3, 0)), stored("b", scored(3, 0), **{part: "another"}))
    assert text.splitlines()[-1] == f"left out: {left}, for the {why} differ"
    assert not [line for line in text.splitlines() if line.startswith(f"{left} ")]
    assert "NSS              1.000" in text


def test_what_cannot_be_compared_says_why_in_one_line(stored):
    a, other = stored("a", scored(3, 0)), stored("b", scored(3, 0), pictures="others")
    with pytest.raises(ValueError, match=r"b\.metrics\.json: of other pictures or fixations"):
        compare(a, other)
    mit = stored("c", scored(3, 0), protocol="MIT protocol")
    with pytest.raises(ValueError, match="'Tuebingen protocol', .*'MIT protocol'"):
        compare(a, mit)
    old = a.with_name("old.metrics.json")
    old.write_text(json.dumps({"protocol": "Tuebingen protocol", "image": {}}))
    with pytest.raises(ValueError, match=r"old\.metrics\.json: .*test it again"):
        compare(a, old)
    with pytest.raises(ValueError, match="not of the same pictures"):
        compare(a, stored("d", scored(4, 0)))
    (a.parent / "a.csv").unlink()
    with pytest.raises(ValueError, match=r"a\.csv: no such file"):
        compare(a, a)


def test_runs_are_listed_from_the_json_beside_their_weights(tmp_path):
    assert runs({}) == ["none yet"]
    about = {"corpus": "osie", "config": {"encoder": "vgg16"}, "epoch": 3}
    about["metrics"] = {"epoch": 3, "loss": 1.0, "val_kld": 0.5}
    files = {name: tmp_path / f"{name}.json" for name in "rst"}
    for name, content in zip("rst", (json.dumps(about), "{}", "{"), strict=True):
        files[name].write_text(content)
    assert runs(files) == [
        "r: osie, msinet on vgg16, epoch 3, kld 0.500",
        "s: its JSON is damaged",
        "t: its JSON is damaged",
    ]
