"""Disasters of HDFS's past: what went wrong there, and which tests show that it does not happen here.

A test in this folder has the issue's number in its name; others had shown the same before and are only named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Disaster:
    """One issue of HDFS.

    Attributes:
        tests: names by file, each of which fails if the same happened here.
        not_yet: why it cannot happen here so far, so that nothing can be shown; empty where tests are named.
    """

    issue: int
    what: str
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_yet: str = ""


DISASTERS = (
    Disaster(
        4660,
        "a pipeline that was recovered in the middle of a chunk kept checksums that did not fit the data",
        {
            "tests/regression/test_hdfs_4660.py": (
                "test_hdfs_4660_no_replica_has_a_wrong_checksum_after_a_recovery_in_a_chunk",
            ),
            "tests/unit/datanode/test_pipeline_faults.py": (
                "test_a_replica_that_is_written_is_copied_as_far_as_it_was_acknowledged",
            ),
            "tests/unit/datanode/test_datanode_recovery.py": (
                "test_streaming_recovery_takes_the_replica_from_its_writer",
            ),
            "tests/fault/test_stock_writers.py": ("test_java_writes_on",),
        },
    ),
    Disaster(
        8486,
        "a datanode that found one replica twice as it started deleted it as its own surplus copy",
        {
            "tests/regression/test_hdfs_8486.py": (
                "test_hdfs_8486_of_a_block_found_twice_nothing_is_deleted_or_mixed_up",
                "test_hdfs_8486_a_checksum_file_does_not_join_another_copys_data",
            ),
            "tests/unit/datanode/test_datanode_starts.py": (
                "test_of_two_copies_the_newer_or_longer_counts_and_no_file_is_lost",
            ),
            "tests/unit/datanode/test_datanode_volume.py": ("test_a_directory_is_used_once",),
            "tests/unit/datanode/test_block_scanner.py": ("test_an_older_copy_goes_when_the_newer_one_is_proven",),
        },
    ),
    Disaster(
        10240,
        "a writer's close beside recoverLease left a block none of whose replicas had the stamp that was recorded",
        {
            "tests/regression/test_hdfs_10240.py": ("test_hdfs_10240_a_close_beside_a_recovery_leaves_a_whole_block",),
            "tests/interop/test_lease_recovery.py": (
                "test_a_recovery_wins_against_a_writer_that_flushes_all_the_time",
            ),
            "tests/unit/datanode/test_replica_recovery.py": (
                "test_the_last_packet_that_comes_too_late_makes_nothing_final",
            ),
        },
    ),
    Disaster(
        11303,
        "a hedged read waited for ever once every datanode had failed",
        {
            "tests/regression/test_hdfs_reads.py": ("test_hdfs_11303_a_read_ends_when_no_datanode_answers",),
        },
    ),
    Disaster(
        11379,
        "a reader asked without end for the locations of a range that its file did not have any more",
        {
            "tests/regression/test_hdfs_reads.py": (
                "test_hdfs_11379_a_file_that_is_changed_under_a_reader_is_not_asked_for_without_end",
            ),
            "tests/unit/client/test_hostile_namenode.py": ("test_a_hostile_server_is_left_soon",),
        },
    ),
    Disaster(
        11499,
        "a datanode's decommissioning never ended, because the last block of an open file counted as missing replicas",
        not_yet="datanodes cannot be decommissioned yet",
    ),
    Disaster(
        13120,
        "the difference of two snapshots was wrong, and the image damaged, after concat",
        not_yet="there are neither snapshots nor concat yet",
    ),
    Disaster(
        14941,
        "a stamp was logged apart from its block, so that a standby took reports of that block for an unknown one's",
        {
            "tests/regression/test_hdfs_14941.py": (
                "test_hdfs_14941_at_every_prefix_of_the_journal_numbers_and_records_agree",
            ),
            "tests/unit/blocks/test_blocks_reports.py": (
                "test_block_newer_than_the_namespace_is_parked_until_the_namespace_has_it",
            ),
            "tests/interop/test_namenode_start.py": ("test_ids_are_never_given_out_twice",),
        },
    ),
    Disaster(
        16922,
        "a late change of an older stamp took the place of the newer one, so that the replica did not count",
        {
            "tests/regression/test_hdfs_reports.py": (
                "test_hdfs_16922_changes_of_one_block_are_all_told_and_in_order",
                "test_hdfs_16922_a_late_old_change_does_not_hide_the_new_replica",
                "test_hdfs_16922_a_late_old_change_does_not_keep_a_file_open",
            ),
        },
    ),
    Disaster(
        16942,
        "a full report that came too late for its lease was thrown away, and its datanode believed that it counted",
        {
            "tests/regression/test_hdfs_reports.py": (
                "test_hdfs_16942_a_report_that_comes_after_its_turn_counts",
                "test_hdfs_16942_a_report_that_is_not_taken_is_asked_for_again_until_one_is",
            ),
            "tests/unit/blocks/test_blocks_bounds.py": (
                "test_a_report_that_stops_gives_its_turn_away_and_is_asked_for_again_last",
            ),
            "tests/unit/namenode/test_report_turn_at_registration.py": (
                "test_a_turn_that_came_before_the_datanode_could_be_told_comes_again",
            ),
        },
    ),
    Disaster(
        17093,
        "after a namenode's restart the second attempt at a full report was ignored for some of a datanode's storages",
        {
            "tests/regression/test_hdfs_reports.py": (
                "test_hdfs_17093_a_report_that_is_given_again_counts_for_every_storage",
            ),
            "tests/unit/blocks/test_blocks_bounds.py": (
                "test_a_report_that_lacks_a_slice_is_wanted_again_and_removes_nothing",
            ),
        },
    ),
    Disaster(
        17430,
        "a recovery waited for a dead datanode longer than it took until the next attempt made it void: no file closed",
        {
            "tests/interop/test_lease_recovery.py": ("test_a_killed_writer_and_a_fault",),
            "tests/unit/blocks/test_blocks_recovery.py": (
                "test_one_that_is_not_connected_is_not_waited_for_when_another_never_died",
                "test_a_connected_datanode_is_waited_for_a_while_and_then_done_without",
                "test_who_asks_again_restarts_only_what_waits_and_not_at_once",
            ),
            "tests/sim/test_block_recovery_sim.py": ("test_nothing_promised_is_lost_and_every_recovery_ends",),
        },
    ),
)
