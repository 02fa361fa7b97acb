"""The clauses: all are found in the ports' docstrings, and the suites cite them."""

import ast
import re
from pathlib import Path

import pytest

import songs.ports
import songs_contract
from songs_contract import law as kit
from songs_contract.law import clause, clauses

SUITES = sorted(Path(songs_contract.__file__).with_name("suites").glob("test_*.py"))
PORTS = sorted(Path(songs.ports.__file__).parent.glob("*.py"))


def _cited(path: Path) -> set[str]:
    """Return the ids in the `clause` decorators of a suite."""
    decorators = [
        decorator
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "clause"
    ]
    return {ast.literal_eval(argument) for decorator in decorators for argument in decorator.args}


def test_every_clause_is_cited() -> None:
    """Each clause of each port is cited by a test."""
    assert set().union(*map(_cited, SUITES)) == clauses().keys()


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_test_cites_a_clause_of_its_port(path: Path) -> None:
    """A suite names its port, each of its tests cites a clause, and all of them are that port's."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ports = re.findall(r"^PORT = Port\.([A-Z]+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    without = [test.name for test in tests if "clause" not in "".join(map(ast.unparse, test.decorator_list))]

    assert len(ports) == 1
    assert without == []
    assert {clauses()[each].port.upper() for each in _cited(path)} == set(ports)


def test_every_clause_of_the_ports_is_found() -> None:
    """Whatever looks like a clause in a port's source is one to the kit: no port is forgotten, no number used twice."""
    stated = [each for path in PORTS for each in re.findall(r"^ +([A-Z]+-\d+): ", path.read_text(), re.MULTILINE)]

    assert sorted(stated) == sorted(clauses())


@pytest.mark.parametrize("prefix", sorted({each.partition("-")[0] for each in clauses()}))
def test_numbers_have_no_gaps(prefix: str) -> None:
    """The clauses of a prefix are numbered from 1 on. One that came later stands with its protocol."""
    numbers = [int(each.partition("-")[2]) for each in clauses() if each.partition("-")[0] == prefix]

    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", PORTS, ids=lambda path: path.stem)
def test_a_protocol_states_its_clauses_in_order(path: Path) -> None:
    """Within one docstring the numbers of a prefix grow."""
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    for node in classes:
        stated = re.findall(r"^ *([A-Z]+)-(\d+): ", ast.get_docstring(node) or "", re.MULTILINE)
        numbers = [(prefix, int(number)) for prefix, number in stated]
        assert numbers == sorted(numbers)


def test_a_clause_goes_on_in_indented_lines() -> None:
    """The text of a clause is one line, whatever it was broken into, and ends where the next paragraph begins."""
    docstring = "Sums.\n\nABC-1: One\n    two\n    three.\nABC-2: Four.\n\nFive.\n"
    first, second = kit._stated("storage", docstring)

    assert (first.id, first.text) == ("ABC-1", "One two three.")
    assert (second.id, second.text) == ("ABC-2", "Four.")


def test_texts_are_whole() -> None:
    """Every clause of the ports is read to its full stop."""
    for found in clauses().values():
        assert found.text.endswith("."), found
        assert "  " not in found.text


@pytest.mark.parametrize("unknown", ["RAT-99", "rat-1", "RAT", ""])
def test_unknown_clauses_are_refused(unknown: str) -> None:
    """A test that cites what no port states cannot be written."""
    with pytest.raises(ValueError, match="no port states the clause"):
        clause("RAT-1", unknown)
