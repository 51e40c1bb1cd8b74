"""What changed between two records: which laws broke, were mended, or lost their evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conformance.records import Place, Record
from conformance.results import Verdict

_STANDINGS = {
    "satisfied": ("holds", "stale"),
    "silent": ("unsupported", "vacuous", "blocked"),
    "refuted": ("violated", "deviates", "crashed", "timeout"),
}
_STANDING = {verdict: name for name, verdicts in _STANDINGS.items() for verdict in verdicts}

SHARE = 0.1
"""Below this share of the values an example, a law has lost its evidence; runs with other seeds
differ by a factor of four. Above this share of unsupported examples, where none was, as well."""


@dataclass(frozen=True)
class Kind:
    """A kind of change, and whether it makes a regression of the newer record."""

    name: str
    meaning: str
    regression: bool


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("broken", "refuted now, and not before", True),
        Kind("lost evidence", "judged before; now silent, or on far fewer values", True),
        Kind("gone", "judged in the older record only", True),
        Kind("fixed", "satisfied now, and not before", False),
        Kind("new", "judged in the newer record only", False),
        Kind("changed", "another verdict, neither better nor worse", False),
    )
}


@dataclass(frozen=True)
class Change:
    """One law on one target: what both records say of it; None where one says nothing."""

    kind: Kind
    old: Verdict | None
    new: Verdict | None
    detail: str

    @property
    def verdict(self) -> Verdict:
        """The newer verdict, or the older one where that is all there is."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def step(self) -> str:
        """Both verdicts, such as ``holds -> violated``."""
        kinds = list(dict.fromkeys(v.verdict for v in (self.old, self.new) if v))
        return " -> ".join(kinds)


def differences(
    old: Record, new: Record, chosen: Callable[[Place], bool] = lambda _: True
) -> list[Change]:
    """Return what changed, by kind and law, among the laws and targets that are chosen.

    Where each record is of one target, those two are compared, whatever they are called.
    """
    before, after = old.verdicts, new.verdicts
    if len(old.targets) == len(new.targets) == 1:
        before = {(law, new.targets[0]): verdict for (law, _), verdict in before.items()}
    places = [place for place in sorted({*before, *after}) if chosen(place)]
    changes = [found for place in places for found in _change(before.get(place), after.get(place))]
    order = list(KINDS)
    return sorted(changes, key=lambda change: order.index(change.kind.name))


def by_kind(changes: Sequence[Change]) -> dict[str, list[Change]]:
    """Return the changes by the name of their kind; kinds without any are left out."""
    found = {name: [c for c in changes if c.kind.name == name] for name in KINDS}
    return {name: members for name, members in found.items() if members}


def _change(old: Verdict | None, new: Verdict | None) -> Iterator[Change]:
    if old is None or new is None:
        found = old or new
        assert found is not None
        yield Change(KINDS["gone" if new is None else "new"], old, new, found.message)
        return
    thinner = _thinner(old, new)
    if thinner:
        yield Change(KINDS["lost evidence"], old, new, thinner)
    elif old.verdict != new.verdict:
        yield Change(KINDS[_kind(old, new)], old, new, new.message)


def _kind(old: Verdict, new: Verdict) -> str:
    before, after = _STANDING[old.verdict], _STANDING[new.verdict]
    if after == "satisfied":
        return "changed" if before == "satisfied" else "fixed"
    worse = "broken" if after == "refuted" else "lost evidence"
    newly_failing = new.fails and not old.fails
    if before == "satisfied" or newly_failing:
        return worse
    return worse if after == "silent" and before == "refuted" else "changed"


def _thinner(old: Verdict, new: Verdict) -> str:
    """Tell how a law that is satisfied in both rests on much less; empty if it does not."""
    if not _STANDING[old.verdict] == _STANDING[new.verdict] == "satisfied":
        return ""
    before, after = old.evidence, new.evidence
    examples = max(after.get("examples", 0), 1)
    unsupported = after.get("unsupported", 0)
    if unsupported > SHARE * examples and not before.get("unsupported", 0):
        return f"{unsupported} of {examples} examples unsupported: {after.get('missing', '')}"
    rate = before.get("values", 0) / max(before.get("examples", 0), 1)
    if after.get("values", 0) / examples < SHARE * rate:
        was, now = before.get("values", 0), after.get("values", 0)
        return f"{now:,} values compared in {examples:,} examples, {was:,} before"
    return ""
