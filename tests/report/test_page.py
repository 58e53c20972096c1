import math
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from report.page import write_page
from report.statistics import summarise

NASTY = "<script>alert(1)</script> \"q\" '#1' 100% größe 日本.jpg"


def row(name, fixations=3, truth=True, **metrics):
    return {
        "name": name,
        "stimulus": f"../images/{name}",
        "prediction": f"../images/{name}.png",
        "truth": f"../images/{name}.truth.jpg" if truth else None,
        "fixations": fixations,
        "metrics": metrics,
    }


ROWS = [
    row("b.jpg", NSS=1.25, KLDiv=0.5),
    row(NASTY, fixations=1200, NSS=-0.0004, KLDiv=math.inf),
    row("a.jpg", NSS=math.nan, KLDiv=0.25),
]


class Page(HTMLParser):
    """Elements as (tag, attributes), and the text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def known(rows=ROWS, **baselines):
    found = {"protocol": "Tuebingen protocol", "corpus": "osie", **summarise(rows)}
    return {**found, "baselines": {n: {"image": m, "fixation": {}} for n, m in baselines.items()}}


@pytest.fixture
def page(tmp_path):
    def make(rows=ROWS, found=None, curve=None):
        path = tmp_path / "reports" / "run.html"
        write_page(
            path,
            title="MSI-Net <on> OSIE",
            model_line="msinet, vgg16",
            found=found or known(rows),
            rows=rows,
            note="sigma 24 px & floats",
            curve=curve,
        )
        return path.read_text(encoding="utf-8")

    return make


def test_names_are_escaped_and_addresses_quoted(page):
    text = page()
    assert "<script>alert" not in text
    found = Page(text)
    assert len(found.all("script")) == 1
    assert NASTY in [item.get("data-name") for item in found.all("li")]
    source = [image["src"] for image in found.all("img") if image["alt"] == NASTY][0]
    assert unquote(source) == f"../images/{NASTY}"
    assert re.fullmatch(r"[A-Za-z0-9_./~%-]+", source)


def test_nothing_outside_is_loaded_and_pictures_are_lazy(page):
    text = page()
    assert not re.search(r"https?:|@import|<link|src=\"//", text)
    images = Page(text).all("img")
    assert len(images) == 4 + 9  # a best and a worst picture, prediction and truth; the rows
    assert all(image["loading"] == "lazy" and image["alt"] for image in images)


def test_sorting_is_by_buttons_that_say_which_way_is_better(page):
    buttons = Page(page([row("a.jpg", NSS=1.0, KLDiv=2.0, odd=3.0)])).all("button")
    keys = [(b["data-key"], b.get("data-column"), b.get("data-better")) for b in buttons]
    expected = [("name", None, None), ("NSS", "0", "1"), ("KLDiv", "1", "-1"), ("odd", "2", "0")]
    assert keys == expected
    assert all(b["type"] == "button" and b["aria-pressed"] == "false" for b in buttons)


def test_values_are_numbers_of_javascript_in_the_order_of_the_buttons(page):
    items = [item for item in Page(page()).all("li") if "data-values" in item]
    assert [item["data-values"] for item in items] == ["1.25 0.5", "-0.0004 Infinity", "NaN 0.25"]


def test_what_is_not_known_is_a_dash(page):
    shown = re.findall(r"<dt>(\w+)</dt><dd>(.*?)</dd>", page([*ROWS, row("d.jpg")]))
    assert shown == [
        *(("NSS", "1.250"), ("KLDiv", "0.500")),
        *(("NSS", "0.000"), ("KLDiv", "∞")),
        *(("NSS", "–"), ("KLDiv", "0.250")),
        *(("NSS", "–"), ("KLDiv", "–")),
    ]


def cells(text):
    """The texts of the table's cells, row by row."""
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", text, re.DOTALL)
    return [re.findall(r"<td class=\"[^\"]*\">(.*?)</td>", each) for each in rows]


def several(fixations=1):
    """Twelve rows whose NSS is 1 or 2."""
    return [row(f"{i:02d}", fixations, NSS=1.0 + i % 2, CC=0.5) for i in range(12)]


def test_means_stand_beside_their_interval_and_the_baselines(page):
    rows = several()
    found = known(rows, mine={"CC": 0.5}, centerbias={"NSS": 0.889, "CC": -0.125}, uniform={})
    text = page(rows, found)
    low, high = found["interval"]["NSS"]
    assert cells(text) == [
        ["1.500", f"[{low:.3f}, {high:.3f}]", "1.500", "0.889", "–"],
        ["0.500", "[0.500, 0.500]", "–", "−0.125", "0.500"],
    ]
    assert re.findall(r'"number">(?:Centre bias|Mine|Uniform)', text) == [
        '"number">Centre bias',
        '"number">Mine',
    ]
    assert "<small>12 pictures</small>" in text


