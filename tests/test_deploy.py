"""The container files and the job's description, as far as they can be checked without running."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

import config
import flags
import main

ROOT = Path(__file__).parents[1]
IMAGES = sorted((ROOT / "deploy").glob("Dockerfile.*"))


def instructions(image: Path) -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n", "", image.read_text()).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line and line[0] != "#"]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.suffix[1:])
def test_an_image_copies_what_there_is_and_starts_main(image):
    found = instructions(image)
    assert found[0][0] == "FROM" and ("ENTRYPOINT", '["python", "main.py"]') in found
    for name, rest in found:
        *sources, _ = rest.split() if name == "COPY" else [""]
        assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"main.py", "data", "model", "commands", "pyproject.toml", "README.md"} & {*ignored}


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.suffix[1:])
def test_an_image_installs_an_extra_that_there_is(image):
    [extra] = re.findall(r'"\.\[(\w+)\]"', image.read_text())
    assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.suffix[1:])
def test_the_commands_in_an_image_are_commands(image, monkeypatch):
    monkeypatch.setattr(flags.storage, "path", Path)  # no store is asked
    [command] = re.findall(r"docker run(.*?)\n[A-Z]", image.read_text().replace("\\\n#", ""), re.S)
    argv = shlex.split(command)
    args = flags.parse(["main.py", *argv[argv.index("train") :]], main.COMMANDS)
    assert args.command is main.train


def test_the_job_runs_a_training_of_ours(monkeypatch):
    monkeypatch.setattr(flags.storage, "path", Path)
    job = yaml.safe_load((ROOT / "deploy" / "vertex.yaml").read_text())
    [pool] = job["workerPoolSpecs"]
    args = flags.parse(["main.py", *pool["containerSpec"]["args"]], main.COMMANDS)
    assert args.command is main.train and args.data == "salicon"
    config.Config.make(flags.given(args))
    assert [each["name"] for each in pool["containerSpec"]["env"]] == ["GCS_OUTPUT_PATH"]
