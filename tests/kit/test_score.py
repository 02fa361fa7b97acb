"""The kit's score: it finds every planted defect, under the clause that the defect breaks, and none where none is."""

import ast
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kit import storage_classes
from tests.kit.forked_runs import PROCESSES, run_all

from songs_contract.law import clauses

HERE = Path(__file__).parent
PATIENCE_S = 300

# What is planted, by module and name within known_bad, and the clauses that must fail for it.
DEFECTS: dict[str, str] = {
    "units:writers_read_then_write": "RAT-7 STO-3 SES-2 SNG-6 COH-2 USR-2 RAT-4",
    "units:rollback_does_nothing": "STO-4",
    "units:dirty_reads": "STO-8",
    "units:transaction_commits_each_write": "STO-7",
    "units:exception_is_swallowed": "STO-4",
    "units:read_unit_writes": "STO-5",
    "units:lock_is_kept_after_an_exception": "STO-4",
    "units:repositories_outlive_their_unit": "STO-4",
    "units:read_unit_sees_later_commits": "STO-9",
    "units:readers_lag_behind": "STO-10",
    "units:half_a_write_is_kept": "STO-6",
    "units:opens_when_built": "STO-1",
    "units:prepare_wipes": "STO-2",
    "units:close_cannot_be_repeated": "STO-17",
    "units:ping_asks_nobody": "STO-16",
    "units:driver_error_leaks": "STO-13",
    "units:writer_waits_without_a_deadline": "STO-14",
    "units:conflict_is_called_an_outage": "STO-15",
    "units:durable_in_name_only": "STO-11 STO-12",
    "units:shared_in_name_only": "STO-10",
    "units:descriptor_declares_nothing": "STO-18",
    "units:open_storage_declares_nothing": "STO-18",
    "units:open_storage_declares_more": "STO-18",
    "identities:missing_data_are_begun_anew": "STO-20",
    "identities:opening_begins_data": "STO-19",
    "identities:any_data_are_taken": "STO-20",
    "identities:refused_data_stay_open": "STO-20",
    "identities:all_data_are_the_same": "STO-19",
    "identities:data_are_never_looked_for_again": "STO-21",
    "identities:any_file_of_the_name_is_taken": "STO-21",
    "maintenance:something_is_always_wrong": "MNT-1",
    "maintenance:looking_finds_nothing": "MNT-1",
    "maintenance:looking_mends": "MNT-1",
    "maintenance:repairing_mends_nothing": "MNT-2",
    "maintenance:stopped_repair_keeps_the_lock": "MNT-2",
    "maintenance:repairing_removes_sessions": "MNT-3",
    "maintenance:repairing_loses_ratings": "MNT-4",
    "maintenance:other_folds_go_untold": "MNT-5",
    "maintenance:prepare_folds_anew": "MNT-5",
    "maintenance:closed_storage_tells_versions": "MNT-6",
    "maintenance:there_are_no_versions": "MNT-6",
    "maintenance:closing_loses_users": "STO-11 STO-17",
    "maintenance:closing_loses_sessions": "STO-17",
    "maintenance:closing_undoes_a_rotation": "STO-17",
    "maintenance:closing_forgets_keys": "STO-17",
    "maintenance:closing_forgets_the_epoch": "STO-17",
    "maintenance:closing_brings_back_deleted_users": "STO-17",
    "deletions:each_rating_is_removed_alone": "SNG-14",
    "deletions:keys_are_free_later": "SNG-14",
    "deletions:leftovers_come_back_with_the_id": "SNG-14",
    "ratings:rating_needs_no_song": "RAT-2",
    "ratings:retry_counts_twice": "RAT-3",
    "ratings:failed_rating_keeps_its_key": "RAT-6",
    "ratings:key_is_shared_by_users": "RAT-5",
    "ratings:keys_have_no_case": "RAT-5",
    "ratings:key_outlives_its_song": "RAT-5",
    "ratings:used_key_takes_any_rating": "RAT-4",
    "ratings:key_is_ignored": "RAT-4",
    "ratings:statistics_lag_behind": "RAT-8",
    "ratings:receipt_lacks_the_rating": "RAT-1",
    "ratings:statistics_are_torn": "STO-8",
    "ratings:statistics_of_no_song": "RAT-8",
    "ratings:event_loses_its_key": "RAT-9",
    "ratings:event_loses_its_time_zone": "RAT-9",
    "ratings:event_loses_its_milliseconds": "RAT-9",
    "ratings:events_beyond_the_limit": "RAT-9",
    "songs:difficulty_is_a_float": "SNG-1",
    "songs:difficulties_are_added_as_floats": "SNG-12",
    "songs:song_loses_its_version": "SNG-1 SNG-6",
    "songs:strange_id_is_an_error": "SNG-2",
    "songs:identity_has_no_case": "SNG-3",
    "songs:adding_cannot_be_repeated": "SNG-4",
    "songs:batch_stops_at_a_duplicate": "SNG-5",
    "songs:version_is_not_compared": "SNG-6",
    "songs:replacing_cannot_be_repeated": "SNG-7",
    "songs:ratings_outlive_their_song": "SNG-8",
    "songs:deletes_any_version": "SNG-8",
    "songs:order_is_not_by_id": "SNG-9",
    "songs:order_has_no_case": "SNG-9",
    "songs:limit_is_off_by_one": "SNG-9",
    "songs:cursor_is_inclusive": "SNG-9",
    "songs:walk_goes_by_offset": "SNG-10",
    "songs:wildcards_match": "SNG-11",
    "songs:text_is_a_regular_expression": "SNG-11",
    "songs:match_reaches_across": "SNG-11",
    "songs:search_heeds_accents": "SNG-11",
    "songs:short_texts_find_nothing": "SNG-11",
    "songs:search_matches_words": "SNG-11",
    "songs:part_of_an_artist_matches": "SNG-11",
    "songs:index_keeps_old_texts": "SNG-6",
    "songs:count_lags_behind": "SNG-12",
    "songs:identify_has_no_case": "SNG-13",
    "accounts:user_is_found_by_exact_name": "USR-4",
    "accounts:names_differ_by_case": "USR-2",
    "accounts:spelling_is_lost": "USR-2 USR-1",
    "accounts:user_cannot_be_added_again": "USR-3",
    "accounts:user_version_is_not_compared": "USR-5",
    "accounts:user_lags_behind": "USR-5",
    "accounts:sessions_outlive_their_user": "USR-6",
    "accounts:users_are_ordered_by_name": "USR-7",
    "accounts:session_loses_its_previous_hash": "SES-1",
    "accounts:rotation_has_two_winners": "SES-2",
    "accounts:grace_time_is_ignored": "SES-3",
    "accounts:grace_time_never_ends": "SES-3",
    "accounts:grace_time_waits_for_its_clock": "SES-3",
    "accounts:reuse_raises": "SES-4",
    "accounts:reuse_keeps_the_session": "SES-4",
    "accounts:expired_session_rotates": "SES-5",
    "accounts:rotation_cannot_be_repeated": "SES-6",
    "accounts:kept_session_is_removed": "SES-7",
    "accounts:sessions_of_a_user_go_all_at_once": "SES-7",
    "accounts:expired_sessions_go_all_at_once": "SES-8",
    "accounts:coherence_begins_with_epoch_zero": "COH-1",
    "accounts:coherence_advances_without_comparing": "COH-2",
    "accounts:coherence_answers_with_the_wish": "COH-3",
    "accounts:coherence_names_no_cache": "COH-4",
    "accounts:coherence_names_the_first_cache_for_ever": "COH-4",
    "accounts:coherence_names_a_cache_without_comparing": "COH-4 COH-2",
    "accounts:coherence_cuts_the_name_of_the_cache": "COH-4",
    "caches:stale_fill_counts": "CACHE-2",
    "caches:lease_is_a_counter": "CACHE-2",
    "caches:lease_is_handed_out_again": "CACHE-2",
    "caches:one_group_is_invalidated": "CACHE-3",
    "caches:invalidation_keeps_entries": "CACHE-3",
    "caches:snapshot_brings_entries_back": "CACHE-4",
    "caches:time_to_live_is_ignored": "CACHE-5",
    "caches:time_to_live_in_milliseconds": "CACHE-5",
    "caches:names_run_together": "CACHE-6",
    "caches:value_is_taken_for_text": "CACHE-1",
    "caches:driver_error_leaks": "CACHE-8",
    "caches:every_cache_is_called_the_same": "CACHE-11",
    "caches:hit_does_not_say_whose_it_is": "CACHE-10",
    "caches:invalidation_does_not_say_who_forgot": "CACHE-10",
    "caches:each_invalidation_changes_the_identity": "CACHE-10",
    "caches:identity_is_made_of_settings": "CACHE-11",
    "limiters:one_hit_more": "LIM-1",
    "limiters:hits_are_lost": "LIM-1",
    "limiters:refused_hits_prolong_the_window": "LIM-3",
    "limiters:remaining_is_off_by_one": "LIM-2",
    "limiters:reset_is_a_time_of_day": "LIM-2",
    "limiters:window_never_ends": "LIM-3",
    "limiters:window_ends_early": "LIM-3",
    "limiters:windows_go_by_the_wall_clock": "LIM-3",
    "limiters:long_names_are_cut": "LIM-4",
    "limiters:limits_share_a_bucket": "LIM-4",
    "limiters:ended_windows_are_kept": "LIM-5",
    "limiters:driver_error_leaks": "LIM-6",
    "limiters:windows_are_named_after_buckets": "LIM-7",
    "limiters:window_names_come_again": "LIM-7",
    "limiters:refused_hits_have_no_window": "LIM-7",
    "limiters:serial_goes_back": "LIM-7",
    "limiters:nothing_is_given_back": "LIM-8",
    "limiters:the_next_window_gets_it_back": "LIM-8",
    "limiters:more_is_given_back_than_was_used": "LIM-8",
    "limiters:window_that_was_given_back_is_forgotten": "LIM-8",
    "tokens:role_is_lost": "TOK-1",
    "tokens:expiry_is_ignored": "TOK-2",
    "tokens:time_of_issue_is_ignored": "TOK-2",
    "tokens:unsigned_token_is_accepted": "TOK-3",
    "tokens:audience_is_unchecked": "TOK-3",
    "tokens:issuer_is_unchecked": "TOK-3",
    "tokens:secret_is_the_same_for_all": "TOK-3",
    "tokens:token_has_two_spellings": "TOK-3",
    "tokens:token_of_any_length": "TOK-3",
    "tokens:value_error_leaks": "TOK-4",
    "tokens:error_quotes_the_token": "TOK-4",
    "tokens:token_fits_no_header": "TOK-5",
    "passwords:long_passwords_are_cut": "PWD-1",
    "passwords:passwords_end_at_nul": "PWD-1",
    "passwords:passwords_have_no_case": "PWD-1",
    "passwords:compatibility_forms_differ": "PWD-1",
    "passwords:salt_is_not_random": "PWD-2",
    "passwords:hash_contains_the_password": "PWD-2",
    "passwords:unknown_user_costs_nothing": "PWD-3",
    "passwords:damaged_hash_is_an_error": "PWD-3",
    "passwords:hashes_are_unbounded": "PWD-4",
    "passwords:nobody_may_wait": "PWD-4",
    "passwords:every_hash_is_outdated": "PWD-5",
    "system:clock_shows_local_time": "CLK-1",
    "system:clock_shows_another_zone": "CLK-1",
    "system:clock_shows_microseconds": "CLK-1",
    "system:monotonic_is_the_wall_clock": "CLK-2",
    "system:each_thread_has_a_clock": "CLK-2",
    "system:sleep_is_too_short": "CLK-3",
    "system:ids_have_no_order": "IDS-2",
    "system:ids_have_another_form": "IDS-1",
    "system:ids_go_back_with_the_clock": "IDS-2",
    "system:threads_get_the_same_id": "IDS-1",
    "system:generators_disagree_on_the_order": "IDS-3",
    "system:fork_makes_the_same_ids": "IDS-4",
    "system:two_generators_make_the_same_ids": "IDS-1",
    "nearly_right:interrupted_unit_commits": "STO-4 STO-7",
    "nearly_right:count_lacks_own_writes": "SNG-12",
    "nearly_right:identify_ignores_the_date": "SNG-13",
    "nearly_right:dates_follow_the_time_zone": "SNG-1",
    "nearly_right:user_and_key_run_together": "RAT-5",
    "nearly_right:changed_user_loses_its_sessions": "USR-5",
    "nearly_right:reading_prolongs_an_entry": "CACHE-5",
    "nearly_right:time_to_live_is_rounded": "CACHE-5",
    "nearly_right:lease_is_repeated_after_a_loss": "CACHE-2",
    "nearly_right:allowed_hits_prolong_the_window": "LIM-3",
    "nearly_right:windows_end_by_the_clock": "LIM-3",
    "nearly_right:reset_is_the_whole_window": "LIM-2",
    "nearly_right:threads_have_an_order_each": "IDS-2",
    "nearly_right:processes_have_an_order_each": "IDS-3",
    "nearly_safe:type_is_unchecked": "TOK-3",
    "nearly_safe:other_algorithms_are_accepted": "TOK-3",
    "nearly_safe:missing_claims_have_defaults": "TOK-3",
    "nearly_safe:claims_are_converted": "TOK-3",
    "nearly_safe:error_quotes_a_part": "TOK-4",
    "nearly_safe:expiry_is_late": "TOK-2",
    "nearly_safe:no_hash_is_outdated": "PWD-5",
    "units:late_unit_goes_on": "STO-14",
    "units:unprepared_is_a_driver_error": "STO-2",
    "units:close_leaves_a_thread": "STO-17",
    "units:close_leaves_a_file": "STO-17",
    "cache_servers:groups_are_invalidated_one_by_one": "CACHE-9",
    "cache_servers:fill_looks_first": "CACHE-9",
    "cache_servers:rubbish_is_an_error": "CACHE-7",
    "cache_servers:rubbish_is_a_hit": "CACHE-7",
    "cache_servers:server_is_given_up": "CACHE-8",
    "limiter_servers:server_error_leaks": "LIM-6",
    "limiter_servers:silence_allows": "LIM-6",
    "limiter_servers:server_is_given_up": "LIM-6",
    "counting_caches:hit_counts_twice": "TOG-1",
    "counting_caches:miss_is_not_counted": "TOG-1",
    "counting_caches:hit_counts_for_the_group": "TOG-1",
    "counting_caches:there_are_two_counts": "TOG-1",
    "counting_caches:hits_at_once_are_lost": "TOG-1",
    "counting_caches:entries_are_kept_beside": "TOG-2",
    "counting_caches:names_are_written_otherwise": "TOG-2",
    "counting_caches:rubbish_is_a_hit": "TOG-2",
    "counting_caches:time_to_live_is_ignored": "TOG-2",
    "counting_caches:miss_has_no_lease": "TOG-3",
    "counting_caches:lease_is_good_for_nothing": "TOG-3",
    "counting_caches:lease_survives_an_invalidation": "TOG-3",
    "counting_caches:refused_hit_brings_nothing": "TOG-4",
    "counting_caches:refused_hit_misses": "TOG-4",
    "counting_caches:cache_error_leaks": "TOG-5",
    "counting_caches:unknown_entry_is_a_miss": "TOG-5",
    "counting_caches:hit_without_the_cache_is_not_counted": "TOG-5",
    "counting_caches:outage_is_called_the_caches": "TOG-6",
    "counting_caches:driver_error_leaks": "TOG-6",
    "counting_caches:silence_allows": "TOG-6",
    "counting_caches:server_is_asked_twice": "TOG-7",
    "counting_caches:limiter_has_a_factory_of_its_own": "TOG-8",
    "counting_caches:opening_again_forgets": "TOG-8",
    "counting_caches:counts_of_all_places_are_one": "TOG-9",
    "counting_caches:entry_does_not_say_whose_it_is": "TOG-10",
    "faults:unknown_is_called_an_outage": "STO-13",
    "faults:fault_is_swallowed": "STO-13",
    "faults:fault_leaks": "STO-13",
    "faults:fault_is_called_a_conflict": "STO-15",
    "faults:retries_without_a_pause": "STO-22",
    "batches:users_go_by_their_own_names": "BAT-1",
    "batches:one_filter_is_taken_for_all": "BAT-2",
    "batches:songs_share_the_limit": "BAT-3",
    "batches:batch_is_a_loop": "BAT-4",
    "units:child_hangs_up_for_its_parent": "STO-17",
    "alone:scope_is_kept_in_the_storage": "STO-3",
    "alone:read_unit_ignores_a_write": "STO-5",
    "alone_in_a_file:each_object_knows_a_record": "STO-10",
    "alone_in_a_file:record_is_written_when_closing": "STO-11",
    "alone_in_a_file:second_opener_is_let_in": "STO-12",
    "alone:conflict_comes_after_the_commit": "STO-15",
    "alone:identity_ignores_spaces": "SNG-3",
    "alone:duplicate_comes_before_the_version": "SNG-6",
    "alone:cursor_is_a_position": "SNG-10",
    "alone:rating_of_a_deleted_song_is_acknowledged": "RAT-2",
    "alone:repeat_names_the_new_rating": "RAT-4",
    "alone:key_of_no_song_is_kept": "RAT-6",
    "alone:ratings_at_once_are_lost": "RAT-7",
    "alone:counters_end_at_255": "RAT-8",
    "alone:two_rotate_at_once": "SES-2",
    "alone:coherence_begins_with_the_cache_off": "COH-1",
    "alone:restart_brings_entries_back": "CACHE-4",
    "alone:long_keys_are_cut": "CACHE-6",
    "alone:child_counts_like_its_parent": "IDS-4",
} | storage_classes.DEFECTS
CASES = [(name, clause) for name, broken in DEFECTS.items() for clause in broken.split()]

