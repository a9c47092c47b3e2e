import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer import aggregate
from fer.aggregate import (
    NOW_S,
    SLOT_S,
    BucketFiller,
    above_floor,
    changes,
    coarsen,
    guarded,
    merge,
    mood,
    overall,
    rounded,
    segments,
    uncertain_share,
    valence,
)
from fer.demo import USUAL
from fer.labels import LABELS, UNCERTAIN
from fer.types import Bucket, Marker, Reading, Slot
from tests.fakes import bucket, present, probs_of, reading, slot_of

START = 1_700_000_000.0  # the beginning of a slot

labels = st.sampled_from((*LABELS, UNCERTAIN))
crowds = st.lists(st.lists(st.integers(0, 8), unique=True, max_size=4), min_size=1, max_size=25)
some_buckets = st.lists(
    st.builds(
        bucket,
        stream_id=st.sampled_from("abc"),
        start=st.sampled_from([START, START + SLOT_S, START + 2 * SLOT_S]),
        n=st.integers(1, 10),
        label=st.sampled_from(LABELS),
        face_id=st.integers(0, 2),
        certain=st.sampled_from([0.0, 0.5, 1.0]),
    ),
    max_size=20,
    # The versions of one bucket differ in how full they are: two of the same fullness are the same one.
    unique_by=lambda b: (b.stream_id, b.start, b.face_id, b.n),
)
timelines = st.lists(
    st.tuples(st.integers(0, 500), st.integers(1, 40), st.sampled_from(LABELS), st.floats(0, 1)),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[0],
).map(
    lambda rows: [slot_of(START + i * SLOT_S, n, probs_of(label, 0.5) * share) for i, n, label, share in sorted(rows)]
)


def _fill(crowd: list[list[int]], step_s: float) -> tuple[list[Bucket], dict[float, int]]:
    """Every version of every bucket of these frames, and how many faces each slot held at most at once."""
    filler, versions, most = BucketFiller(1, "a", sightings=1), list[Bucket](), dict[float, int]()
    for i, ids in enumerate(crowd):
        now = START + i * step_s
        versions += filler.add([reading(face_id) for face_id in ids], now)
        slot = now // SLOT_S * SLOT_S
        most[slot] = max(most.get(slot, 0), len(ids))
    return versions, most


def _same(a: list[Slot], b: list[Slot]) -> None:
    assert [(s.start, s.n_faces) for s in a] == [(s.start, s.n_faces) for s in b]
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one.mean_probs, other.mean_probs, atol=1e-9)


@given(crowds, st.sampled_from([0.5, 2.0, 6.0]))
def test_a_slot_never_counts_more_faces_than_were_there_at_once(crowd: list[list[int]], step_s: float):
    versions, most = _fill(crowd, step_s)
    assert {slot.start: slot.n_faces for slot in merge(versions)} == {start: n for start, n in most.items() if n}


@given(crowds, st.sampled_from([0.5, 2.0, 6.0]))
def test_every_reading_is_counted_once(crowd: list[list[int]], step_s: float):
    versions, _ = _fill(crowd, step_s)
    newest = {(b.start, b.face_id): b for b in versions}
    assert sum(b.n for b in newest.values()) == sum(map(len, crowd))
    assert all(b.start <= START + len(crowd) * step_s and b.start % SLOT_S == 0 for b in versions)


def test_a_restless_person_whose_track_breaks_again_and_again_is_one_face():
    filler = BucketFiller(1, "a", sightings=1)
    versions = [b for i in range(8) for b in filler.add([reading(i)], START + i * 0.5)]
    assert [(slot.n_faces, b.n) for slot, b in zip(merge(versions), versions[-1:], strict=True)] == [(1, 8)]


def test_a_face_that_leaves_and_returns_keeps_its_seat():
    filler = BucketFiller(1, "a", sightings=1)
    filler.add([reading(0), reading(1)], START)
    filler.add([reading(0)], START + 1)
    assert [(b.face_id, b.n) for b in filler.add([reading(0), reading(1)], START + 2)] == [(0, 3), (1, 2)]


