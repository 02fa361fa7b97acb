"""The former place of `songs.ports.meter`, kept for one release."""

import warnings

from songs.ports.meter import UNMETERED, CacheOutcome, Meter, Unmetered

__all__ = ["UNMETERED", "CacheOutcome", "Meter", "Unmetered"]

warnings.warn("songs.meter has moved: import from songs.ports.meter", DeprecationWarning, stacklevel=2)
