"""The pins of constraints.txt are those of pyproject.toml's dependencies, and name no index."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = (ROOT / "constraints.txt").read_text().splitlines()
ENVIRONMENT = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def wanted():
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    lines += [line for extra in extras if extra != "metal" for line in extras[extra]]
    return [Requirement(line) for line in lines]


def pinned(python):
    """Name -> version, as pip reads the file on Linux with a Python."""
    here = {**ENVIRONMENT, "python_version": python, "python_full_version": f"{python}.9"}
    found = {}
    for pin in (Requirement(line) for line in LINES if not line.startswith("#")):
        if pin.marker is None or pin.marker.evaluate(here):
            assert canonicalize_name(pin.name) not in found, f"{pin.name} is pinned twice"
            (specifier,) = pin.specifier
            assert specifier.operator == "==" and "*" not in specifier.version
            found[canonicalize_name(pin.name)] = specifier.version
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_dependency_is_pinned_within_its_bounds(python):
    pins = pinned(python)
    for requirement in wanted():
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} has no pin for Python {python}: make constraints"
        assert requirement.specifier.contains(version), f"{requirement}: {version} is pinned"


def test_constraints_name_no_index():
    assert not [line for line in LINES if "://" in line or line.startswith("-")]


def test_both_tensorflows_are_of_one_version():
    pins = pinned("3.12")
    assert pins["tensorflow"] == pins["tensorflow-cpu"]


def test_uv_and_pip_take_the_same_cpu_build():
    assert PROJECT["dependency-groups"]["cpu"] == PROJECT["project"]["optional-dependencies"]["cpu"]
