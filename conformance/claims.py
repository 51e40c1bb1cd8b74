"""The ledger of claims: what tutorials say of torch, whether it is so, and which laws show it.

.. code-block:: toml

    [[claim]]
    id = "accumulation.adds"
    statement = "Each backward pass adds to .grad."      # what is claimed, in our words
    sources = ["003_example.txt: 2.1 Gradients"]         # document: section
    verdict = "holds"                                    # one of VERDICTS
    truth = "..."            # what is true, in one or two exact sentences; why, if untestable
    versions = "2.13.0"      # of torch, for which that was established
    laws = ["accumulation.backward-adds"]                # globs over law ids; none if untestable
    counterexample = '''...'''   # a script that shows the truth against the claim: it asserts
                                 # what is true and prints it; for all but what simply holds
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it to Python 3.10
    import tomli as tomllib

SHIPPED = Path(__file__).with_name("claims.toml")

VERDICTS: dict[str, str] = {
    "holds": "true as it stands",
    "holds with conditions": "true, but not in every case that it speaks of",
    "refuted": "false",
    "outdated": "was true of an earlier torch",
    "untestable": "no experiment on a device could decide it",
}
"""What the ledger may say of a claim, and what that means."""

_CONTRADICTED = ("holds with conditions", "refuted", "outdated")
_TEXTS = ("id", "statement", "verdict", "truth", "versions")
_LISTS = ("sources", "laws")


class ClaimsError(ValueError):
    """A ledger that cannot be used: which claim, what is wrong."""


@dataclass(frozen=True)
class Claim:
    """One entry of the ledger; ``laws`` are globs over law ids."""

    id: str
    statement: str
    sources: tuple[str, ...]
    verdict: str
    truth: str
    versions: str
    laws: tuple[str, ...]
    counterexample: str = ""

    @property
    def area(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]

    @property
    def is_contradicted(self) -> bool:
        """Whether some case speaks against it."""
        return self.verdict in _CONTRADICTED


def read_claims(path: Path = SHIPPED) -> list[Claim]:
    """Read the ledger. Raises :class:`ClaimsError` naming the claim and what to mend."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ClaimsError(f"{path}: not TOML: {error}") from error
    claims = [_claim(table) for table in content.get("claim", [])]
    repeated = {a.id for n, a in enumerate(claims) for b in claims[:n] if a.id == b.id}
    if repeated:
        raise ClaimsError(f"{path}: twice in the ledger: {', '.join(sorted(repeated))}")
    return claims


def _claim(table: Mapping[str, Any]) -> Claim:
    name = table.get("id", "a claim without id")
    needed = (*_TEXTS, *_LISTS)
    missing = [key for key in needed if key not in table]
    unknown = [key for key in table if key not in (*needed, "counterexample")]
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"has no key {unknown[0]!r}"
        raise ClaimsError(f"{name}: {problem}")
    if any(not isinstance(table[key], str) or not table[key].strip() for key in _TEXTS):
        raise ClaimsError(f"{name}: {', '.join(_TEXTS)} must be texts that say something")
    if table["verdict"] not in VERDICTS:
        raise ClaimsError(f"{name}: verdict {table['verdict']!r}; use one of {', '.join(VERDICTS)}")
    claim = Claim(**{**table, **{key: tuple(table[key]) for key in _LISTS}})
    if bool(claim.laws) == (claim.verdict == "untestable"):
        raise ClaimsError(f"{name}: laws show whether it holds, unless it is untestable")
    if bool(claim.counterexample) != claim.is_contradicted:
        raise ClaimsError(f"{name}: a counterexample belongs to {', '.join(_CONTRADICTED)}")
    return claim


def shown_by(claims: Iterable[Claim], law_id: str) -> list[Claim]:
    """Return the claims that a law's verdict bears on."""
    return [c for c in claims if any(fnmatchcase(law_id, glob) for glob in c.laws)]


def unknown_laws(claims: Iterable[Claim], known: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each claim that has some, the globs that match no law id."""
    found = {
        claim.id: [glob for glob in claim.laws if not any(fnmatchcase(i, glob) for i in known)]
        for claim in claims
    }
    return {claim: globs for claim, globs in found.items() if globs}
