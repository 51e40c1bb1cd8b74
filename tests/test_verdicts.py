"""Every verdict, brought about on purpose in a run as users start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import Run, RunLaws

PROCESSES = pytest.mark.parametrize("processes", [None, "2"], ids=["without -n", "-n 2"])

HOLDS = '''
@law("test.holds", docs="torch.add")
@given(x=tensors(dtype="integral"))
def test_holds(target, x):
    """A sum with zero is the same."""
    compare.equal(x + 0, compare.to_numpy(x), dtype=x.dtype)
'''

VIOLATED = '''
@law("test.violated", docs="torch.add")
@given(x=tensors(dtype=torch.int64))
def test_violated(target, x):
    """A sum with one is the same."""
    compare.equal(x + 1, compare.to_numpy(x), dtype=x.dtype)
'''

VACUOUS = '''
@law("test.vacuous", docs="torch.add")
@given(x=tensors())
def test_vacuous(target, x):
    """A sum with zero is computed."""
    x + 0

@law("test.vacuous-empty", docs="torch.add")
@given(x=tensors(shape=(0,)))
def test_vacuous_empty(target, x):
    """A sum of nothing is nothing."""
    compare.equal(x.clone(), compare.to_numpy(x), dtype=x.dtype)

@law("test.vacuous-rejected", docs="torch.add")
@given(x=st.integers().filter(lambda x: False))
def test_vacuous_rejected(target, x):
    """No example fits."""
    compare.fact(x, x, "x")
'''

UNSUPPORTED = '''
@law("test.unsupported", docs="torch.add")
def test_unsupported(target):
    """An operation without a kernel is unsupported."""
    library = torch.library.Library("conformance_test", "FRAGMENT")
    if not hasattr(torch.ops.conformance_test, "absent"):
        library.define("absent(Tensor x) -> Tensor")
    result = torch.ops.conformance_test.absent(torch.zeros(2))
    compare.equal(result, np.zeros(2), dtype=torch.float32)

@law("test.unsupported-in-part", docs="torch.linalg.cholesky")
@given(dtype=st.sampled_from([torch.float32, torch.float16]))
def test_in_part(target, dtype):
    """The determinant of a one by one matrix is its entry."""
    compare.equal(torch.linalg.det(torch.ones(1, 1, dtype=dtype)), np.ones(()), dtype=dtype)
'''

CRASHED = '''
@law("test.crashed", docs="torch.add")
@given(number=st.integers(0, 10**6))
def test_crashed(target, number):
    """A number is no address."""
    compare.fact(number, number, "number")
    if number > 1000:
        ctypes.string_at(number % 8)

@law("test.aborted", docs="torch.add")
@given(number=st.integers(0, 10))
def test_aborted(target, number):
    """A process is not aborted."""
    os.abort()
'''

TIMEOUT = '''
@law("test.hangs", docs="torch.add")
@given(number=st.integers(0, 10))
def test_hangs(target, number):
    """A law ends, even one that never gives up the interpreter's lock."""
    ctypes.PyDLL(None).sleep(600)
