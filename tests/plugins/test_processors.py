"""How many cores a process may use, by its affinity and the control groups of both versions."""

import os
from pathlib import Path

import pytest

from songs_api.settings.service import default_workers
from songs_plugins.processors import MOST, usable_cores
from songs_security.bcrypt_plugin import BcryptSettings


@pytest.fixture(autouse=True)
def five_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on five cores, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(5)), raising=False)


class _Machine:
    """The files of a machine's kernel: mounted hierarchies, the process's groups, their quotas."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.proc.mkdir()
        self._folder = folder
        self._mounts = ["23 1 0:22 / /proc rw - proc proc rw"]
        self._groups = ["9:name=systemd:/elsewhere"]

    def mount(self, version: int, point: str, root: str = "/", options: str = "rw,cpu,cpuacct") -> None:
        """Mount a hierarchy."""
        where = str(self._folder / point).replace(" ", "\\040")
        kind = "cgroup2 cgroup2 rw,nsdelegate" if version == 2 else f"cgroup cgroup {options}"
        self._mounts.append(f"42 31 0:30 {root} {where} rw,relatime shared:9 master:2 - {kind}")
        (self._folder / point).mkdir(parents=True)

    def join(self, version: int, group: str, controllers: str = "cpu,cpuacct") -> None:
        """Put the process into a group."""
        self._groups.append(f"0::{group}" if version == 2 else f"4:{controllers}:{group}")

    def limit(self, folder: str, **files: str) -> None:
        """Write the files of a group."""
        (self._folder / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self._folder / folder / f"cpu.{name}").write_text(f"{text}\n")

    def cores(self) -> int:
        """Return how many cores the process may use."""
        (self.proc / "mountinfo").write_text("\n".join(self._mounts) + "\n")
        (self.proc / "cgroup").write_text("\n".join(self._groups) + "\n")
        return usable_cores(self.proc)


@pytest.fixture
def machine(tmp_path: Path) -> _Machine:
    """A machine without control groups."""
    return _Machine(tmp_path)


QUOTAS = [(150_000, 100_000, 2), (200_000, 100_000, 2), (50_000, 100_000, 1), (1_000, 1_000_000, 1), (900_000, 10, 5)]


@pytest.mark.parametrize(("allowed", "period", "cores"), QUOTAS)
def test_a_quota_of_each_version(tmp_path: Path, allowed: int, period: int, cores: int) -> None:
    """A part of a core counts as one; a quota of more than there are cores changes nothing."""
    for version in (1, 2):
        (tmp_path / str(version)).mkdir()
        machine = _Machine(tmp_path / str(version))
        machine.mount(version, "sys/cpu")
        machine.join(version, "/")
        if version == 1:
            machine.limit("sys/cpu", cfs_quota_us=str(allowed), cfs_period_us=str(period))
        else:
            machine.limit("sys/cpu", max=f"{allowed} {period}")

        assert machine.cores() == cores


@pytest.mark.parametrize("text", ["max 100000", "max", "", "0 100000", "1 0", "x y", "-5 100000", "100000"])
def test_what_is_no_quota_of_version_2(machine: _Machine, text: str) -> None:
    """No quota, or none that can be read, limits nothing."""
    machine.mount(2, "sys")
    machine.join(2, "/")
    machine.limit("sys", max=text)
    assert machine.cores() == 5


@pytest.mark.parametrize("texts", [("-1", "100000"), ("", "100000"), ("100000", ""), ("100000", "0"), ("x", "y")])
def test_what_is_no_quota_of_version_1(machine: _Machine, texts: tuple[str, str]) -> None:
    """The same."""
    machine.mount(1, "sys")
    machine.join(1, "/")
    machine.limit("sys", cfs_quota_us=texts[0], cfs_period_us=texts[1])
    assert machine.cores() == 5


@pytest.mark.parametrize("limited", ["", "/slice", "/slice/service", "/slice/service/own group"])
def test_every_group_around_it_limits(tmp_path: Path, limited: str) -> None:
    """The least of the quotas from the process's own group to the root of what is mounted counts."""
    for version in (1, 2):
        (tmp_path / str(version)).mkdir()
        machine = _Machine(tmp_path / str(version))
        machine.mount(version, "sys fs/cgroup/cpu,cpuacct")
        machine.join(version, "/slice/service/own group")
        for group, quota in [("/slice", 400_000), ("/slice/service/own group", 300_000), (limited, 200_000)]:
            folder = f"sys fs/cgroup/cpu,cpuacct{group}"
            if version == 1:
                machine.limit(folder, cfs_quota_us=str(quota), cfs_period_us="100000")
            else:
                machine.limit(folder, max=f"{quota} 100000")
        machine.limit("sys fs/cgroup/cpu,cpuacct/neighbour", max="1000 100000", cfs_quota_us="1000")

        assert machine.cores() == 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_that_sees_the_names_of_its_host(machine: _Machine, version: int) -> None:
    """Its group is what is mounted, under another name."""
    machine.mount(version, "sys", root="/docker/abc")
    machine.join(version, "/docker/abc/inner")
    machine.limit("sys", max="300000 100000", cfs_quota_us="300000", cfs_period_us="100000")
    machine.limit("sys/inner", max="200000 100000", cfs_quota_us="200000", cfs_period_us="100000")
    assert machine.cores() == 2


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("names", [("/", "/../../system.slice"), ("/..", "/"), ("/docker/abc", "/"), ("/a", "/ab")])
def test_a_namespace_in_which_the_names_say_nothing(machine: _Machine, version: int, names: tuple[str, str]) -> None:
    """Then what is mounted is taken for its group."""
    machine.mount(version, "sys", root=names[0])
    machine.join(version, names[1])
    machine.limit("sys", max="200000 100000", cfs_quota_us="200000", cfs_period_us="100000")
    assert machine.cores() == 2


