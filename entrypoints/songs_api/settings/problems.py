"""What is wrong with the settings."""

from collections.abc import Sequence


class SettingsError(Exception):
    """Settings are wrong; `problems` has one line for each, with the variable's name and never with a secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
