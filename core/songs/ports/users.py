"""The users of a storage."""

from typing import Protocol, runtime_checkable

from songs.model import User


@runtime_checkable
class UserRepository(Protocol):
    """The users, within one unit of work.

    USR-1: A user comes back equal to what was stored, member by member.
    USR-2: Names are unique without regard to case (`User.name_key`); `add` of a second one raises `UserExists` and
        changes nothing. Of concurrent calls with one name exactly one succeeds. The spelling that was stored is kept.
    USR-3: `add` is safe to repeat: an id that is stored already with this name changes nothing and is no error.
    USR-4: `by_name` finds a user whatever the case of the name; `get` by id. Both return None where there is none.
    USR-5: `replace` stores `user` if the stored version is `if_version`; ``user.version`` is ``if_version + 1``, and
        the caller leaves the name as it is. It raises `UserNotFound` or `VersionConflict` and then changes nothing. It
        is safe to repeat: when the stored user equals `user` already, nothing changes and it is no error.
    USR-6: `delete` removes the user, and returns whether it was there; the name is free again. Its sessions go with it
        where they are no more than 100; of more, some may stay (SES-7 removes them), and sessions of an id that no user
        has may go. Its ratings stay, under an id that is nobody's.
    USR-7: `find` returns users ordered by id, those with an id greater than `after_id` if given, at most `limit`.
    """

    def get(self, user_id: str) -> User | None:
        """Return the user with this id, or None."""
        ...

    def by_name(self, name: str) -> User | None:
        """Return the user with this name, without regard to case, or None."""
        ...

    def add(self, user: User) -> None:
        """Store a new user.

        Raises:
            UserExists: Another user has this name, or this id.
        """
        ...

    def replace(self, user: User, *, if_version: int) -> None:
        """Store the new state of a user.

        Raises:
            UserNotFound: No user has this id.
            VersionConflict: The stored version is not `if_version`.
        """
        ...

    def delete(self, user_id: str) -> bool:
        """Remove a user, with its sessions as far as USR-6 says; return whether it was there."""
        ...

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        """Return users, ordered by id."""
        ...
