"""What is measured, and how each of it is started."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ALL: Final = ("stats", "get", "list", "page", "search", "rate")
PREFIX: Final = "/api/v1"


@dataclass(frozen=True, slots=True)
class Subject:
    """One service on one server."""

    name: str
    command: tuple[str, ...]
    operations: tuple[str, ...] = ALL
    environment: dict[str, str] = field(default_factory=dict)
    needs_redis: bool = False


def _on_our_servers(name: str, *, redis: bool = False, only: tuple[str, ...] = ALL, **options: str) -> Subject:
    arguments = [f"--{option}={value}" for option, value in options.items()]
    paths = ("--port={port}", "--catalogue={catalogue}", "--ready={ready}", *(("--redis={redis}",) if redis else ()))
    command = (sys.executable, str(HERE / "service.py"), *arguments, *paths)
    return Subject(name, command, only, needs_redis=redis)


_ELSEWHERE: Final = {"BENCHMARK_CATALOGUE": "{catalogue}", "BENCHMARK_READY": "{ready}", "PYTHONPATH": str(HERE)}
_FASTAPI: Final = ("-m", "uvicorn", "comparisons.fastapi_memory:app", "--port={port}", "--no-access-log")
_FLASK: Final = ("-m", "gunicorn", "comparisons.flask_redis:app", "--bind=127.0.0.1:{port}", "--threads=8")
HELLO: Final = ("hello",)

SUBJECTS: Final = (
    _on_our_servers("memory, granian", storage="memory", cache="memory"),
    _on_our_servers("memory without a cache, granian", storage="memory"),
    _on_our_servers("sqlite, granian", storage="sqlite"),
    _on_our_servers("sqlite with redis, granian", storage="sqlite", cache="redis", redis=True),
    _on_our_servers("memory, gunicorn", storage="memory", cache="memory", server="gunicorn"),
    _on_our_servers("falcon hello, granian", application="falcon_hello", only=HELLO),
    _on_our_servers("falcon hello, gunicorn", application="falcon_hello", server="gunicorn", only=HELLO),
    _on_our_servers("redis round trip, granian", application="redis_round_trip", redis=True, only=HELLO),
    Subject("fastapi in memory, uvicorn", (sys.executable, *_FASTAPI), environment=_ELSEWHERE),
    Subject(
        "flask with redis, gunicorn",
        (sys.executable, *_FLASK),
        environment={**_ELSEWHERE, "BENCHMARK_REDIS": "{redis}"},
        needs_redis=True,
    ),
)
