"""Versions of plugins and ranges of them (PEP 440), as far as plugins use them: no epochs and no local parts.

A managed host's own Python has no library for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import total_ordering
from typing import Any

from .errors import InputError

VERSION = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|alpha|b|beta|c|rc|pre|preview)[-_.]?(?P<pre_number>\d*))?"
    r"(?:-(?P<post_bare>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d*))?",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"(===|~=|==|!=|<=|>=|<|>)\s*(\S+?)(\.\*)?")
PRE_RANK = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
LAST = (3, 0)


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """A version that can be compared; ``text`` is how it was written."""

    text: str
    release: tuple[int, ...]
    pre: tuple[int, int] | None
    post: int | None
    dev: int | None

    @property
    def is_prerelease(self) -> bool:
        """Whether a range leaves it out unless it names a prerelease itself."""
        return self.pre is not None or self.dev is not None

    @property
    def _key(self) -> tuple[Any, ...]:
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        # 1.dev1 < 1a1 < 1 < 1.post1, and each .dev comes before what it is a development of.
        only_dev = self.pre is None and self.post is None and self.dev is not None
        pre = (-1, 0) if only_dev else self.pre or LAST
        return (release, pre, -1 if self.post is None else self.post, float("inf") if self.dev is None else self.dev)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key


def parse_version(text: str) -> Version:
    """Read a version; raises InputError."""
    match = VERSION.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is no version: allowed are versions such as 1.2.0, 2.0rc1 and 1.0.post2")
    pre = match["pre"]
    post = match["post_bare"] or ((match["post_number"] or "0") if match["post"] else None)
    return Version(
        text.strip(),
        tuple(map(int, match["release"].split("."))),
        None if pre is None else (PRE_RANK[pre.lower()], int(match["pre_number"] or 0)),
        None if post is None else int(post),
        int(match["dev_number"] or 0) if match["dev"] else None,
    )


@dataclass(frozen=True)
class _Clause:
    operator: str
    version: Version
    any_below: bool

    def allows(self, candidate: Version) -> bool:
        wanted = self.version
        if self.any_below:
            starts = _padded(candidate.release, len(wanted.release))[: len(wanted.release)] == wanted.release
            return starts is (self.operator == "==")
        if self.operator == "~=":
            upper = wanted.release[:-1]
            return candidate >= wanted and _padded(candidate.release, len(upper))[: len(upper)] == upper
        if self.operator == "<":
            # A prerelease of the limit itself is not what is meant by below it.
            return candidate < (wanted if wanted.is_prerelease else replace(wanted, dev=0))
        if self.operator == ">":
            # Nor is a later post release of the limit what is meant by above it.
            late = candidate.post is not None and candidate.pre == wanted.pre and _same_release(candidate, wanted)
            return candidate > wanted and not (late and wanted.post is None and wanted.dev is None)
        return {
            "==": candidate == wanted,
            "===": candidate == wanted,
            "!=": candidate != wanted,
            "<=": candidate <= wanted,
            ">=": candidate >= wanted,
        }[self.operator]


@dataclass(frozen=True)
class Range:
    """A set of versions: ``>=1.2,<2``, ``~=1.4``, ``==1.*``, or one version alone."""

    clauses: tuple[_Clause, ...]

    def allows(self, candidate: Version) -> bool:
        """Whether ``candidate`` is in it."""
        return all(clause.allows(candidate) for clause in self.clauses)

    def newest(self, candidates: Iterable[str]) -> str | None:
        """Return the newest of ``candidates`` that is in it; a prerelease only when one is named, or nothing else is.

        What is no version is passed over.
        """
        versions = [version for version in map(_version_or_none, candidates) if version and self.allows(version)]
        named = any(clause.version.is_prerelease for clause in self.clauses)
        stable = [version for version in versions if named or not version.is_prerelease]
        best = max(stable or versions, default=None)
        return None if best is None else best.text


def parse_range(text: str) -> Range:
    """Read a range, or a version alone, which is the range of just that one; raises InputError."""
    clauses = []
    for part in text.split(","):
        match = CLAUSE.fullmatch(part.strip())
        if match is None:
            clauses.append(_Clause("==", parse_version(part), any_below=False))
            continue
        operator, version, star = match[1], parse_version(match[2]), bool(match[3])
        if (star and operator not in ("==", "!=")) or (operator == "~=" and len(version.release) < 2):
            raise InputError(f"{part.strip()!r} is no range: allowed are such as >=1.2,<2 and ~=1.4 and ==1.*")
        clauses.append(_Clause(operator, version, star))
    return Range(tuple(clauses))


ANY = Range(())


def same_version(one: str, other: str) -> bool:
    """Whether two texts mean the same version; texts that are no versions do when they are equal."""
    version = _version_or_none(one)
    return one == other or (version is not None and version == _version_or_none(other))


def _version_or_none(text: str) -> Version | None:
    try:
        return parse_version(text)
    except InputError:
        return None


def _padded(release: tuple[int, ...], length: int) -> tuple[int, ...]:
    return release + (0,) * (length - len(release))


def _same_release(one: Version, other: Version) -> bool:
    length = max(len(one.release), len(other.release))
    return _padded(one.release, length) == _padded(other.release, length)
