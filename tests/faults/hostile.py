"""The unlucky and the hostile: what each was, what comes of it, and the tests that try it.

A row's tests lie with the parts that they try; here they run once more and are counted, a case of a
test as one try. `findings` are the numbers of those that an adversary found first (issue 18);
`found` rows were thought of afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.table import FaultRow

AREA = "The unlucky and the hostile"
ROOT = Path(__file__).parents[2]

STALE, FOREIGN, CODE = "a stale answer", "a foreign file touched", "code from a cache"
CARDS, MARKS, NAMES = "a card that lies", "a mark on the wrong document", "names that act"
BAD, POISON, LOCKS = "a bad result", "a poisoned store", "locks, links, memory, names of files"


@dataclass(frozen=True)
class Row:
    """`tests` are paths below tests/, each with the name of a function."""

    kind: str
    fault: str
    outcome: str
    tests: tuple[str, ...]
    findings: tuple[int, ...] = ()

    @property
    def found(self) -> bool:
        """Whether it was thought of after the adversary's findings."""
        return not self.findings


def _in(path: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{path}::test_{name}" for name in names)


HERE = "faults/test_hostile.py"
ENTRIES = "features/test_poisons.py"
ROWS = [
    Row(STALE, "two validation videos exchanged under a kept head", "head and answers made anew",
        _in("tasks/vidsitu/test_situation.py", "other_features_are_another_head_and_other_answers"),
        (1,)),
    Row(STALE, "a video changed, its size and date kept", "decoded anew",
        _in("video/test_store.py", "the_key_tells_apart_what_gives_other_frames"), (4,)),
    Row(STALE, "a video exchanged during a run and put back",
        "its clip fails; nothing of it is kept",
        _in("bench/test_engine.py", "a_video_exchanged_during_a_run_plants_no_wrong_features")
        + _in("video/test_pool.py", "a_file_that_changes_while_it_is_read_is_not_kept"), (5,)),
    Row(STALE, "any ingredient of any key changed (docs/stores.md)", "a miss",
        _in("test_stores.py", "frames", "features", "draws", "hashes", "fingerprints",
            "fingerprints_of_trained_models", "fingerprints_of_transformers")
        + _in("tasks/vidsitu/test_keys.py", "heads_and_answers")),
    Row(STALE, "another tokenizer beside the weights", "another fingerprint: texts encoded anew",
        _in("test_stores.py", "a_tokenizer_beside_the_weights", "fingerprints")),
    Row(STALE, "a link led to another video of the same size and date", "decoded anew",
        _in(HERE, "a_link_led_to_another_video_of_the_same_size_and_date")),
    Row(STALE, "a shard exchanged behind an unchanged index", "another fingerprint",
        _in("adapters/test_checkpoint.py",
            "shards_are_one_checkpoint_and_every_one_is_in_the_hash")),
    Row(STALE, "a file called like a tag where one stands, or beside bench.yaml",
        "the tag's own weights",
        _in("adapters/test_open_clip.py", "a_file_called_like_a_tag_is_not_taken_for_it"), (12,)),
    Row(FOREIGN, "others' `.tmp-*` and `.lock-*` beside an output", "untouched",
        _in("files/test_leftovers.py", "foreign_files_stay_whatever_their_names_and_dates",
            "beside_an_output_only_its_own_leftovers_go"), (2,)),
    Row(FOREIGN, "SIGKILL between the two renames of a folder", "the next run ends them",
        _in("files/test_leftovers.py", "a_kill_between_two_renames_loses_neither_folder"), (7,)),
    Row(FOREIGN, "a folder `model` of the user's where a training is to write its own",
        "refused before the training",
        _in("training/test_guards.py", "what_is_no_model_of_ours_is_not_replaced")),
    Row(FOREIGN, "the toy world drawn where a real set lies", "refused before a file is written",
        _in("toyworld/test_write.py", "other_data_are_not_drawn_over")),
    Row(FOREIGN, "an output, or an entry of a store, that is a link to a file",
        "the link is replaced, its target untouched",
        _in(HERE, "what_lies_behind_a_link_or_is_called_old_stays",
            "an_entry_that_is_a_link_is_replaced_and_not_its_target")),
    Row(CODE, "a TorchScript archive and its published sum planted in the cache",
        "read as tensors from the bytes that are hashed: refused, not run",
        _in("adapters/test_open_clip.py", "no_remembered_hash_lets_another_original_pass")
        + _in("adapters/test_torchscript.py", "what_is_none_is_refused_and_never_run"), (3,)),
    Row(CODE, "pickles in place of weights, features and draws", "refused or absent, not run",
        _in(HERE, "a_pickle_in_the_cache_is_not_run")
        + _in("adapters/test_open_clip.py", "nothing_in_a_checkpoint_is_executed")),
    Row(CODE, "code beside a tokenizer that names it", "not run",
        _in(HERE, "code_beside_a_tokenizer_is_not_run")),
    Row(CODE, "a module of our name in the working folder", "not imported",
        _in("video/test_pool.py", "a_folder_of_our_name_in_the_users_is_not_imported")),
    Row(CODE, "SPICE's program over plain http", "not fetched: where to put it is said",
        _in("tasks/vidsitu/test_score_file.py", "spice_fetches_no_program")),
    Row(CARDS, "an adapter_config.json of another LoRA", "refused by the key",
        _in("adapters/test_srl_clip.py", "a_lora_of_another_kind_is_refused_by_its_key"), (6,)),
    Row(CARDS, "a card of another base", "refused",
        _in("adapters/test_srl_clip.py", "a_base_of_another_architecture_is_refused"), (6,)),
    Row(CARDS, "a card that claims more than its weights hold", "refused before it is built",
        _in("adapters/test_srl_clip.py", "what_a_card_alone_claims_is_not_built"), (12,)),
    Row(CARDS, "every value of a card made another type or size", "one line, or of no effect",
        _in(HERE, "a_card_of_any_values_is_read_or_refused_in_one_line")),
    Row(CARDS, "settings that no model can have", "refused by name",
        _in("adapters/test_srl_clip.py", "impossible_settings_are_named")),
    Row(CARDS, "a trained folder with a part damaged, foreign or NaN", "refused by the file",
        _in("adapters/test_srl_clip.py", "damaged_and_foreign_folders_are_refused")),
    Row(MARKS, "a copy of a result, before or after it in the list", "each marked by its own lines",
        _in("results/test_comparison.py",
            "a_copy_without_its_lines_is_stale_and_its_original_is_not"), (8,)),
    Row(MARKS, "the lines of two results exchanged", "both stale",
        _in(HERE, "lines_exchanged_between_two_results_mark_both")),
    Row(MARKS, "a link to a result, and one moved without its lines",
        "the moved one alone is stale",
        _in(HERE, "links_and_moves_mark_no_other_result")),
    Row(MARKS, "two documents of one text, the lines of one emptied or gone", "that one is stale",
        _in(HERE, "two_results_of_one_text_are_marked_each_by_its_own_lines")),
    Row(NAMES, "metrics whose names are escapes, markup or formulas", "inert in every format",
        _in("faults/test_escaping.py", "nothing_of_a_metrics_name_moves_the_cursor",
            "no_metrics_name_is_a_formula", "what_verify_and_compare_print_is_printable"), (9,)),
    Row(NAMES, "escapes in every name of a sweep's record", "inert in every format",
        _in(HERE, "names_in_a_sweeps_record_move_no_cursor")),
    Row(NAMES, "escapes in the names of models, sources and clips", "inert in lists and checks",
        _in(HERE, "names_of_a_configuration_and_of_clips_move_no_cursor")),
    Row(NAMES, "escapes and line breaks in a file's name", "inert where it is named",
        _in(HERE, "what_is_no_file_is_left_out_by_its_name")),
    Row(BAD, "numbers beyond floats, absent, of another type; ranks that are none",
        "left out by its name, the others shown",
        _in("results/test_result.py", "what_cannot_be_true_is_refused")
        + _in("results/test_comparison.py", "a_bad_result_is_named_and_left_out",
              "a_result_that_breaks_a_board_is_named_and_left_out"), (10,)),
    Row(BAD, "a folder, pipe, device or loop of links called a result", "left out by its name",
        _in(HERE, "what_is_no_file_is_left_out_by_its_name")),
    Row(BAD, "a pipe, device or folder in place of the lines", "stale: predictions are gone",
        _in(HERE, "lines_that_are_no_file_are_gone")),
    Row(BAD, "a million resamples exceeded", "refused with the limit",
        _in("results/test_result.py", "what_cannot_be_true_is_refused")
        + _in("bench/test_config.py", "mistakes_are_named")),
    Row(POISON, "frames of another count, shape, type or order of moments", "decoded again",
        _in(ENTRIES, "frames", "frames_are_decoded_again"), (11,)),
    Row(POISON, "features of clips and of texts that cannot be ours",
        "encoded again, the same bits",
        _in(ENTRIES, "features_of_clips", "features_of_texts"), (11,)),
    Row(POISON, "a folder in the place of an entry", "named, with a remedy that helps; not removed",
        _in(ENTRIES, "a_folder_in_the_place_of_an_entry_is_named"), (11,)),
    Row(POISON, "texts of a training that cannot be ours", "encoded again",
        _in(ENTRIES, "training_texts")),
    Row(POISON, "draws and numbers of results that cannot be ours", "computed again",
        _in("results/test_poisons.py", "draws_and_numbers_not_written_by_us")),
    Row(POISON, "answers and heads that cannot be ours", "made again, the same bits",
        _in("tasks/vidsitu/test_situation.py", "answers_not_written_by_us_are_made_again",
            "a_head_not_written_by_us_is_trained_again")),
    Row(POISON, "pictures that end elsewhere, a feature exchanged after its check",
        "decoded again; named",
        _in(ENTRIES, "pictures_that_end_elsewhere", "a_feature_exchanged_after_it_was_checked")),
    Row(LOCKS, "a lock held by who may only read", "after five seconds path and process are named",
        _in("files/test_locks.py", "a_silent_wait_says_for_what_and_whom"), (12,)),
    Row(LOCKS, "a lock that is a link", "not followed; the work is done without one",
        _in("files/test_locks.py", "a_lock_follows_no_link"), (12,)),
    Row(LOCKS, "a pickle of a few bytes that claims gigabytes", "refused, nothing is allotted",
        _in("files/test_pickles.py", "a_few_bytes_fill_no_memory_and_odd_files_are_named"), (12,)),
    Row(LOCKS, "permissions while threads run", "the umask is read, not set",
        _in("files/test_atomic.py", "the_permissions_are_known_without_changing_them"), (12,)),
    Row(LOCKS, "names of thousands of bytes, of models, sources and nine settings",
        "shortened with a hash; files are written and found",
        _in("results/test_names.py", "every_name_has_a_file_of_its_own",
            "the_longest_names_can_be_written"), (12,)),
    Row(LOCKS, "names that differ by case, accent or ligature only",
        "two files on every file system",
        _in("results/test_names.py", "every_name_has_a_file_of_its_own")
        + _in(HERE, "models_that_some_disks_take_for_one_have_two_results"), (12,)),
    Row(LOCKS, "an --output too long to be written", "refused before the work",
        _in("results/test_names.py", "a_name_that_cannot_be_written_is_refused_before_the_work")),
    Row(LOCKS, "half of a surrogate, a line break, NUL in a name", "a file of its own",
        _in("results/test_names.py", "every_name_has_a_file_of_its_own")),
    Row(LOCKS, "no locks on a file system, or a file in the way", "the work continues",
        _in("files/test_locks.py", "without_locks_work_goes_on")),
]  # fmt: skip


def ids(rows: Iterable[Row]) -> list[str]:
    """What pytest calls their tests."""
    return sorted({f"tests/{test}" for row in rows for test in row.tests})


def rows(quick: bool) -> list[FaultRow]:
    """A row each; `quick` leaves nothing out."""
    tried, failed = _tried(ids(ROWS))
    return [
        FaultRow(
            AREA, f"{row.kind}: {row.fault}", sum(tried[f"tests/{test}"] for test in row.tests),
            next((f"FAULT: {failed[f'tests/{t}']}" for t in row.tests if f"tests/{t}" in failed),
                 row.outcome),
        )
        for row in ROWS
    ]  # fmt: skip


def _tried(names: list[str]) -> tuple[Counter[str], dict[str, str]]:
    """How many cases each test has, and what failed of which. AssertionError for one without."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:warnings", f"--junitxml={report}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*words, *names], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert report.is_file(), done.stdout[-2000:] + done.stderr[-2000:]
        cases = ElementTree.parse(report).iter("testcase")
        tried: Counter[str] = Counter()
        failed: dict[str, str] = {}
        for case in cases:
            path = case.attrib["classname"].replace(".", "/")
            name = f"{path}.py::{case.attrib['name'].partition('[')[0]}"
            tried[name] += 1
            for fault in [*case.findall("failure"), *case.findall("error")]:
                failed[name] = " ".join(fault.attrib.get("message", "").split())[:200]
            assert case.find("skipped") is None, f"{name} was skipped"
    assert not (missing := [name for name in names if not tried[name]]), missing
    return tried, failed
