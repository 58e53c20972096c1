import argparse
import dataclasses
import json

import pytest
from helpers import one_line

import config
import flags
from config import Config


def parsed(*argv):
    parser = argparse.ArgumentParser()
    flags.add_fields(parser)
    return flags.given(parser.parse_args(argv))


def test_every_field_is_a_flag_with_help():
    parser = argparse.ArgumentParser()
    flags.add_fields(parser)
    text = parser.format_help()
    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')}" in text
        assert field.metadata["help"].split()[0] in text


def test_flags_become_values_of_their_types():
    given = parsed("--epochs", "3", "--size", "240x320", "--no-flip", "--learning-rate", "1e-5")
    assert given == {"epochs": 3, "size": (240, 320), "flip": False, "learning_rate": 1e-5}


def test_flags_go_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("epochs: 3\nbatch-size: 2\nsize: 64x96\n")
    made = Config.make({"epochs": 5}, file)
    assert (made.epochs, made.batch_size, made.size, made.seed) == (5, 2, (64, 96), 42)


def test_yaml_writes_numbers_as_people_do(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("learning_rate: 1e-5\n")
    assert Config.make({}, file).learning_rate == 1e-5


def test_json_of_a_run_is_read_back(tmp_path):
    settings = Config(size=(64, 96), loss="kld:1,nss:-0.1", metrics="cc", devices=2)
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"corpus": "x", "config": dataclasses.asdict(settings)}))
    assert Config.make({}, file) == settings


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"encoder": "vgg61"}, ["vgg61", "densenet201", "did you mean vgg16"]),
        ({"epochs": 0}, ["--epochs 0", "at least 1"]),
        ({"epochs": 1.5}, ["--epochs '1.5'", "must be INT"]),
        ({"epochs": True}, ["--epochs 'True'", "must be INT"]),
        ({"size": (100, 96)}, ["100x96", "multiples of 8"]),
        ({"learning_rate": 0.0}, ["--learning-rate 0", "above 0"]),
        ({"seed": 2**32}, ["--seed 4294967296", "at most"]),
        ({"pixels_per_degree": float("nan")}, ["--pixels-per-degree 'nan'", "FLOAT"]),
        ({"pixels_per_degree": 1e9}, ["--pixels-per-degree", "at most 1000"]),
        ({"loss": "kld:x"}, ["kld:x", "'x' is not a number"]),
        ({"loss": "kld:1,"}, ["a term is missing"]),
        ({"warmup": 3.0, "epochs": 2}, ["--warmup 3: must be at most --epochs 2"]),
        ({"loss": "kld:0,nss:0"}, ["all weights are 0", "nothing would train"]),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(fields, words):
    with one_line() as error:
        Config(**fields)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3\n", ["'epoch'", "did you mean epochs"]),
        ("- 3\n", ["holds no fields"]),
        ("epochs: [3\n", ["run.yaml"]),
        ("size: 240\n", ["--size '240'", "HEIGHTxWIDTH"]),
        ("size: [64]\n", ["--size '64'", "HEIGHTxWIDTH"]),
        ("size: [64, a]\n", ["--size '64xa'", "HEIGHTxWIDTH"]),
        ("config: 5\n", ["holds no fields"]),
    ],
)
def test_wrong_files_are_one_line(tmp_path, text, words):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with one_line() as error:
        Config.make({}, file)
    assert all(word in str(error.value) for word in words)


def test_loss_terms_have_weights():
    assert config.weights("kld, nss:-0.1") == {"kld": 1.0, "nss": -0.1}


def test_what_a_resumed_run_may_change():
    fingerprint = Config().fingerprint()
    assert {"epochs", "devices", "save_every"} & set(fingerprint) == set()
    assert {"encoder", "loss", "seed", "size", "learning_rate"} <= set(fingerprint)
