"""What processes count is kept in files that may fail in any way, and is added up once."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from songs_api.telemetry import snapshots as module
from songs_api.telemetry.metrics import Metrics
from songs_api.telemetry.snapshots import Snapshots

WRITER = """
import sys
from songs_api.telemetry.snapshots import Snapshots
own = Snapshots(sys.argv[1])
own.take()
for number in range(1, 10**9):
    own.write({"number": number, "filler": "x" * (number % 50_000)})
    if number == 1:
        print("begun", flush=True)
"""


def _read(folder: Path) -> list[module.Snapshot]:
    return list(Snapshots(str(folder)).others())


def _count(metrics: Metrics, status: str = "200") -> float:
    text = metrics.exposition().decode()
    (found,) = re.findall(rf'songs_request_duration_seconds_count{{[^}}]*status="{status}"}} (\S+)', text) or ["0"]
    return float(found)


def _metrics(folder: Path) -> Metrics:
    return Metrics(str(folder))


@contextmanager
def _no_growth() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_each_process_has_a_place_and_who_follows_takes_it_over(tmp_path: Path) -> None:
    """As many files as processes at once; what one of before counted comes with its place."""
    first, second = Snapshots(str(tmp_path)), Snapshots(str(tmp_path))
    assert (first.take(), second.take()) == (None, None)
    first.write({"of": "first"})
    second.write({"of": "second"})
    assert list(first.others()) == [{"of": "second"}]

    first.close()
    third = Snapshots(str(tmp_path))

    assert third.take() == {"of": "first"}
    assert len(list(tmp_path.iterdir())) == 6


def test_a_kill_in_the_middle_leaves_what_was_whole(tmp_path: Path) -> None:
    """Twenty writers killed at any moment: the next one finds a whole snapshot, never an older one than was shown."""
    newest = 0
    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        with writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            (shown,) = _read(tmp_path)
            writer.kill()
        (found,) = _read(tmp_path)
        assert found["number"] >= shown["number"] >= 1
        newest = max(newest, found["number"])
    assert newest > 1


def test_readers_see_whole_snapshots(tmp_path: Path) -> None:
    """While another process writes, each reading finds one, and numbers never go back."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        numbers = []
        for _ in range(300):
            # None: both halves were being written while they were read.
            numbers += [found["number"] for found in _read(tmp_path)]
        writer.kill()

    assert len(numbers) > 150
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 70_000, b"songs/1\n" + b"\0" * 20, b"songs/1\n" + b"\xff" * 40])
def test_garbage_is_left_out(tmp_path: Path, damage: bytes) -> None:
    """Whatever somebody put there, and nothing is mapped: what is counted goes on."""
    first, second = _metrics(tmp_path), _metrics(tmp_path)
    for metrics in (first, second):
        metrics.requests({("GET", "/", "200"): [0.1]})
        metrics.publish()
    assert (_count(first), _count(second)) == (2, 2)

    for file in tmp_path.iterdir():
        file.write_bytes(damage)
    assert (_count(first), _count(second)) == (1, 1)

    for metrics in (first, second):
        metrics.requests({("GET", "/", "200"): [0.1]})
        metrics.publish()
    assert (_count(first), _count(second)) == (4, 4)


def test_json_of_another_version_is_left_out(tmp_path: Path) -> None:
    """Whole, and not what is expected."""
    other = Snapshots(str(tmp_path))
    other.take()
    metrics = _metrics(tmp_path)
    metrics.requests({("GET", "/", "200"): [0.1]})
    for snapshot in ({"x": 1}, {"record": "x", "families": 3}, {"families": {"a": [[1]]}}):
        other.write(snapshot)

        assert _count(metrics) == 1


def test_a_full_disk_is_told_once_and_what_was_reserved_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when keeping fails, however often, and one when it works; nothing that was counted is lost."""
    metrics, other = _metrics(tmp_path), _metrics(tmp_path)
    with _no_growth():
        for _ in range(5):
            metrics.requests({("GET", "/", "200"): [0.1]})
            metrics.publish()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be kept" in caplog.text
    assert (_count(metrics), _count(other)) == (5, 0)

    metrics.publish()
    metrics.publish()

    assert len(caplog.records) == 2
    assert "kept again" in caplog.text
    assert (_count(metrics), _count(other)) == (5, 5)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves nothing")
def test_room_is_reserved(tmp_path: Path) -> None:
    """Files are not sparse: what will be written in them has its blocks from the beginning."""
    own = Snapshots(str(tmp_path))
    own.take()

    halves = [tmp_path / f"0.{half}" for half in (0, 1)]
    assert all(half.stat().st_blocks * 512 >= half.stat().st_size >= 256 * 1024 for half in halves)


def test_metrics_of_several_processes_are_added(tmp_path: Path) -> None:
    """Counters, histograms with all their buckets, and the newest record; one that ended counts on in the next."""
    first, second = _metrics(tmp_path), _metrics(tmp_path)
    first.requests({("GET", "/", "200"): [0.1, 9.0]})
    second.requests({("GET", "/", "200"): [0.1], ("POST", "/", "201"): [0.2]})
    second.coherence(7, cache_on=False)
    first.coherence(6, cache_on=True)
    for metrics in (second, first):
        metrics.collect()
        metrics.publish()
    first.coherence(8, cache_on=True)
    first.collect()
    first.publish()
    before = [line for line in second.exposition().decode().splitlines() if "songs_build" not in line]

    assert first._shared is not None
    first._shared.close()
    third = _metrics(tmp_path)
    third.publish()

    text = third.exposition().decode()
    assert [line for line in text.splitlines() if "songs_build" not in line] == before
    assert 'songs_request_duration_seconds_count{method="GET",route="/",status="200"} 3.0' in text
    assert 'songs_request_duration_seconds_bucket{le="0.1",method="GET",route="/",status="200"} 2.0' in text
    assert 'songs_request_duration_seconds_bucket{le="+Inf",method="GET",route="/",status="200"} 3.0' in text
    assert "songs_coherence_epoch 8.0" in text


def test_the_latest_record_of_all_processes_is_shown(tmp_path: Path) -> None:
    """The one of the latest epoch, though another process counted an older one after it."""
    first, second = _metrics(tmp_path), _metrics(tmp_path)
    first.coherence(3, cache_on=True)
    second.coherence(2, cache_on=False)
    for metrics in (first, second):
        metrics.collect()
        metrics.publish()

    for metrics in (first, second):
        text = metrics.exposition().decode()
        assert "songs_coherence_epoch 3.0" in text
        assert "songs_coherence_cache_on 1.0" in text


def test_nothing_is_mapped_even_where_the_client_would(tmp_path: Path) -> None:
    """The client's own variable names a folder, as on every server with several processes."""
    script = (
        "import sys; from songs_api.telemetry.metrics import Metrics;"
        "m = Metrics(sys.argv[1]); m.cache_read('hit'); m.collect(); m.publish();"
        "assert sys.argv[1] not in open('/proc/self/maps').read()"
    )
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=variables, check=True)

    assert not list(tmp_path.glob("*.db"))
