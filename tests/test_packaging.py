"""The pins of constraints*.txt are those of pyproject.toml's dependencies, and name no index."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS, GROUPS = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
# The extras and groups that a file pins, and for which Pythons; metal and tpu are pinned nowhere.
FILES = {
    "constraints.txt": ({"cpu", "gpu", "hed"}, {"dev"}, ("3.11", "3.12", "3.13")),
    "constraints-cloud.txt": ({"cloud"}, {"dev", "cloud-test"}, ("3.11", "3.12")),
}
ENVIRONMENT = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def lines(file):
    return (ROOT / file).read_text().splitlines()


def wanted(file):
    extras, groups, _ = FILES[file]
    found = [*PROJECT["project"]["dependencies"]]
    found += [line for extra in extras for line in EXTRAS[extra]]
    found += [line for group in groups for line in GROUPS[group]]
    return [Requirement(line) for line in found]


def pinned(file, python):
    """Name -> version, as pip reads the file on Linux with a Python."""
    here = {**ENVIRONMENT, "python_version": python, "python_full_version": f"{python}.9"}
    found = {}
    for pin in (Requirement(line) for line in lines(file) if not line.startswith("#")):
        if pin.marker is None or pin.marker.evaluate(here):
            assert canonicalize_name(pin.name) not in found, f"{pin.name} is pinned twice"
            (specifier,) = pin.specifier
            assert specifier.operator == "==" and "*" not in specifier.version
            found[canonicalize_name(pin.name)] = specifier.version
    return found


def test_every_extra_is_pinned_somewhere():
    assert {*EXTRAS} == {"metal", "tpu"}.union(*(extras for extras, *_ in FILES.values()))


@pytest.mark.parametrize(
    ("file", "python"), [(file, python) for file in FILES for python in FILES[file][2]]
)
def test_every_dependency_is_pinned_within_its_bounds(file, python):
    pins = pinned(file, python)
    for requirement in wanted(file):
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} has no pin for Python {python}: make constraints"
        assert requirement.specifier.contains(version), f"{requirement}: {version} is pinned"


@pytest.mark.parametrize("file", FILES)
def test_constraints_name_no_index(file):
    assert not [line for line in lines(file) if "://" in line or line.startswith("-")]


def test_both_tensorflows_are_of_one_version():
    pins = pinned("constraints.txt", "3.12")
    assert pins["tensorflow"] == pins["tensorflow-cpu"]


def test_file_systems_are_of_the_tensorflow_that_they_are_made_for():
    pins = pinned("constraints-cloud.txt", "3.12")
    assert (pins["tensorflow-io"], pins["tensorflow-cpu"][:5]) == ("0.37.1", "2.16.")


def test_uv_and_pip_take_the_same_cpu_build():
    assert GROUPS["cpu"] == EXTRAS["cpu"]
