"""The pytest plugin: options, markers, and the report. `songs` is imported by what it registers, not here."""

import importlib
from typing import Any

import pytest

pytest.register_assert_rewrite(
    "songs_contract.suites",
    "songs_contract.harness.driver",
    "songs_contract.harness.fixtures",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the kit's options."""
    group = parser.getgroup("songs contract", "the contract of the ports of Songs API")
    group.addoption(
        "--songs-adapter", metavar="NAME", help="the adapter to test: an installed one's name, or module:attribute"
    )
    group.addoption("--songs-port", metavar="PORT", help="only this port of the adapter, such as storage")
    group.addoption("--songs-clause", metavar="ID", action="append", help="only this clause, such as RAT-2; repeatable")
    group.addoption(
        "--songs-xfail",
        metavar="PATH",
        help="the adapter's own file of expected failures: a clause and a reason a line",
    )
    group.addoption("--songs-report-json", metavar="PATH", help="write the report as JSON")
    group.addoption("--songs-report-markdown", metavar="PATH", help="write the report as Markdown")
    group.addoption(
        "--songs-patience",
        metavar="S",
        type=float,
        help="seconds that one test may take (default: 120; thorough: 1200)",
    )
    group.addoption("--songs-thorough", action="store_true", help="more examples, more threads, more rounds")
    group.addoption(
        "--songs-seed",
        metavar="N",
        type=int,
        help="what random choices start from; without it they are always the same",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, find the adapter, and register what works on it."""
    config.addinivalue_line("markers", "clause(*ids): the clauses of the port that the test proves")
    config.addinivalue_line("markers", "builds_on(*ids): the clauses of what the test needs besides")
    config.addinivalue_line("markers", "requires(*capabilities): for adapters that declare these capabilities")
    if config.getoption("--songs-adapter") is None:
        return
    session: Any = importlib.import_module("songs_contract.harness.session")
    config.pluginmanager.register(importlib.import_module("songs_contract.harness.fixtures"), "songs_contract_fixtures")
    config.pluginmanager.register(session.ContractSession(config), "songs_contract_session")
