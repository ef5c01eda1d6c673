"""Damage drawn by a `random.Random`: of any bytes, and of the structure of each format of pictures."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

Parts = list[tuple[bytes, bytes]]
"""Pieces of a file: what names each, and its content."""
ODD = [0, 1, 2, 7, 8, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
JUNK = [
    b"\0" * 8,
    b"\xff" * 8,
    b"\xff\xd9",
    b"\xff\xd8\xff",
    b"IEND\xaeB`\x82",
    b"II*\0",
    b"9" * 30,
    b'"}',
    b"\n",
]


def damaged(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Bytes with one to forty changes at any places; some with a piece of another file.

    Args:
        others: files whose pieces are put in.
    """
    content = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 1, 1, 2, 3, 5, 10, 40])):
        size = len(content)
        place = rng.randrange(min(size, 400) + 1) if rng.random() < 0.5 else rng.randrange(size + 1)
        long = rng.choice([1, 2, 4, 8, 30, 200])
        change = rng.randrange(10)
        if change == 0 and place < size:
            content[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            content[place : place + long] = rng.randbytes(min(long, max(size - place, 0)))
        elif change == 2:
            number = rng.choice(ODD)
            packed = struct.pack(rng.choice("<>") + "Q", number)
            width = rng.choice([1, 2, 4, 8])
            content[place : place + width] = packed[:width] if rng.random() < 0.5 else packed[-width:]
        elif change == 3 and rng.random() < 0.4:
            del content[place:]
        elif change == 4:
            del content[place : place + long]
        elif change == 5:
            content[place:place] = content[place : place + long] * rng.choice([1, 2, 50])
        elif change == 6:
            content[place:place] = rng.choice(JUNK)
        elif change == 7 and others:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            piece = other[start : start + rng.choice([4, 30, 300, 3000])]
            content[place : place + rng.choice([0, len(piece)])] = piece
        elif change == 8:
            content[place : place + long] = bytes([rng.choice([0, 255, 128])]) * long
        else:
            content += rng.choice([b"", rng.randbytes(long), bytes(long), bytes(content[:long])])
    return bytes(content)


def spliced(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _changed(rng: random.Random, parts: Parts, kinds: Sequence[bytes]) -> Parts:
    """Some parts changed, removed, repeated, exchanged or renamed."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        number = rng.randrange(len(parts))
        kind, content = parts[number]
        change = rng.randrange(6)
        if change <= 1:
            parts[number] = kind, damaged(rng, content or b"\0")
        elif change == 2 and len(parts) > 1:
            del parts[number]
        elif change == 3:
            parts[number:number] = [parts[number]] * rng.choice([1, 2, 100])
        elif change == 4:
            other = rng.randrange(len(parts))
            parts[number], parts[other] = parts[other], parts[number]
        else:
            parts[number] = rng.choice(kinds), content
    return parts


def png(rng: random.Random, data: bytes) -> bytes:
    """A PNG with changed chunks whose check sums are right."""
    parts, place = [], 8
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        parts.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    if rng.random() < 0.3:
        size = struct.pack(">II", *(rng.choice([*ODD, 300, 20_000, 60_000]) for _ in range(2)))
        kinds = bytes(
            [rng.choice([1, 2, 4, 8, 16, 3]), rng.choice([0, 2, 3, 4, 6, 7]), 0, 0, rng.choice([0, 1])]
        )
        parts[0] = parts[0][0], size + rng.choice([parts[0][1][8:], kinds])
    if rng.random() < 0.2:  # rows that are inflated and packed again
        rows = b"".join(content for kind, content in parts if kind == b"IDAT")
        try:
            packed = zlib.compress(damaged(rng, zlib.decompress(rows)))
        except zlib.error:
            packed = zlib.compress(bytes(10**7))
        parts = [part for part in parts if part[0] != b"IDAT"]
        parts.insert(max(len(parts) - 1, 0), (b"IDAT", packed))
    names = [
        b"IHDR",
        b"PLTE",
        b"tRNS",
        b"IDAT",
        b"IEND",
        b"acTL",
        b"fcTL",
        b"iCCP",
        b"zTXt",
        b"eXIf",
        b"gAMA",
    ]
    parts = _changed(rng, parts, [*names, b"iTXt", b"pHYs", b"sBIT", b"abcd", b"ABCD"])
    chunks = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts)
    return data[:8] + b"".join(chunks)


def jpeg(rng: random.Random, data: bytes) -> bytes:
    """A JPEG with changed segments; their lengths are mostly right."""
    parts, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, place + 2)
        parts.append((data[place : place + 2], data[place + 4 : place + 2 + length]))
        place += 2 + length
    if rng.random() < 0.3:
        for number, (kind, content) in enumerate(parts):
            if 0xC0 <= kind[1] <= 0xCF and kind[1] not in (0xC4, 0xC8, 0xCC):  # size and components
                sides = struct.pack(">HH", *(rng.choice([0, 1, 9, 300, 20_000, 65_535]) for _ in range(2)))
                parts[number] = kind, content[:1] + sides + content[5:]
    kinds = [
        bytes([0xFF, code]) for code in (0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE)
    ]
    parts = _changed(rng, parts, kinds)
    wrong = rng.random() < 0.1
    lengths = (rng.choice(ODD) % 2**16 if wrong else min(len(c) + 2, 65_535) for _, c in parts)
    scan = damaged(rng, data[place:]) if rng.random() < 0.3 else data[place:]
    return (
        data[:2]
        + b"".join(k + struct.pack(">H", n) + c for (k, c), n in zip(parts, lengths, strict=True))
        + scan
    )


TAGS = [
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    274,
    277,
    278,
    279,
    282,
    284,
    292,
    296,
    305,
    317,
    320,
    322,
    323,
]
TAGS += [
    324,
    325,
    330,
    332,
    338,
    339,
    347,
    512,
    513,
    514,
    529,
    530,
    531,
    532,
    700,
    34665,
    34675,
    34853,
    50706,
]


def tiff(rng: random.Random, data: bytes) -> bytes:
    """A TIFF with changed entries of its directory, of either byte order, classic or big."""
    end = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{end}H", data, 2)[0] == 43
    head, count, entry, size = (8, "Q", "HHQQ", 20) if big else (4, "H", "HHII", 12)
    (start,) = struct.unpack_from(f"{end}{'Q' if big else 'I'}", data, head)
    (entries,) = struct.unpack_from(end + count, data, start)
    start, content = start + struct.calcsize(count), bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = start + size * rng.randrange(entries)
        fields = list(struct.unpack_from(end + entry, content, place))
        number = rng.randrange(4)
        if number == 0:
            fields[0] = rng.choice(TAGS)
        elif number == 1:
            fields[1] = rng.randrange(19)
        elif number == 3 and rng.random() < 0.5 and not big and fields[1] == 3 and end == "<":
            fields[3] = rng.choice([*range(10), 16, 32, 32773, 34712, 50000])
        else:
            fields[number] = rng.choice([*ODD, len(data), rng.randrange(len(data)), start])
        struct.pack_into(end + entry, content, place, *fields)
    return bytes(content)


def riff(rng: random.Random, data: bytes) -> bytes:
    """A WebP with changed chunks; their lengths are mostly right."""
    parts, place = [], 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        parts.append((data[place : place + 4], data[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    parts = _changed(
        rng, parts, [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "]
    )
    body = b""
    for kind, content in parts:
        length = rng.choice(ODD) if rng.random() < 0.05 else len(content)
        body += kind + struct.pack("<I", length) + content + b"\0" * (len(content) % 2)
    whole = rng.choice(ODD) if rng.random() < 0.1 else len(body) + 4
    return b"RIFF" + struct.pack("<I", whole) + b"WEBP" + body


def bmp(rng: random.Random, data: bytes) -> bytes:
    """A BMP with changed fields of its header."""
    content = bytearray(data)
    fields = [
        (2, "I"),
        (10, "I"),
        (14, "I"),
        (18, "i"),
        (22, "i"),
        (26, "H"),
        (28, "H"),
        (30, "I"),
        (34, "I"),
        (46, "I"),
    ]
    for _ in range(rng.choice([1, 1, 2, 3])):
        place, kind = rng.choice(fields)
        number = rng.choice([*ODD, -1, -300, 3, 4, 5, 6, 16, 24, 32, 40, 124, 300, 20_000, 60_000])
        struct.pack_into(
            "<I" if kind != "H" else "<H", content, place, number % 2 ** (16 if kind == "H" else 32)
        )
    return bytes(content)


def boxes(rng: random.Random, data: bytes) -> bytes:
    """A HEIC or AVIF file with changed boxes."""
    parts, place = [], 0
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        length = length if length >= 8 else len(data) - place
        parts.append((data[place + 4 : place + 8], data[place + 8 : place + length]))
        place += length
    if rng.random() < 0.6:  # most is in `meta`
        number = next((n for n, (kind, _) in enumerate(parts) if kind == b"meta"), 0)
        parts[number] = parts[number][0], damaged(rng, parts[number][1])
    else:
        parts = _changed(rng, parts, [b"ftyp", b"meta", b"mdat", b"free", b"moov", b"iloc"])
    return b"".join(struct.pack(">I", len(c) + 8) + k + c for k, c in parts)


def npy(rng: random.Random, data: bytes) -> bytes:
    """An array with another header."""
    texts = ["|u1", "<f4", "|O", "<U9", "V8", ">u2", "|b1", "<M8[s]"]
    shapes = [
        "(13, 21, 3)",
        "(13, 21, 4)",
        "()",
        "(-1, 3, 3)",
        "(10**9, 10**9, 3)",
        "(99999999, 999, 3)",
        "(0, 9, 3)",
    ]
    order, shape = rng.random() < 0.5, rng.choice(shapes)
    head = f"{{'descr': {rng.choice(texts)!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    head = rng.choice(
        [head, head, "[" * 9000, "__import__('os').system('true')", head.replace("'", ""), head[:-2]]
    )
    return data[:8] + struct.pack("<H", len(head) + 1) + head.encode() + b"\n" + data[128:]


FORMATS: list[tuple[Callable[[bytes], bool], Callable[[random.Random, bytes], bytes]]] = [
    (lambda data: data.startswith(b"\x89PNG"), png),
    (lambda data: data.startswith(b"\xff\xd8"), jpeg),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), tiff),
    (lambda data: data.startswith(b"RIFF"), riff),
    (lambda data: data.startswith(b"BM"), bmp),
    (lambda data: data[4:8] == b"ftyp", boxes),
    (lambda data: data.startswith(b"\x93NUMPY"), npy),
]


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A file damaged in its bytes, in the structure of its format, or put together from two."""
    way = rng.random()
    if way < 0.08:
        return spliced(rng, data, rng.choice(others))
    if way < 0.12:
        return data + rng.choice(others)
    change = next((change for known, change in FORMATS if known(data)), None)
    if change is None or way < 0.5:
        return damaged(rng, data, others)
    data = change(rng, data)
    return damaged(rng, data, others) if way > 0.9 else data
