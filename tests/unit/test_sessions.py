"""Sessions and what ends them, over a storage that fails when told to."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from songs.application.sessions import GRACE_S, SWEPT_AT_ONCE, SignedIn
from songs.errors import (
    OutcomeUnknown,
    RefreshRefused,
    StorageUnavailable,
)
from songs.model import Role
from songs.ports.storage import Scope

from .conftest import LIFETIMES, OTHER, PASSWORD, Process


def test_a_refresh_token_is_good_once(ada: Process) -> None:
    """Each refresh answers the next token and a new access token; the one before is refused."""
    first = ada.sign_in()
    second = ada.refresh(first.refresh_token)

    assert ada.opens(second.access_token)
    assert ada.is_refused(first.refresh_token)
    assert len({first.refresh_token, second.refresh_token, ada.refresh(second.refresh_token).refresh_token}) == 3


def test_a_token_is_not_stored(ada: Process) -> None:
    """The storage holds neither the token nor its secret, nor a plain hash that could be made without the user."""
    token = ada.sign_in().refresh_token

    assert token.partition(".")[2] not in str([getattr(ada.stored(token), n) for n in ("id", "current_hash")])
    assert len(token.partition(".")[2]) == 43


def test_a_retry_does_no_harm(ada: Process) -> None:
    """Whoever lost an answer and tries again within the grace time is refused, and the session goes on."""
    first = ada.sign_in()
    second = ada.refresh(first.refresh_token)
    ada.stack.clock.sleep(GRACE_S)

    assert ada.is_refused(first.refresh_token)
    assert not ada.is_refused(second.refresh_token)


@pytest.mark.parametrize("ahead_s", [GRACE_S + 0.001, 60.0, 600.0])
def test_reuse_is_noticed_where_the_clock_of_the_rotation_was_ahead(ada: Process, ahead_s: float) -> None:
    """A token that another process used up, whose clock is ahead, ends its session as one that was used up long ago."""
    first = ada.sign_in()
    ada.stack.clock.advance(ahead_s)
    second = ada.refresh(first.refresh_token)
    ada.stack.clock.advance(-ahead_s)

    with pytest.raises(RefreshRefused) as caught:
        ada.refresh(first.refresh_token)
    assert caught.value.about == first.user.id
    assert ada.is_refused(second.refresh_token)


def test_a_token_used_again_later_ends_its_session(ada: Process) -> None:
    """After the grace time two hold the token: the session is ended. The user's other sessions go on."""
    other, first = ada.sign_in(), ada.sign_in()
    second = ada.refresh(first.refresh_token)
    ada.stack.clock.sleep(GRACE_S + 0.001)

    with pytest.raises(RefreshRefused) as caught:
        ada.refresh(first.refresh_token)
    assert caught.value.about == first.user.id
    assert ada.is_refused(second.refresh_token)
    assert not ada.is_refused(other.refresh_token)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.replace(".", "", 1),
        lambda token: "nobody" + token[token.index(".") :],
        lambda token: token + "\n",
        lambda token: "\ud800" + token,
        lambda _: "x" * 100_000,
    ],
)
def test_what_is_no_token_is_refused_and_changes_nothing(ada: Process, spoil: Callable[[str], str]) -> None:
    """Texts of another form, and sessions that do not exist, are refused without a write."""
    token = ada.sign_in().refresh_token
    del ada.stack.storage.scopes[:]

    assert ada.is_refused(spoil(token))
    assert Scope.WRITE_ONE not in ada.stack.storage.scopes
    assert not ada.is_refused(token)


def test_a_session_ends_some_time(ada: Process) -> None:
    """However often it is refreshed, a session ends `refresh_s` after the sign-in."""
    token = ada.sign_in().refresh_token
    for _ in range(3):
        ada.stack.clock.sleep(900)
        token = ada.refresh(token).refresh_token
    ada.stack.clock.sleep(900)

    assert ada.is_refused(token)


def test_a_session_that_is_not_used_ends(ada: Process) -> None:
    """`idle_s` after the last refresh the token is refused."""
    kept, left = ada.sign_in().refresh_token, ada.sign_in().refresh_token
    ada.stack.clock.sleep(999)
    kept = ada.refresh(kept).refresh_token
    ada.stack.clock.sleep(1)

    assert ada.is_refused(left)
    assert not ada.is_refused(kept)