def test_who_stays_when_a_neighbour_leaves_for_good_is_one_face_in_the_next_slot_even_when_lost_there():
    filler = BucketFiller(1, "a", sightings=1)
    filler.add([reading(0), reading(1)], START)
    versions = filler.add([reading(1)], START + SLOT_S) + filler.add([reading(2)], START + SLOT_S + 1)
    assert [slot.n_faces for slot in merge(versions)] == [1]


def test_uncertain_readings_count_in_n_and_in_no_label():
    filler = BucketFiller(1, "a", sightings=1)
    filler.add([reading(0, "happy", probs_of("happy", 1.0))], START)
    (b,) = filler.add([reading(0, UNCERTAIN)], START + 1)
    assert (b.n, b.prob_sum.tolist()) == (2, [0, 0, 0, 1, 0, 0, 0])
    (slot,) = merge([b])
    assert uncertain_share(slot.mean_probs) == 0.5


def test_readings_after_the_end_of_a_slot_begin_a_new_bucket():
    filler = BucketFiller(1, "a", sightings=1)
    filler.add([reading(0)], START + SLOT_S - 0.01)
    (b,) = filler.add([reading(0)], START + SLOT_S)
    assert (b.start, b.n) == (START + SLOT_S, 1)


def test_a_clock_that_steps_back_within_a_slot_stays_in_that_slot():
    filler = BucketFiller(1, "a", sightings=1)
    filler.add([reading(0)], START + 4)
    (b,) = filler.add([reading(0)], START + 1)
    assert (b.start, b.n) == (START, 2)


def test_a_frame_without_faces_fills_no_bucket():
    assert BucketFiller(1, "a", sightings=1).add([], START) == []


def test_handing_over_a_bucket_again_does_not_change_what_was_handed_over_before():
    filler = BucketFiller(1, "a", sightings=1)
    (first,) = filler.add([reading(0)], START)
    before = first.prob_sum.copy()
    filler.add([reading(0)], START + 1)
    np.testing.assert_array_equal(first.prob_sum, before)


@given(some_buckets, st.randoms())
def test_merging_depends_neither_on_the_order_nor_on_repetition(buckets: list[Bucket], rng: random.Random):
    shuffled = buckets * 2
    rng.shuffle(shuffled)
    _same(merge(shuffled), merge(buckets))


@given(some_buckets)
def test_every_face_weighs_the_same_however_many_frames_it_sent(buckets: list[Bucket]):
    fullest = {(b.start, b.stream_id, b.face_id): b for b in sorted(buckets, key=lambda b: b.n)}
    merged = merge(buckets)
    assert [slot.start for slot in merged] == sorted({b.start for b in buckets})
    for slot in merged:
        shares = [b.prob_sum / b.n for b in fullest.values() if b.start == slot.start]
        assert slot.n_faces == len(shares)
        np.testing.assert_allclose(slot.mean_probs, np.mean(shares, axis=0), atol=1e-9)
        assert uncertain_share(slot.mean_probs) == pytest.approx(1 - slot.mean_probs.sum(), abs=1e-9)


def test_one_frame_of_one_face_counts_as_much_as_a_hundred_of_another():
    (slot,) = merge([bucket("a", START, n=1, label="sad"), bucket("b", START, n=100, label="happy")])
    assert slot.n_faces == 2
    assert dict(zip(LABELS, slot.mean_probs.tolist(), strict=True)) == {
        **dict.fromkeys(LABELS, 0.0),
        "sad": 0.5,
        "happy": 0.5,
    }


def test_a_bucket_without_readings_is_no_face():
    assert merge([Bucket(1, "a", 0, START, 0, np.zeros(len(LABELS)))]) == []


def test_slots_below_the_group_floor_are_left_out():
    slots = [slot_of(START + i * SLOT_S, n, probs_of("happy")) for i, n in enumerate([4, 5, 6, 1])]
    assert [slot.n_faces for slot in above_floor(slots, 5)] == [5, 6]


