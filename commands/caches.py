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
    """Prints a line for each part of a cache; removes those that no run uses, where asked to."""
    cache = args.cache_dir or storage.cache(args.results)
    print(f"what can be made again, in {cache}/")
    parts, runs = defaultdict(list), runs_of(args.results)
    for path in paths(cache):
        parts[part_of(path, runs)].append(path)
    for (what, users), found in parts.items():
        held = [*sizes(found)]
        said = f"{what}: {len(held)} files, {sum(held) / 1e6:.1f} MB"
        if users is not None:
            said += f", used by {', '.join(users) or 'no run'}"
        if args.remove_unused and users == ():
            for path in found:
                path.unlink() if path.is_file() else storage.remove(path)
            said += "; removed"
        print(f"  {said}")
    if not parts:
        print("  nothing yet")


def paths(cache: Path) -> Iterator[Path]:
    """Yields what lies in a cache, of rows each folder."""
    for top in sorted(cache.iterdir()) if cache.is_dir() else ():
        yield from sorted(top.iterdir()) if top.name in ROWS else [top]


def sizes(found: Iterable[Path]) -> Iterator[int]:
    """Yields the bytes of each file at and below paths, but for what a run moves meanwhile."""
    for path in (path for top in found for path in (top, *top.rglob("*"))):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path.stat().st_size


def part_of(path: Path, runs: Users) -> tuple[str, tuple[str, ...] | None]:
    """Returns what lies at a path, and the names of the runs that use it; None where it is not
    known whose it is."""
    kind, found = path.parent.name, NAME.fullmatch(path.name)
    if kind not in ROWS:
        return path.name, None
    if not found or (kind != "features" and path.name != folder(size_of(found))):
        return f"{kind} of another version", ()
    size, encoder = size_of(found), found["encoder"]
    users = (
        name
        for name, (settings, own) in runs.items()
        if own == size and (encoder is None or settings.cached and settings.encoder == encoder)
    )
    return f"{kind}{f' of {encoder}' if encoder else ''} at {size[0]}x{size[1]}", tuple(users)


def size_of(found: re.Match) -> tuple[int, int]:
    return int(found["height"]), int(found["width"])


def runs_of(results: Path) -> Users:
    """Returns the runs that have a checkpoint, but for those whose JSON is damaged."""
    runs = {}
    for name, found in (with_best(results, "latest") | with_best(results)).items():
        with suppress(UsageError):
            about = read_json(found.record)
            if not faults(about):
                settings = Config.make(from_json(about["config"], str(found.record)))
                runs[name] = settings, tuple(about["size"])
    return runs
