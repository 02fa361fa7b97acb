"""Planted defects of caches, limiters, tokens, passwords, clocks and ids that stand for a class of them each.

By module and name within known_bad, with the clauses that must fail: the rest of the table in `test_score.py`.
"""

from typing import Final

DEFECTS: Final[dict[str, str]] = {
    "system:time_of_day_is_kept": "CLK-1",
    "system:monotonic_counts_milliseconds": "CLK-2",
    "system:monotonic_ticks": "CLK-2",
    "system:sleep_is_cut_to_milliseconds": "CLK-3",
    "system:sleep_of_less_than_nothing": "CLK-3",
    "system:sleeper_holds_the_clock": "CLK-3",
    "system:numbers_end_at_65535": "IDS-2",
    "system:numbers_get_longer": "IDS-2",
    "system:time_ends_in_2084": "IDS-3",
    "system:time_gets_longer": "IDS-2",
    "system:generators_of_a_process_agree": "IDS-1",
    "system:ids_follow_the_seed": "IDS-1",
    "system:child_waits_for_its_parents_thread": "IDS-4",
}
