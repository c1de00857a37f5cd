# SPDX-License-Identifier: Apache-2.0
"""Messages of every kind, made from the types themselves: by chance, and one by one at every limit.

It reads the limits by msgspec's own inspection, so a new message or member is covered the moment it exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from umslab_protocol.wire.messages import Message

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


def tag(kind: type[msgspec.Struct]) -> str:
    """The `type` of a message."""
    return str(kind.__struct_config__.tag)


# By chance.


def instances(kind: type[msgspec.Struct]) -> st.SearchStrategy[Message]:
    """Messages of one kind."""

    def convert(document: dict[str, Any]) -> Message:
        message: Any = msgspec.convert(document, kind)
        return message  # type: ignore[no-any-return]

    return documents(kind).map(convert)


def documents(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Messages of one kind as JSON objects, with and without what may be left out."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return _structs(described)


def _structs(kind: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    needed = {one.encode_name: _values(one.type) for one in kind.fields if one.required}
    optional = {one.encode_name: _values(one.type) for one in kind.fields if not one.required}
    head = {"type": st.just(kind.tag)} if kind.tag else {}
    return st.fixed_dictionaries({**head, **needed}, optional=optional)


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.EnumType(cls=members):
            return st.sampled_from([str(one.value) for one in members])
        case inspect.ListType(item_type=item, min_length=low):
            return st.lists(_values(item), min_size=low or 0, max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_values(key), _values(value), max_size=3)
        case inspect.UnionType(types=types):
            return st.one_of([_values(one) for one in types])
        case inspect.NoneType():
            return st.none()
        case inspect.StructType():
            return _structs(kind)
    return _scalars(kind)


def _scalars(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.IntType(ge=low, le=high):
            return st.integers(low, high)
        case inspect.FloatType(gt=above, ge=low):
            least = low if above is None else above
            return st.floats(
                least, 1e9, exclude_min=above is not None, allow_nan=False, allow_infinity=False
            ) | st.integers(1, 99)
        case inspect.StrType(pattern=pattern) if pattern is not None:
            return st.from_regex(pattern).filter(lambda text: _fits(text, kind))
        case inspect.StrType(min_length=low, max_length=high):
            short = st.text(characters, min_size=low or 0, max_size=min(high or 12, 12))
            return short | st.just("ü" * high) if high else short
    raise NotImplementedError(kind)


def _fits(text: str, kind: inspect.StrType) -> bool:
    return (kind.min_length or 0) <= len(text) <= (kind.max_length or len(text))


# One by one: at every limit, and just beyond it.


def edges(kind: type[msgspec.Struct]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Documents of one kind with one thing special about each: what it is, the document, whether it may be read."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    yield from _edges(described)
    yield "an unknown member", {**smallest(kind), "somethingNew": {"deep": [1, None]}}, True


def smallest(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The least that can be said in a message of this kind."""
    document = _smallest(inspect.type_info(kind))
    assert isinstance(document, dict)
    return document


def _smallest(kind: inspect.Type) -> Any:
    match kind:
        case inspect.IntType(ge=low):
            return low or 0
        case inspect.FloatType(gt=above):
            return 0.5 if above == 0 else 0.0
        case inspect.StrType(pattern=pattern, min_length=low):
            return _SAMPLES[pattern] if pattern is not None else "x" * (low or 0)
        case inspect.EnumType(cls=members):
            return str(next(iter(members)).value)
        case inspect.ListType(item_type=item, min_length=low):
            return [_smallest(item)] * (low or 0)
        case inspect.DictType():
            return {}
        case inspect.UnionType():
            return None
        case inspect.StructType(tag=name, fields=fields):
            head = {"type": name} if name else {}
            return {**head, **{one.encode_name: _smallest(one.type) for one in fields if one.required}}
    raise NotImplementedError(kind)


