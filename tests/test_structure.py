"""The house as docs/design.md draws it: imports go one way, and data/ holds no code folders."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"main", "flags", "config", "presets", "storage"}
ROOMS |= {"commands", "data", "download", "model", "report"}
ALLOWED = {
    "main": ROOMS - {"main"},
    "commands": ROOMS - {"main", "flags", "presets"},
    "flags": {"config", "presets", "storage"},
    "presets": {"config"},
    "config": set(),
    "storage": {"config"},
    "data": {"data", "download", "config", "storage"},
    "download": {"download"},
    "model": {"model", "config", "storage"},
    "report": {"report", "storage"},
}


def imported(path):
    """The rooms that a module takes anything from, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports by name, not by place"
            names = [node.module]
        yield from ROOMS & {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room):
    modules = [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else []
    modules += (ROOT / room).glob("*.py")
    assert modules
    found = {(path.name, other) for path in modules for other in imported(path)}
    assert {(name, other) for name, other in found if other not in ALLOWED[room]} == set()


def test_commands_join_data_and_models():
    joined = [path.stem for path in (ROOT / "commands").glob("*.py")]
    joined = [
        name for name in joined if {"data", "model"} <= {*imported(ROOT / f"commands/{name}.py")}
    ]
    assert {"training", "testing"} <= {*joined}


@pytest.mark.parametrize("module", ["main", "config", "flags", "data.install", "data.scenes"])
def test_what_answers_help_imports_no_tensorflow(module):
    heavy = "{'tensorflow', 'keras', 'scipy', 'matplotlib', 'h5py'}"
    code = f"import sys, {module}; print(*sorted({heavy} & {{*sys.modules}}))"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""


def test_code_lies_beside_corpora_never_below_them():
    assert [path.parent.name for path in (ROOT / "data").glob("*/__init__.py")] == []
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "data/*/" in ignored
