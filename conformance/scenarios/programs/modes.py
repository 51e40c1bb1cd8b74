"""Moves that change the grad mode."""

from __future__ import annotations

from conformance.reference.tape import Mode
from conformance.scenarios.programs.writer import Picks, Plan, Writer

CONTEXTS = (
    ("torch.no_grad()", Mode(False)),
    ("torch.enable_grad()", Mode(True)),
    ("torch.set_grad_enabled(False)", Mode(False)),
    ("torch.set_grad_enabled(True)", Mode(True)),
    ("torch.inference_mode()", Mode(False, inference=True)),
    ("torch.inference_mode(False)", Mode(True)),
)
DEPTH = 3


def enter(writer: Writer, picks: Picks) -> Plan | None:
    """Begin a block. What may be enabled inside inference mode is left alone."""
    tape = writer.tape
    if len(tape.outer) >= DEPTH:
        return None
    text, mode = CONTEXTS[picks.option % len(CONTEXTS)]
    if tape.mode.inference:
        text, mode = CONTEXTS[0][0], Mode(False, inference=True)
    return Plan(f"modes.append({text}); modes[-1].__enter__()", lambda: tape.enter(mode))


def leave(writer: Writer, picks: Picks) -> Plan | None:
    """End the innermost block, or have an exception end it."""
    if not writer.tape.outer:
        return None
    by = "None, None, None" if picks.option < 128 else "KeyError, KeyError(), None"
    return Plan(f"modes.pop().__exit__({by})", writer.tape.leave)


def switch(writer: Writer, picks: Picks) -> Plan | None:
    """Set the mode for the rest of the block."""
    tape = writer.tape
    if tape.mode.inference:
        return None
    enabled = picks.option % 2 == 1

    def action() -> None:
        tape.mode = Mode(enabled)

    return Plan(f"torch.set_grad_enabled({enabled})", action)