# Held to every clause that some defect of their ports breaks.
UNBROKEN = {
    "memory": ("storage", "cache", "limiter"),
    "sqlite": ("storage",),
    "jwt": ("tokens",),
    "bcrypt": ("passwords",),
    "system": ("clock", "ids"),
    "none": ("cache", "limiter"),
    "known_bad.songs:scans": ("storage",),
    "known_bad.faults:bears": ("storage",),
    "known_bad.cache_servers:served": ("cache",),
    "known_bad.limiter_servers:served": ("limiter",),
    "known_bad.counting_caches:right": ("cache",),
}

Job = tuple[str, tuple[str, ...]]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[Job, dict[str, Any]]:
    """The report of every run: each defect under its clause, each unbroken adapter under those of each port."""
    jobs: list[Job] = [(f"known_bad.{name}", (clause,)) for name, clause in CASES]
    jobs += [(adapter, held_to(adapter, port)) for adapter, ports in UNBROKEN.items() for port in ports]
    orders = [{"adapter": adapter, "only": only} for adapter, only in jobs]
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Above the folders of the processes that tests are distributed to.
        folder = folder.parent
    reports = made_once(folder / "score.json", lambda: run_all(orders, tmp_path_factory.mktemp("empty"), PROCESSES))
    return dict(zip(jobs, reports, strict=True))


