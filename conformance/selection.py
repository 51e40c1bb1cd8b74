"""Which laws to run: globs over law ids, and the nearest ids to one that matches none."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Sequence
from fnmatch import fnmatchcase


class SelectionError(ValueError):
    """A glob or a chapter that names nothing; the message offers the nearest names."""


def matches(law_id: str, pattern: str) -> bool:
    """Whether a glob names a law: its whole id, or the id without the case after the colon."""
    return fnmatchcase(law_id, pattern) or fnmatchcase(law_id.partition(":")[0], pattern)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint at the names closest to ``name``."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"nearest: {', '.join(close)}" if close else "list the ids with: conformance list laws"


def check_selection(
    patterns: Sequence[str], chapters: Sequence[str], known: Sequence[tuple[str, str]]
) -> None:
    """Raise :class:`SelectionError` unless every pattern and chapter names a known law.

    ``known`` holds a pair (law id, chapter) for each law.
    """
    ids = [law_id for law_id, _ in known]
    for pattern in patterns:
        if not any(matches(law_id, pattern) for law_id in ids):
            raise SelectionError(f"--law {pattern}: matches no law; {nearest(pattern, ids)}")
    names = sorted({chapter for _, chapter in known})
    for chapter in chapters:
        if chapter not in names:
            raise SelectionError(f"--chapter {chapter}: no such chapter; {nearest(chapter, names)}")


def selected(law_id: str, chapter: str, patterns: Sequence[str], chapters: Sequence[str]) -> bool:
    """Whether the options choose this law; with none given, every law is chosen."""
    by_id = not patterns or any(matches(law_id, pattern) for pattern in patterns)
    return by_id and (not chapters or chapter in chapters)


def in_shard(law_id: str, shard: str | None) -> bool:
    """Whether a law belongs to a shard, written ``K/N``; to all, if none is given.

    The id alone decides, so that laws stay in their shards when others come or go.
    """
    if shard is None:
        return True
    number, _, count = shard.partition("/")
    return zlib.crc32(law_id.encode()) % int(count) == int(number) - 1
