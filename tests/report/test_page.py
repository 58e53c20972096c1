import csv
import math
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from report.page import write_page, write_table

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
    row("b.jpg", nss=1.25, kld=0.5),
    row(NASTY, fixations=1200, nss=-0.0004, kld=math.inf),
    row("a.jpg", nss=math.nan, kld=0.25),
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


@pytest.fixture
def page(tmp_path):
    def make(rows=ROWS, metrics=None, baseline=None):
        path = tmp_path / "reports" / "run.html"
        write_page(
            path,
            title="MSI-Net <on> OSIE",
            corpus="osie",
            model_line="msinet, vgg16",
            metrics={"nss": 2.5, "kld": 0.75, "odd": 1} if metrics is None else metrics,
            baseline=baseline,
            rows=rows,
            note="sigma 24 px & floats",
        )
        return path.read_text(encoding="utf-8")

    return make


def test_names_are_escaped_and_addresses_quoted(page):
    text = page()
    assert "<script>alert" not in text
    found = Page(text)
    assert len(found.all("script")) == 1
    assert found.all("li")[1]["data-name"] == NASTY
    source = found.all("img")[3]["src"]
    assert unquote(source) == f"../images/{NASTY}"
    assert re.fullmatch(r"[A-Za-z0-9_./~%-]+", source)


def test_nothing_outside_is_loaded_and_pictures_are_lazy(page):
    text = page()
    assert not re.search(r"https?:|@import|<link|src=\"//", text)
    images = Page(text).all("img")
    assert len(images) == 9
    assert all(image["loading"] == "lazy" and image["alt"] for image in images)


def test_sorting_is_by_buttons_that_say_which_way_is_better(page):
    buttons = Page(page()).all("button")
    keys = [(b["data-key"], b.get("data-column"), b.get("data-better")) for b in buttons]
    expected = [("name", None, None), ("nss", "0", "1"), ("kld", "1", "-1"), ("odd", "2", "0")]
    assert keys == expected
    assert all(b["type"] == "button" and b["aria-pressed"] == "false" for b in buttons)


def test_values_are_numbers_of_javascript_in_the_order_of_the_buttons(page):
    values = [item["data-values"] for item in Page(page()).all("li")]
    assert values == ["1.25 0.5 NaN", "-0.0004 Infinity NaN", "NaN 0.25 NaN"]


def test_what_is_not_known_is_a_dash(page):
    shown = re.findall(r"<dt>(\w+)</dt><dd>(.*?)</dd>", page())
    assert shown[:6] == [
        *(("NSS", "1.250"), ("KLD", "0.500"), ("odd", "–")),
        *(("NSS", "0.000"), ("KLD", "∞"), ("odd", "–")),
    ]
    assert shown[6] == ("NSS", "–")


def test_means_stand_beside_the_baseline_and_the_better_is_bold(page):
    text = page(baseline={"nss": 0.889, "kld": 0.7})
    cells = re.findall(r'<td class="number( better)?">(.*?)</td>', text)
    assert cells == [
        *((" better", "2.500"), ("", "0.889")),
        *(("", "0.750"), (" better", "0.700")),
        *(("", "1.000"), ("", "–")),
    ]
    assert "Centre bias" in text


def test_without_baseline_there_is_no_column_for_it(page):
    assert "Centre bias" not in page(baseline=None)


def test_scale_protocol_and_counts_are_said(page):
    text = Page(page()).text
    assert "3 pictures · 1,206 fixations" in text
    assert "Means over images" in text
    assert "sigma 24 px & floats" in text
    assert "it sums to 1" in text and "relative to the maximum" in text
    assert "nats" in text and "standard deviations" in text


def test_rows_without_truth_or_metrics_make_a_page(page):
    text = page(rows=[row("a.jpg", fixations=None, truth=False)], metrics={})
    found = Page(text)
    assert len(found.all("img")) == 2
    assert "1 picture" in found.text and "fixations" not in found.text
    assert not found.all("table")
    assert len(found.all("button")) == 1


def test_a_name_that_is_no_unicode_makes_a_page(page):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert "../images/caf%E9.jpg" in page(rows=[row(name, nss=1.0)])


def test_five_thousand_rows(page):
    text = page(rows=ROWS * 1667)
    assert text.count("<li ") == 5001
    assert len(text) < 10e6


def test_table_reads_back(tmp_path):
    rows = [row('a, "b"\n.jpg', nss=0.1 + 0.2, kld=math.nan), row("c.jpg", nss=2, auc=0.5)]
    write_table(tmp_path / "reports" / "run.csv", rows)
    with open(tmp_path / "reports" / "run.csv", newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["name", "nss", "kld", "auc"]
    assert found[0] == {
        "name": 'a, "b"\n.jpg',
        "nss": "0.30000000000000004",
        "kld": "nan",
        "auc": "",
    }
    assert float(found[1]["nss"]) == 2 and found[1]["kld"] == ""
