"""Modes: how they are spelled and found, how they run functions, and what they own up to."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from conformance.examine import Examination
from conformance.law import shipped_laws
from conformance.modes import ModeError, find_mode, modes
from conformance.target import TargetError, open_target, parse_target
from tests.runs import RunLaws, run_laws
from tests.saboteurs.executions import SABOTEURS
from tests.saboteurs.saboteur import examine, find_law, in_fork

TRIED = [
    *(name for name, mode in modes().items() if name != "compile" and not mode.valueless),
    "compile:eager", "compile:aot_eager", "compile:aot_eager,fullgraph",
    "compile:aot_eager,dynamic", "compiled-autograd:aot_eager", "vmap:2", "vmap:3",
]  # fmt: skip


@pytest.mark.parametrize("mode", TRIED)
def test_a_mode_runs_functions(mode: str) -> None:
    target = open_target(f"cpu/{mode}")
    with target.setting.mode.session(), target.surrounded():
        assert target.run("torch.add", torch.ones(2), 1).tolist() == [2, 2]
        assert target.run(lambda x: x * 3, torch.ones(2)).tolist() == [3, 3]
        leaf = torch.ones(2, requires_grad=True)
        target.run("torch.square", leaf).sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.tolist() == [2, 2]
        with pytest.raises(Exception, match="out of bounds"):
            target.run("torch.gather", torch.ones(2), 0, torch.tensor([2]))


def test_fake_tensors_have_all_but_values() -> None:
    target = open_target("cpu/fake")
    with target.surrounded():
        leaf = torch.ones(2, 3, requires_grad=True)
        result = target.run("torch.t", leaf)
        assert (tuple(result.shape), result.stride(), str(result.device)) == ((3, 2), (1, 3), "cpu")
        result.sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.shape == (2, 3)
        with pytest.raises(Exception, match="_local_scalar_dense") as raised:
            leaf.sum().item()
    assert "fake refuses" in target.setting.refusal(raised.value)


@pytest.mark.parametrize("mode", [*TRIED, "fake"])
def test_a_target_is_named_as_it_is_written(mode: str) -> None:
    expected = "cpu" if mode == "eager" else f"cpu/{mode}"
    assert open_target(f"cpu/{mode}").name == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("aot_eager", "did you mean 'compile:aot_eager'?"),
        ("inductor", "did you mean 'compile:inductor'?"),
        ("compile", "did you mean 'compile:"),
        ("compile:inductr", "did you mean 'compile:inductor'?"),
        ("vmap:9", "did you mean 'vmap"),
        ("functionalise", "did you mean 'functionalize'?"),
        ("@", "modes are eager, compile"),
    ],
)
def test_a_wrong_mode_gets_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(ModeError) as raised:
        find_mode(text)
    assert hint in str(raised.value)


def test_one_compiled_function_serves_all_calls_of_a_kind() -> None:
    counters.clear()
    target = open_target("cpu/compile:aot_eager")
    with target.setting.mode.session():
        for value in range(5):
            target.run("torch.sin", torch.full((2,), float(value)))
        assert counters["aot_autograd"]["ok"] == 1
        target.run("torch.cos", torch.ones(2))
        target.run("torch.sin", torch.ones(3))
        assert counters["aot_autograd"]["ok"] == 3


def test_no_limit_lets_a_compiled_function_go_on_in_eager_mode() -> None:
    counters.clear()
    target = open_target("cpu/compile:eager")
    with target.setting.mode.session():
        for size in range(2, 30):
            target.run("torch.sin", torch.ones(size))
    assert counters["frames"]["ok"] == 28


def test_nothing_compiled_outlives_a_law() -> None:
    target = open_target("cpu/compile:eager")
    for _ in range(2):
        counters.clear()
        with target.setting.mode.session():
            target.run("torch.sin", torch.ones(2))
        assert counters["frames"]["ok"] == 1


def test_compile_time_is_told_apart() -> None:
    law, case = find_law("operators.value:sin")
    compiled = Examination(law, case, open_target("cpu/compile:eager"), 5).verdict()
    plain = Examination(law, case, open_target("cpu"), 5).verdict()
    assert compiled.verdict == "holds"
    assert 0 < compiled.evidence["compile_seconds"] < compiled.evidence["law_seconds"]
    assert plain.evidence["compile_seconds"] == 0


def test_limits_name_laws_and_a_page() -> None:
    ids = [law_id for law in shipped_laws() for law_id in law.ids()]
    for mode in modes().values():
        for refusal in mode.refusals:
            assert refusal.link.startswith("https://")
        for limit in mode.limits:
            assert limit.link.startswith("https://")
            for glob in limit.laws:
                assert any(fnmatchcase(law_id, glob) for law_id in ids), glob


def test_a_limit_is_shown_and_never_a_pass() -> None:
    law, case = find_law("operators.out:add")
    verdict = Examination(law, case, open_target("cpu/forward-ad"), 5).verdict()
    assert verdict.verdict == "unsupported"
    assert "out= functions have no forward derivatives (https://" in verdict.message
    assert verdict.evidence["values"] == 0


def test_a_refusal_of_the_machinery_is_unsupported() -> None:
    law, case = find_law("operators.value:unique")
    verdict = Examination(law, case, open_target("cpu/vmap"), 5).verdict()
    assert verdict.verdict == "unsupported"
    assert verdict.evidence["unsupported"] == verdict.evidence["examples"]
    assert "vmap refuses: vmap: We do not support batching operators" in verdict.message


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: saboteur.name)
def test_a_fault_of_one_mode_is_not_seen_without_it(saboteur: object) -> None:
    """What the trial of saboteurs shows to be caught in the mode escapes an eager run."""
    from tests.saboteurs.saboteur import Saboteur

    assert isinstance(saboteur, Saboteur)
    fault = saboteur

    def eager() -> list[str]:
        fault.patch(pytest.MonkeyPatch())
        return [examine(law_id, "", "cpu").verdict.verdict for law_id in fault.laws]

    assert set(in_fork(eager)) == {"holds"}


ENTRY = """
from conformance.modes import Mode

def twice(function, arguments, keywords, device, *, times=2):
    for _ in range(times - 1):
        function(*arguments, **keywords)
    return function(*arguments, **keywords)

TWICE = Mode(
    "twice", "every function is called twice", "torch.Tensor", call=twice,
    parameters=lambda: {"": {}, "3": {"times": 3}},
)
"""

COUNTED = '''
@law("test.counted", docs="torch.add")
def test_counted(target):
    """A function is called once."""
    calls = []
    target.run(calls.append, 1)
    compare.fact(len(calls), 1, "calls")
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with an installed package that brings a mode."""
    site = tmp_path / "site"
    (site / "backend-1.0.dist-info").mkdir(parents=True)
    (site / "backend-1.0.dist-info" / "METADATA").write_text("Name: backend\nVersion: 1.0\n")
    (site / "backend-1.0.dist-info" / "entry_points.txt").write_text(
        "[conformance.modes]\ntwice = backend_modes:TWICE\n"
    )
    (site / "backend_modes.py").write_text(ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    return site


def test_a_package_brings_its_own_mode(installed: Path, laws: RunLaws) -> None:
    run = laws(COUNTED, "--target", "cpu/twice", "--target", "cpu/twice:3")
    found = {line["target"]: line for line in run.verdict_lines}
    assert {t: line["verdict"] for t, line in found.items()} == {
        "cpu": "holds", "cpu/twice": "violated", "cpu/twice:3": "violated",
    }, run.out  # fmt: skip
    assert found["cpu/twice:3"]["message"] == "calls: got 3, expected 1"
    script = found["cpu/twice:3"]["counterexample"]["script"]
    assert "from backend_modes import twice\n" in script
    assert "times=3" in script


def test_an_entry_point_that_fails_is_named(installed: Path, tmp_path: Path) -> None:
    (installed / "backend_modes.py").write_text("raise OSError('no card')\n")
    run = run_laws(["--pyargs", "conformance", "--target", "cpu/twice"], tmp_path)
    assert run.code == 4
    assert "entry point twice = backend_modes:TWICE: OSError: no card" in run.err


def test_a_mode_needs_no_device_to_be_refused() -> None:
    with pytest.raises(TargetError, match="did you mean 'compile:aot_eager'"):
        parse_target("cuda:7/compile:aot-eager")