def test_disabled_and_removed_users_refresh_nothing(ada: Process) -> None:
    """Neither while disabled nor after having been enabled again do older tokens work."""
    token = ada.sign_in().refresh_token
    ada.accounts.change("ada", disabled=True, deadline=ada.stack.deadline())
    assert ada.is_refused(token)
    ada.accounts.change("ada", disabled=False, deadline=ada.stack.deadline())
    assert ada.is_refused(token)

    signed_in = ada.sign_in()
    ada.accounts.remove_own(signed_in.user.id, PASSWORD, deadline=ada.stack.deadline())
    assert ada.is_refused(signed_in.refresh_token)
    assert not ada.opens(signed_in.access_token)


def test_a_refresh_gives_the_role_of_now(ada: Process) -> None:
    """A change of role ends the access token and not the session; the next one has the new role."""
    signed_in = ada.sign_in()
    ada.accounts.change("ada", role=Role.EDITOR, deadline=ada.stack.deadline())
    assert not ada.opens(signed_in.access_token)

    again = ada.refresh(signed_in.refresh_token)

    assert ada.access.authenticate(again.access_token, deadline=ada.stack.deadline()).role is Role.EDITOR


def test_signing_out_ends_one_session(ada: Process) -> None:
    """Its refresh token and every access token are worthless at once; another session refreshes and goes on."""
    here, there = ada.sign_in(), ada.sign_in()

    ada.accounts.sign_out(here.refresh_token, deadline=ada.stack.deadline())

    assert ada.is_refused(here.refresh_token)
    assert (ada.opens(here.access_token), ada.opens(there.access_token)) == (False, False)
    assert ada.opens(ada.refresh(there.refresh_token).access_token)


def test_signing_out_everywhere_ends_all_sessions(ada: Process) -> None:
    """No refresh token of the user is good any more."""
    here, there = ada.sign_in(), ada.sign_in()

    ada.accounts.sign_out(here.refresh_token, everywhere=True, deadline=ada.stack.deadline())

    assert (ada.is_refused(here.refresh_token), ada.is_refused(there.refresh_token)) == (True, True)