def made_once(file: Path, make: Callable[[], Any]) -> Any:
    """Return what the first process that asks makes; the others wait, and read it."""
    with file.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(json.dumps(make()), encoding="utf-8")
        return json.loads(file.read_text(encoding="utf-8"))


def held_to(adapter: str, port: str) -> tuple[str, ...]:
    """Return the clauses of a port that some defect breaks; for an adapter in `known_bad`, one of the same module."""
    module = adapter.removeprefix("known_bad.").partition(":")[0] + ":" if ":" in adapter else ""
    broken = {clause for name, clause in CASES if name.startswith(module)}
    return tuple(each for each, clause in clauses().items() if clause.port == port and each in broken)


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.parametrize(("name", "clause"), CASES)
def test_a_defect_is_found(runs: dict[Job, dict[str, Any]], name: str, clause: str) -> None:
    """The clause that the defect breaks fails, and the failure shows what the clause says."""
    report = runs[f"known_bad.{name}", (clause,)]

    assert report["verdicts"].get(clause) == "fail", report["printed"]
    assert f"{clause}: {clauses()[clause].text}" in report["printed"]


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.parametrize(("adapter", "port"), [(name, port) for name, ports in UNBROKEN.items() for port in ports])
def test_no_false_alarm(runs: dict[Job, dict[str, Any]], adapter: str, port: str) -> None:
    """An adapter without the defects breaks none of these clauses."""
    report = runs[adapter, held_to(adapter, port)]
    verdicts = {clause: report["verdicts"].get(clause) for clause in held_to(adapter, port)}

    assert set(verdicts.values()) <= {"pass", "declared unsupported"}, report["printed"]
    assert "pass" in verdicts.values()


