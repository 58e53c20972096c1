"""Readers that do what damaged files make C libraries do."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from errors import UsageError


def read(path: Path) -> dict:
    """Return how long a file is, and which process of which read it."""
    print("words")
    os.write(1, b"words")
    numbers = {"length": len(path.read_bytes()), "process": os.getpid(), "parent": os.getppid()}
    return {name: np.array(number) for name, number in numbers.items()}


def nothing(path: Path) -> dict:
    return {}


def refuse(path: Path):
    raise UsageError("two\nlines \x1b")


def fail(path: Path):
    raise OSError("no such heap\n\x1b")


def crash(path: Path):
    ctypes.string_at(0)


def leave(path: Path):
    os._exit(7)


def loop(path: Path):
    """Never give the interpreter a turn, as a library that comes to no end."""
    ctypes.PyDLL(None).pause()


def compute(path: Path):
    """Never come to an end."""
    while True:
        pass


def rest(path: Path) -> dict:
    """Wait for longer than to read it may take of the processor."""
    time.sleep(2)
    return {}


def fill(path: Path):
    parts = []
    while True:
        parts.append(np.ones(2**24, np.uint8))


def nest(path: Path):
    return nest(path)


def answer_objects(path: Path):
    return {"x": np.array([{}, None])}


def lie(path: Path):
    """Answer, before the answer, that so many bytes come."""
    os.write(3, b"\xff" * 8)  # after the three that every process has


def stop(path: Path):
    raise KeyboardInterrupt
