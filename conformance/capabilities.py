"""What a target can do: a table of probes, and what became of them.

A probe is a short script over ``torch`` and ``device`` that raises where the device lacks the
capability. To give wrong values is not to lack it: that is for laws to see.
``conformance.probing`` runs it in another process, so that a crash or a hang is an answer too. What
a probe raised is kept: it is the device's own word for what it lacks, and a law that meets the same
word is unsupported, not violated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from strategies.dtypes import FAMILIES


class Probe(NamedTuple):
    """A capability: what it is, and the script that raises without it."""

    means: str
    script: str


def _dtype_probe(name: str) -> Probe:
    """A dtype is there if a tensor of it goes to the device; what values it has, laws will say."""
    script = (
        f"x = torch.tensor([0, 1], dtype=torch.{name}).to(device)\n"
        f"assert x.dtype == torch.{name}, f'holds {{x.dtype}}'\n"
        "if x.device.type != 'meta':\n"
        "    x.cpu()\n"
    )
    return Probe(f"tensors of torch.{name}, to the device and back", script)


_LONGEST_WORD = 160
DTYPES = tuple(str(dtype).removeprefix("torch.") for dtype in FAMILIES["all"])

PROBES: dict[str, Probe] = {
    **{name: _dtype_probe(name) for name in DTYPES},
    "subnormals": Probe(
        "numbers nearer to zero than normal ones",
        "x = torch.tensor(2.0 ** -140).to(device)\n"
        "assert device.type == 'meta' or (x + x).cpu().item() == 2.0 ** -139, 'are zero'",
    ),
    "values": Probe("a tensor's values can be read", "torch.ones(2).to(device).cpu().tolist()"),
    "item": Probe("Tensor.item", "torch.ones(()).to(device).item()"),
    "truth": Probe("a tensor as a condition", "bool(torch.ones(()).to(device))"),
    "list": Probe("Tensor.tolist", "torch.ones(2).to(device).tolist()"),
    "numpy": Probe("NumPy arrays over a tensor's memory", "torch.ones(2).to(device).numpy()"),
    "dlpack": Probe(
        "the DLPack protocol",
        "assert torch.from_dlpack(torch.ones(2).to(device)).device.type == device.type",
    ),
    "capsules": Probe("DLPack capsules", "torch.utils.dlpack.to_dlpack(torch.ones(2).to(device))"),
    "foreach": Probe(
        "clipping by foreach kernels",
        "p = torch.ones(2).to(device).requires_grad_()\n"
        "p.grad = torch.ones(2).to(device)\n"
        "torch.nn.utils.get_total_norm([p.grad], foreach=True)\n"
        "torch.nn.utils.clip_grad_norm_([p], 1.0, foreach=True)",
    ),
    "fused": Probe(
        "fused optimizers",
        "p = torch.ones(2).to(device).requires_grad_()\n"
        "p.grad = torch.ones(2).to(device)\n"
        "torch.optim.SGD([p], lr=0.1, fused=True).step()",
    ),
    "fused_adagrad": Probe(
        "fused Adagrad",
        "p = torch.ones(2).to(device).requires_grad_()\n"
        "p.grad = torch.ones(2).to(device)\n"
        "torch.optim.Adagrad([p], fused=True).step()",
    ),
    "strides": Probe(
        "views with strides of their own",
        "x = torch.zeros(2, 3).to(device).t()\n"
        "assert x.stride() == (1, 3) and not x.is_contiguous(), f'has strides {x.stride()}'",
    ),
    "views": Probe(
        "writing through a view",
        "x = torch.zeros(2).to(device)\n"
        "x[0].add_(1)\n"
        "assert x.device.type == 'meta' or x.cpu().tolist() == [1, 0], 'the base stays'",
    ),
    "storage": Probe(
        "storages that views share and tensors can be set to",
        "x = torch.zeros(2, 3).to(device)\n"
        "whole = torch.empty(0, device=x.device).set_(x[1].untyped_storage())\n"
        "assert whole.numel() == 6, f'holds {whole.numel()} elements of 6'",
    ),
    "data_ptr": Probe(
        "addresses of tensors and storages",
        "x = torch.zeros(2).to(device)\n"
        "assert x.untyped_storage().data_ptr() == x.data_ptr() != 0, 'is null'",
    ),
    "random": Probe(
        "random numbers made on the device", "assert torch.rand(2, device=device).shape == (2,)"
    ),
    "generators": Probe(
        "generators of the device", "torch.Generator(device=device).manual_seed(1)"
    ),
    "seeding": Probe(
        "random numbers that torch.manual_seed sets",
        "def drawn():\n"
        "    torch.manual_seed(1)\n"
        "    return torch.rand(4, device=device)\n"
        "assert device.type == 'meta' or drawn().cpu().equal(drawn().cpu()), 'draws others'",
    ),
    "backward": Probe(
        "gradients",
        "x = torch.ones(2).to(device).requires_grad_()\n"
        "(x * x).sum().backward()\n"
        "assert x.grad.device.type == device.type",
    ),
    "double_backward": Probe(
        "gradients of gradients",
        "x = torch.ones(2).to(device).requires_grad_()\n"
        "g, = torch.autograd.grad((x * x * x).sum(), x, create_graph=True)\n"
        "assert torch.autograd.grad(g.sum(), x)[0].shape == (2,)",
    ),
    "forward_mode": Probe(
        "Jacobian-vector products",
        "x = torch.ones(2).to(device)\n"
        "assert torch.func.jvp(torch.sin, (x,), (x,))[1].shape == (2,)",
    ),
    "vmap": Probe(
        "torch.vmap", "assert torch.vmap(torch.sum)(torch.ones(2, 3).to(device)).shape == (2,)"
    ),
    "sparse": Probe(
        "sparse tensors in COO layout",
        "x = torch.sparse_coo_tensor([[1, 1]], [1.0, 2.0], (3,), device=device)\n"
        "assert x.coalesce().to_dense().shape == (3,)",
    ),
    "sparse_csr": Probe(
        "sparse tensors in CSR layout",
        "assert torch.eye(2).to(device).to_sparse_csr().is_sparse_csr",
    ),
    "nested": Probe(
        "nested tensors",
        "x = torch.nested.nested_tensor([torch.ones(1).to(device), torch.ones(2).to(device)])\n"
        "assert torch.nested.to_padded_tensor(x, 0.0).shape == (2, 2)",
    ),
    "lazy_conjugation": Probe(
        "views under the conj bit",
        "assert torch.ones(2, dtype=torch.complex64).to(device).conj().is_conj(), 'has no bit'",
    ),
    "shared_memory": Probe("Tensor.share_memory_", "torch.ones(2).to(device).share_memory_()"),
    "pickling": Probe(
        "torch.save and torch.load",
        "import io\n"
        "file = io.BytesIO()\n"
        "torch.save(torch.ones(2).to(device), file)\n"
        "file.seek(0)\n"
        "assert torch.load(file).device.type == device.type",
    ),
}
"""Probe by capability. Laws name them in ``needs``, capability files in ``capability``."""


@dataclass(frozen=True)
class Capabilities:
    """What a target lacks: by capability, the word with which it refused.

    ``words`` says what errors tell to be lacking, by a regular expression for their words.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def lacking(self, needs: Sequence[str]) -> str:
        """Return what is lacking of some capabilities, and why; empty if nothing is."""
        lacking = [f"{name} ({self.refused[name]})" for name in needs if name in self.refused]
        return f"needs {', '.join(lacking)}" if lacking else ""

    def refusal(self, error: BaseException) -> str:
        """Return what an error tells to be lacking: it is the word with which a probe failed."""
        if isinstance(error, AssertionError):
            return ""
        said = word(error)
        names = [name for name, refused in self.refused.items() if refused == said]
        if names:
            return f"needs {names[0]}: {said}"
        return next(
            (f"{why}: {said}" for text, why in self.words.items() if re.match(text, said)), ""
        )

    def rows(self) -> list[tuple[str, str, str]]:
        """Return name, what it is, and ``yes`` or the refusal: a table for people."""
        return [
            (name, probe.means, self.refused.get(name, "yes")) for name, probe in PROBES.items()
        ]


def word(error: BaseException) -> str:
    """Return the first line of what an error says, under its type."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:_LONGEST_WORD]


def try_probe(name: str, device: Any) -> str:
    """Run a probe here; return the word with which the device refuses, or an empty text."""
    import torch

    try:
        exec(
            compile(PROBES[name].script, f"<probe {name}>", "exec"),
            {"torch": torch, "device": device},
        )
    except Exception as error:
        return word(error)
    return ""