@given(timelines, st.integers(1, 30))
def test_a_coarse_timeline_keeps_the_weighted_mean_of_what_each_of_its_slots_holds(slots: list[Slot], most: int):
    coarse = coarsen(slots, most)
    assert len(coarse) <= most + 1
    ends = [slot.start for slot in coarse[1:]] + [np.inf]
    held = [
        [s for s in slots if max(slot.start, slots[0].start) <= s.start < end]
        for slot, end in zip(coarse, ends, strict=True)
    ]
    assert sum(map(len, held)) == len(slots)
    for slot, group in zip(coarse, held, strict=True):
        weights = [s.n_faces for s in group]
        np.testing.assert_allclose(slot.mean_probs, np.average([s.mean_probs for s in group], axis=0, weights=weights))
        assert min(weights) <= slot.n_faces <= max(weights)


def test_a_timeline_that_is_short_enough_stays_as_it_is():
    slots = [slot_of(START + i * SLOT_S, 3, probs_of("happy")) for i in range(240)]
    assert coarsen(slots) == slots


def test_coarsening_a_full_timeline_conserves_its_mean():
    slots = [slot_of(i * SLOT_S, 7, probs_of(LABELS[i % 7])) for i in range(480)]
    coarse = coarsen(slots, 240)
    assert len(coarse) == 240
    np.testing.assert_allclose(overall(coarse), overall(slots), atol=1e-9)


def test_the_mean_over_time_weighs_each_slot_by_its_faces():
    slots = [slot_of(0.0, 1, probs_of("sad", 1.0)), slot_of(SLOT_S, 3, probs_of("happy", 1.0))]
    assert overall(slots)[LABELS.index("happy")] == pytest.approx(0.75)


@pytest.mark.parametrize(
    "label, pleasant",
    [
        ("happy", 1.0),
        ("sad", -1.0),
        ("angry", -1.0),
        ("disgust", -1.0),
        ("fear", -1.0),
        ("surprise", 0.0),
        ("neutral", 0.0),
    ],
)
def test_valence_is_the_sign_of_how_pleasant_an_expression_is(label: str, pleasant: float):
    assert valence(probs_of(label, 1.0)) == pleasant


@given(some_buckets)
def test_a_table_has_a_column_for_every_heading_and_its_shares_add_up(buckets: list[Bucket]):
    heading, *rows = aggregate.table(merge(buckets), origin=START)
    assert heading == list(aggregate.HEADING)
    for line in rows:
        named = dict(zip(heading, line, strict=True))
        assert named["start_s"] in (0, SLOT_S, 2 * SLOT_S)
        assert sum(named[label] for label in (*LABELS, UNCERTAIN)) == pytest.approx(1, abs=1e-3)


LATEST = slot_of(START, 6, probs_of("happy"))


def test_the_mood_is_shown_once_enough_students_contribute():
    here = [present(f"s{i}", START, n) for i, n in enumerate([3, 1, 1, 1, 2, 0])]
    shown = mood(here, LATEST, min_group=5, at=START + 1)
    assert (shown.connected, shown.contributing, shown.now, shown.withheld) == (6, 5, LATEST, "")


@pytest.mark.parametrize(
    "faces, latest, why",
    [
        pytest.param([], None, "Nobody is connected yet", id="nobody there"),
        pytest.param([], LATEST, "Nobody is connected yet", id="nobody there any more"),
        pytest.param([2, 2], LATEST, "2 of at least 5 students contribute", id="too few now"),
        pytest.param([1] * 5, slot_of(START, 4, probs_of("happy")), "being gathered", id="too few in the slot"),
        pytest.param([1] * 5, None, "being gathered", id="no slot yet"),
        pytest.param([0, 0], None, "0 of at least 5 students contribute", id="cameras off"),
    ],
)
def test_the_mood_is_withheld_with_a_sentence_while_fewer_contribute(faces: list[int], latest: Slot | None, why: str):
    here = [present(f"s{i}", START, n) for i, n in enumerate(faces)]
    withheld = mood(here, latest, min_group=5, at=START + 1)
    assert withheld.now is None
    assert why in withheld.withheld and withheld.withheld.endswith(".")


def test_who_was_not_heard_of_for_ten_seconds_neither_is_connected_nor_contributes():
    here = [present("a", START, 5), present("b", START + 1, 5)]
    still = mood(here, LATEST, min_group=1, at=START + NOW_S)
    assert (still.connected, still.contributing) == (1, 1) and still.now is not None
    assert mood(here, LATEST, min_group=1, at=START + NOW_S + 1).now is None


