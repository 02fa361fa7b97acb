"""How much work a call is, in figures that do not depend on the machine or on what else it does."""

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

TOLERANCE: Final = 0.10

Work = dict[str, int]
"""Function calls, of Python and of C, and instructions of Python's virtual machine."""


def work(call: Callable[[], object], *, times: int = 10) -> Work:
    """Return how much work a call is: the least of `times`, since now and then something is due, such as a refresh."""
    counted = [_counted(call) for _ in range(times)]
    return {name: min(one[name] for one in counted) for name in counted[0]}


def excess(measured: Work, budget: Mapping[str, int]) -> list[str]:
    """Return where `measured` is above `budget` by more than `TOLERANCE`."""
    return [
        f"{measured[name]} {name}, where {allowed} are budgeted: {measured[name] / allowed - 1:+.0%}"
        for name, allowed in budget.items()
        if measured[name] > allowed * (1 + TOLERANCE)
    ]


def _counted(call: Callable[[], object]) -> Work:
    calls = instructions = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal instructions
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        instructions += event == "opcode"
        return trace

    # What measures coverage uses the same two hooks.
    before = sys.getprofile(), sys.gettrace()
    sys.settrace(None)
    try:
        sys.setprofile(profile)
        call()
        sys.setprofile(None)
        sys.settrace(trace)
        call()
    finally:
        sys.setprofile(before[0])
        sys.settrace(before[1])
    return {"calls": calls, "instructions": instructions}
