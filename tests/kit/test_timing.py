"""How the kit keeps time: what it saw of a window counts only while the window lasted."""

import pytest

from songs_contract.harness.subject import Subject, find
from songs_contract.harness.timing import while_it_lasts
from songs_contract.report.explanations import OutOfPatience
from songs_plugins import Port


@pytest.fixture
def subject() -> Subject:
    """A limiter in memory, which goes by the kit's clock."""
    spec = next(each for each in find("memory") if each.port is Port.LIMITER)
    return Subject("memory", spec, spec.settings())


def test_what_was_seen_too_late_is_not_judged(subject: Subject) -> None:
    """After a stall it looks again, under another name, and returns what it saw in time."""
    names: list[str] = []

    def look(name: str) -> int:
        names.append(name)
        subject.clock.advance(120.0 if len(names) < 3 else 1.0)
        return len(names)

    assert while_it_lasts(subject, 60.0, look) == 3
    assert len(set(names)) == 3


def test_what_is_always_seen_too_late(subject: Subject) -> None:
    """It gives up after so many times: nothing is known, which is no verdict."""
    seen: list[str] = []

    def look(name: str) -> None:
        seen.append(name)
        subject.clock.advance(60.0)

    with pytest.raises(OutOfPatience):
        while_it_lasts(subject, 60.0, look)
    assert len(seen) == 5