@given(st.lists(st.integers(0, 3), max_size=6), st.integers(0, 12), st.integers(1, 12))
def test_no_mood_is_ever_shown_of_fewer_students_than_the_floor(faces: list[int], n_slot: int, floor: int):
    here = [present(f"s{i}", START, n) for i, n in enumerate(faces)]
    latest = slot_of(START, n_slot, probs_of("sad")) if n_slot else None
    seen = mood(here, latest, floor, at=START)
    assert (seen.now is not None) == (min(sum(n > 0 for n in faces), n_slot) >= floor)
    assert bool(seen.withheld) == (seen.now is None)


@given(st.lists(labels, min_size=1, max_size=20))
def test_the_uncertain_share_is_the_share_of_uncertain_readings(shown: list[str]):
    filler, rows = (
        BucketFiller(1, "a", sightings=1),
        [[Reading(0, reading(0).face, probs_of("happy"), label)] for label in shown],
    )
    *_, last = itertools.chain.from_iterable(filler.add(row, START + 0.01 * i) for i, row in enumerate(rows))
    (slot,) = merge([last])
    assert uncertain_share(slot.mean_probs) == pytest.approx(shown.count(UNCERTAIN) / len(shown), abs=1e-6)


def test_a_face_counts_from_its_second_sighting_in_a_row():
    filler = BucketFiller(1, "a")
    assert filler.add([reading(0)], START) == []
    assert [b.n for b in filler.add([reading(0), reading(1)], START + 0.5)] == [1]
    assert [(b.face_id, b.n) for b in filler.add([reading(0), reading(2)], START + 1)] == [(0, 2)]


def test_the_group_floor_counts_students_and_not_the_faces_before_one_camera():
    rows = [bucket("a", START, face_id=seat) for seat in range(6)] + [bucket("b", START)]
    assert above_floor(merge(rows), 3) == []
    (slot,) = above_floor(merge(rows), 2)
    assert (slot.n_faces, slot.n_streams) == (7, 2)
    assert mood([present("a", START, n_faces=6), present("b", START)], slot, 3, START).now is None


def _timeline(counts: list[int | None], faces: np.ndarray | None = None) -> list[Slot]:
    """One slot per count of students, tagged by its place in n_faces (tens); None is a slot that was withheld."""
    rng = np.random.default_rng(5)
    return [
        Slot(
            START + SLOT_S * i, 10 * (i + 1), rng.dirichlet(np.ones(7)) if faces is None else faces[:n].mean(axis=0), n
        )
        for i, n in enumerate(counts)
        if n is not None
    ]


