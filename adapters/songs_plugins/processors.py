"""How many processor cores this process may use: its CPU affinity, within the quotas of its control groups.

Read from the files of the kernel at every call, of both versions of control groups: a process is limited by the quota
of its own group and by those of all groups around it.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

MOST: Final = 256
_PROC: Final = Path("/proc/self")


def usable_cores(proc: Path = _PROC) -> int:
    """Return how many cores this process may use, from 1 to `MOST`; a part of a core counts as one.

    Args:
        proc: The folder of the process in ``/proc``.
    """
    cores = float(len(given_cores()) or os.cpu_count() or 1)
    return max(1, min(MOST, math.ceil(min([cores, *_quotas(proc)]))))


def given_cores() -> tuple[int, ...]:
    """Return the cores that this process may run on, in their order; empty where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


class _Hierarchy(NamedTuple):
    """A mounted hierarchy of control groups in which there may be quotas.

    Attributes:
        version: 1 or 2.
        root: The group that is mounted, as far as this process can name it.
        point: Where it is mounted.
    """

    version: int
    root: PurePosixPath
    point: Path


def _quotas(proc: Path) -> Iterator[float]:
    """Generate the quotas that hold for a process, in cores. Files that cannot be read are no quotas."""
    groups = dict(_groups(proc))
    for version, root, point in _hierarchies(proc):
        group = groups.get(version)
        for folder in _folders(point, root, group) if group is not None else ():
            quota = _quota_of_1(folder) if version == 1 else _quota_of_2(folder)
            if quota is not None:
                yield quota


def _groups(proc: Path) -> Iterator[tuple[int, PurePosixPath]]:
    """Generate the group of a process in each hierarchy that may have quotas: ``1:cpu,cpuacct:/a``, ``0::/a``."""
    for line in _lines(proc / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield 2, PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            yield 1, PurePosixPath(path)


def _hierarchies(proc: Path) -> Iterator[_Hierarchy]:
    """Generate the hierarchies that are mounted: ``id parent device ROOT POINT ... - TYPE source OPTIONS``."""
    for line in _lines(proc / "mountinfo"):
        mount, _, kind = line.partition(" - ")
        fields, kinds = mount.split(" "), kind.split(" ")
        if len(fields) < 5 or len(kinds) < 3:  # noqa: PLR2004 - as the docstring has it
            continue
        version = {"cgroup2": 2, "cgroup": 1}.get(kinds[0])
        if version == 2 or (version == 1 and "cpu" in kinds[2].split(",")):  # noqa: PLR2004
            yield _Hierarchy(version, PurePosixPath(_unescaped(fields[3])), Path(_unescaped(fields[4])))


def _folders(point: Path, root: PurePosixPath, group: PurePosixPath) -> Iterator[Path]:
    """Generate the folders of a group and of those around it, as far up as is mounted."""
    # In a namespace of its own a process may see a root that is not above its group: what is mounted is its group then.
    below = group.relative_to(root) if group.is_relative_to(root) and ".." not in group.parts else PurePosixPath()
    folder = point / below
    yield folder
    while folder != point:
        folder = folder.parent
        yield folder


def _quota_of_1(folder: Path) -> float | None:
    return _ratio(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))


def _quota_of_2(folder: Path) -> float | None:
    allowed, _, period = _text(folder / "cpu.max").partition(" ")
    return _ratio(allowed, period)


def _ratio(allowed: str, period: str) -> float | None:
    """Return a quota in cores; None where none is set (``max``, ``-1``, no file)."""
    try:
        microseconds, of = int(allowed), int(period)
    except ValueError:
        return None
    return microseconds / of if microseconds > 0 and of > 0 else None


def _lines(file: Path) -> list[str]:
    return _text(file).splitlines()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").strip("\n")
    except OSError:
        return ""


def _unescaped(text: str) -> str:
    """Return a path of ``mountinfo``, in which blanks and backslashes are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
