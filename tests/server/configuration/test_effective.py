# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.effective: the order of section 11.6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from umslab_protocol.wire.orders import AppOrder, FileOrder
from umslab_server.configuration.effective import Layer, Profile, count_assignments, effective_document, explain

if TYPE_CHECKING:
    from umslab_server.configuration.effective import Holding


def test_the_order() -> None:
    """Global, root, directory, device; priority profiles of the same receivers over all; by position within each."""
    layers = [
        Layer("/", [Profile("high", {"a": "high"}, priority=True), Profile("low", dict.fromkeys("abcd", "root"))]),
        Layer("/x", [Profile("one", dict.fromkeys("abc", "x1")), Profile("two", {"c": "x2"})]),
        Layer("D", [Profile("own", {"b": "own", "a": "own"})]),
    ]
    document = effective_document(dict.fromkeys("abcde", "global"), layers)

    assert {"a": "high", "b": "own", "c": "x2", "d": "root", "e": "global"} == document.settings


def test_apps_and_files() -> None:
    """Their union; of one app the version that is applied last."""
    layers = [
        Layer("/", [AppOrder(name="a", version="1"), FileOrder(name="f", sha256="0" * 64, size=1)]),
        Layer("D", [AppOrder(name="b", version="1"), AppOrder(name="a", version="0.9")]),
    ]
    document = effective_document({}, layers)

    assert [("a", "0.9"), ("b", "1")] == [(one.name, one.version) for one in document.apps]
    assert ["f"] == [one.name for one in document.files]
    assert 4 == count_assignments(layers)


def test_explained() -> None:
    """Each value names its profile and receiver, and what it hides."""
    layers = [Layer("/", [Profile("p", {"a": "1"})]), Layer("D", [Profile("q", {"a": "2"}, priority=True)])]
    (origin,) = explain({"a": "0"}, layers)

    assert ("a", "2", "q", "D") == (origin.name, origin.value, origin.profile, origin.receiver)
    assert ("global at global", "p at /") == origin.overrides


_settings = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12345"))
_profiles = st.builds(Profile, st.text("pq", max_size=3), _settings, priority=st.booleans())
_apps = st.builds(AppOrder, name=st.sampled_from("xy"), version=st.sampled_from("12"))
_layers = st.lists(st.builds(Layer, st.text("/x", max_size=2), st.lists(_profiles | _apps, max_size=4)), max_size=4)


@given(_settings, _layers)
def test_a_later_one_wins(everybody: dict[str, str], layers: list[Layer]) -> None:
    """For any assignments: a value is that of the last priority profile that has one, else of the last profile."""
    document = effective_document(everybody, layers)
    holdings: list[Holding] = [one for layer in layers for one in layer.holdings]
    ranked = [one for wanted in (True, False) for one in reversed(holdings)
              if isinstance(one, Profile) and one.priority is wanted]  # fmt: skip
    for name in "abcd":
        values = [one.settings[name] for one in ranked if name in one.settings] + [everybody.get(name)]

        assert values[0] == document.settings.get(name)
    assert {one.name: one.version for one in holdings if isinstance(one, AppOrder)} == {
        one.name: one.version for one in document.apps
    }


@given(_settings, _layers)
def test_explanation_and_document_agree(everybody: dict[str, str], layers: list[Layer]) -> None:
    """What is explained is what is sent."""
    assert effective_document(everybody, layers).settings == {one.name: one.value for one in explain(everybody, layers)}
