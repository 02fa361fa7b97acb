"""One run of the kit over one adapter: which tests apply, and what became of each clause."""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from songs_contract.clauses import clauses
from songs_contract.patience import bounded
from songs_contract.report import Report
from songs_contract.subject import UnknownAdapterError, find, place
from songs_plugins import AdapterSpec, Port

THOROUGH_FACTOR = 10
PATIENCE_S = 120.0


class ContractSession:
    """Selects the suites of the ports that the adapter offers, and collects outcomes by clause."""

    def __init__(self, config: pytest.Config) -> None:
        self.target: str = config.getoption("--songs-adapter")
        try:
            specs = find(self.target)
        except UnknownAdapterError as error:
            raise pytest.UsageError(str(error)) from error
        only = config.getoption("--songs-port")
        self.specs: dict[Port, AdapterSpec] = {s.port: s for s in specs if only in (None, s.port.value)}
        if not self.specs:
            msg = f"the adapter {self.target!r} does not offer the port {only!r}"
            raise pytest.UsageError(msg)
        self.thorough: bool = config.getoption("--songs-thorough")
        self.report = Report(self.target, tuple(self.specs.values()))
        self._only_clauses = set(config.getoption("--songs-clause") or ())
        unknown = self._only_clauses - clauses().keys()
        if unknown:
            msg = f"no port states the clause {', '.join(sorted(unknown))}"
            raise pytest.UsageError(msg)
        usual_s = PATIENCE_S * THOROUGH_FACTOR if self.thorough else PATIENCE_S
        self._patience_s: float = config.getoption("--songs-patience") or usual_s
        self._capabilities: dict[Port, object] = {}
        self._json = config.getoption("--songs-report-json")
        self._markdown = config.getoption("--songs-report-markdown")
        _load_profile(thorough=self.thorough, seeded=config.getoption("--songs-seed") is not None)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the suites of other ports, and tests of other clauses when some were asked for."""
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        for item in items:
            port = getattr(getattr(item, "module", None), "PORT", None)
            apply = port is None or port in self.specs
            wanted = not self._only_clauses or self._only_clauses & set(_clauses_of(item))
            (kept if apply and wanted else left).append(item)
        items[:] = kept
        if left:
            config.hook.pytest_deselected(items=left)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Skip what needs a capability that the adapter does not declare."""
        with bounded(self._patience_s):
            self._skip_unsupported(item)
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Bound the time that a test takes."""
        with bounded(self._patience_s):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Bound the time that closing takes."""
        with bounded(self._patience_s):
            return (yield)

    def capabilities(self, port: Port) -> object:
        """Return what the adapter declares once it is open: a server may lack what the descriptor hopes for."""
        if port not in self._capabilities:
            spec = self.specs[port]
            with tempfile.TemporaryDirectory() as folder, place(self.target, spec, Path(folder)) as subject:
                try:
                    self._capabilities[port] = getattr(subject.open(), "capabilities", spec.capabilities)
                except Exception:  # noqa: BLE001 - an adapter may raise anything; every test of it will say so
                    self._capabilities[port] = spec.capabilities
        return self._capabilities[port]

    def _skip_unsupported(self, item: pytest.Item) -> None:
        wanted = [capability for marker in item.iter_markers("requires") for capability in marker.args]
        port = getattr(getattr(item, "module", None), "PORT", None)
        if not wanted or port not in self.specs:
            return
        declared = self.capabilities(port)
        for capability in wanted:
            negated, name = capability.startswith("not "), capability.removeprefix("not ")
            if bool(getattr(declared, name, False)) is negated:
                pytest.skip(f"declared unsupported: {capability}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the outcome under the clauses of the test, and tell a failure which rule was broken."""
        outcome = yield
        ids = _clauses_of(item)
        if outcome.failed:
            text = "\n".join(f"{each}: {clauses()[each].text}" for each in ids)
            outcome.sections.append(("the contract", text))
        if outcome.when == "call" or outcome.outcome != "passed":
            self.report.note(f"{item.path.name}::{item.name}", ids, outcome)
        return outcome

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - pytest keeps its type private
        """Print the report, and write it where it was asked for."""
        terminalreporter.section("contract")
        terminalreporter.write_line(self.report.as_text())
        for path, text in ((self._json, self.report.as_json()), (self._markdown, self.report.as_markdown())):
            if path:
                Path(path).write_text(text + "\n", encoding="utf-8")


def _clauses_of(item: pytest.Item) -> list[str]:
    return [each for marker in item.iter_markers("clause") for each in marker.args]


def _load_profile(*, thorough: bool, seeded: bool) -> None:
    factor = THOROUGH_FACTOR if thorough else 1
    settings.register_profile(
        "songs_contract",
        # Explaining traces every line, which before Python 3.12 makes minutes of one failure of the state machine.
        phases=[phase for phase in Phase if phase is not Phase.explain],
        max_examples=40 * factor,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=not seeded,
        print_blob=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.load_profile("songs_contract")
