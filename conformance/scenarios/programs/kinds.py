"""Kinds of programs: which moves they consist of, and how often each."""

from __future__ import annotations

from conformance.scenarios.programs import computing, modes, passing, writing
from conformance.scenarios.programs.writer import Move

MOVES: dict[str, Move] = {
    "leaf": computing.leaf,
    "unary": computing.unary,
    "total": computing.total,
    "binary": computing.binary,
    "view": computing.view,
    "unbind": computing.unbind,
    "write_number": writing.write_number,
    "write_tensor": writing.write_tensor,
    "write_item": writing.write_item,
    "detach": writing.detach,
    "detach_in_place": writing.detach_in_place,
    "flag": writing.flag,
    "enter": modes.enter,
    "leave": modes.leave,
    "switch": modes.switch,
    "backward": passing.backward,
    "backward_retained": passing.backward_retained,
    "backward_recorded": passing.backward_recorded,
    "backward_inputs": passing.backward_inputs,
    "backward_many": passing.backward_many,
    "grad": passing.grad,
    "clear": passing.clear,
    "zero": passing.zero,
    "assign": passing.assign,
    "take": passing.take,
    "retain": passing.retain,
    "hook": passing.hook,
    "unhook": passing.unhook,
}

COMPUTING = {"leaf": 1, "unary": 2, "binary": 3}
PASSES = {"backward": 2, "backward_many": 1, "backward_inputs": 1, "grad": 1}

KINDS: dict[str, dict[str, int]] = {
    "gradients": {**COMPUTING, "total": 1, "view": 2, **PASSES},
    "repeated-passes": {**COMPUTING, "total": 2, "binary": 2, "backward": 3, "backward_retained": 5,
                        "backward_inputs": 2, "backward_many": 1, "clear": 1, "zero": 1,
                        "assign": 1, "take": 1},
    "views": {"leaf": 1, "unary": 1, "binary": 1, "view": 9, "unbind": 1, "write_number": 3,
              "write_item": 1, "detach": 1},
    "writes": {"leaf": 1, "unary": 1, "binary": 4, "write_number": 2, "write_tensor": 3,
               "backward": 4, "detach": 1},
    "writes-through-views": {"leaf": 1, "unary": 2, "binary": 2, "view": 4, "unbind": 1,
                             "write_number": 3, "write_tensor": 4, "write_item": 2, "backward": 3,
                             "grad": 1},
    "tensors-through-views": {"leaf": 1, "unary": 2, "binary": 1, "view": 4, "write_tensor": 6,
                              "backward": 2, "backward_retained": 2, "grad": 1},
    "flags": {"leaf": 1, "unary": 1, "binary": 2, "view": 3, "flag": 4, "detach": 4,
              "detach_in_place": 2, "write_number": 1, "backward": 2, "retain": 1},
    "modes": {**COMPUTING, "view": 1, "enter": 4, "leave": 3, "switch": 1, "write_number": 2,
              "write_tensor": 1, "flag": 1, "backward": 1, "detach": 1},
    "higher-order": {**COMPUTING, "total": 1, "grad": 4, "backward_recorded": 3, "take": 2,
                     "clear": 1, "zero": 1},
    "hooks": {**COMPUTING, "hook": 3, "unhook": 1, "retain": 2, **PASSES, "write_number": 1,
              "clear": 1},
    "everything": {**dict.fromkeys(MOVES, 1), **COMPUTING, "backward_recorded": 2, "view": 2},
}  # fmt: skip
