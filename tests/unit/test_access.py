"""Who is asking: tokens, and what is known of their users."""

from typing import Any

import pytest

from songs.application.access import STATE_TTL_S
from songs.application.runner import MAX_ATTEMPTS
from songs.errors import InvalidToken, OutcomeUnknown
from songs.model import Role
from songs_security.passwords import BcryptPasswords

from .conftest import PASSWORD
from .conftest import Process as AccountsProcess


class Process(AccountsProcess):
    """One process of the service, as the user ada sees it."""

    def new_token(self) -> str:
        """Return a new token of ada's."""
        return self.accounts.sign_in("ada", PASSWORD, deadline=self.stack.deadline()).access_token

    def role_of(self, token: str) -> Role:
        """Return the role that a token gives."""
        return self.access.authenticate(token, deadline=self.stack.deadline()).role


@pytest.fixture
def one(stack: Any) -> Process:
    """A process with the user ada."""
    process = Process(stack)
    process.accounts.register("ada", PASSWORD, deadline=stack.deadline())
    return process


@pytest.fixture
def other(one: Process, stack: Any) -> Process:
    """Another process on the same storage."""
    return Process(stack)


def test_a_change_counts_at_once_where_it_was_made(one: Process, stack: Any) -> None:
    """After a change of role the older token is refused, the next one gives the new role."""
    token = one.new_token()
    assert one.role_of(token) is Role.USER
    one.accounts.change("ada", role=Role.EDITOR, deadline=stack.deadline())
    with pytest.raises(InvalidToken):
        one.role_of(token)
    assert one.role_of(one.new_token()) is Role.EDITOR


def test_a_change_counts_elsewhere_within_five_seconds(one: Process, other: Process, stack: Any) -> None:
    """Another process believes what it knows for five seconds and not longer."""
    token = one.new_token()
    assert other.role_of(token) is Role.USER
    one.accounts.change("ada", disabled=True, deadline=stack.deadline())
    stack.clock.sleep(STATE_TTL_S + 0.1)
    with pytest.raises(InvalidToken):
        other.role_of(token)


def test_a_new_token_is_good_everywhere_at_once(one: Process, other: Process, stack: Any) -> None:
    """A token that is newer than what a process knows of its user is no reason to refuse it, but to look again."""
    other.role_of(one.new_token())
    one.accounts.change("ada", role=Role.EDITOR, deadline=stack.deadline())
    assert other.role_of(one.new_token()) is Role.EDITOR


def test_what_was_read_before_a_change_is_not_believed_after_it(one: Process, stack: Any) -> None:
    """A read that a change overtakes is not kept: its user is read again at the next request."""
    token = one.new_token()
    inner = stack.storage.inner
    original = inner.unit_of_work

    def overtaken(*arguments: Any, **keywords: Any) -> Any:
        inner.unit_of_work = original
        unit = original(*arguments, **keywords)
        entered = unit.__enter__()
        one.accounts.change("ada", disabled=True, deadline=stack.deadline())
        return _Entered(unit, entered)

    inner.unit_of_work = overtaken
    assert one.role_of(token) is Role.USER
    with pytest.raises(InvalidToken):
        one.role_of(token)


class _Entered:
    """A unit of work that was entered before."""

    def __init__(self, unit: Any, entered: Any) -> None:
        self._unit = unit
        self._entered = entered

    def __enter__(self) -> Any:
        return self._entered

    def __exit__(self, *error: object) -> Any:
        return self._unit.__exit__(*error)


def test_a_change_of_unknown_outcome_counts(one: Process, stack: Any) -> None:
    """When nobody knows whether a user was disabled, nothing that was known before is believed."""
    token = one.new_token()
    one.role_of(token)
    stack.storage.after = [None, *[OutcomeUnknown()] * 20]
    with pytest.raises(OutcomeUnknown):
        one.accounts.change("ada", disabled=True, deadline=stack.deadline())
    stack.storage.after = []
    with pytest.raises(InvalidToken):
        one.role_of(token)


def test_names_are_ascii(one: Process, stack: Any) -> None:
    """A letter that only becomes an ASCII one in lower case finds nobody."""
    assert one.accounts.get("ADA", deadline=stack.deadline()).name == "ada"
    with pytest.raises(Exception, match="no user"):
        one.accounts.get("\u212a", deadline=stack.deadline())


def test_an_outdated_hash_does_not_keep_anyone_out(one: Process, stack: Any) -> None:
    """When the new hash cannot be stored, the sign-in succeeds all the same."""
    process = Process(stack)
    process.accounts._passwords = BcryptPasswords(rounds=5, concurrency=1)
    stack.storage.before = [None, *[OutcomeUnknown()] * MAX_ATTEMPTS]
    assert process.new_token()
    stack.storage.before = []
    assert one.accounts.get("ada", deadline=stack.deadline()).version == 1
