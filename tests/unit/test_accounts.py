"""Passwords and roles, and who may change them, over a storage that fails when told to."""

from dataclasses import replace
from typing import Any

import pytest

from songs.application.sessions import SWEEP_EVERY_S, SignedIn
from songs.errors import (
    InvalidToken,
    OutcomeUnknown,
    OwnAccount,
    StorageUnavailable,
    WrongPassword,
)
from songs.model import Role
from songs.ports.passwords import PasswordCheck
from songs.ports.storage import Scope

from .conftest import OTHER, PASSWORD, Process


def test_another_password_ends_all_sessions_but_the_new_one(ada: Process) -> None:
    """Older refresh and access tokens are worthless; those that the change answered with are good."""
    here, there = ada.sign_in(), ada.sign_in()

    new = ada.accounts.change_password(here.user.id, PASSWORD, OTHER, deadline=ada.stack.deadline())

    assert [ada.is_refused(old.refresh_token) for old in (here, there)] == [True, True]
    assert [ada.opens(token.access_token) for token in (here, there, new)] == [False, False, True]
    assert ada.opens(ada.refresh(new.refresh_token).access_token)
    ada.sign_in(OTHER)


@pytest.mark.parametrize("written", range(3))
def test_no_crash_leaves_a_session_alive_that_a_new_password_ended(ada: Process, written: int) -> None:
    """Whichever write a change of password gets to: with the old password the old session is alive, else it is not."""
    old = ada.sign_in()
    ada.stack.clock.sleep(SWEEP_EVERY_S)
    # The units of a change: read the user, add a session, sweep, replace the user.
    ada.stack.storage.before = [None, *[None] * written, StorageUnavailable(), StorageUnavailable()]

    try:
        ada.accounts.change_password(old.user.id, PASSWORD, OTHER, deadline=ada.stack.deadline())
    except StorageUnavailable:
        ada.stack.storage.before = []
        assert not ada.is_refused(old.refresh_token)
        ada.sign_in(PASSWORD)
    else:
        pytest.fail("the storage was to fail")


def test_a_change_of_password_without_an_answer_counts(ada: Process) -> None:
    """A replacement that was kept and not answered is repeated, and is one change."""
    old = ada.sign_in()
    ada.stack.storage.after = [None, None, OutcomeUnknown()]

    new = ada.accounts.change_password(old.user.id, PASSWORD, OTHER, deadline=ada.stack.deadline())

    assert ada.is_refused(old.refresh_token)
    assert not ada.is_refused(new.refresh_token)


def test_a_change_of_password_goes_on_top_of_an_admins(ada: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of role in the middle is neither lost nor in the way."""
    user_id = ada.sign_in().user.id
    start = ada.sessions.start

    def interrupted(*arguments: Any, **keywords: Any) -> SignedIn:
        monkeypatch.setattr(ada.sessions, "start", start)
        ada.accounts.change("ada", role=Role.EDITOR, deadline=ada.stack.deadline())
        return start(*arguments, **keywords)

    monkeypatch.setattr(ada.sessions, "start", interrupted)
    new = ada.accounts.change_password(user_id, PASSWORD, OTHER, deadline=ada.stack.deadline())

    assert ada.access.authenticate(new.access_token, deadline=ada.stack.deadline()).role is Role.EDITOR
    ada.sign_in(OTHER)


def test_the_password_is_asked_for(ada: Process) -> None:
    """Whoever holds a token alone can neither change the password nor remove the account."""
    user_id = ada.sign_in().user.id

    with pytest.raises(WrongPassword):
        ada.accounts.change_password(user_id, OTHER, OTHER, deadline=ada.stack.deadline())
    with pytest.raises(WrongPassword):
        ada.accounts.remove_own(user_id, OTHER, deadline=ada.stack.deadline())
    ada.sign_in()


def test_an_admin_does_not_lock_itself_out(ada: Process) -> None:
    """It cannot demote, disable or remove itself; it may say what is so already; another admin may do all of it."""
    admin = ada.accounts.change("ada", role=Role.ADMIN, deadline=ada.stack.deadline())
    change = ada.accounts.change
    for how in ({"role": Role.USER}, {"disabled": True}, {"role": Role.USER, "disabled": True}):
        with pytest.raises(OwnAccount):
            change("ada", **how, by=admin.id, deadline=ada.stack.deadline())
    with pytest.raises(OwnAccount):
        ada.accounts.remove_own(admin.id, PASSWORD, deadline=ada.stack.deadline())

    assert change("ada", role=Role.ADMIN, disabled=False, by=admin.id, deadline=ada.stack.deadline()) == admin
    other = ada.accounts.register("bob", PASSWORD, role=Role.ADMIN, deadline=ada.stack.deadline())
    assert change("ada", role=Role.USER, by=other.id, deadline=ada.stack.deadline()).role is Role.USER


def test_of_two_admins_who_demote_each_other_one_stays(ada: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were admins when they asked, and both had read the other; who is written second is one no longer."""
    deadline = ada.stack.deadline()
    admin = ada.accounts.change("ada", role=Role.ADMIN, deadline=deadline)
    other = ada.accounts.register("bob", PASSWORD, role=Role.ADMIN, deadline=deadline)
    get = ada.accounts.get

    def overtaken(name: str, **how: Any) -> Any:
        user = get(name, **how)
        monkeypatch.setattr(ada.accounts, "get", get)
        ada.accounts.change("ada", role=Role.USER, by=other.id, deadline=deadline)
        return user

    monkeypatch.setattr(ada.accounts, "get", overtaken)
    with pytest.raises(InvalidToken):
        ada.accounts.change("bob", disabled=True, by=admin.id, deadline=deadline)

    left = get("bob", deadline=deadline)
    assert (get("ada", deadline=deadline).role, left.role, left.disabled) == (Role.USER, Role.ADMIN, False)


def test_a_user_is_changed_in_one_write(ada: Process) -> None:
    """Role and state change together or not at all."""
    del ada.stack.storage.scopes[:]

    changed = ada.accounts.change("ada", role=Role.EDITOR, disabled=True, deadline=ada.stack.deadline())

    assert (changed.role, changed.disabled, changed.version) == (Role.EDITOR, True, 2)
    assert ada.stack.storage.scopes == [Scope.READ, Scope.WRITE_ONE]


@pytest.mark.parametrize("outdated", [False, True])
def test_hashing_takes_nothing_of_the_deadline(
    ada: Process, monkeypatch: pytest.MonkeyPatch, *, outdated: bool
) -> None:
    """However long it takes on a busy machine, a right password signs in, and a new account is stored."""
    passwords: Any = ada.accounts._passwords
    verify, hash_ = passwords.verify, passwords.hash

    def slowly_verified(*arguments: Any, **keywords: Any) -> PasswordCheck:
        ada.stack.clock.sleep(60.0)
        check: PasswordCheck = verify(*arguments, **keywords)
        return replace(check, outdated=outdated)

    def slowly_hashed(*arguments: Any, **keywords: Any) -> str:
        ada.stack.clock.sleep(60.0)
        return str(hash_(*arguments, **keywords))

    monkeypatch.setattr(passwords, "verify", slowly_verified)
    monkeypatch.setattr(passwords, "hash", slowly_hashed)

    assert ada.accounts.register("bob", PASSWORD, deadline=ada.stack.deadline()).name == "bob"
    assert ada.opens(ada.sign_in().access_token)
