"""A plugin for runs of which only the verdicts count: the first example that fails will do, it need not be short."""

import pytest
from hypothesis import Phase, settings

NAME = "unshrunk"


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Go on from the kit's own profile, without the search for a shorter example."""
    settings.register_profile(NAME, settings(), phases=[Phase.explicit, Phase.generate])
    settings.load_profile(NAME)
