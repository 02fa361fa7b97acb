"""A small disk, which becomes full and is emptied again."""

import contextlib
import os
import random
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE_BYTES = 4096
LEFT_PAGES = 16
"""The most that a full disk has left at first: room for a part of what a write needs."""
REFILL_S = 0.01
LONGEST_EMPTY_S, LONGEST_FULL_S = 3.0, 1.0


@contextmanager
def repeating(pause_s: float, call: Callable[[], None]) -> Iterator[None]:
    """Call something again and again, from another thread, during the block."""
    stopping = threading.Event()

    def repeat() -> None:
        while not stopping.wait(pause_s):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


class SmallDisk:
    """A mounted file system of its own.

    Args:
        folder: Where it is mounted.

    Attributes:
        changes: How often it became full or was emptied: an odd number while it is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes = 0
        self._ballast = folder / "ballast"

    @classmethod
    @contextmanager
    def mounted(
        cls, size_mib: int, folder: Path | None = None, *, block_bytes: int | None = None
    ) -> Iterator["SmallDisk"]:
        """Mount one during the block, in a folder that other users may enter; skip the test if that is forbidden.

        Args:
            size_mib: Its size.
            folder: Where; a new folder, if there is none.
            block_bytes: The size of its blocks; by default those of the machine's memory.
        """
        with tempfile.TemporaryDirectory(prefix="songs-disk-") as made:
            place, image = folder or Path(made) / "disk", Path(made) / "image"
            Path(made).chmod(0o755)
            place.mkdir(exist_ok=True)
            commands = [["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "tmpfs", str(place)]]
            if block_bytes:
                image.touch()
                os.truncate(image, size_mib * 2**20)
                commands = [
                    ["mkfs.ext4", "-q", "-m", "0", "-b", str(block_bytes), str(image)],
                    ["mount", "-o", "loop", str(image), str(place)],
                ]
            for command in commands:
                if subprocess.run(command, capture_output=True, check=False).returncode:
                    pytest.skip("nothing may be mounted here")
            try:
                yield cls(place)
            finally:
                subprocess.run(["umount", "--lazy", str(place)], check=True)

    def fill(self, left_bytes: int = 0) -> None:
        """Leave no more room than this."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while (more := self._free_bytes() - left_bytes) > 0:
                ballast.write(b"x" * min(more, 2**20))

    def empty(self) -> None:
        """Remove what fills it."""
        self._ballast.unlink(missing_ok=True)

    @contextmanager
    def full(self, left_bytes: int | None = None) -> Iterator[None]:
        """Be full during the block, but for what others free, and this or a little room."""
        self.changes += 1
        self.fill(random.randint(0, LEFT_PAGES) * PAGE_BYTES if left_bytes is None else left_bytes)
        try:
            yield
        finally:
            self.empty()
            self.changes += 1

    @contextmanager
    def fought_over(self) -> Iterator[None]:
        """Have somebody else on it during the block, who takes whatever is free."""
        with repeating(REFILL_S, self.fill):
            yield

    @contextmanager
    def full_now_and_then(self) -> Iterator[None]:
        """Become full, with somebody else on it, and be emptied again, again and again during the block."""
        stopping = threading.Event()

        def fill_and_empty() -> None:
            while not stopping.wait(random.uniform(0, LONGEST_EMPTY_S)):
                with self.full(), self.fought_over():
                    stopping.wait(random.uniform(0, LONGEST_FULL_S))

        filling = threading.Thread(target=fill_and_empty, daemon=True)
        filling.start()
        try:
            yield
        finally:
            stopping.set()
            filling.join()

    def _free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize
