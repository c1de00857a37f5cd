# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a configuration: a configuration whose every value is in bounds, or a `ValidationError`."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_server.config import ServerConfig

_DEFAULTS = msgspec.to_builtins(ServerConfig())
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["1.2", "1.3", "p-256", "rsa-4096", "accept", "refuse", "pem", "wrapped", "::1"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


def _table(defaults: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of the known keys, values of any kind, and now and then an unknown key."""
    known = {
        key: st.one_of(_table(value), _values) if isinstance(value, dict) else st.one_of(st.just(value), _values)
        for key, value in defaults.items()
    }
    return st.one_of(
        st.fixed_dictionaries({}, optional=known), st.dictionaries(st.text(max_size=8), _values, max_size=2)
    )


@given(_table(_DEFAULTS))
@settings(deadline=None)
def test_configuration(values: dict[str, Any]) -> None:
    """What is accepted survives being written and read, and what matters is sound."""
    try:
        config = msgspec.convert(values, ServerConfig)
    except msgspec.ValidationError:
        return

    assert msgspec.convert(msgspec.to_builtins(config), ServerConfig) == config
    assert 0 <= config.port <= 65_535
    assert config.listen
    for seconds in (config.drain_seconds, config.sessions.hello_seconds, config.throttle.seconds_per_wrong_key):
        assert 0 < seconds <= 86_400
