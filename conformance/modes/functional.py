"""What torch's functionalization refuses, whichever mode it works for."""

from __future__ import annotations

from conformance.modes.mode import Refusal

FUNCTIONAL = Refusal(
    "RuntimeError",
    "We only support functionalizing operators",
    "https://docs.pytorch.org/docs/stable/generated/torch.func.functionalize.html",
)
