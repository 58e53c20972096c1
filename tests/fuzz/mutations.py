"""Damage to a file's bytes: the same random numbers give the same damage.

A Format says what a kind of file is made of; without one, any bytes do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

LONGEST = 4096  # bytes that are removed, repeated or written over at a time
REPAIRED = 0.75  # share of the files whose checksums are set right again


class Field(NamedTuple):
    """A number in a file: where it stands and how it is written.

    style: "little" or "big" endian; "text", decimal digits that may become more or fewer;
    "octal", as in the headers of tar.
    """

    start: int
    size: int
    style: str

    def read(self, data: bytes) -> int:
        raw = data[self.start : self.start + self.size]
        if self.style in ("little", "big"):
            return int.from_bytes(raw, self.style)
        digits = raw.strip(b" \0")
        return int(digits, 8 if self.style == "octal" else 10) if digits.isdigit() else 0

    def written(self, data: bytes, value: int) -> bytes:
        """The data with another number in its place."""
        return data[: self.start] + self._raw(value) + data[self.start + self.size :]

    def _raw(self, value: int) -> bytes:
        if self.style == "text":
            return b"%d" % value
        if self.style in ("little", "big"):
            return (value % 256**self.size).to_bytes(self.size, self.style)
        digits = b"%0*o" % (self.size - 1, abs(value))
        if value >= 0 and len(digits) < self.size:
            return digits + b"\0"
        # What octal digits cannot say is a binary number with its first bit set.
        return bytes([128]) + (value % 256 ** (self.size - 1)).to_bytes(self.size - 1, "big")


@dataclass(frozen=True)
class Format:
    """What is known of a kind of file.

    parts: data -> (start, end) of its elements, such as chunks and segments, in their order.
    fields: data -> its numbers: lengths, sizes, counts, kinds.
    repair: (damaged data, whole data) -> the damaged data with right checksums.
    inside: (data, damage) -> the data with `damage` done to what is packed in it; None without.
    """

    parts: Callable[[bytes], list[tuple[int, int]]] = lambda data: []
    fields: Callable[[bytes], list[Field]] = lambda data: []
    repair: Callable[[bytes, bytes], bytes] = lambda data, whole: data
    inside: Callable | None = None


RAW = Format()


def mutated(whole: bytes, form: Format, random: Random) -> bytes:
    """The data after one to a few damages, most often with checksums that fit them."""
    data = whole
    if form.inside and random.random() < 0.3:
        data = form.inside(data, lambda packed, form=RAW: damaged(packed, form, random))
    else:
        data = damaged(data, form, random)
    return form.repair(data, whole) if random.random() < REPAIRED else data


def damaged(data: bytes, form: Format, random: Random) -> bytes:
    """The data after one to a few damages, half of them to its structure where that is known."""
    for _ in range(random.choice((1, 1, 1, 1, 2, 2, 3, 6))):
        if not data:
            break
        draw = random.random()
        fields = form.fields(data) if draw < 0.7 else []
        parts = form.parts(data) if draw < 0.2 else []
        if len(parts) > 1:
            data = move_part(data, parts, random)
        elif fields and draw < 0.5:
            data = set_field(data, fields, form.parts(data), random)
        else:
            near = random.choice(fields).start if fields else None
            data = random.choice(BYTES)(data, position(data, near, random), random)
    return data


def position(data: bytes, near: int | None, random: Random) -> int:
    """A place in the data, anywhere or close to another."""
    place = random.randrange(len(data)) if near is None else near + random.randint(-8, 8)
    return min(max(place, 0), len(data) - 1)


def set_field(data: bytes, fields: list[Field], parts: list, random: Random) -> bytes:
    """Another number: at an edge of its range, close to what it was, or where some part begins."""
    field = random.choice(fields)
    bits, now = 8 * min(field.size, 8), field.read(data)
    edges = [0, 1, 2, 2**bits - 1, 2**bits - 2, 2 ** (bits - 1), 2 ** (bits - 1) - 1, -1]
    close = [now - 1, now + 1, now * 2, now // 2, now + 256, now ^ 1 << random.randrange(bits)]
    sizes = [len(data), len(data) - field.start, 2**16, 2**20, 2**24, 2**28, 2**31, 2**32, 9999]
    places = [random.choice(parts)[0] for _ in range(5)] if parts else []
    any_other = [random.choice(fields).read(data), random.getrandbits(bits)]
    choices = [*edges, *close, *random.sample(sizes, 3), *places, *any_other]
    return field.written(data, random.choice(choices))


def move_part(data: bytes, parts: list[tuple[int, int]], random: Random) -> bytes:
    """An element is dropped, repeated, exchanged with another, or written over by another."""
    (a, b), (c, d) = sorted(random.sample(parts, 2))
    way = random.randrange(5)
    if way == 0:
        return data[:a] + data[b:]
    if way == 1:
        return data[:b] + data[a:b] * random.choice((1, 1, 2, 50)) + data[b:]
    if way == 2 and b <= c:
        return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
    if way == 3:
        return data[:a] + data[c:d] + data[a:]
    size = min(b - a, d - c)
    return data[:a] + data[c : c + size] + data[a + size :]


def length(data: bytes, random: Random) -> int:
    """How many bytes: seldom many."""
    return random.randint(1, 1 << random.randint(0, min(len(data), LONGEST).bit_length() - 1))


def flip(data: bytes, place: int, random: Random) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def put(data: bytes, place: int, random: Random) -> bytes:
    value = random.choice((0, 1, 10, 127, 128, 254, 255, random.randrange(256)))
    return data[:place] + bytes([value]) + data[place + 1 :]


def put_range(data: bytes, place: int, random: Random) -> bytes:
    size = min(length(data, random), len(data) - place)
    filled = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))
    return data[:place] + filled + data[place + size :]


def remove(data: bytes, place: int, random: Random) -> bytes:
    return data[:place] + data[place + length(data, random) :]


def insert(data: bytes, place: int, random: Random) -> bytes:
    size = length(data, random)
    new = random.choice((bytes(size), random.randbytes(size), data[place : place + size]))
    return data[:place] + new + data[place:]


def copy(data: bytes, place: int, random: Random) -> bytes:
    """A range written over another one."""
    size, source = length(data, random), random.randrange(len(data))
    piece = data[source : source + size][: len(data) - place]
    return data[:place] + piece + data[place + len(piece) :]


def cut(data: bytes, place: int, random: Random) -> bytes:
    return data[:place]


def lead(data: bytes, place: int, random: Random) -> bytes:
    """Something before the beginning: some formats are looked for further on."""
    return bytes(random.choice((1, 4, 512, 1024, 2048))) + data


MILD, HARSH = (flip, put, put_range, copy), (remove, insert, cut, lead)
BYTES = MILD * 4 + HARSH