def test_without_fixations_there_is_no_column_of_means_over_them(page):
    text = page(several(None))
    assert [len(row) for row in cells(text)] == [2, 2]
    assert "per fixation" not in text


def test_few_pictures_have_no_interval_and_no_band_and_that_is_said(page):
    rows = [{**each, "percentiles": [0.2, 0.7]} for each in ROWS]
    text = page(rows)
    assert "95 % interval" not in text and "95&nbsp;% interval" not in text
    assert "No intervals: 3 pictures, at least 10 are needed." in text
    assert 'class="band" points=""' in text


def test_shares_of_what_can_be_known_are_said(page):
    rows = [{**row("a", IG=1.0), "baselines": {"goldstandard": {"IG": 2.0}}}]
    text = Page(page(rows)).text
    assert "50.0 % of the leave-one-out gold standard's IG, a lower bound" in text
    assert "gold standard" not in page()


def test_histograms_show_each_metric_with_the_centre_bias(page):
    text = page(found=known(centerbias={"NSS": 0.5}))
    labels = [svg["aria-label"] for svg in Page(text).all("svg") if "aria-label" in svg]
    assert labels[0] == "Histogram of NSS over 2 pictures, mean –"
    assert labels[1] == "Histogram of KLDiv over 2 pictures, mean ∞"
    assert text.count('class="bias"') == 2  # its line, and that of the key
    assert "1 without a value" in text


def strips(text):
    """The pictures that the best and the worst lead to."""
    best, worst = text.split('<ol class="strip">')[1:]
    return [re.findall(r'href="#picture-(\d+)"', each.split("</ol>")[0]) for each in (best, worst)]


def test_best_and_worst_lead_to_their_rows(page):
    values = [0.5, math.nan, -math.inf, 3.0, 2.0, 1.0]
    rows = [row(f"{i}.jpg", KLDiv=i, IG=value) for i, value in enumerate(values)]
    text = page(rows)
    assert "Best and worst by IG" in text
    assert strips(text) == [["3", "4"], ["2", "0"]]
    ids = [item["id"] for item in Page(text).all("li") if "id" in item]
    assert ids == [f"picture-{i}" for i in range(6)]


def test_the_lowest_is_the_best_where_lower_is_better_and_ten_are_enough(page):
    text = page([row(f"{i}.jpg", KLDiv=float(i)) for i in range(30)])
    assert strips(text) == [list(map(str, range(10))), list(map(str, range(29, 19, -1)))]


def test_a_single_picture_is_neither_best_nor_worst(page):
    assert "strip" not in page([row("a.jpg", IG=1.0)]).partition("<main>")[2]


def test_calibration_is_shown_where_percentiles_are_known(page):
    rows = [{**row("a.jpg", NSS=1.0), "percentiles": [0.2, 0.4]}]
    text = Page(page(rows)).text
    assert "For each of 2 fixations" in text
    assert "Largest gap: 0.600" in text
    assert "Calibration" not in page()


def test_the_curve_of_the_training_is_linked(page):
    text = page(curve="../history/my run.png")
    assert "../history/my%20run.png" in [image["src"] for image in Page(text).all("img")]
    assert "Training" not in page()


def test_scale_protocol_and_counts_are_said(page):
    text = Page(page()).text
    assert "3 pictures · 1,206 fixations" in text
    assert "Means over images" in text
    assert "sigma 24 px & floats" in text
    assert "it sums to 1" in text and "relative to the maximum" in text
    assert "nats" in text and "standard deviations" in text


def test_rows_without_truth_or_metrics_make_a_page(page):
    text = page(rows=[row("a.jpg", fixations=None, truth=False)])
    found = Page(text)
    assert len(found.all("img")) == 2
    assert "1 picture" in found.text and " fixations " not in found.text
    assert not found.all("table")
    assert len(found.all("button")) == 1


def test_a_name_that_is_no_unicode_makes_a_page(page):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert "../images/caf%E9.jpg" in page(rows=[row(name, NSS=1.0)])


def test_five_thousand_rows(page):
    text = page(rows=ROWS * 1667)
    assert text.count("<li id=") == 5001
    assert len(text) < 10e6
