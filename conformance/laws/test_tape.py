"""The tape: random programs, every step of which ends as a small model of autograd says."""

from conformance.law import given, law
from conformance.programs import KINDS, follow, programs

PAGES = {
    "gradients": "torch.autograd.backward",
    "repeated-passes": "torch.autograd.backward",
    "views": "tensor_view.html",
    "writes": "notes/autograd.html#in-place-correctness-checks",
    "writes-through-views": "notes/autograd.html#in-place-operations-with-autograd",
    "flags": "notes/autograd.html#setting-requires-grad",
    "modes": "notes/autograd.html#grad-modes",
    "higher-order": "torch.autograd.grad",
    "hooks": "notes/autograd.html#backward-hooks-execution",
    "everything": "notes/autograd.html",
}


def page(case):
    return PAGES[case]


@law("tape.model", docs=page, over={kind: kind for kind in KINDS})
@given(program=programs)
def test_model(target, case, program):
    """After every step of a random program, everything observable is as the tape says.

    Values, memory, versions, flags, histories, gradients, hooks' calls, modes, and errors. The
    tape is a model of eager autograd in NumPy: ``conformance/reference/tape.py``.
    """
    follow(program)
