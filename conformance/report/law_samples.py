"""One example of each law: inputs that were drawn, and the script that tries the law on them alone.

The script needs torch and NumPy, and nothing of this package. It is run when the pages are made.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import torch

from conformance.counterexample import of_text
from conformance.deviations import SHIPPED, covering, read_deviations
from conformance.examine import Examination
from conformance.law import Law
from conformance.report.examples import run_blocks
from conformance.target import open_target

_DRAWS, _CASES = 8, 5
_EMPTY = ("torch.zeros((", ", 0)", "(0,", "[]")
_TELLING = 160
"""Characters of inputs that say something and are read at a glance."""


class Sample(NamedTuple):
    """What a law was tried on, as assignments, and the script that does it again."""

    law_id: str
    inputs: str
    script: str


def law_samples(laws: Iterable[Law]) -> dict[str, Sample]:
    """Return an example of each law by its id, but for those of which none can be told."""
    return {law.id: sample for law in laws if (sample := law_sample(law))}


def law_sample(law: Law) -> Sample | None:
    """Return one example that a law holds for, of the first case that has one."""
    listed = read_deviations(SHIPPED)
    for law_id in islice(law.ids(), _CASES):
        if not covering(listed, law_id, "cpu", torch.__version__):
            sample = _sample(law, law_id)
            if sample:
                return sample
    return None


def _sample(law: Law, law_id: str) -> Sample | None:
    case, target = law_id.partition(":")[2] or None, open_target("cpu")
    drawn: list[str] = []

    def note(_: int, inputs: str) -> None:
        drawn.append(inputs)

    if Examination(law, case, target, _DRAWS, shrink=False, notify=note).verdict().fails:
        return None
    for inputs in sorted(dict.fromkeys(drawn), key=_against):
        try:
            script = of_text(law, case, target, inputs, "")
        except (ValueError, SyntaxError):  # one of the inputs has no source text
            continue
        if not run_blocks([script]).failures:
            return Sample(law_id, inputs, script)
    return None


def _against(inputs: str) -> tuple[bool, int]:
    """What speaks against showing these inputs: empty tensors, little to see, or much text."""
    return any(text in inputs for text in _EMPTY), abs(len(inputs) - _TELLING)
