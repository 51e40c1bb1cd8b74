"""The command line: its help, its refusals, and what it says of laws without any record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.claims import Claim
from conformance.cli import COMMANDS, main, parsers, reference
from conformance.commands import explain, names
from conformance.commands.command import Command, CommandError
from conformance.commands.listing import LISTS
from conformance.commands.run import check_spelling, pytest_arguments
from conformance.law import shipped_laws
from tests.records import HOLDS, VIOLATED, run_line, write_record

Captured = pytest.CaptureFixture[str]


def refused(arguments: list[str], captured: Captured) -> str:
    """Return the one sentence with which a command refuses, with exit code 2 and no output."""
    try:
        code = main(arguments)
    except SystemExit as error:
        code = int(str(error.code))
    out, err = captured.readouterr()
    assert (code, out) == (2, "")
    (sentence,) = err.splitlines()
    return sentence


# -- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_has_examples_and_exit_codes(command: Command, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command.name, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, shown.splitlines())) <= 100
    assert "examples:" in shown
    assert "exit codes:\n  0  " in shown
    assert "  2  " in shown


@pytest.mark.parametrize(
    ("command", "example"),
    [(command.name, line) for command in COMMANDS for line, _ in command.examples],
)
def test_an_example_can_be_read(command: str, example: str) -> None:
    import shlex

    words = shlex.split(example.partition(">")[0])
    assert words[0] == "conformance"
    options, unknown = parsers()[0].parse_known_args(words[1:])
    assert not unknown or options.chosen.forwards
    assert command in {c.name for c in COMMANDS}


def test_the_reference_is_made_of_the_help() -> None:
    page = reference()
    assert all(f"## conformance {command.name}\n" in page for command in COMMANDS)
    assert all(command.epilog in page for command in COMMANDS)
    assert max(map(len, page.splitlines())) <= 100


def test_the_command_starts_without_torch() -> None:
    """Reading a record is quick, and so is a press of the tab key."""
    script = (
        "import sys, conformance.cli as cli; cli.parsers(); "
        "print({'torch', 'hypothesis'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


# -- refusals --------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[list[str], str]] = {
    "no command": ([], "the following arguments are required: COMMAND"),
    "unknown command": (["lsit"], "invalid choice: 'lsit'"),
    "unknown option": (["list", "--jsno"], "there is no option '--jsno'; see conformance list"),
    "an abbreviation": (["list", "--js"], "there is no option '--js'"),
    "unknown law": (["explain", "accumulation.backwards-add"], "nearest: accumulation.backward-a"),
    "glob of no law": (["list", "laws", "nothing.at-all*"], "no law matches 'nothing.at-all*'"),
    "unknown mode": (
        ["list", "modes", "lazy"],
        "no mode matches 'lazy'; list them",
    ),
    "missing module": (["list", "targets", "--load", "no_such"], "importing it failed (ModuleNotF"),
    "no record": (["report", "none.jsonl", "-o", "out"], "none.jsonl: cannot be read (No such"),
    "a folder": (["diff", ".", "good.jsonl"], ".: cannot be read (Is a directory)"),
    "an empty record": (["diff", "empty.jsonl", "good.jsonl"], "empty.jsonl: holds no run"),
    "no JSON": (["diff", "good.jsonl", "text.jsonl"], "text.jsonl:1: not a line of a record"),
    "other JSON": (["diff", "good.jsonl", "list.jsonl"], "list.jsonl:1: not a line of a record"),
    "no UTF-8": (["diff", "good.jsonl", "bytes.jsonl"], "bytes.jsonl: is no text in UTF-8"),
    "another schema": (["diff", "good.jsonl", "newer.jsonl"], "newer.jsonl:1: has schema 99"),
    "unknown verdict": (["diff", "good.jsonl", "odd.jsonl"], "odd.jsonl:2: not a line of a record"),
    "nothing chosen": (["diff", "good.jsonl", "good.jsonl", "--law", "x"], "neither record has"),
    "no output": (["merge", "good.jsonl"], "the following arguments are required: -o/--output"),
    "no folder": (["merge", "good.jsonl", "-o", "none/m.jsonl"], "none/m.jsonl: cannot be written"),
    "no report": (["report", "good.jsonl", "-o", "good.jsonl"], "good.jsonl: is no folder"),
    "overwriting": (["deviations", "good.jsonl", "-o", "good.jsonl"], "is there already"),
    "script of no law": (["script", "good.jsonl", "sum.addz"], "nearest: sum.adds"),
    "script of no target": (
        ["script", "good.jsonl", "sum.adds", "--target", "cuda"],
        "on cpu, and",
    ),
    "script of what holds": (["script", "good.jsonl", "sum.adds"], "its verdict is holds"),
    "unknown shell": (["completion", "fish"], "invalid choice: 'fish'"),
    "an option with a typo": (["run", "--profle", "ci"], "'--profle'; did you mean --profile?"),
    "processes": (["run", "-n", "many"], "'many' is no number of processes; write 4, auto or 0"),
    "examples": (["run", "--max-examples", "none"], "write 1 or more"),
    "shard": (["run", "--shard", "9/8"], "'9/8' is no shard; write such as 2/8"),
    "shard without count": (["run", "--shard", "2"], "'2' is no shard"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    good = write_record(tmp_path / "good.jsonl", [HOLDS])
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "text.jsonl").write_text("law,verdict\nsum.adds,holds\n")
    (tmp_path / "list.jsonl").write_text("[1, 2]\n")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "newer.jsonl").write_text(json.dumps(run_line(schema=99)) + "\n")
    (tmp_path / "odd.jsonl").write_text(good.read_text().replace('"holds"', '"likely"'))
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_told_in_one_sentence(mistake: str, capsys: Captured) -> None:
    arguments, told = MISTAKES[mistake]
    assert told in refused(arguments, capsys)


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    old = write_record(tmp_path / "old.jsonl", [])
    many = [replace(HOLDS, law=f"sum.adds:{number}") for number in range(2_000)]
    new = write_record(tmp_path / "new.jsonl", many)
    command = [sys.executable, "-m", "conformance.cli", "diff", str(old), str(new), "--json"]
    listing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listing.stdout
    assert listing.stderr
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr.read() == b""
    assert listing.wait() == 0


# -- list and explain ------------------------------------------------------------------------


def listed(kind: str, captured: Captured, *globs: str) -> list[dict[str, Any]]:
    assert main(["list", kind, *globs, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(captured.readouterr().out)
    assert main(["list", kind, *globs]) == 0
    shown = captured.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == [row["name"] for row in found]
    return found


def test_a_list_of_nothing_says_what_there_is(capsys: Captured) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[: len(LISTS)]] == list(LISTS)
    assert "conformance list laws" in shown
    assert main(["list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(LISTS)


def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "conformance", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("autograd-conformance ")


def test_laws_are_listed(capsys: Captured) -> None:
    found = listed("laws", capsys, "gather*", "detach.cuts-gradient")
    names = [row["name"] for row in found]
    assert "gather.values:function" in names
    assert "detach.cuts-gradient" in names
    assert {row["level"] for row in found} == {"must"}
    assert all(str(row["documentation"]).startswith("https://") for row in found)


def test_operators_are_listed(capsys: Captured) -> None:
    (sine,) = listed("operators", capsys, "sin")
    assert (sine["torch"], sine["family"]) == ("torch.sin", "elementary")
    assert "float32" in str(sine["dtypes"])
    assert listed("operators", capsys, "torch.linalg.*")


def test_chapters_are_listed(capsys: Captured) -> None:
    found = listed("chapters", capsys)
    assert [row["name"] for row in found] == list(
        dict.fromkeys(law.chapter for law in shipped_laws())
    )
    counts = [row["laws"] for row in found]
    assert sum(counts) == sum(len(law.ids()) for law in shipped_laws())


def test_modes_and_targets_are_listed(capsys: Captured) -> None:
    modes = [row["name"] for row in listed("modes", capsys)]
    assert modes[0] == "eager"
    assert {"compile:aot_eager", "vmap:2", "deterministic"} <= set(modes)
    targets = [row["name"] for row in listed("targets", capsys)]
    assert targets[: len(modes)] == ["cpu", *(f"cpu/{mode}" for mode in modes[1:])]


def test_capabilities_are_listed(capsys: Captured) -> None:
    (found,) = listed("capabilities", capsys, "generators", "--target", "meta")
    assert found["answer"].startswith("RuntimeError: META device type not an accelerator")
    assert "did you mean 'cuda'?" in refused(["list", "capabilities", "--target", "cude"], capsys)


def explained(law: str, captured: Captured) -> tuple[str, list[dict[str, Any]]]:
    assert main(["explain", law]) == 0
    text = captured.readouterr().out
    assert main(["explain", law, "--json"]) == 0
    return text, json.loads(captured.readouterr().out)


def test_a_law_is_explained(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Claim("a.claim", "It adds.", ("a",), "holds", "So.", "2.13", ("accumulation.b*",))
    monkeypatch.setattr(explain, "read_claims", lambda: [claim])
    text, (told,) = explained("accumulation.backward-adds", capsys)
    assert told["statement"] in text
    assert told["claims"] == [{"id": "a.claim", "verdict": "holds", "statement": "It adds."}]
    assert "a.claim (holds): It adds." in text
    assert "conformance run --law accumulation.backward-adds -n 0" in text
    assert "promises it" in text
    path, _, line = str(told["source"]).rpartition(":")
    assert '@law("accumulation.backward-adds"' in Path(path).read_text().splitlines()[int(line) - 1]


def test_a_case_is_explained_with_what_is_known_against_it(capsys: Captured) -> None:
    text, (told,) = explained("losses.deprecated-options:multi_margin_loss", capsys)
    assert told["ids"] == ["losses.deprecated-options:multi_margin_loss"]
    (known,) = [d for d in told["deviations"] if d["law"] in told["ids"]]
    assert known["reason"] in text
    assert "cases:" not in text


def test_a_law_over_cases_is_explained_with_all_of_them(capsys: Captured) -> None:
    text, (told,) = explained("operators.value", capsys)
    assert told["law"] == "operators.value"
    assert len(told["ids"]) > 100
    assert "cases: " in text


# -- run, script, completion -----------------------------------------------------------------


def test_a_run_uses_every_core_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def arguments(*given: str) -> list[str]:
        options, _ = parsers()[0].parse_known_args(["run", *given])
        return pytest_arguments(given, options.processes)

    assert arguments() == ["--pyargs", "conformance", "-n", "auto"]
    assert arguments("--law", "a", "-x") == [*arguments(), "--law", "a", "-x"]
    assert arguments("-n", "0")[2:] == ["-n", "0"]
    assert arguments("-n3", "-v")[2:] == ["-n3", "-v"]


def test_an_option_of_pytest_is_no_mistake() -> None:
    check_spelling(["--durations=3", "--durations-min", "x"], ["--deviations", "--duration"])
    with pytest.raises(CommandError, match="did you mean --duration"):
        check_spelling(["--duratoin=3"], ["--deviations", "--duration"])


def test_a_run_is_pytests(tmp_path: Path) -> None:
    """Its options reach pytest, and its exit code and output are pytest's."""
    command = [sys.executable, "-m", "conformance.cli", "run", "-n", "0", "-p", "no:cacheprovider"]
    options = ["--law", "detach.cuts-gradient", "--profile", "smoke", "--record", "r.jsonl"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "detach" in done.stdout
    assert '"verdict": "holds"' in (tmp_path / "r.jsonl").read_text()
    wrong = subprocess.run([*command, "--load", "no_such"], capture_output=True, text=True)
    assert (wrong.returncode, "--load no_such: no such module" in wrong.stderr) == (4, True)


def test_a_script_is_printed_as_it_is(tmp_path: Path, capsys: Captured) -> None:
    record = write_record(tmp_path / "r.jsonl", [VIOLATED])
    assert main(["script", str(record), "sum*"]) == 0
    assert capsys.readouterr().out == "print('here')\n"


NAMES = {
    "laws": ["sum.adds", "sum.twice", "sum.twice:a", "sum.twice:b"],
    "chapters": ["accumulation", "backward"],
    "targets": ["cpu", "cpu/compile:eager", "cpu/vmap"],
}


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes(capsys: Captured, tmp_path: Path) -> None:
    pytest.importorskip("shtab", reason="the extra 'completion' is not installed")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)

    def complete(*words: str) -> list[str]:
        line = f"COMP_WORDS=(conformance {' '.join(map(repr, words))}); COMP_CWORD={len(words)}"
        ask = f"source {script}; {line}; _shtab_conformance; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert complete("de") == ["deviations"]
    assert complete("run", "--prof") == ["--profile"]
    assert complete("run", "--profile", "th") == ["thorough"]
    assert complete("list", "o") == ["operators"]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_names(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("shtab", reason="the extra 'completion' is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for kind, known in NAMES.items():
        monkeypatch.setattr(names, "_listed", lambda _, known=known: known)
        assert names.names(kind) == known
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        ask = (
            f'source {script}; conformance() {{ "{sys.executable}" -m conformance "$@"; }}; '
            f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; "
            "_shtab_conformance; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert complete("conformance run --law sum") == ["sum.adds", "sum.twice"]
    assert complete("conformance explain sum.t") == ["sum.twice"]
    assert complete("conformance explain sum.twice:b") == ["sum.twice:b"]
    assert complete("conformance run --chapter a") == ["accumulation"]
    assert complete("conformance run --target cpu/compile:") == ["cpu/compile:eager"]


def test_names_are_listed_anew_when_the_suite_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(names, "_listed", lambda _: ["old"])
    assert names.names("laws") == ["old"]
    monkeypatch.setattr(names, "_listed", lambda _: ["new"])
    assert names.names("laws") == ["old"]
    monkeypatch.setattr(names, "_stamp", lambda: "changed")
    assert names.names("laws") == ["new"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # in which no folder can be made
    assert names.names("laws") == ["new"]


def test_a_missing_extra_is_named(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert "autograd-conformance[completion]" in refused(["completion", "zsh"], capsys)
