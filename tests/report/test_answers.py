"""What the page opens with: the winner, the paired difference and its sign, ties, the plot."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.report import boards as leaderboards
from bench.report.answers import answers, sentence, summary
from bench.report.tables import Board, Lead, Row
from bench.results.document import of_json

from .test_boards import result
from .test_marks import Kept, kept

NBSP = "\N{NO-BREAK SPACE}"
RANDOM = np.random.default_rng(0)
BASE, NOISE = RANDOM.normal(50, 20, 200), RANDOM.normal(0, 9, 200)
CENTRED = NOISE - NOISE.mean()


def made(values: dict[str, np.ndarray], *bare: tuple[str, float], **more: Any) -> Board:
    """The board of these models, and of others that kept no predictions."""
    documents = [kept(name, one, **more) for name, one in values.items()]
    for name, value in bare:
        documents.append({**kept(name, np.full(9, value), **more), "predictions": None})
        del documents[-1]["predictions"]
    backing = Kept({f"{name} 0": one for name, one in values.items()})
    (board,) = leaderboards.boards([of_json(one) for one in documents], backing=backing)
    return board


def said(board: Board) -> str:
    assert board.lead
    return ": ".join(sentence(board, board.lead)).replace(NBSP, " ")


def test_the_winner_and_the_paired_difference() -> None:
    """Best less the next, never the other way round, with the interval of the pairs."""
    values = {"weak": BASE, "good": BASE + 3 + CENTRED, "last": BASE - 20 + CENTRED[::-1]}
    board = made(values, protocol="msrvtt/toy")
    assert board.lead and (board.lead.best, board.lead.second) == ("good", "weak")
    assert board.lead.gap == pytest.approx(3.0) and board.lead.interval
    low, high = board.lead.interval
    half = 1.96 * NOISE.std() / 200**0.5
    assert low == pytest.approx(3 - half, abs=0.3) and high == pytest.approx(3 + half, abs=0.3)
    value = BASE.mean() + 3
    assert said(board) == (
        f"good is best: R@1 {value:.1f}, ahead of weak by a paired difference of 3.0 "
        f"[{low:.1f}, {high:.1f}] points. Random baseline: 0.1."
    )
    assert [row.rank for row in board.rows[:3]] == [1, 2, 3]


def test_what_is_tied_is_no_winner() -> None:
    board = made({"one": BASE, "two": BASE + 0.2 + CENTRED, "far": BASE - 30})
    text = said(board)
    assert text.startswith("two and one are statistically tied: two has R@1 ")
    assert "by a paired difference of 0.2 [-" in text
    three = made({"one": BASE, "two": BASE + 0.2 + CENTRED, "three": BASE + 0.1 - CENTRED})
    assert said(three).startswith("two, three and one are statistically tied")
    many = {f"m{n}": BASE + RANDOM.normal(0, 9, 200) for n in range(5)}
    many = {name: one - one.mean() + 50 + n / 100 for n, (name, one) in enumerate(many.items())}
    assert said(made(many)).startswith("m4 and 4 others are statistically tied")


def test_a_pair_that_differs_alone_but_not_among_all_is_no_winner() -> None:
    lead = Lead("R@1", "%", "a", "b", 2.0, (0.5, 3.5), tied=("b",))
    board = Board("t", "t", "p", ["R@1"], [Row("a", "measured", {"R@1": 9.0})], lead=lead)
    assert said(board).startswith("a and b are statistically tied") and "this pair alone" in said(
        board
    )
    # Nor is one whose pair does not differ, though the board sets it apart.
    reverse = replace(lead, interval=(-0.5, 3.5), tied=())
    assert said(replace(board, lead=reverse)).startswith("a and b are statistically tied")
    assert summary([board, replace(board, lead=reverse)]).endswith(
        "Of 2 boards with several models: on 2 the best are statistically tied."
    )


def test_without_predictions_nothing_is_said_to_be_more_than_chance() -> None:
    board = made({"good": BASE}, ("bare", 40.0))
    assert board.lead and board.lead.interval is None and board.lead.untested == ("bare",)
    assert said(board).startswith("Not tested: good has R@1 ")
    assert "more than chance is not known" in said(board)
    assert summary([board]).endswith("on 1 that was not tested.")
    (group,) = answers([board])
    assert "circle" not in group.found[0].strip and not group.axis


def test_few_groups_of_videos_have_no_interval() -> None:
    board = made({"one": BASE[:5], "two": BASE[:5] + 30})
    assert board.lead and board.lead.interval is None
    assert "inf" not in said(board) and "(this pair cannot be tested alone)" in said(board)
    assert said(board).startswith("two and one are statistically tied: ")


def test_runs_that_cannot_be_paired_are_told_apart_by_the_board_alone() -> None:
    """Two seeds beside three: no interval of the pair, and no claim that nothing was tested."""
    lead = Lead("R@1", "%", "a", "b", 9.0)
    board = Board("t", "t", "p", ["R@1"], [Row("a", "measured", {"R@1": 9.0})], lead=lead)
    assert said(board) == (
        "a is best: R@1 9.0, ahead of b by 9.0 points (this pair cannot be tested alone)."
    )
    median = replace(board, lead=replace(lead, metric="MdR"), rows=[
        Row("a", "measured", {"MdR": 9.0})])  # fmt: skip
    assert said(median).startswith("Not tested: a has MdR 9.0")  # no mark is ever given for it


def test_one_model_alone_and_two_on_a_level() -> None:
    assert said(made({"one": BASE})).startswith(f"Only one was measured: R@1 {BASE.mean():.1f} [")
    level = said(made({"one": BASE, "two": BASE.copy()}))
    assert level.startswith("one and two are level: R@1 ") and " each." in level
    three = made({name: BASE.copy() for name in ("one", "two", "three")})
    assert said(three).startswith("one, three and two are level: ")
    assert summary([made({"one": BASE})]) == ""


def test_where_less_is_better_ahead_is_still_positive() -> None:
    documents = [{**kept(name, one), "primary": "MdR"}
                 for name, one in (("slow", BASE + 30 + CENTRED), ("fast", BASE))]  # fmt: skip
    backing = Kept({"slow 0": BASE + 30 + CENTRED, "fast 0": BASE})
    (board,) = leaderboards.boards([of_json(one) for one in documents], backing=backing)
    lead = board.lead
    assert lead and lead.best == "fast" and lead.gap > 20 and lead.interval
    assert lead.interval[0] < lead.gap < lead.interval[1] and lead.interval[0] > 10
    assert "ranks. " in said(board)


def test_a_board_of_real_videos_names_the_best_published() -> None:
    """Of those that are comparable: no dual softmax, nothing read off a chart."""
    (board,) = leaderboards.boards([of_json(result("mine", 20, 9))])
    plain = [row.values["R@1"] for row in board.rows if row.kind == "published"
             and "R@1" in row.values and not row.dual_softmax and not row.about]  # fmt: skip
    assert f"Best published value: {max(plain):.1f} (" in said(board)
    published = Row("dagger", "published", {"R@1": 99.0}, dual_softmax=True)
    with_dagger = replace(board, rows=[*board.rows, published])
    assert said(with_dagger) == said(board)
    order = [row.values.get("R@1", -1.0) for row in board.rows if row.kind == "published"]
    assert order == sorted(order, reverse=True) and order[-1] == -1.0


def test_drawn_and_real_videos_never_share_an_axis() -> None:
    real = made({"a": BASE, "b": BASE + 40 + CENTRED})
    toy = made({"a": BASE, "b": BASE + 2 + CENTRED}, protocol="msrvtt/toy")
    first, second = answers([real, toy])
    assert (first.toy, second.toy) == (False, True)
    assert [one.place for one in (*first.found, *second.found)] == [1, 2]
    ticks = [set(re.findall(r'text-anchor="middle">(\d+)<', one.axis)) for one in (first, second)]
    assert "40" in ticks[0] and "40" not in ticks[1]
    assert summary([real, toy]) == "Of 2 boards with several models: b is best on 2."


def test_the_dot_stands_at_the_difference_and_the_bar_at_its_interval() -> None:
    def board(gap: float, low: float, high: float) -> Board:
        lead = Lead("R@1", "%", "a<b", "c", gap, (low, high), tied=("c",) if low < 0 else ())
        return Board("t", "t", "p", ["R@1"], [Row("a<b", "measured", {"R@1": 9.0})], lead=lead)

    (group,) = answers([board(2.0, -2.0, 6.0), board(4.0, 2.0, 6.0)])
    zeros = [re.search(r'class="axis" x1="([\d.]+)"', one.strip) for one in group.found]
    assert zeros[0] and zeros[1] and zeros[0][1] == zeros[1][1]  # one scale for both
    zero = float(zeros[0][1])
    bars = [[float(x) for x in re.findall(r'd="M([\d.]+) 13.0H([\d.]+)', one.strip)[0]]
            for one in group.found]  # fmt: skip
    dot = re.search(r'circle cx="([\d.]+)"', group.found[1].strip)
    assert bars[0][0] < zero < bars[1][0] < bars[1][1] and dot  # 2 points are as long as -2
    assert bars[0][1] == bars[1][1] and bars[1][0] - zero == pytest.approx(
        zero - bars[0][0], abs=0.2
    )
    assert float(dot[1]) - zero == pytest.approx(2 * (bars[1][0] - zero), abs=0.2)
    # What is tied is of another shape and colour than what is clear.
    assert "mark s0" in group.found[1].strip and "mark s7" in group.found[0].strip
    assert "a&lt;b ahead of c by 2.0 [-2.0, 6.0] points" in group.found[0].strip