def _edges(kind: inspect.Type) -> Iterator[tuple[str, Any, bool]]:
    match kind:
        case inspect.StructType():
            yield from _struct_edges(kind)
        case inspect.ListType():
            yield from _list_edges(kind)
        case inspect.DictType():
            yield from _dict_edges(kind)
        case inspect.StrType():
            yield from _text_edges(kind)
        case inspect.IntType() | inspect.FloatType():
            yield from _number_edges(kind)
        case inspect.EnumType(cls=members):
            yield from ((str(one.value), str(one.value), True) for one in members)
            yield from (("no member", "surprise", False), ("a number", 1, False))
        case inspect.UnionType(types=types):
            yield from ((what, value, good or value is None) for one in types for what, value, good in _edges(one))
        case inspect.NoneType():
            yield "null", None, True
        case _:
            raise NotImplementedError(kind)


def _struct_edges(kind: inspect.StructType) -> Iterator[tuple[str, Any, bool]]:
    least = _smallest(kind)
    yield "the least", least, True
    yield from (("a list", [], False), ("null", None, False), ("a text", "x", False))
    for member in kind.fields:
        name = member.encode_name
        if member.required:
            yield f"no {name}", {key: value for key, value in least.items() if key != name}, False
        for what, value, good in _edges(member.type):
            yield f"{name}: {what}", {**least, name: value}, good


def _list_edges(kind: inspect.ListType) -> Iterator[tuple[str, Any, bool]]:
    item, low, high = _smallest(kind.item_type), kind.min_length or 0, kind.max_length
    assert high is not None or low, "every list has a limit"
    yield from (("an object", {}, False), ("null", None, False))
    yield f"{low} items", [item] * low, True
    if low:
        yield f"{low - 1} items", [item] * (low - 1), False
    if high is not None:
        yield f"{high} items", [item] * high, True
        yield f"{high + 1} items", [item] * (high + 1), False
    for what, value, good in _edges(kind.item_type):
        yield f"item {what}", [value], good


def _dict_edges(kind: inspect.DictType) -> Iterator[tuple[str, Any, bool]]:
    value, high = _smallest(kind.value_type), kind.max_length
    assert high is not None, "every map has a limit"
    yield from (("a list", [], False), ("null", None, False))
    yield f"{high} entries", {f"k{number}": value for number in range(high)}, True
    yield f"{high + 1} entries", {f"k{number}": value for number in range(high + 1)}, False
    for what, key, good in _edges(kind.key_type):
        if isinstance(key, str):
            yield f"key {what}", {key: value}, good
    for what, one, good in _edges(kind.value_type):
        yield f"value {what}", {"key": one}, good


def _text_edges(kind: inspect.StrType) -> Iterator[tuple[str, Any, bool]]:
    high, sample = kind.max_length, _SAMPLES.get(kind.pattern or "")
    yield from (("a number", 1, False), ("null", None, False), ("a list", [], False))
    yield "empty", "", not kind.min_length and sample is None
    if sample is None:
        assert high is not None, "every text has a limit"
        yield f"{high} characters", "ü" * high, True
        yield f"{high + 1} characters", "ü" * (high + 1), False
        return
    yield from (("a sample", sample, True), ("a line break", f"{sample}\n", False), ("a stranger", "ü", False))
    if high is not None:
        yield f"{high} characters", "x" * high, True
        yield f"{high + 1} characters", "x" * (high + 1), False


def _number_edges(kind: inspect.IntType | inspect.FloatType) -> Iterator[tuple[str, Any, bool]]:
    yield from (("a text", "1", False), ("null", None, False), ("true", True, False))
    if isinstance(kind, inspect.IntType):
        yield "half", (kind.ge or 0) + 0.5, False
    if kind.gt is not None:
        yield from ((f"{kind.gt}", kind.gt, False), (f"above {kind.gt}", kind.gt + 0.001, True))
    if kind.ge is not None:
        yield from ((f"{kind.ge}", kind.ge, True), (f"{kind.ge - 1}", kind.ge - 1, False))
    if kind.le is not None:
        yield from ((f"{kind.le}", kind.le, True), (f"{kind.le + 1}", kind.le + 1, False))


_SAMPLES = {
    r"^[A-Za-z0-9_.%-]+$(?!\n)": "system.remotemanager.x%0",
    r"^[0-9a-f]{64}$(?!\n)": "0123456789abcdef" * 4,
    r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$(?!\n)": "wallpaper-2.png",
    r"^[A-Za-z0-9+/]{43}=$(?!\n)": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}
"""A text for every pattern."""
