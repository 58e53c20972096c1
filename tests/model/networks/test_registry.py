"""Records of what `-m` names, against the fields of a configuration and the networks themselves."""

import dataclasses

import pytest
from helpers import one_line

from config import Config
from model.networks.registry import MODELS, build, depends_on, foreign

FIELDS = {item.name: item.default for item in dataclasses.fields(Config)}
NETWORKS = [name for name, model in MODELS.items() if model.module]


@pytest.mark.parametrize("name", MODELS)
def test_a_record_speaks_of_fields_that_there_are(name):
    model = MODELS[name]
    named = {*model.own, *model.usual, *model.depends, *(model.published or {})}
    assert named.union(*model.tasks.values()) <= {*FIELDS}
    assert Config(model=name, **model.usual).model == name


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_built_by_its_record(name):
    network = build(Config(model=name, encoder="small"), (32, 40))
    assert network.output["logits"].shape == (None, 32, 40, 1)
    assert ("centre_bias" in network.input) == MODELS[name].prior
    assert ("readout" in [layer.name for layer in network.layers]) == MODELS[name].frozen


def test_an_option_is_refused_by_all_that_do_not_have_it():
    assert foreign("msinet") == {"scanpath", "missing", "mixture", "prior"}
    assert foreign("deepgaze") == {"head"}
    for model, fields, typed in (
        ("msinet", {"scanpath": True}, "--scanpath"),
        ("deepgaze", {"head": "softmax"}, "--head softmax"),
        ("centerbias", {"hold_out": 3}, "--hold-out 3"),
    ):
        with one_line(f"^{typed}: {model} has no such thing$"):
            Config(model=model, **fields)


def test_weights_depend_on_what_they_were_trained_for():
    deepgaze = {**FIELDS, "model": "deepgaze"}
    assert depends_on(FIELDS) == ("model", "encoder", "head")
    assert depends_on(deepgaze) == ("model", "encoder", "mixture")
    assert depends_on({**deepgaze, "scanpath": True})[3:] == ("scanpath", "missing")
    assert depends_on({**FIELDS, "model": "of another version"}) == ("model",)