'''


def test_holds_with_its_evidence(laws: RunLaws) -> None:
    run = laws(HOLDS)
    assert run.code == 0, run.out
    line = run.line("test.holds")
    assert line["verdict"] == "holds"
    evidence = line["evidence"]
    assert evidence["examples"] == 50
    assert evidence["values"] > 50
    assert {"int64", "uint8"} <= set(evidence["dtypes"])
    assert {0, 1, 4} <= set(evidence["ranks"])
    assert {"contiguous", "expanded", "stepped", "offset"} <= set(evidence["layouts"])
    assert line["seconds"] > 0


def test_the_first_line_says_what_was_run(laws: RunLaws) -> None:
    run = laws(HOLDS, "--max-examples", "7", "--profile", "smoke")
    first, last = run.lines[0], run.lines[-1]
    assert first["kind"] == "run"
    for key in (
        "suite", "torch", "torch_git", "torch_config", "numpy", "hypothesis", "python",
        "platform", "processor", "threads", "command",
    ):  # fmt: skip
        assert first[key], key
    assert (first["profile"], first["examples"], first["seed"]) == ("smoke", 7, 0)
    assert run.line("test.holds")["evidence"]["examples"] == 7
    assert (last["kind"], last["verdicts"]) == ("end", 1)


def test_violated_with_the_smallest_counterexample(laws: RunLaws) -> None:
    run = laws(VIOLATED)
    assert run.code == 1
    counterexample = run.line("test.violated")["counterexample"]
    assert counterexample["inputs"] == "x = torch.tensor(0)"
    assert counterexample["message"] == "result: got 1, expected 0"
    assert counterexample["blob"].startswith("b'")
    assert "A sum with one is the same." in run.out
    assert "x = torch.tensor(0)" in run.out
    assert "Traceback" not in run.out
    with pytest.raises(AssertionError, match="result: got 1, expected 0"):
        exec(counterexample["script"], {"__name__": "__main__"})


def test_vacuous_fails(laws: RunLaws) -> None:
    run = laws(VACUOUS)
    assert run.code == 1
    assert set(run.verdicts.values()) == {"vacuous"}
    assert len(run.verdicts) == 3


def test_what_is_missing_on_the_cpu_refutes(laws: RunLaws) -> None:
    run = laws(UNSUPPORTED)
    assert run.code == 1
    assert set(run.verdicts.values()) == {"violated"}
    assert "conformance_test::absent" in run.line("test.unsupported")["message"]
    assert "not implemented for 'Half'" in run.line("test.unsupported-in-part")["message"]


_ABSENT = """
[[absent]]
law = "{law}"
target = "cpu"
torch = ">=2.0"
reason = "left out on purpose"
link = ""
inputs = "{inputs}"
"""


def test_what_is_declared_absent_is_unsupported(laws: RunLaws, tmp_path: Path) -> None:
    declared = tmp_path / "absent.toml"
    declared.write_text(
        _ABSENT.format(law="test.unsupported", inputs="True")
        + _ABSENT.format(law="test.*-in-part", inputs="dtype == torch.float16")
        + _ABSENT.format(law="test.holds", inputs="x.dim() == 0")
    )
    run = laws(UNSUPPORTED + HOLDS, "--capabilities", str(declared))
    assert run.verdicts == {
        "test.unsupported": "unsupported",
        "test.unsupported-in-part": "holds",
        "test.holds": "stale",
    }
    assert run.line("test.unsupported")["message"] == "declared: left out on purpose"
    partly = run.line("test.unsupported-in-part")
    assert 0 < partly["evidence"]["declared"] < partly["evidence"]["examples"]
    assert partly["message"].endswith("examples declared: left out on purpose")
    assert f"{declared}:18, but it is there" in run.line("test.holds")["message"]


def test_what_is_declared_for_some_inputs_excuses_no_others(laws: RunLaws, tmp_path: Path) -> None:
    declared = tmp_path / "absent.toml"
    declared.write_text(_ABSENT.format(law="test.*-in-part", inputs="dtype == torch.float32"))
    run = laws(UNSUPPORTED, "--law", "*-in-part", "--capabilities", str(declared))
    assert run.verdicts == {"test.unsupported-in-part": "violated"}


def test_a_declared_crash_is_unsupported(laws: RunLaws, tmp_path: Path) -> None:
    declared = tmp_path / "absent.toml"
    declared.write_text(_ABSENT.format(law="test.aborted", inputs="").replace('inputs = ""', ""))
    run = laws(CRASHED, "--law", "test.aborted", "--capabilities", str(declared))
    assert run.code == 0, run.out
    assert run.verdicts == {"test.aborted": "unsupported"}


NEEDS = '''
@law("test.needs", docs="torch.add", needs=("float64",))
def test_needs(target):
    """Nothing is compared without float64."""
    raise AssertionError
