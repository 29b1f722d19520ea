"""The SHA-256 of a file."""

import hashlib


def sha256_of(path: str) -> str:
    """SHA-256 in hexadecimal digits, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
