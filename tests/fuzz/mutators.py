"""Damage to bytes: at random, and inside the two formats whose check sums or lengths would hide it."""

import io
import random
import struct
import zipfile

EDGES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)
PICKLE_OPERATIONS = (
    b"(.0122NIJKLMRQcbaetu}]){s\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8f\x90\x91\x92\x93\x94hjqrXUGl"
)


def damaged(data: bytes, draws: random.Random, alphabet: bytes | None = None) -> bytes:
    """One to eight small changes: bytes set, bits flipped, pieces cut, repeated, swapped, numbers replaced."""
    result = bytearray(data)
    for _ in range(draws.choice((1, 1, 1, 2, 3, 8))):
        at = draws.randrange(len(result) + 1)
        length = min(draws.choice((1, 2, 4, 8, 64, 1024)), max(len(result) - at, 0))
        kind = draws.randrange(8)
        if kind == 0 and at < len(result):
            result[at] ^= 1 << draws.randrange(8)
        elif kind == 1 and at < len(result):
            result[at] = draws.choice(alphabet) if alphabet else draws.randrange(256)
        elif kind == 2:
            del result[at : at + length]
        elif kind == 3:
            result[at:at] = result[at : at + length] * draws.choice((1, 2, 50))
        elif kind == 4 and result:
            other = draws.randrange(len(result))
            result[at : at + length] = result[other : other + length]
        elif kind == 5:
            width, order = draws.choice("BHIQ"), draws.choice("<>")
            packed = struct.pack(order + width, draws.choice(EDGES) % (1 << 8 * struct.calcsize(width)))
            result[at : at + len(packed)] = packed
        elif kind == 6 and draws.random() < 0.2:
            del result[at:]
        else:
            result[at:at] = bytes(draws.choice(alphabet or b"\0\xff") for _ in range(draws.choice((1, 2, 16))))
    return bytes(result)


def repacked(data: bytes, draws: random.Random) -> bytes:
    """A checkpoint with damage inside its entries, mostly in its pickle, under right check sums."""
    entries = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    target = 0 if draws.random() < 0.8 else draws.randrange(len(entries))
    name, content = entries[target]
    alphabet = PICKLE_OPERATIONS if name.endswith(".pkl") and draws.random() < 0.8 else None
    entries[target] = (name, damaged(content, draws, alphabet))
    if draws.random() < 0.1:
        del entries[draws.randrange(len(entries))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def _fields(message: bytes) -> list[tuple[int, int, int | bytes]]:
    """(field number, wire type, content) of a protobuf message. ValueError: it is none."""
    at, fields = 0, []

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(message) or shift > 63:
                raise ValueError
            byte = message[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        wire = key & 7
        if wire == 0:
            fields.append((key >> 3, wire, varint()))
            continue
        if wire not in (1, 2, 5) or key < 8:
            raise ValueError
        length = varint() if wire == 2 else 8 if wire == 1 else 4
        if at + length > len(message):
            raise ValueError
        fields.append((key >> 3, wire, message[at : at + length]))
        at += length
    return fields


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _written(fields) -> bytes:
    out = bytearray()
    for number, wire, content in fields:
        out += _varint(number << 3 | wire)
        out += _varint(content) if wire == 0 else (_varint(len(content)) if wire == 2 else b"") + content
    return bytes(out)


def protobuf_damaged(message: bytes, draws: random.Random, depth: int = 0) -> bytes:
    """A protobuf message (an ONNX file) with a few fields changed, dropped, repeated or moved; lengths stay right."""
    for _ in range(draws.choice((1, 1, 1, 2, 4)) if depth == 0 else 1):
        message = _one_field_damaged(message, draws, depth)
    return message


def _one_field_damaged(message: bytes, draws: random.Random, depth: int) -> bytes:
    try:
        fields = _fields(message)
    except ValueError:
        return damaged(message, draws)
    if not fields:
        return message
    # Descend by size, so that the graph's insides are hit more than the header.
    index = draws.choice([n for n, field in enumerate(fields) for _ in range(2 if field[1] == 2 else 1)])
    number, wire, content = fields[index]
    if wire == 2 and len(content) > 1 and draws.random() < 0.88 and depth < 8:
        fields[index] = (number, wire, _one_field_damaged(content, draws, depth + 1))
        return _written(fields)
    kind = draws.randrange(6)
    if kind == 0:
        del fields[index]
    elif kind == 1:
        fields.insert(index, fields[index])
    elif kind == 2:
        other = draws.randrange(len(fields))
        fields[index], fields[other] = fields[other], fields[index]
    elif kind == 3:
        other = draws.choice([field for field in fields if field[1] == wire])
        fields[index] = (number, wire, other[2])
    elif wire == 0:
        fields[index] = (
            number,
            wire,
            draws.choice((*EDGES, content + 1, max(content - 1, 0), content * 2)) % (1 << 64),
        )
    else:
        fields[index] = (number, wire, bytes(draws.choices(range(256), k=len(content))))
    return _written(fields)