'''


def test_a_law_without_what_it_needs_is_unsupported(laws: RunLaws, tmp_path: Path) -> None:
    declared = tmp_path / "absent.toml"
    declared.write_text(
        '[[absent]]\ncapability = "float64"\ntarget = "*"\ntorch = ""\n'
        'reason = "no such numbers"\nlink = ""\n'
    )
    run = laws(NEEDS, "--capabilities", str(declared))
    assert run.verdicts == {"test.needs": "unsupported"}
    assert run.line("test.needs")["message"] == "needs float64 (declared: no such numbers)"
    assert "lacks float64" in run.out


IN_PART = '''
from conformance.reference import strides
from conformance.scenarios import memory

def needed(case):
    return ("strides",) if case else ()

@law("test.in-part", docs="torch.t", over={"strided": 1, "plain": 0}, needs=needed)
@given(x=tensors(dtype=torch.float64, shape=(2, 3)))
def test_in_part(target, case, x):
    """A transposed tensor has the strides of the other."""
    expected = compare.to_numpy(x).T
    result = target.run("torch.t", x)
    memory.check_geometry(result, strides.transpose(memory.geometry_of(x), 0, 1))
    memory.check_shares(result, x, True)
    compare.equal(result, expected, dtype=x.dtype)
    compare.fact(target.lacks, frozenset(("strides", "storage")), "what is lacking")
'''


def test_what_a_device_does_not_let_be_seen_is_left_out(laws: RunLaws, tmp_path: Path) -> None:
    lacking = ("strides", "storage")
    declared = tmp_path / "absent.toml"
    declared.write_text(
        "".join(
            f'[[absent]]\ncapability = "{name}"\ntarget = "*"\ntorch = ""\n'
            'reason = "as designed"\nlink = ""\n'
            for name in lacking
        )
    )
    run = laws(IN_PART, "--capabilities", str(declared))
    assert run.verdicts == {"test.in-part:strided": "unsupported", "test.in-part:plain": "holds"}
    line = run.line("test.in-part:plain")
    assert line["evidence"]["layouts"] == ["contiguous", "transposed"]  # what is drawn, and its t
    assert line["evidence"]["unsupported"] == line["evidence"]["examples"]
    assert line["message"].endswith("unsupported, needs storage (declared: as designed)")
    assert laws(IN_PART).verdicts["test.in-part:plain"] == "violated"


OWN_WORDS = '''
class NotLowered(Exception):
    pass

@law("test.lowered", docs="torch.add")
@given(x=tensors(dtype=torch.float64))
def test_lowered(target, x):
    """A sum is lowered."""
    raise NotLowered("add has no lowering")
'''


@pytest.mark.parametrize("isolated", [(), ("--isolate",)], ids=["together", "isolated"])
def test_a_backend_may_say_what_it_lacks_in_its_own_words(
    laws: RunLaws, tmp_path: Path, isolated: tuple[str, ...]
) -> None:
    declared = tmp_path / "absent.toml"
    declared.write_text(
        '[[absent]]\nerror = "NotLowered: .* has no lowering"\ntarget = "cpu/vmap"\ntorch = ""\n'
        'reason = "not lowered yet"\nlink = ""\n'
    )
    options = ["--capabilities", str(declared), "--target", "cpu", "--target", "cpu/vmap"]
    run = laws(OWN_WORDS, *options, *isolated)
    found = {line["target"]: (line["verdict"], line["message"]) for line in run.verdict_lines}
    said = "declared: not lowered yet: NotLowered: add has no lowering"
    assert found["cpu/vmap"] == ("unsupported", said)
    assert found["cpu"][0] == "violated"


GREEDY = '''
@law("test.greedy", docs="torch.add")
@given(size=st.integers(0, 2))
def test_greedy(target, size):
    """A law fits into memory."""
    torch.ones(size * 2**32)
    compare.fact(size, size, "size")
