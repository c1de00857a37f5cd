# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.rule_matching (section 11.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umslab_server.configuration.rule_matching import (
    Criteria,
    Rule,
    Subject,
    at_boot_only,
    check_criteria,
    decide,
    target_of,
    why_not,
)
from umslab_server.errors import RefusedError

SUBJECT = Subject(
    structure_tag="hall-1",
    address="10.1.2.3",
    onboarded_by="Ann@Example.com",
    role="Admins",
    apps=("chromium", "citrix"),
    firmware="12.8.4",
)


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(),
        Criteria(structure_tag="hall-1"),
        Criteria(structure_tag="HALL-?"),
        Criteria(ip_range="10.1.0.0/16"),
        Criteria(ip_range="10.1.2.3"),
        Criteria(ip_range="10.1.2.1 - 10.1.2.3"),
        Criteria(user="ann"),
        Criteria(user="ann@example.com"),
        Criteria(role="admin*"),
        Criteria(mail_domain="example.com"),
        Criteria(app="citrix"),
        Criteria(firmware="12.8.*"),
        Criteria(structure_tag="hall-*", ip_range="10.0.0.0/8", role="admins", app="c*", firmware="12.*"),
    ],
)
def test_holds(criteria: Criteria) -> None:
    """All criteria hold; case does not count, and * and ? stand for anything."""
    check_criteria(criteria)
    assert [] == list(why_not(criteria, SUBJECT))


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        (Criteria(structure_tag="hall-2"), "structure tag is hall-1, not hall-2"),
        (Criteria(ip_range="10.2.0.0/16"), "IP address is 10.1.2.3, not in 10.2.0.0/16"),
        (Criteria(ip_range="10.1.2.4-10.1.2.9"), "IP address is 10.1.2.3, not in 10.1.2.4-10.1.2.9"),
        (Criteria(ip_range="::/0"), "IP address is 10.1.2.3, not in ::/0"),
        (Criteria(user="bob"), "onboarding user is Ann@Example.com, Ann, not bob"),
        (Criteria(mail_domain="ample.com"), "mail domain is Example.com, not ample.com"),
        (Criteria(app="zoom"), "installed app is chromium, citrix, not zoom"),
    ],
)
def test_fails(criteria: Criteria, reason: str) -> None:
    """And why."""
    assert [reason] == list(why_not(criteria, SUBJECT))


def test_what_is_unknown_fits_nothing() -> None:
    """A device that has not said a thing is not in any range, and has no tag, not even *."""
    criteria = Criteria(structure_tag="*", ip_range="0.0.0.0/0", user="*", mail_domain="*", app="*", firmware="*")

    assert 6 == len(list(why_not(criteria, Subject())))
    assert [] == list(why_not(Criteria(ip_range="10.0.0.0/8"), Subject(address="::ffff:10.0.0.1")))


@pytest.mark.parametrize("text", ["x", "10.0.0.0/99", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "1-2", "-"])
def test_ranges_that_are_none(text: str) -> None:
    """Refused when the rule is made."""
    with pytest.raises(RefusedError, match="not a range"):
        check_criteria(Criteria(ip_range=text))


def rule(number: int, criteria: Criteria, *children: Rule, target: int | None = 1, **options: bool) -> Rule:
    """A rule."""
    return Rule(id=number, name=f"r{number}", criteria=criteria, directory_id=target, children=children, **options)


YES, NO = Criteria(), Criteria(structure_tag="other")


def test_first_match_and_refinement() -> None:
    """The first that fits decides, unless rules below it fit: then the deepest."""
    rules = [
        rule(1, NO, rule(2, YES)),
        rule(3, YES, rule(4, NO), rule(5, YES, rule(6, NO)), rule(7, YES)),
        rule(8, YES),
    ]
    decided, looks = decide(rules, SUBJECT)

    assert decided is not None
    assert 5 == decided.id
    assert [(1, 0), (3, 0), (4, 1), (5, 1), (6, 2)] == [(look.rule.id, look.depth) for look in looks]
    assert (None, []) == decide([], SUBJECT)


def test_at_boot() -> None:
    """Only the rules that say so, without those that refine others."""
    rules = [
        rule(1, YES, rule(2, YES, at_boot=True)),
        rule(3, YES, rule(4, YES), rule(5, YES, at_boot=True), at_boot=True),
    ]
    (kept,) = at_boot_only(rules)

    assert (3, [5]) == (kept.id, [child.id for child in kept.children])


@pytest.mark.parametrize(
    ("chosen", "here", "above", "target", "why"),
    [
        (None, -1, [], None, "no rule fits"),
        (rule(1, YES, target=None), -1, [], None, "has no target"),
        (rule(1, YES, target=7), -1, [], 7, "fits"),
        (rule(1, YES, target=7), 7, [-1], None, "already"),
        (rule(1, YES, target=7), 8, [-1], None, "does not override"),
        (rule(1, YES, target=7, override=True), 8, [-1], 7, "fits"),
        (rule(1, YES, target=7, override=True), 9, [-1, 7], 7, "fits"),
        (rule(1, YES, target=7, override=True, leave_in_subdirectory=True), 9, [-1, 7], None, "leaves"),
        (rule(1, YES, target=7, override=True, leave_in_subdirectory=True), 9, [-1, 8], 7, "fits"),
        (rule(1, YES, target=-1, override=True), 9, [-1], -1, "fits"),
    ],
)
def test_where_it_goes(chosen: Rule | None, here: int, above: list[int], target: int | None, why: str) -> None:
    """The options of the rule that decides."""
    found, because = target_of(chosen, here, -1, above)

    assert target == found
    assert why in because


_criteria = st.sampled_from([YES, NO])
_plain = st.builds(Rule, id=st.integers(), name=st.just("r"), criteria=_criteria, directory_id=st.none())


def _refined(below: st.SearchStrategy[list[Rule]]) -> st.SearchStrategy[list[Rule]]:
    ids, name = st.integers(), st.just("r")
    one = st.builds(Rule, id=ids, name=name, criteria=_criteria, directory_id=st.none(), children=below)
    return st.lists(one, max_size=3)


_rules = st.recursive(st.lists(_plain, max_size=3), _refined, max_leaves=10)


@given(_rules)
def test_one_path_of_fitting_rules(rules: list[Rule]) -> None:
    """For any rules: the one that decides fits, so do all above it, and none before them on their level."""
    decided, looks = decide(rules, SUBJECT)
    fitting = [look for look in looks if not look.fails]
    level = rules
    for depth, look in enumerate(fitting):
        assert depth == look.depth
        assert look.rule is next(one for one in level if one.criteria is YES)
        level = list(look.rule.children)

    assert all(one.criteria is NO for one in level)
    assert decided is (fitting[-1].rule if fitting else None)


@given(st.text(max_size=40))
def test_any_range(text: str) -> None:
    """Any text is a range or refused."""
    try:
        check_criteria(Criteria(ip_range=text))
    except RefusedError:
        return
    assert list(why_not(Criteria(ip_range=text), SUBJECT)) in ([], [f"IP address is 10.1.2.3, not in {text}"])
