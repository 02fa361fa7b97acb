"""One run of the kit over one adapter: which tests apply, in which order, and what became of each clause."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure

from songs_contract.harness import preflight
from songs_contract.harness.preflight import FirstSteps, FirstStepsItem
from songs_contract.harness.subject import UnknownAdapterError, end_fixtures, find
from songs_contract.harness.timing import bounded
from songs_contract.law import chapter_of, clauses, place_of
from songs_contract.models.state_model import first_seen
from songs_contract.report import explanations
from songs_contract.report.explanations import OutOfPatience
from songs_contract.report.report import ExpectedFailuresError, Noted, Report, read_expected
from songs_plugins import AdapterSpec, Port

THOROUGH_FACTOR: Final = 10
PATIENCE_S: Final = 120.0
_NOTED: Final = "songs_contract"


class ContractSession:
    """Selects the suites of the ports that the adapter offers, and collects outcomes by clause."""

    def __init__(self, config: pytest.Config) -> None:
        self.target: str = config.getoption("--songs-adapter")
        expected = config.getoption("--songs-xfail")
        try:
            specs = find(self.target)
            self._expected = read_expected(Path(expected)) if expected else {}
        except (UnknownAdapterError, ExpectedFailuresError) as error:
            raise pytest.UsageError(str(error)) from error
        only = config.getoption("--songs-port")
        self.offered: dict[Port, AdapterSpec] = {s.port: s for s in specs}
        self.specs = {port: spec for port, spec in self.offered.items() if only in (None, port.value)}
        if not self.specs:
            msg = f"the adapter {self.target!r} does not offer the port {only!r}"
            raise pytest.UsageError(msg)
        self.thorough: bool = config.getoption("--songs-thorough")
        self._only_clauses = set(config.getoption("--songs-clause") or ())
        unknown = self._only_clauses - clauses().keys()
        if unknown:
            msg = f"no port states the clause {', '.join(sorted(unknown))}"
            raise pytest.UsageError(msg)
        whole = not self._only_clauses and not config.getoption("maxfail")
        self.report = Report(self.target, tuple(self.specs.values()), self._expected.values() if whole else ())
        usual_s = PATIENCE_S * THOROUGH_FACTOR if self.thorough else PATIENCE_S
        self._patience_s: float = config.getoption("--songs-patience") or usual_s
        self._first_steps: dict[Port, FirstSteps] = {}
        self._tells = config.getoption("tbstyle") == "no"
        self._json = config.getoption("--songs-report-json")
        self._markdown = config.getoption("--songs-report-markdown")
        _load_profile(thorough=self.thorough, seeded=config.getoption("--songs-seed") is not None)

    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out what does not apply, put the rest into the order of the guide, and the first steps before it."""
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        for item in items:
            port = _port_of(item)
            apply = port is None or port in self.specs
            wanted = not self._only_clauses or self._only_clauses & set(_clauses_of(item))
            (kept if apply and wanted else left).append(item)
        kept.sort(key=lambda item: place_of(_chapter_of(item, _clauses_of(item))))
        for item in kept:
            item.user_properties += [("clause", each) for each in _clauses_of(item)]
        steps = [
            FirstStepsItem.from_parent(session, name=f"first_steps[{port}]", port=port)
            for port in self.specs
            if any(_port_of(item) is port for item in kept)
        ]
        items[:] = [*steps, *kept]
        if left:
            config.hook.pytest_deselected(items=left)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Skip what cannot be tested, and what needs a capability that the adapter does not declare."""
        with bounded(self._patience_s):
            self._skip(item)
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """Bound the time that a test takes, and raise what hypothesis could not repeat as what it is."""
        with bounded(self._patience_s):
            try:
                return (yield)
            except FlakyFailure as error:
                raise first_seen(error) from None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Bound the time that closing takes."""
        with bounded(self._patience_s):
            return (yield)

    def capabilities(self, port: Port) -> object:
        """Return what the adapter declares once it is open: a server may lack what the descriptor hopes for."""
        return self.first_steps(port).capabilities

    def first_steps(self, port: Port) -> FirstSteps:
        """Return what came of the first steps, which are taken once in a process."""
        if port not in self._first_steps:
            self._first_steps[port] = preflight.take(self.target, self.specs[port])
        return self._first_steps[port]

    def works_after_all(self, port: Port) -> list[str]:
        """Return what the adapter denies and has all the same; nothing when only some clauses are asked about."""
        if self._only_clauses:
            return []
        return preflight.works_after_all(self.target, self.specs[port], self.capabilities(port))

    def _skip(self, item: pytest.Item) -> None:
        port = _port_of(item)
        if port not in self.specs:
            return
        found = self.first_steps(port)
        if found.obstacle is not None:
            pytest.skip(f"not tested: {found.obstacle.step} failed")
        for capability in [each for marker in item.iter_markers("requires") for each in marker.args]:
            negated, name = capability.startswith("not "), capability.removeprefix("not ")
            if bool(getattr(found.capabilities, name, False)) is negated:
                pytest.skip(f"declared unsupported: {capability}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the outcome under the clauses of the test, and tell a failure which rule was broken."""
        outcome = yield
        ids, lesson, timed_out = _clauses_of(item), None, False
        if outcome.failed and call.excinfo is not None:
            ids = getattr(call.excinfo.value, "clauses", None) or ids
            timed_out = isinstance(call.excinfo.value.__cause__ or call.excinfo.value, OutOfPatience)
            # A lesson shows the text of the first ones: those that were asked about.
            ids = sorted(ids, key=lambda each: each not in self._only_clauses)
            lesson = explanations.lesson_of(item, ids, call.excinfo, _chapter_of(item, ids))
            known = [self._expected[each] for each in ids if each in self._expected]
            if known:
                outcome.outcome, outcome.wasxfail = "skipped", known[0].reason
                ids = [each.clause for each in known]
            elif self._tells:
                outcome.longrepr = lesson.as_text()
            else:
                outcome.sections.append(("the contract", lesson.as_text()))
        if outcome.when == "call" or outcome.outcome != "passed":
            noted = Noted.of(outcome, f"{item.path.name}::{item.name}", ids, lesson, timed_out=timed_out)
            if isinstance(item, FirstStepsItem):
                noted.works_after_all = [f"{item.port.value}: {each}" for each in item.works_after_all]
            # In the report's own members it travels from a worker of pytest-xdist to the process that reports.
            outcome.__dict__[_NOTED] = noted.as_dict()
        return outcome

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what was noted, in this process or in a worker's."""
        noted = report.__dict__.get(_NOTED)
        if noted is not None:
            self.report.note(Noted.from_dict(noted))

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        """Tell expected and got apart."""
        return explanations.compared(left, right) if op == "==" and self._tells else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let the run fail for a stale line in the file of expected failures."""
        if (
            not hasattr(session.config, "workerinput")
            and self.report.stale
            and session.exitstatus == pytest.ExitCode.OK
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """End what a target that is a fixture began."""
        end_fixtures()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - pytest keeps its type private
        """Print the lessons and the report, and write it where it was asked for."""
        if self._tells:
            for title, text in self.report.lessons():
                terminalreporter.section(title, sep="-")
                terminalreporter.write_line(text)
        terminalreporter.section("contract")
        terminalreporter.write_line(self.report.as_text())
        for path, text in ((self._json, self.report.as_json()), (self._markdown, self.report.as_markdown())):
            if path:
                Path(path).write_text(text + "\n", encoding="utf-8")


def _port_of(item: pytest.Item) -> Port | None:
    return getattr(getattr(item, "module", None), "PORT", None)


def _clauses_of(item: pytest.Item) -> list[str]:
    return _marked(item, "clause")


def _chapter_of(item: pytest.Item, ids: list[str]) -> str:
    return chapter_of(ids + _marked(item, "builds_on"))


def _marked(item: pytest.Item, name: str) -> list[str]:
    return [each for marker in item.iter_markers(name) for each in marker.args]


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
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.load_profile("songs_contract")
