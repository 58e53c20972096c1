"""A program that does to files what it must not, to see that a campaign finds it out."""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from fuzz import outcomes
from fuzz.mutations import RAW, Format
from fuzz.outcomes import expect, tried

from errors import UsageError

outcomes.MEMORY, outcomes.SECONDS = 2**24, 0.5


def refuse(path: Path, said: str, cause: type = ValueError) -> None:
    try:
        raise cause
    except cause:
        raise UsageError(said.format(path=path)) from None


DEEDS = {  # what is done -> a part of how that is reported; None where it is allowed
    "reads": (lambda path: None, None),
    "refuses": (lambda path: refuse(path, "{path}: damaged"), None),
    "crashes": (lambda path: os.kill(os.getpid(), signal.SIGSEGV), "crash: SIGSEGV"),
    "exits": (lambda path: os._exit(0), "crash: exit code 0"),
    "stops": (lambda path: sys.exit(2), "SystemExit: 2"),
    "loops": (lambda path: sum(iter(int, 1)), "hang: it computes"),
    "raises": (lambda path: {}["key"], "KeyError: 'key'"),
    "is wrong": (lambda path: expect(False, "not so"), "AssertionError: not so"),
    "warns": (lambda path: warnings.warn("of this", stacklevel=1), "warning: of this"),
    "speaks": (lambda path: os.write(2, b"words"), "wrote to stderr: words"),
    "prints": (lambda path: print("words"), "wrote to stderr: words"),
    "fills": (lambda path: np.ones(2**26, np.uint8), "memory: "),
    "two lines": (lambda path: refuse(path, "{path}:\nno"), "more than one printable line"),
    "escapes": (lambda path: refuse(path, "{path}: \x1b[2J"), "more than one printable line"),
    "unnamed": (lambda path: refuse(path, "damaged"), "does not name the file"),
    "sleeps": (lambda path: time.sleep(600), "hang: more than"),
    "hides": (lambda path: refuse(path, "{path}: no", MemoryError), "more memory than"),
}


def bases(folder: Path) -> dict[str, bytes]:
    return dict.fromkeys(DEEDS, b"")


def form(name: str) -> Format:
    return RAW


def ending(name: str) -> str:
    return f".{name}"


def check(path: Path) -> bool:
    deed = DEEDS[path.suffix[1:]][0]
    tried(UsageError, path, deed, path)
    return path.suffix != ".refuses"
