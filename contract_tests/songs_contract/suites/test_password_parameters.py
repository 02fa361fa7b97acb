"""Password hashes that were made with other parameters than today's."""

import pytest
from pydantic import BaseModel, ValidationError

from songs.ports.passwords import PasswordHasher
from songs_contract.harness.subject import Subject
from songs_contract.law import clause
from songs_plugins import AdapterContext, Port

PORT = Port.PASSWORDS
PATIENCE_S = 30.0


def hasher(subject: Subject, settings: BaseModel) -> PasswordHasher:
    """Return a hasher with these settings."""
    built: PasswordHasher = subject.spec.build(settings, AdapterContext(clock=subject.clock, ids=subject.ids))
    return built


def stronger(subject: Subject) -> dict[str, PasswordHasher]:
    """Return hashers, each with one whole number of the settings greater by one; one of them is the cost."""
    found = {}
    for name in type(subject.settings).model_fields:
        value = getattr(subject.settings, name)
        if type(value) is not int:
            continue
        try:
            settings = type(subject.settings).model_validate(subject.settings.model_dump() | {name: value + 1})
        except ValidationError:
            continue
        found[name] = hasher(subject, settings)
    return found


@clause("PWD-5")
def test_hashes_of_yesterday(subject: Subject) -> None:
    """Where the cost was raised, a right password with an older hash is reported, a wrong one is not."""
    today = stronger(subject)
    if not today:
        pytest.skip("declared unsupported: a cost among the settings")
    yesterday = hasher(subject, subject.settings)
    old = yesterday.hash("password", wait_s=PATIENCE_S)
    checks = {name: each.verify("password", old, wait_s=PATIENCE_S) for name, each in today.items()}
    assert all(check.ok for check in checks.values()), "a hash is worthless once the parameters change"
    outdated = [name for name, check in checks.items() if check.outdated]
    assert outdated, f"raising none of {', '.join(today)} made an older hash outdated"
    for name in outdated:
        wrong = today[name].verify("another", old, wait_s=PATIENCE_S)
        assert (wrong.ok, wrong.outdated) == (False, False)
        fresh = today[name].hash("password", wait_s=PATIENCE_S)
        assert not today[name].verify("password", fresh, wait_s=PATIENCE_S).outdated
        assert not yesterday.verify("password", fresh, wait_s=PATIENCE_S).outdated, "a stronger hash is not outdated"
