# SPDX-License-Identifier: Apache-2.0
"""A device's chance is repeatable, even, and small."""

from __future__ import annotations

import sys

import pytest

from umslab_agent.chance import Chance


def test_the_same_seed_gives_the_same_numbers() -> None:
    """And another one others."""
    one, same, other = Chance("a"), Chance("a"), Chance("b")

    assert [one.random() for _ in range(5)] == [same.random() for _ in range(5)]
    assert Chance("a").random() != other.random()


def test_numbers_are_even() -> None:
    """Mean and tenths of 10,000."""
    chance = Chance("even")
    numbers = [chance.random() for _ in range(10_000)]
    tenths = [sum(int(number * 10) == tenth for number in numbers) for tenth in range(10)]

    assert 0.5 == pytest.approx(sum(numbers) / len(numbers), abs=0.01)
    assert all(900 < count < 1100 for count in tenths)
    assert 0 <= min(numbers) < max(numbers) < 1


def test_known_numbers() -> None:
    """SplitMix64 from state 1234567, as its authors' code gives them."""
    chance = Chance("")
    chance._state = 1234567

    assert [6457827717110365317, 3203168211198807973, 9817491932198370423] == [chance._next() for _ in range(3)]


def test_shuffling_loses_nothing_and_favours_nobody() -> None:
    """Every order of three comes up about as often."""
    chance = Chance("shuffle")
    orders: dict[tuple[int, ...], int] = {}
    for _ in range(6_000):
        items = [1, 2, 3]
        chance.shuffle(items)
        orders[tuple(items)] = orders.get(tuple(items), 0) + 1

    assert 6 == len(orders)
    assert all(850 < count < 1150 for count in orders.values())


def test_it_is_small() -> None:
    """A hundred bytes, not 2,500."""
    chance = Chance("small")

    assert sys.getsizeof(chance) + sys.getsizeof(chance._state) < 100