def test_many_sessions_end_in_many_writes(ada: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write ends a bounded number of them; whoever runs out of time holds a session still, and goes on with it."""
    monkeypatch.setattr("songs.application.sessions.ENDED_AT_ONCE", 3)
    tokens = [ada.sign_in().refresh_token for _ in range(8)]

    def left() -> int:
        return sum(ada.stored(token) is not None for token in tokens)

    ada.stack.storage.before = [None, None, StorageUnavailable()]
    with pytest.raises(StorageUnavailable):
        ada.accounts.sign_out(tokens[0], everywhere=True, deadline=ada.stack.deadline())
    assert left() == 5
    assert ada.stored(tokens[0]) is not None
    ada.accounts.sign_out(tokens[0], everywhere=True, deadline=ada.stack.deadline())
    assert left() == 0


def test_sessions_of_a_user_who_is_removed(ada: Process) -> None:
    """However many there are, none is left where the storage answers, and none is good where it does not."""
    tokens = [ada.sign_in().refresh_token for _ in range(250)]
    user_id = ada.sign_in().user.id
    ada.stack.storage.before = [None, None, StorageUnavailable()]
    ada.accounts.remove_own(user_id, PASSWORD, deadline=ada.stack.deadline())
    left = [token for token in tokens if ada.stored(token) is not None]
    assert 0 < len(left) <= 150
    assert all(map(ada.is_refused, left))


def test_an_old_token_does_not_sign_its_user_out_everywhere(ada: Process) -> None:
    """Someone may have found it: it ends its own session. One whose answer was lost a moment ago does as it is told."""
    for used_up_s, everywhere in ((GRACE_S + 1, False), (GRACE_S, True), (-GRACE_S, True), (-GRACE_S - 1, False)):
        here, there = ada.sign_in(), ada.sign_in()
        following = ada.refresh(here.refresh_token)
        ada.stack.clock.now_s += used_up_s

        ada.accounts.sign_out(here.refresh_token, everywhere=True, deadline=ada.stack.deadline())

        assert ada.is_refused(following.refresh_token)
        assert (ada.stored(there.refresh_token) is None) == everywhere


def test_signing_out_with_an_expired_token_ends_nothing(ada: Process) -> None:
    """It may come from a backup of long ago, as long as the expired session was not removed."""
    here = ada.sign_in()
    ada.stack.clock.now_s += LIFETIMES.refresh_s
    there = ada.sign_in()

    ada.accounts.sign_out(here.refresh_token, everywhere=True, deadline=ada.stack.deadline())

    assert ada.opens(there.access_token)
    assert not ada.is_refused(there.refresh_token)


@pytest.mark.parametrize("everywhere", [False, True])
def test_signing_out_with_a_bad_token_ends_nothing(ada: Process, everywhere: bool) -> None:
    """A guessed secret for a session that exists signs nobody out, and raises nobody's token version."""
    signed_in = ada.sign_in()
    guess = signed_in.refresh_token.partition(".")[0] + "." + "A" * 43

    for bad in ("", "garbage", guess):
        ada.accounts.sign_out(bad, everywhere=everywhere, deadline=ada.stack.deadline())

    assert ada.opens(signed_in.access_token)
    assert not ada.is_refused(signed_in.refresh_token)


def test_half_a_sign_out_is_said(ada: Process) -> None:
    """When the session was ended and the storage then fails, nobody is told that nothing was changed."""
    signed_in = ada.sign_in()
    ada.stack.storage.before = [None, None, StorageUnavailable()]

    with pytest.raises(OutcomeUnknown):
        ada.accounts.sign_out(signed_in.refresh_token, deadline=ada.stack.deadline())
    assert ada.is_refused(signed_in.refresh_token)


def test_a_refresh_that_a_change_of_password_overtakes_gets_nowhere(
    ada: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the user and the rotation the password changes: what the refresh answers is worthless."""
    old = ada.sign_in()
    find = ada.sessions._find

    def overtaken(*arguments: Any) -> Any:
        found = find(*arguments)
        monkeypatch.setattr(ada.sessions, "_find", find)
        ada.accounts.change_password(old.user.id, PASSWORD, OTHER, deadline=ada.stack.deadline())
        return found

    monkeypatch.setattr(ada.sessions, "_find", overtaken)
    got = ada.refresh(old.refresh_token)

    assert not ada.opens(got.access_token)
    assert ada.is_refused(got.refresh_token)


def test_a_refresh_that_a_sign_out_overtakes_gets_nowhere(ada: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh that rotated before the session was ended has an access token of before the sign-out."""
    old = ada.sign_in()
    end = ada.sessions.end
    got: list[SignedIn] = []

    def late(*arguments: Any, **keywords: Any) -> None:
        got.append(ada.refresh(old.refresh_token))
        end(*arguments, **keywords)

    monkeypatch.setattr(ada.sessions, "end", late)
    ada.accounts.sign_out(old.refresh_token, deadline=ada.stack.deadline())

    assert not ada.opens(got[0].access_token)
    assert ada.is_refused(got[0].refresh_token)


def test_a_lost_answer_of_the_storage_does_not_use_up_a_token(ada: Process) -> None:
    """A rotation that was kept and not answered is repeated with the same next token, which is good."""
    token = ada.sign_in().refresh_token
    ada.stack.storage.after = [None, OutcomeUnknown()]

    assert not ada.is_refused(ada.refresh(token).refresh_token)


def test_expired_sessions_are_collected_at_sign_ins(ada: Process) -> None:
    """A piece at a time, at once again while pieces are full, and otherwise once in a while."""
    tokens = [ada.sign_in().refresh_token for _ in range(SWEPT_AT_ONCE + 1)]
    ada.stack.clock.sleep(timedelta(hours=1).total_seconds())

    def left() -> int:
        return sum(ada.stored(token) is not None for token in tokens)

    ada.sign_in()
    assert left() == 1
    ada.sign_in()
    assert left() == 0
    del ada.stack.storage.scopes[:]
    ada.sign_in()
    assert ada.stack.storage.scopes == [Scope.READ, Scope.WRITE_ONE]


def test_a_sweep_that_fails_keeps_nobody_out(ada: Process) -> None:
    """The session is stored by then."""
    ada.stack.storage.before = [None, None, StorageUnavailable()]

    assert not ada.is_refused(ada.sign_in().refresh_token)


def test_tokens_show_in_no_repr(ada: Process) -> None:
    """What is printed in a traceback or a log is not good for anything."""
    signed_in = ada.sign_in()

    assert signed_in.access_token not in repr(signed_in)
    assert signed_in.refresh_token not in repr(signed_in)
