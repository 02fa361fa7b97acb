"""No interleaving of reads, writes, failures and time shows an old state after a write was answered.

Whenever a process asks cache or storage, or waits, others may act, and time may pass, as chance will have it.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from songs.errors import Unavailable

DEEPEST = 4
STEPS = 80

# What may happen, how often, and to which process or for how long.
ACTIONS: list[tuple[str, int, list[Any]]] = [
    ("nothing", 12, [None]),
    ("read", 6, [0, 0, 1, 2, 3]),
    ("write", 3, [0, 1, 1, 2, 3, 4]),
    ("time", 6, [0.1, 0.3, 0.45, 0.6, 0.9, 1.15, 4.0, 4.0, 10.0]),
    ("cut off", 1, [0, 1, 1, 2]),
    ("reach", 1, [0, 1, 2]),
    ("move", 2, [(0, 1), (0, 0), (1, 1), (1, 0), (2, 0)]),
    ("all move", 1, [0, 1]),
    ("lose everything", 1, [0, 0, 1, 2]),
    ("storage fails", 1, [None]),
    ("storage does not answer", 1, [None]),
]


@dataclass
class World:
    """What is true, and what was promised.

    Attributes:
        processes: Those that share a cache come first, and may move to other servers each alone; see `new_world`.
        chance: Says what happens next, wherever something can.
        truth: How many writes the storage has.
        answered: The latest write whose client has its answer.
    """

    processes: list[Any]
    clock: Any
    storage: Any
    servers: Any
    chance: random.Random
    steps: int = STEPS
    truth: int = 0
    answered: int = 0
    depth: int = 0
    told: list[str] = field(default_factory=list)

    def others_act(self) -> None:
        """Take the next step, unless too many calls are under way already."""
        if self.steps > 0 and self.depth < DEEPEST:
            self.depth += 1
            try:
                self.step()
            finally:
                self.depth -= 1

    def step(self) -> None:
        """Do what chance says."""
        self.steps -= 1
        (chosen,) = self.chance.choices(ACTIONS, weights=[weight for _, weight, _ in ACTIONS])
        self.act(chosen[0], self.chance.choice(chosen[2]))

    def act(self, what: str, which: Any) -> None:
        """Do one thing."""
        if what != "nothing":
            self.told.append(f"{self.clock.now_s - 1000:.2f} {'  ' * self.depth}{what} {which}")
        match what:
            case "read":
                self.read(self.processes[which])
            case "write":
                self.write(self.processes[which])
            case "time":
                self.clock.advance(which)
            case "storage fails":
                self.storage.before.append(Unavailable())
            case "storage does not answer":
                self.storage.after.append(Unavailable())
            case _:
                self.befall(what, which)

    def befall(self, what: str, which: Any) -> None:
        """Do something to the caches, or to the ways that lead to them."""
        match what:
            case "cut off" | "reach":
                self.processes[which].cache.down = what == "cut off"
            case "move":
                self.processes[which[0]].cache.inner = self.servers[which[1]]
            case "all move":
                for process in self.processes[:3]:
                    process.cache.inner = self.servers[which]
            case "lose everything":
                self.servers[which].close()
                self.servers[which].open()

    def read(self, process: Any) -> None:
        """Read, and compare with what was promised before."""
        promised = self.answered

        def load() -> bytes:
            self.others_act()
            found = self.truth
            self.others_act()
            return str(found).encode()

        try:
            found = int(process.read(load))
        except Unavailable:
            return
        assert found >= promised, "\n".join([*self.told, f"read {found} though {promised} was answered"])

    def write(self, process: Any) -> None:
        """Write; without an error the client has its answer."""
        self.others_act()
        self.truth += 1
        mine = self.truth
        self.others_act()
        try:
            process.wrote()
        except Unavailable:
            return
        self.answered = max(self.answered, mine)


def _live(world: World) -> None:
    # In half of the histories the cache is on when they begin.
    for _ in range(world.chance.choice([0, 2])):
        for process in world.processes[:3]:
            world.read(process)
        world.clock.advance(1.1)
    for process in world.processes:
        world.read(process)
    while world.steps > 0:
        world.step()
    # In the end all is well, and everyone sees the last write.
    world.storage.before.clear()
    world.storage.after.clear()
    for process in world.processes:
        process.cache.down = False
    world.write(world.processes[0])
    assert world.answered == world.truth
    for process in world.processes:
        world.read(process)


def test_no_answered_write_is_hidden(new_world: Any) -> None:
    """In 2,500 histories of five processes, whose caches fail, differ, and take each other's place."""
    for seed in range(2_500):
        _live(new_world(World, random.Random(seed)))


@pytest.mark.thorough
def test_no_answered_write_is_hidden_in_many_more_histories(new_world: Any) -> None:
    """In 30,000."""
    for seed in range(2_500, 32_500):
        _live(new_world(World, random.Random(seed)))
