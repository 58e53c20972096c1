import json

from report.table import means, runs, text_table


def test_means_are_over_rows():
    rows = [{"metrics": {"cc": 0.25, "nss": 1.0}}, {"metrics": {"cc": 0.75, "nss": 2.0}}]
    assert means(rows, "metrics") == {"cc": 0.5, "nss": 1.5}
    assert means([{"best": {}}, {"best": {}}], "best") == {}
    assert means([{"best": {"ig": 1.0}}, {"best": {}}], "best") == {}


def test_text_is_aligned():
    text = text_table({"model": {"cc": 0.5, "kld": -1.25}, "centre bias": {"cc": 0.125}})
    assert text.splitlines() == [
        "                  CC      KLD",
        "model          0.500   -1.250",
        "centre bias    0.125      nan",
    ]


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
        "r: osie, vgg16, epoch 3, kld 0.500",
        "s: its JSON is damaged",
        "t: its JSON is damaged",
    ]
