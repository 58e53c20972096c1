import csv
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from report.curves import save_history

NAMES = ("epoch", "seconds", "learning_rate", "loss", "kld", "val_loss", "val_kld", "val_nss")
HISTORY = [
    dict(zip(NAMES, row, strict=False))
    for row in (
        (1, 9.5, 0.001, 2.0, 2.0, 1.5, 1.5, 0.5),
        (2, 9.5, 0.001, 1.0, 1.0, np.inf),
        (3, 9.5, 0.001, 0.7, 0.7, 1.1, 1.1, 0.9),
        (4, 9.5, 0.001, 0.5, 0.5, 1.3, 1.3, 0.8),
    )
]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a history; returns the path of the picture and the figure's panels."""
    figures = []
    save = Figure.savefig

    def keep(self, *args, **kwargs):
        figures.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)

    def draw(history):
        save_history(tmp_path / "history" / "run.csv", history)
        loss, *small = sorted(figures[-1].axes, key=lambda panel: panel.get_ylabel() != "loss")
        return tmp_path / "history" / "run.png", [loss, *small]

    return draw


def lines(panel):
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in panel.lines}


def test_picture_has_its_size_and_something_in_it(drawn):
    path, _ = drawn(HISTORY)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (8 * 150, round(5.2 * 150)))
        assert np.asarray(image.convert("L")).std() > 5
    assert sorted(file.name for file in path.parent.iterdir()) == ["run.csv", "run.png"]


def test_losses_and_each_validation_metric_are_drawn(drawn):
    _, (loss, kld, nss) = drawn(HISTORY)
    assert (kld.get_title(), nss.get_title()) == ("KLD", "NSS")
    assert lines(loss)["training"].tolist() == [2.0, 1.0, 0.7, 0.5]
    np.testing.assert_array_equal(lines(loss)["validation"], [1.5, np.nan, 1.1, 1.3])
    np.testing.assert_array_equal(lines(nss)["validation"], [0.5, np.nan, 0.9, 0.8])
    assert "training" in lines(kld) and "training" not in lines(nss)


def test_the_epoch_of_the_lowest_validation_loss_is_marked(drawn):
    _, (loss, *_) = drawn(HISTORY)
    (mark,) = (line for line in loss.lines if line.get_label() == "best epoch (3)")
    assert set(mark.get_xdata()) == {3}


@pytest.mark.parametrize("losses", [{"loss": 0.5}, {"loss": np.nan, "val_loss": np.nan}])
def test_one_epoch_or_none_known_is_drawn_without_mark(drawn, losses):
    _, panels = drawn([{"epoch": 1, **losses}])
    assert len(panels) == 1
    assert not any("best" in name for name in lines(panels[0]))


@pytest.mark.parametrize(("epochs", "ticks"), [([1], [1]), ([7], [7]), ([1, 2], [1, 2])])
def test_epochs_are_whole_numbers(drawn, epochs, ticks):
    _, panels = drawn([{"epoch": e, "loss": 0.5, "val_nss": e / 4} for e in epochs])
    for panel in panels:
        low, high = panel.get_xlim()
        assert [tick for tick in panel.get_xticks() if low <= tick <= high] == ticks


def test_history_is_a_table_with_its_curve_beside_it(tmp_path):
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 0.25, "val_loss": 0.5}]
    save_history(tmp_path / "history" / "run.csv", rows)
    with open(tmp_path / "history" / "run.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert found[0] == {"epoch": "1", "loss": "0.30000000000000004", "val_loss": ""}
    assert found[1] == {"epoch": "2", "loss": "0.25", "val_loss": "0.5"}
    assert (tmp_path / "history" / "run.png").stat().st_size > 1000


def test_import_is_quick_and_brings_no_matplotlib():
    code = "import sys, report.curves, report.pictures, report.page; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "report.page" in modules
    assert not {"matplotlib", "tensorflow", "keras"} & set(modules.split())