def test_every_planted_defect_is_scored() -> None:
    """No defect lies in known_bad without a line in the table."""
    planted = set()
    for path in sorted((HERE / "known_bad").glob("*.py")):
        if path.stem in {"__init__", "backends", "planting", "unusual", "half_written", "unfinished"}:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Tuple):
                planted |= {f"{path.stem}:{target.id}" for target in node.targets if isinstance(target, ast.Name)}

    # Not defects: what the defects of search, and those of a backend that fails, are planted in.
    right = {"songs:scans", "faults:bears", "cache_servers:served", "limiter_servers:served", "counting_caches:right"}
    assert {each for each in planted if each.partition(":")[2].islower()} - right == set(DEFECTS)


@pytest.mark.timeout(PATIENCE_S + 30)
def test_a_clause_without_its_test_is_noticed(tmp_path: Path) -> None:
    """Were the only test that catches a defect removed, `test_a_defect_is_found` would fail for that defect."""
    order = {"adapter": "known_bad.songs:identify_has_no_case", "only": ["SNG-13"], "whole": True}
    (whole,) = run_all([order], tmp_path / "whole", 1)
    catchers = {each.partition("::")[2].partition("[")[0] for each in whole["failed"]["SNG-13"]}
    (without,) = run_all([{**order, "without": sorted(catchers)}], tmp_path / "without", 1)

    assert whole["verdicts"]["SNG-13"] == "fail"
    assert without["verdicts"]["SNG-13"] != "fail"
