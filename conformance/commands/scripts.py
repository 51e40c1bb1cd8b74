"""The script of a verdict: as recorded; or, where a process died, written anew of its inputs."""

from __future__ import annotations

from conformance.records import Run
from conformance.results import Verdict

_DEAD = ("crashed", "timeout")


def script_of(verdict: Verdict, run: Run) -> str:
    """Return the stand-alone script that shows a verdict; empty where there is none.

    A process that died left the text of its inputs, and no script: that is written of the law,
    if it is one of the suite's.
    """
    found = verdict.counterexample
    if found is None or found.script or verdict.verdict not in _DEAD:
        return found.script if found else ""
    return _of_the_dead(verdict, found.inputs, run)


def _of_the_dead(verdict: Verdict, inputs: str, run: Run) -> str:
    import torch

    from conformance.counterexample import of_text
    from conformance.law import shipped_laws
    from conformance.target import Target, TargetError, parse_target

    loaded = [str(name) for name in run.line.get("loaded", ())]
    law_id, _, case = verdict.law.partition(":")
    laws = [law for law in shipped_laws() if law.id == law_id and verdict.law in law.ids()]
    try:
        device, mode = parse_target(verdict.target)
        target = Target(torch.device(device), mode)
        message = verdict.message.partition("\n")[0]
        return of_text(laws[0], case or None, target, inputs, message, loaded)
    except (IndexError, TargetError, RuntimeError, SyntaxError, ValueError):
        return ""  # no law of the suite, or a device that only the run's modules bring