def test_both_versions_at_once(machine: _Machine) -> None:
    """Systems that mount both have their quotas in one of them; the least counts."""
    machine.mount(1, "sys/cpuset", options="rw,cpuset")
    machine.mount(1, "sys/cpu")
    machine.mount(2, "sys/unified")
    machine.join(1, "/a", controllers="cpuset")
    machine.join(1, "/b")
    machine.join(2, "/c")
    machine.limit("sys/cpu/b", cfs_quota_us="300000", cfs_period_us="100000")
    machine.limit("sys/cpuset/a", cfs_quota_us="100000", cfs_period_us="100000")
    assert machine.cores() == 3
    machine.limit("sys/unified/c", max="200000 100000")
    assert machine.cores() == 2


@pytest.mark.parametrize("text", ["", "\n\n", "rubbish", "1 2 3 4 - cgroup", "\x00" * 10, "1:cpu", "::::", " - "])
def test_files_that_say_nothing(machine: _Machine, text: str) -> None:
    """Whatever the kernel writes, the affinity is left."""
    for name in ("mountinfo", "cgroup"):
        (machine.proc / name).write_text(text)
    assert usable_cores(machine.proc) == 5
    assert usable_cores(machine.proc / "missing") == 5


def test_a_very_large_machine_has_as_many_as_may_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is picked is never refused afterwards."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000)), raising=False)
    assert usable_cores(tmp_path) == MOST


def test_workers_and_hashes_go_by_one_count(machine: _Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota decides how many processes serve, and how many hashes one of them computes at once."""
    machine.mount(1, "sys")
    machine.join(1, "/")
    machine.limit("sys", cfs_quota_us="200000", cfs_period_us="100000")
    assert machine.cores() == 2
    monkeypatch.setattr(usable_cores, "__defaults__", (machine.proc,))

    assert BcryptSettings().concurrency == 2
    assert default_workers({}) == 2
