"""The house as docs/design.md draws it: imports go one way, no room is a corridor, and data/ holds
no folders of code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUND = {"errors", "storage", "cache"}
# What a room may take from; itself always.
ALLOWED = {
    "errors": set(),
    "storage": {"errors"},
    "cache": set(),
    "config": {"errors", "model.networks"},  # the registry, which needs no TensorFlow
    "presets": {"errors", "config"},
    "flags": {"config", "presets", "model.networks"} | GROUND,
    "download": set(),
    "formats": {"download"} | GROUND,
    "data": {"formats", "download"} | GROUND,
    "batches": {"data", "formats"} | GROUND,
    "model.networks": GROUND,
    "model.metrics": {"config"} | GROUND,
    "model.baselines": GROUND,
    "model.training": {"model.networks", "model.metrics", "config"} | GROUND,
    "model.checkpoints": {"model.networks", "model.training", "config"} | GROUND,
    "model.inference": {"model.networks", "model.training", "config"} | GROUND,
    "report": {"model.metrics", "storage"},
}
ALLOWED["inspection"] = {
    "model.checkpoints",
    "config",
    "batches",
    "data",
    "formats",
    "report",
} | GROUND
ALLOWED["commands"] = {*ALLOWED} - {"flags", "presets", "download"}
ALLOWED["main"] = {*ALLOWED} | {"commands", "inspection"}
FEW = 13  # files of a room, and its face


def room(module):
    """The room that a dotted name lies in, None of what is not ours."""
    parts = module.split(".")
    name = ".".join(parts[: 2 if parts[0] == "model" else 1])
    return name if name in ALLOWED else None


def imported(path):
    """The rooms that a module takes anything from, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports by name, not by place"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from filter(None, map(room, names))


def modules(room):
    file = ROOT / f"{room}.py"
    return [file] if file.exists() else [*(ROOT / room.replace(".", "/")).rglob("*.py")]


def folders():
    """The folders of code, tests and measurements aside."""
    code = [path for name in ALLOWED for path in modules(name) if path.parent != ROOT]
    return sorted({path.parent for path in code})


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room):
    assert modules(room)
    found = {(path.name, other) for path in modules(room) for other in imported(path)}
    assert {(name, other) for name, other in found if other not in ALLOWED[room] | {room}} == set()


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_is_a_corridor(folder):
    assert len([*folder.glob("*.py")]) <= FEW + 1


def test_every_folder_of_code_is_a_room():
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    other = ("tests/", "bench/", "deploy/", "docs/")
    code = {ROOT / name for name in tracked if not name.startswith(other)}
    assert code - {path for name in ALLOWED for path in modules(name)} <= {
        ROOT / "model/__init__.py"
    }


def test_commands_join_data_and_models():
    joined = [path.stem for path in (ROOT / "commands").glob("*.py")]
    rooms = {name: {*imported(ROOT / f"commands/{name}.py")} for name in joined}
    both = {
        name for name, taken in rooms.items() if "data" in taken and "model.checkpoints" in taken
    }
    assert {"training", "testing"} <= both


@pytest.mark.parametrize(
    "module", ["main", "config", "flags", "data.install", "data.scenes", "report.page"]
)
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
