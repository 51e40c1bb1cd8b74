"""Faults that show in one mode of execution alone: eager runs of the same laws hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._dynamo.backends import registry
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor
Change = Callable[[Any], Any]


def _compiler(name: str, spoil: Callable[[torch.fx.GraphModule], None]) -> Patch:
    """A compiler that spoils every graph before the true one compiles it."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        compile_graph = registry.lookup_backend(name)

        def spoiling(graph: torch.fx.GraphModule, inputs: Any, **options: Any) -> Any:
            spoil(graph)
            graph.recompile()
            return compile_graph(graph, inputs, **options)

        spoiling._tags = ()  # type: ignore[attr-defined]
        monkeypatch.setitem(registry._COMPILER_FNS, name, spoiling)

    return patch


def _without_writes(graph: torch.fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        if node.op == "call_method" and node.target == "mul_":
            node.target = "mul"


def _without_second_operand(graph: torch.fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__name__", "") == "add":
            node.args = (node.args[0], 0.0)


def _without_alpha(graph: torch.fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        node.kwargs = {name: value for name, value in node.kwargs.items() if name != "alpha"}


def _first_place_for_all(original: Any) -> Any:
    def vmap(function: Any, *rest: Any, **options: Any) -> Any:
        mapped = original(function, *rest, **options)

        def call(*batches: Any) -> Any:
            return [result[:1].expand_as(result) for result in mapped(*batches)]

        return call

    return vmap


def _loses_writes_between_gaps(original: Any) -> Any:
    def functionalize(function: Any, **options: Any) -> Any:
        transformed = original(function, **options)

        def call(*arguments: Any) -> Any:
            return transformed(
                *(
                    a.clone() if isinstance(a, Tensor) and not a.is_contiguous() else a
                    for a in arguments
                )
            )

        return call

    return functionalize


def _when(condition: Callable[[], object], change: Change) -> Callable[[Any], Any]:
    """Change what a function returns, under a condition."""

    def make(original: Any) -> Any:
        def function(*arguments: Any, **keywords: Any) -> Any:
            result = original(*arguments, **keywords)
            return change(result) if condition() else result

        return function

    return make


def _under_duals() -> bool:
    return forward_ad._current_level >= 0


def _among_fakes() -> bool:
    return isinstance(_get_current_dispatch_mode(), FakeTensorMode)


def _exported_without_sign(original: Any) -> Any:
    def export(module: Any, arguments: Any) -> Any:
        program = original(module, arguments)
        for node in program.graph.nodes:
            if node.op == "call_function" and node.target is torch.ops.aten.neg.default:
                node.target = torch.ops.aten.abs.default
        program.graph_module.recompile()
        return program

    return export


SABOTEURS = (
    Saboteur(
        "compiled-write-lost",
        "a compiled mul_ returns the product and leaves self as it was",
        ("operators.in-place:mul",),
        "self",
        _compiler("aot_eager", _without_writes),
        target="cpu/compile:aot_eager",
    ),
    Saboteur(
        "compiled-alpha-lost",
        "a compiled difference forgets its factor alpha",
        ("operators.value:sub",),
        "result",
        _compiler("aot_eager", _without_alpha),
        target="cpu/compile:aot_eager,fullgraph",
    ),
    Saboteur(
        "vmap-first-place",
        "vmap gives every place of a batch the result of the first",
        ("operators.value:sub",),
        "result",
        replacing(torch, "vmap", _first_place_for_all),
        target="cpu/vmap:2",
    ),
    Saboteur(
        "functionalize-loses-writes",
        "functionalize does not write back to an argument that lies with gaps",
        ("operators.in-place:mul",),
        "self",
        replacing(torch.func, "functionalize", _loses_writes_between_gaps),
        target="cpu/functionalize",
    ),
    Saboteur(
        "dual-primal",
        "the sine of a dual number has another primal",
        ("operators.value:sin",),
        "result",
        replacing(torch, "sin", _when(_under_duals, lambda result: result * 1.25)),
        target="cpu/forward-ad",
    ),
    Saboteur(
        "dual-tangent",
        "the arcus tangent of a dual number adds to its tangent",
        ("operators.value:atan",),
        "zero tangents gave a tangent of",
        replacing(
            torch,
            "atan",
            _when(
                _under_duals,
                lambda result: forward_ad.make_dual(
                    forward_ad.unpack_dual(result)[0], torch.ones_like(result)
                ),
            ),
        ),
        target="cpu/forward-ad",
    ),
    Saboteur(
        "exported-without-sign",
        "an exported negation takes the absolute value",
        ("operators.value:neg",),
        "result",
        replacing(torch.export, "export", _exported_without_sign),
        target="cpu/export",
    ),
    Saboteur(
        "deterministic-sum",
        "index_add counts twice where algorithms must be deterministic",
        ("operators.value:index_add",),
        "result",
        replacing(
            torch,
            "index_add",
            _when(torch.are_deterministic_algorithms_enabled, lambda result: result + 1),
        ),
        target="cpu/deterministic",
    ),
    Saboteur(
        "default-device-dtype",
        "under a default device zeros are of double precision",
        ("creation.filled:zeros",),
        "dtype",
        replacing(
            torch,
            "zeros",
            _when(lambda: torch._C._len_torch_function_stack() > 0, lambda made: made.double()),
        ),
        target="cpu/default-device",
    ),
    Saboteur(
        "dispatch-mode-view",
        "under a dispatch mode a transposition is a copy",
        ("operators.view:t",),
        "view after a write",
        replacing(
            torch,
            "t",
            _when(lambda: _get_current_dispatch_mode() is not None, lambda view: view.clone()),
        ),
        target="cpu/dispatch-mode",
    ),
    Saboteur(
        "function-mode-detached",
        "under a function mode a product is cut off from its factors",
        ("operators.vjp:mul",),
        "",
        replacing(
            torch,
            "mul",
            _when(lambda: torch._C._len_torch_function_stack() > 0, lambda r: r.detach()),
        ),
        target="cpu/function-mode",
    ),
    Saboteur(
        "autocast-sum",
        "under autocast a sum is computed in bfloat16",
        ("operators.value:add",),
        "got dtype torch.bfloat16",
        replacing(
            torch,
            "add",
            _when(
                lambda: torch.is_autocast_enabled("cpu"),
                lambda r: r.bfloat16() if r.dtype == torch.float32 else r,
            ),
        ),
        target="cpu/autocast",
    ),
    Saboteur(
        "fake-single-precision",
        "the sum of fake tensors is of single precision",
        ("operators.value:add",),
        "got dtype torch.float32",
        replacing(torch, "add", _when(_among_fakes, lambda result: result.float())),
        target="cpu/fake",
    ),
    Saboteur(
        "fake-transposed-copy",
        "a fake transposition is a copy",
        ("views.geometry:transpose",),
        "shares storage",
        replacing(Tensor, "transpose", _when(_among_fakes, lambda view: view.clone())),
        target="cpu/fake",
    ),
    Saboteur(
        "compiled-backward-loses-use",
        "a compiled backward pass takes the gradient of the first use of a value alone",
        ("accumulation.backward-adds",),
        "grad of leaf",
        _compiler("eager", _without_second_operand),
        target="cpu/compiled-autograd",
    ),
)