'''


def test_memory_is_limited(laws: RunLaws) -> None:
    run = laws(GREEDY + HOLDS, "--law-memory", "4")
    assert run.verdicts == {"test.greedy": "violated", "test.holds": "holds"}
    assert "can't allocate memory" in run.line("test.greedy")["message"]


LEAKS = '''
KEPT = []

@law("test.leaks", docs="torch.no_grad")
def test_leaks(target):
    """A law may fail while modes are set."""
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    KEPT.append(torch._C._AutoDispatchBelowAutograd())
    compare.fact(1, 2, "number")

@law("test.unaffected", docs="torch.no_grad")
def test_unaffected(target):
    """The next one finds nothing of it."""
    compare.fact(torch.is_grad_enabled(), True, "grad mode")
    compare.fact(torch.zeros(1).dtype, torch.float32, "dtype")
    compare.fact(torch.initial_seed() == 7, False, "seed")
    compare.fact((torch.ones(1, requires_grad=True) * 2).requires_grad, True, "records")
'''


def test_what_a_law_leaves_behind_reaches_no_other(laws: RunLaws) -> None:
    run = laws(LEAKS)
    assert run.verdicts == {"test.leaks": "violated", "test.unaffected": "holds"}


UNWRITABLE = '''
@law("test.unwritable", docs="torch.add", over={"drawn": tensors})
@given(x=tensors(dtype=torch.int64))
def test_unwritable(target, case, x):
    """A sum with one is the same."""
    compare.equal(x + 1, compare.to_numpy(x), dtype=x.dtype)
'''


def test_a_violation_without_a_script_is_one(laws: RunLaws) -> None:
    run = laws(UNWRITABLE + HOLDS)
    assert run.verdicts == {"test.unwritable:drawn": "violated", "test.holds": "holds"}
    counterexample = run.line("test.unwritable:drawn")["counterexample"]
    assert counterexample["script"].startswith("# No stand-alone script")
    assert counterexample["inputs"]


@PROCESSES
def test_a_crash_ends_a_law_and_not_the_run(laws: RunLaws, processes: str | None) -> None:
    run = laws(HOLDS + CRASHED + VIOLATED, processes=processes)
    assert run.code == 1
    assert run.verdicts == {
        "test.holds": "holds",
        "test.crashed": "crashed",
        "test.aborted": "crashed",
        "test.violated": "violated",
    }
    crashed = run.line("test.crashed")
    assert "Segmentation fault" in crashed["message"]
    number = int(crashed["counterexample"]["inputs"].removeprefix("number = "))
    assert number > 1000
    assert "Abort" in run.line("test.aborted")["message"]


@PROCESSES
def test_a_hang_ends_a_law_and_not_the_run(laws: RunLaws, processes: str | None) -> None:
    run = laws(TIMEOUT + HOLDS, "--law-timeout", "3", processes=processes)
    assert run.code == 1
    assert run.verdicts == {"test.hangs": "timeout", "test.holds": "holds"}
    assert run.line("test.hangs")["counterexample"]["inputs"].startswith("number = ")


@PROCESSES
def test_two_targets(laws: RunLaws, processes: str | None) -> None:
    run = laws(HOLDS, "--target", "cpu/compile:aot_eager", processes=processes)
    assert sorted((v["target"], v["verdict"]) for v in run.verdict_lines) == [
        ("cpu", "holds"),
        ("cpu/compile:aot_eager", "holds"),
    ]


def test_one_and_two_processes_agree(laws: RunLaws) -> None:
    def of(run: Run) -> list[tuple[str, str, int]]:
        return sorted((v["law"], v["verdict"], v["evidence"]["values"]) for v in run.verdict_lines)

    assert of(laws(HOLDS + VIOLATED, processes="1")) == of(laws(HOLDS + VIOLATED, processes="2"))


def test_in_this_process(laws: RunLaws) -> None:
    run = laws(HOLDS + VIOLATED, processes="0")
    assert run.code == 1
    assert run.verdicts == {"test.holds": "holds", "test.violated": "violated"}
