"""Not defects: storages that are written as far as the end of a chapter of the guide, and no further."""

from typing import Any, Never

from songs_memory.repositories import MemoryCoherence, MemoryRatings, MemorySessions, MemorySongs, MemoryUsers

from .planting import repositories


def _without(kind: type, *names: str) -> Any:
    def later(*_arguments: object, **_options: object) -> Never:
        raise NotImplementedError

    gone = names or [name for name in vars(kind) if not name.startswith("_")]
    return type(kind.__name__, (kind,), dict.fromkeys(gone, later))


_FIND = ("find", "count", "difficulty_totals")
_ACCOUNTS = {
    "users": _without(MemoryUsers),
    "sessions": _without(MemorySessions),
    "coherence": _without(MemoryCoherence),
}
_RATINGS = _without(MemoryRatings)

chapter_1 = repositories(songs=_without(MemorySongs), ratings=_RATINGS, **_ACCOUNTS)
chapter_2 = repositories(songs=_without(MemorySongs, *_FIND), ratings=_RATINGS, **_ACCOUNTS)
chapter_3 = repositories(ratings=_RATINGS, **_ACCOUNTS)
chapter_4 = repositories(**_ACCOUNTS)
