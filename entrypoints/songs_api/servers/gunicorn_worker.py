"""gunicorn's worker with threads, which repeats nothing of a request that it cannot read."""

from typing import Any, Final

from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

_QUIET: Final[dict[type, type[BaseException]]] = {
    kind: type(kind.__name__, (kind,), {"__str__": lambda self: type(self).__name__})
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Refuses what is no HTTP as gunicorn does, without the line that was wrong: there may be a token in it."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ANN401 - gunicorn's
        """Answer and log an error."""
        super().handle_error(req, client, addr, untold(exc))


def untold(error: BaseException) -> BaseException:
    """Return an error like one of gunicorn's about a request, whose text is its name; any other as it is."""
    quiet = _QUIET.get(type(error))
    if quiet is None:
        return error
    like: BaseException = quiet.__new__(quiet)
    like.__dict__.update(error.__dict__)
    return like