def _tags(slots: list[Slot]) -> list[int]:
    """Of each slot that is shown, which one it was before it was guarded."""
    return [slot.n_faces // 10 - 1 for slot in slots]


def _starts(slots: list[Slot]) -> list[float]:
    return [slot.start for slot in slots]


student_counts = st.lists(st.none() | st.integers(5, 9), max_size=30)


def test_of_no_slots_none_are_shown():
    assert guarded([]) == []


def test_a_class_in_which_nobody_comes_or_goes_is_shown_slot_by_slot():
    slots = _timeline([8] * 12)
    assert _tags(guarded(slots)) == list(range(12)) and _starts(guarded(slots)) == _starts(slots)


def test_a_slot_is_shown_when_it_is_over():
    slots = _timeline([8] * 3)
    assert _starts(guarded(slots, START + 3 * SLOT_S)) == _starts(slots)
    assert _starts(guarded(slots, START + 3 * SLOT_S - 0.001)) == _starts(slots[:2])
    assert guarded(slots, START) == []


def test_who_asks_every_second_sees_no_slot_filling():
    """Attack: subtract what the mean was before a student's buckets came in from what it was after."""
    past, filling = _timeline([8] * 3), [_timeline([8, 8, 8, n])[-1] for n in range(1, 9)]
    views = [guarded([*past, part], filling[0].start + 0.6 * i) for i, part in enumerate(filling)]
    assert {tuple(_tags(view)) for view in views} == {(0, 1, 2)}


@pytest.mark.parametrize("after", [7, 9], ids=["one leaves", "one joins"])
def test_what_was_shown_before_one_leaves_or_joins_is_shown_on_for_two_slots(after: int):
    shown = guarded(_timeline([8, 8, after, after, after, after]))
    assert _tags(shown) == [0, 1, 1, 1, 4, 5]
    assert _starts(shown) == _starts(_timeline([8] * 6))
    assert [slot.n_streams for slot in shown] == [8, 8, 8, 8, after, after]


def test_while_one_after_another_leaves_nothing_new_is_shown():
    assert _tags(guarded(_timeline([10, 9, 8, 7, 7, 7, 7]))) == [0, 0, 0, 0, 0, 5, 6]


def test_one_who_comes_and_goes_within_the_hold_prolongs_it():
    assert _tags(guarded(_timeline([8, 9, 8, 8, 8]))) == [0, 0, 0, 0, 4]


@pytest.mark.parametrize("after", [6, 10])
def test_two_who_leave_or_join_at_once_are_shown(after: int):
    assert _tags(guarded(_timeline([8, 8, after, after]))) == [0, 1, 2, 3]


def test_a_second_face_before_one_camera_is_held_as_a_student_is():
    """Attack: subtract the mean without the one who sat beside a student from the mean with them."""
    slots = [Slot(START + SLOT_S * i, n, np.full(7, 0.1), 8) for i, n in enumerate([9, 9, 8, 8, 8])]
    assert [slot.n_faces for slot in guarded(slots)] == [9, 9, 9, 9, 8]


def test_a_connection_that_flickers_does_not_freeze_the_picture():
    shown = guarded(_timeline([8, 9, 9] * 20))
    assert len(shown) == 60 and len(set(_tags(shown))) >= 60 // (aggregate.MOST_HELD + 1)


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_later_part_of_a_class_is_shown_as_the_whole_is(cut: int):
    """Attack: wait until the hold lies before the window that is asked for, and see the slots themselves."""
    slots = _timeline([8] * 3 + [7] * 8 + [9] * 3 + [8] * 8)
    lead = round(aggregate.LEAD_S / SLOT_S)
    whole = [slot for slot in guarded(slots) if slot.start >= slots[cut].start]
    part = [slot for slot in guarded(slots[max(0, cut - lead) :]) if slot.start >= slots[cut].start]
    assert _tags(part) == _tags(whole)


def test_a_gap_is_not_filled_with_what_was_before_it():
    assert _starts(guarded(_timeline([8, None, None, 8]))) == [START, START + 3 * SLOT_S]
    # Nothing recent can be shown on, and the slots after the gap still differ by one student.
    assert _tags(guarded(_timeline([8, 8, None, 7, 7, 7]))) == [0, 1, 5]


@given(student_counts)
def test_guarding_shows_no_time_that_there_was_not_and_keeps_the_order(counts: list[int | None]):
    slots = _timeline(counts)
    shown = guarded(slots)
    assert set(_starts(shown)) <= set(_starts(slots))
    assert _starts(shown) == sorted(set(_starts(shown))) and _tags(shown) == sorted(_tags(shown))
    assert all(START + SLOT_S * tag <= slot.start for tag, slot in zip(_tags(shown), shown, strict=True))
    assert shown[:1] == [] or _tags(shown)[0] == slots[0].n_faces // 10 - 1


@given(student_counts)
def test_two_views_in_a_row_that_differ_by_one_student_are_moments_apart(counts: list[int | None]):
    """Attack: subtract one view from the next where one student has left or joined between the two."""
    views = {slot.n_faces: slot for slot in guarded(_timeline(counts))}
    for one, other in itertools.pairwise(views.values()):
        if abs(one.n_streams - other.n_streams) == 1:
            assert (other.n_faces - one.n_faces) // 10 > aggregate.HOLD_SLOTS


@given(student_counts, st.integers(0, 30))
def test_what_was_shown_once_is_not_shown_otherwise_later(counts: list[int | None], cut: int):
    slots = _timeline(counts)
    early, late = guarded(slots, START + cut * SLOT_S), guarded(slots)
    assert _tags(early) == _tags(late)[: len(early)] and _starts(early) == _starts(late)[: len(early)]


@pytest.mark.parametrize("leaves", [True, False], ids=["one leaves", "one joins"])
@pytest.mark.parametrize("n", range(6, 21))
def test_subtracting_tells_no_more_of_one_student_than_the_mean_does(n: int, leaves: bool):
    """Attack: n·mean − (n − 1)·mean' between any two views in a row, while all others hold perfectly still.

    Faces are as varied as those of the demo class. One face that shows a single expression among such faces
    is more than rounding hides.
    """
    rng = np.random.default_rng(n)
    missed, guessed = [], []
    for _ in range(100):
        faces = rng.dirichlet(USUAL, n)
        counts = [n] * 4 + [n - 1] * 6
        shown = guarded(_timeline([*(counts if leaves else reversed(counts))], faces))
        for one, other in itertools.pairwise(shown):
            if one.n_streams != other.n_streams:
                more, fewer = sorted([one, other], key=lambda slot: -slot.n_streams)
                found = more.n_streams * more.mean_probs - fewer.n_streams * fewer.mean_probs
                missed.append(np.abs(found - faces[-1]).sum())
                guessed.append(np.abs(more.mean_probs - faces[-1]).sum())
    assert len(missed) == 100
    assert np.mean(missed) >= np.mean(guessed)


shares_of_a_class = (
    st.lists(st.floats(0, 1), min_size=8, max_size=8).filter(sum).map(lambda x: np.array(x[:7]) / sum(x))
)


@given(shares_of_a_class, st.sampled_from([0.05, 0.02]))
def test_rounded_shares_are_multiples_that_sum_to_one_within_a_step_of_the_truth(shares: np.ndarray, step: float):
    made = rounded(shares, step)
    assert made.shape == (7,) and (made >= 0).all()
    with_rest = np.append(made, 1 - made.sum())
    np.testing.assert_allclose(with_rest / step, np.round(with_rest / step), atol=1e-6)
    assert with_rest.min() > -1e-9
    assert np.abs(with_rest - np.append(shares, 1 - shares.sum())).max() < step + 1e-6


@given(shares_of_a_class, st.sampled_from([0.05, 0.02]))
def test_rounding_again_changes_nothing(shares: np.ndarray, step: float):
    made = rounded(shares, step)
    np.testing.assert_allclose(rounded(made, step), made, atol=1e-9)


def test_shares_whose_sum_is_a_hair_above_one_are_rounded_all_the_same():
    made = rounded(np.full(7, 1 / 7) * (1 + 1e-7), 0.05)
    assert made.sum() == pytest.approx(1) and set(np.round(made / 0.05)) == {2, 3}


@pytest.mark.parametrize(("n", "step"), [(5, 0.1), (9, 0.1), (10, 0.05), (19, 0.05), (20, 0.02)])
def test_a_small_class_is_rounded_more_coarsely(n: int, step: float):
    made = [slot.mean_probs / step for slot in guarded(_timeline([n] * 40))]
    np.testing.assert_allclose(made, np.round(made), atol=1e-6)
    finer = np.array(made) / 2
    assert np.abs(finer - np.round(finer)).max() > 0.4


def _mood_of(*parts: tuple[str, int]) -> list[Slot]:
    """So many slots in a row that all show one label."""
    shown = [label for label, slots in parts for _ in range(slots)]
    return [slot_of(START + SLOT_S * i, 6, probs_of(label, 1.0).astype(float)) for i, label in enumerate(shown)]


def test_where_all_become_uncertain_no_expression_rose():
    slots = [*_mood_of(("happy", 24)), *(slot_of(START + SLOT_S * (24 + i), 6, np.zeros(7)) for i in range(24))]
    (turn,) = changes(slots)
    assert (turn.label, turn.rise, turn.after) == ("uncertain", 1.0, 0.0)


def test_a_turn_of_the_mood_is_found_where_it_is():
    (turn,) = changes(_mood_of(("happy", 24), ("sad", 24)))
    assert (turn.at, turn.before, turn.after) == (START + 24 * SLOT_S, 1.0, -1.0)
    assert (turn.label, turn.rise) == ("sad", pytest.approx(1.0))


def test_turns_come_in_the_order_of_time_and_apart_from_each_other():
    found = changes(_mood_of(("neutral", 30), ("happy", 30), ("sad", 30), ("neutral", 30)))
    assert [turn.label for turn in found] == ["happy", "sad", "neutral"]
    assert [turn.at for turn in found] == [START + SLOT_S * i for i in (30, 60, 90)]


def test_of_many_turns_the_largest_are_told():
    slots = _mood_of(("happy", 30), ("sad", 30), ("neutral", 30), ("happy", 30))
    assert [turn.label for turn in changes(slots, most=1)] == ["sad"]
    assert changes(slots, most=0) == []


def test_a_mood_that_hardly_moves_has_no_turns():
    assert changes([]) == changes(_mood_of(("happy", 100))) == []
    little = [slot_of(START + SLOT_S * i, 6, probs_of("happy", 1.0) * (0.5 + 0.14 * (i > 30))) for i in range(60)]
    assert changes(little) == []
    enough = [slot_of(START + SLOT_S * i, 6, probs_of("happy", 1.0) * (0.5 + 0.16 * (i > 30))) for i in range(60)]
    assert [turn.at for turn in changes(enough)] == [START + 31 * SLOT_S]


@pytest.mark.parametrize("parts", [(("happy", 5), ("sad", 40)), (("happy", 40), ("sad", 5))])
def test_a_few_slots_at_the_edge_are_no_turn(parts: tuple[tuple[str, int], ...]):
    """Less than half a minute of readings on one side says nothing about a minute."""
    found = changes(_mood_of(*parts))
    assert all(min(turn.at - START, START + 45 * SLOT_S - turn.at) >= 30 for turn in found)
    assert all(abs(turn.after - turn.before) < 2 for turn in found)


def test_a_turn_weighs_slots_by_their_faces():
    before = [
        slot_of(START + SLOT_S * i, 1 + 8 * (i % 2), probs_of("sad" if i % 2 else "happy", 1.0)) for i in range(24)
    ]
    after = [slot_of(START + SLOT_S * (24 + i), 5, probs_of("neutral", 1.0)) for i in range(24)]
    (turn,) = changes(before + after)
    assert turn.before == pytest.approx((1 - 9) / 10)


END = START + 24 * SLOT_S


def test_a_class_without_marked_moments_is_one_part():
    (part,) = segments(_mood_of(("happy", 24)), [], START, END)
    assert (part.title, part.begin, part.end) == ("from the start", START, END)
    assert part.mean_probs is not None and valence(part.mean_probs) == 1.0


def test_each_marked_moment_begins_a_part_with_its_own_mood():
    slots = _mood_of(("happy", 10), ("sad", 8), ("neutral", 6))
    parts = segments(slots, [Marker(1, START + 10 * SLOT_S, "film"), Marker(1, START + 18 * SLOT_S, "")], START, END)
    assert [part.title for part in parts] == ["from the start", "film", "marked"]
    assert [part.end for part in parts] == [part.begin for part in parts[1:]] + [END]
    shown = [part.mean_probs for part in parts]
    for mean, label in zip(shown, ("happy", "sad", "neutral"), strict=True):
        np.testing.assert_allclose(mean, probs_of(label, 1.0), atol=1e-9)


def test_a_part_without_slots_has_no_mood():
    parts = segments(_mood_of(("happy", 10)), [Marker(1, START + 12 * SLOT_S, "film")], START, END)
    assert [part.mean_probs is None for part in parts] == [False, True]
    assert [part.mean_probs for part in segments([], [], START, END)] == [None]


def test_moments_outside_of_the_class_or_at_its_ends_begin_no_part():
    outside = [Marker(1, at, "outside") for at in (START - 60, START, END, END + 60)]
    assert [part.title for part in segments([], outside, START, END)] == ["from the start"]


def test_two_moments_within_a_slot_share_it_out_to_one_of_them():
    markers = [Marker(1, START + 7, "a"), Marker(1, START + 8, "b")]
    parts = segments(_mood_of(("happy", 1), ("sad", 23)), markers, START, END)
    assert [part.title for part in parts] == ["from the start", "a", "b"]
    assert [part.mean_probs is None for part in parts] == [False, True, False]
