"""The one hash of splits and samples, and content hashes; macros/hash_bucket.sql is the same integer in SQL."""

import hashlib
import json
from pathlib import Path

BUCKETS = 1 << 20


def hash_bucket(salt: str, text: str) -> int:
    """The low 20 bits of the first 8 bytes, little-endian, of md5(salt ':' text): an integer in [0, BUCKETS)."""
    digest = hashlib.md5(f"{salt}:{text}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "little") & (BUCKETS - 1)


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: object) -> str:
    """sha256 of a JSON value in its canonical form, hexadecimal: equal values have equal hashes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_tree(folder: Path) -> dict[str, str]:
    """sha256 by relative path of every file below a folder, in the order of the paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
