"""What the service is to reach, and whether it did. Ratios are of CPU time per request, within one run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

HELLO: Final = "falcon hello, granian"
FASTAPI: Final = "fastapi in memory, uvicorn"
FLASK: Final = "flask with redis, gunicorn"
ROUND_TRIP: Final = "redis round trip, granian"
SQLITE: Final = "sqlite, granian"
REDIS: Final = "sqlite with redis, granian"

Cpu = Callable[[str, str], float]
"""Returns the CPU microseconds of a subject's operation; raises KeyError where it was not measured."""
Growth = Callable[[str, int, str], float]
"""Returns the CPU microseconds of a storage's operation at a size; raises KeyError as well."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure with its bound."""

    name: str
    figure: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure keeps to the bound."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def targets(cpu: Cpu, growth: Growth, other: dict[str, float]) -> tuple[list[Target], list[str]]:
    """Return the targets with their figures, and the names of those that were not measured."""
    found: list[Target] = []
    missing: list[str] = []

    def add(name: str, figure: Callable[[], float], bound: float, *, at_least: bool = True) -> None:
        try:
            found.append(Target(name, figure(), bound, at_least))
        except KeyError:
            missing.append(name)

    def times(one: tuple[str, str], other_one: tuple[str, str]) -> float:
        return cpu(*one) / cpu(*other_one)

    def grown(storage: str, operation: str, smaller: int) -> float:
        return growth(storage, 1_000_000, operation) / growth(storage, smaller, operation)

    def per_second(storage: str) -> float:
        return 1e6 / cpu(f"{storage}, granian", "search")

    hello = (HELLO, "hello")
    for operation, of_hello, of_fastapi in (("stats", 0.70, 8), ("list", 0.55, 8), ("rate", 0.45, 6)):
        ours = ("memory, granian", operation)
        add(f"memory, {operation}: share of bare Falcon", partial(times, hello, ours), of_hello)
        add(f"memory, {operation}: times FastAPI", partial(times, (FASTAPI, operation), ours), of_fastapi)
    add("sqlite, stats: share of bare Falcon", partial(times, hello, (SQLITE, "stats")), 0.30)
    add("sqlite, rate: CPU us above bare SQL", lambda: cpu(SQLITE, "rate") - other["bare sql us"], 60, at_least=False)
    cached = (REDIS, "stats")
    add("redis, cached stats: share of a round trip", partial(times, (ROUND_TRIP, "hello"), cached), 0.80)
    add("redis, cached stats: times Flask", partial(times, (FLASK, "stats"), cached), 6)
    for storage in ("memory", "sqlite"):
        add(f"{storage}, selective search: requests a second of CPU", partial(per_second, storage), 5_000)
        name = f"{storage}, selective search at 1,000,000 songs: times the CPU at 26,229"
        add(name, partial(grown, storage, "search", 26_229), 3, at_least=False)
        for operation in ("list by cursor", "stats", "get", "rate"):
            name = f"{storage}, {operation} at 1,000,000 songs: times the CPU at 1,000"
            add(name, partial(grown, storage, operation, 1_000), 1.15, at_least=False)
    add("memory: bytes a song", lambda: other["bytes per song"], 1_229, at_least=False)
    add("songs demo: seconds to its first answer", lambda: other["demo start s"], 1.0, at_least=False)
    return found, missing
