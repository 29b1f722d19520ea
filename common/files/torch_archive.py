"""The zip archive around a checkpoint, read so strictly that every reader sees the same entries in it.

Readers differ in which table of contents they take when there are two, in how they shift its offsets and in how they
compare names; a file that depends on this was made to show one thing to a check and another to the loader.
"""

import os
import struct
import zipfile

ZIP = b"PK\3\4"  # the beginning that torch's loader goes by
MAX_CONTENTS = 8 << 20  # bytes of the table of contents, about 100 per entry; Python needs some 500 for it
_END, _END_64, _LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LOCAL_HEADER = 30


class DamagedArchive(Exception):
    """An archive that no ``torch.save`` has written: damaged, or made to do harm."""


def entry_names(path: str) -> list[str]:
    """The names in any zip archive with one table of contents. Errors as for :func:`read_program`."""
    with open(path, "rb") as file:
        _require_one_contents(file, os.path.getsize(path))
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()


def read_program(path: str, limit: int) -> tuple[bytes, dict[str, int]]:
    """The pickle of a checkpoint and what it may refer to.

    Args:
        limit: bytes that the pickle may have.

    Returns:
        the bytes of ``data.pkl``, and the sizes in bytes of the storages by their keys.

    Raises:
        DamagedArchive, zipfile.BadZipFile, struct.error, ...: it is damaged.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        count = _require_one_contents(file, size)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _require_sound(entries, count, size)
            for entry in entries:
                _require_inside(file, entry, size)
            folder = entries[0].filename.partition("/")[0] + "/"
            if not all(entry.filename.startswith(folder) for entry in entries):
                raise DamagedArchive("its entries are in more than one folder")
            program = archive.getinfo(folder + "data.pkl")
            if program.file_size > limit:
                raise DamagedArchive(f"a pickle of {program.file_size} bytes; {limit} are read")
            place = folder + "data/"
            sizes = {e.filename.removeprefix(place): e.file_size for e in entries if e.filename.startswith(place)}
            return archive.read(program), sizes


def _require_one_contents(file, size: int) -> int:
    """The table of contents ends where the end record begins, and that ends the file; returns the number of entries."""
    end = size - 22
    file.seek(max(end, 0))
    record = file.read(22)
    magic, _, _, _, count, length, begin, comment = struct.unpack("<4sHHHHIIH", record)
    if magic != _END or comment:
        raise DamagedArchive("its table of contents is not at its end; it is incomplete, or something was added")
    if end >= 20:
        file.seek(end - 20)
        magic, _, place, _ = struct.unpack("<4sIQI", file.read(20))
        if magic == _LOCATOR_64:
            if place != end - 20 - 56:
                raise DamagedArchive("its table of contents is in two places")
            file.seek(place)
            magic, *_, count, length, begin = struct.unpack("<4sQHHIIQQQQ", file.read(56))
            if magic != _END_64:
                raise DamagedArchive("its table of contents is in two places")
            end = place
    if begin + length != end:
        raise DamagedArchive("its table of contents is in two places")
    if length > MAX_CONTENTS:
        raise DamagedArchive(f"a table of contents of {length} bytes")
    return count


def _require_sound(entries: list[zipfile.ZipInfo], count: int, size: int) -> None:
    names = {entry.filename.lower() for entry in entries}
    if not entries or len(entries) != count or len(names) != count:
        raise DamagedArchive("its entries are missing, or have one name twice")
    if not all(entry.orig_filename.isascii() and entry.orig_filename.isprintable() for entry in entries):
        raise DamagedArchive("an entry's name is no plain text")
    if any(entry.orig_filename != entry.filename or "\\" in entry.filename for entry in entries):
        raise DamagedArchive("an entry's name is no plain path")
    if any(entry.compress_type or entry.flag_bits & 1 for entry in entries):
        raise DamagedArchive("compressed or encrypted; torch.save does neither")
    if sum(entry.file_size for entry in entries) > size:
        raise DamagedArchive("its entries overlap")


def _require_inside(file, entry: zipfile.ZipInfo, size: int) -> None:
    file.seek(entry.header_offset)
    name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:])
    begin = entry.header_offset + _LOCAL_HEADER + name + extra
    if entry.compress_size != entry.file_size or begin + entry.file_size > size:
        raise DamagedArchive(f"'{entry.filename}' ends outside the file")
