"""What `info --caches` does: says what can be made again, how large it is, who uses it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import storage
from batches.store import FOLDERS, folder
from config import Config, from_json
from errors import UsageError
from model.checkpoints.runs import faults, read_json, with_best

ROWS = (*FOLDERS.values(), "features")
NAME = re.compile(r"(?:(?P<encoder>\w+)-)?(?P<height>\d+)x(?P<width>\d+)-[0-9a-f]+")

Users = Mapping[str, tuple[Config, tuple[int, int]]]  # by the name of a run: its input's size too


def caches(args) -> None:
    """Print a line for each part of a cache; remove those that no run uses, where asked to."""
    cache = args.cache_dir or storage.cache(args.results)
    print(f"what can be made again, in {cache}/")
    parts, runs = defaultdict(list), runs_of(args.results)
    for path in paths(cache):
        parts[part_of(path, runs)].append(path)
    for (what, users), tops in parts.items():
        held = [*sizes(tops)]
        line = f"{what}: {len(held)} files, {sum(held) / 1e6:.1f} MB"
        if users is not None:
            line += f", used by {', '.join(users) or 'no run'}"
        if args.remove_unused and users == ():
            for path in tops:
                path.unlink() if path.is_file() else storage.remove(path)
            line += "; removed"
        print(f"  {line}")
    if not parts:
        print("  nothing yet")


def paths(cache: Path) -> Iterator[Path]:
    """Yield what lies in a cache, of rows each folder."""
    for top in sorted(cache.iterdir()) if cache.is_dir() else ():
        yield from sorted(top.iterdir()) if top.name in ROWS else [top]


def sizes(tops: Iterable[Path]) -> Iterator[int]:
    """Yield the bytes of each file at and below paths, but for what a run moves meanwhile."""
    for path in (path for top in tops for path in (top, *top.rglob("*"))):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path.stat().st_size


def part_of(path: Path, runs: Users) -> tuple[str, tuple[str, ...] | None]:
    """Return what lies at a path, and the names of the runs that use it; None where it is not
    known whose it is."""
    kind, match = path.parent.name, NAME.fullmatch(path.name)
    if kind not in ROWS:
        return path.name, None
    if not match or (kind != "features" and path.name != folder(size_of(match))):
        return f"{kind} of another version", ()
    size, encoder = size_of(match), match["encoder"]
    users = (
        name
        for name, (settings, input_size) in runs.items()
        if input_size == size
        and (encoder is None or settings.cached and settings.encoder == encoder)
    )
    return f"{kind}{f' of {encoder}' if encoder else ''} at {size[0]}x{size[1]}", tuple(users)


def size_of(match: re.Match) -> tuple[int, int]:
    return int(match["height"]), int(match["width"])


def runs_of(results: Path) -> Users:
    """Return the runs that have a checkpoint, but for those whose JSON is damaged."""
    runs = {}
    for name, found in (with_best(results, "latest") | with_best(results)).items():
        with suppress(UsageError):
            about = read_json(found.record)
            if not faults(about):
                settings = Config.make(from_json(about["config"], str(found.record)))
                runs[name] = settings, tuple(about["size"])
    return runs
