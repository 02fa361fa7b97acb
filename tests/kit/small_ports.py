"""Planted defects of caches, limiters, tokens, passwords, clocks and ids that stand for a class of them each.

By module and name within known_bad, with the clauses that must fail: the rest of the table in `test_score.py`.
"""

from typing import Final

DEFECTS: Final[dict[str, str]] = {
    "cache_corners:keys_have_no_case": "CACHE-6",
    "cache_corners:groups_are_trimmed": "CACHE-6",
    "cache_corners:keys_are_normalised": "CACHE-6",
    "cache_corners:long_groups_are_cut": "CACHE-6",
    "cache_corners:keys_are_numbers": "CACHE-6",
    "cache_corners:groups_are_short_hashes": "CACHE-6",
    "cache_corners:surrogates_are_replaced": "CACHE-6",
    "cache_corners:surrogates_are_errors": "CACHE-6",
    "cache_corners:value_is_a_buffer": "CACHE-1",
    "cache_corners:value_is_a_line": "CACHE-1",
    "cache_corners:long_value_is_cut": "CACHE-1",
    "cache_corners:lease_is_text": "CACHE-2",
    "cache_corners:invalidations_end_at_65535": "CACHE-2",
    "cache_corners:invalidation_is_forgotten": "CACHE-2",
    "cache_corners:a_hundred_leases_are_voided": "CACHE-2",
    "cache_corners:a_thousand_groups_are_invalidated": "CACHE-3",
    "cache_corners:unknown_group_ends_the_invalidation": "CACHE-3",
    "cache_corners:groups_have_to_be_a_list": "CACHE-3",
    "cache_corners:no_time_is_for_ever": "CACHE-5",
    "cache_corners:hardly_any_time_is_for_ever": "CACHE-5",
    "cache_corners:a_month_is_a_date": "CACHE-5",
    "cache_corners:entry_lives_a_moment_longer": "CACHE-5",
    "cache_corners:entries_go_by_the_wall_clock": "CACHE-5",
    "cache_corners:second_fill_keeps_the_time": "CACHE-5",
    "cache_corners:entry_is_filled_once": "CACHE-5",
    "cache_corners:threads_get_answers_of_others": "CACHE-1",
    "cache_corners:closing_in_use_leaks": "CACHE-8",
    "cache_corners:opening_again_empties": "CACHE-8",
    "cache_servers:ping_asks_nobody": "CACHE-8",
    "cache_servers:cause_is_lost": "CACHE-8",
    "counting_caches:ping_asks_for_no_entry": "CACHE-8",
    "shared_files:process_remembers_what_it_found": "CACHE-3",
    "shared_files:leases_are_each_processes_own": "CACHE-3",
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

UNBROKEN: Final = {
    "known_bad.shared_files:cache_in_a_file": ("cache",),
    "known_bad.shared_files:limiter_in_a_file": ("limiter",),
}
"""What some of these are planted in, with the port, without a defect."""
