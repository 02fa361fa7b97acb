"""The former place of `songs.ports.clock`, kept for one release."""

import warnings

from songs.ports.clock import Deadline

__all__ = ["Deadline"]

warnings.warn("songs.deadline has moved: import from songs.ports.clock", DeprecationWarning, stacklevel=2)
