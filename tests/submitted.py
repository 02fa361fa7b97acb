"""What tests submit as passwords, tokens and secrets, none of which may ever be answered, printed or measured."""

from collections.abc import Mapping

TELLING = 9
"""How long a text must be to be told from a word of ours, such as password."""
_SECRET = ("password", "token", "secret")


class Submitted:
    """What was submitted as a password, a token or a secret in one test, which must never come back."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()

    def note(self, value: object, *, secret: bool = False) -> None:
        """Remember the secrets in a body: texts under a name that speaks of a password or a token."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self.note(inner, secret=secret or any(word in str(name) for word in _SECRET))
        elif isinstance(value, list):
            for inner in value:
                self.note(inner, secret=secret)
        elif isinstance(value, str) and secret and len(value) >= TELLING:
            self.secrets.add(value)

    def note_variables(self, variables: Mapping[str, str]) -> None:
        """Remember the secrets among the variables of an environment: not lifetimes, nor the paths of files."""
        texts = {name.lower(): value for name, value in variables.items() if not value.isdigit()}
        self.note({name: value for name, value in texts.items() if not name.endswith("_file")})

    def found_in(self, text: str) -> list[str]:
        """Return the secrets that `text` repeats."""
        return [secret for secret in self.secrets if secret in text]
