"""`songs users`."""

import json
import sys
from typing import Annotated, Any, Final

import typer

from songs.model import Role, User
from songs.ports.clock import Deadline
from songs_api.bootstrap.handover import UserError
from songs_api.cli.session import audited, durable_storage, print_table
from songs_api.servers.processes import was_closed

DEADLINE_S: Final = 30.0
PAGE: Final = 500
_MAX_PASSWORD_LINE: Final = 4096

users: Final = typer.Typer(help="Manage users.", no_args_is_help=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


@users.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="The user's role.")] = Role.USER,
    password_stdin: PasswordStdin = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    """Add a user. The password is prompted for, or read from standard input; it is never an argument."""
    password = _password(from_stdin=password_stdin)
    with durable_storage() as container, audited(container, "add_user", target=name, role=role.value):
        user = container.accounts().register(
            name, password, role=role, deadline=Deadline.after(container.clock(), DEADLINE_S)
        )
    typer.echo(f"added {user.name} ({user.role})")


@users.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's way of declaring a flag
) -> None:
    """List all users."""
    with durable_storage() as container:
        found: list[User] = []
        while True:
            page = container.accounts().find(
                limit=PAGE,
                after_id=found[-1].id if found else None,
                deadline=Deadline.after(container.clock(), DEADLINE_S),
            )
            found += page
            if len(page) < PAGE:
                break
    if as_json:
        typer.echo(json.dumps([_as_json(user) for user in found], indent=2))
        return
    rows = [(user.name, user.role, _state(user), user.created_at.isoformat(timespec="seconds")) for user in found]
    print_table(("NAME", "ROLE", "STATE", "CREATED"), rows)


@users.command()
def disable(name: Name) -> None:
    """Block a user from signing in and revoke their tokens."""
    _set_disabled(name, disabled=True)


@users.command()
def enable(name: Name) -> None:
    """Let a disabled user sign in again."""
    _set_disabled(name, disabled=False)


@users.command()
def role(name: Name, new: Annotated[Role, typer.Argument(metavar="ROLE", help="user, editor or admin.")]) -> None:
    """Change a user's role and revoke their access tokens, which clients then refresh."""
    with durable_storage() as container, audited(container, "change_user", target=name, role=new.value):
        deadline = Deadline.after(container.clock(), DEADLINE_S)
        user = container.accounts().change(name, role=new, deadline=deadline)
    typer.echo(f"{user.name} is {user.role} now")


@users.command()
def password(name: Name, password_stdin: PasswordStdin = False) -> None:  # noqa: FBT002 - typer's way of declaring a flag
    """Set a user's password and end all their sessions."""
    new = _password(from_stdin=password_stdin)
    with durable_storage() as container, audited(container, "set_password", target=name):
        deadline = Deadline.after(container.clock(), DEADLINE_S)
        user = container.accounts().set_password(name, new, deadline=deadline)
    typer.echo(f"{user.name} has another password now")


def _set_disabled(name: str, *, disabled: bool) -> None:
    with durable_storage() as container, audited(container, "change_user", target=name, disabled=disabled):
        deadline = Deadline.after(container.clock(), DEADLINE_S)
        user = container.accounts().change(name, disabled=disabled, deadline=deadline)
    typer.echo(f"{user.name} is {_state(user)} now")


def _password(*, from_stdin: bool) -> str:
    if was_closed("stdin"):
        msg = "standard input is closed; give --password-stdin and write the password there, as one line"
        raise UserError(msg)
    if not from_stdin:
        if not sys.stdin.isatty():
            msg = "there is no terminal to ask for the password; give --password-stdin and write it to standard input"
            raise UserError(msg)
        try:
            typed = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
            typed.encode()
        except UnicodeError as error:  # a terminal that is set to another encoding
            msg = "the password cannot be read from the terminal: it is not UTF-8 text"
            raise UserError(msg) from error
        return typed
    try:
        line = sys.stdin.readline(_MAX_PASSWORD_LINE).rstrip("\r\n").removeprefix("\ufeff")
        line.encode()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        msg = f"the password cannot be read from standard input: {reason}"
        raise UserError(msg) from error
    if not line:
        msg = "standard input holds no password; write it there, as one line"
        raise UserError(msg)
    return line


def _state(user: User) -> str:
    return "disabled" if user.disabled else "active"


def _as_json(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "created_at": user.created_at.isoformat(timespec="milliseconds"),
    }
