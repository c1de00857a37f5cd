# SPDX-License-Identifier: Apache-2.0
"""The schemas of the messages are the truth: files, codec and documents agree, and a validator that is not ours judges.

What JSON Schema cannot say, or says otherwise than our decoder, stands in docs/protocol.md and is shown at the end.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.docs.generate import DOCUMENTS, ROOT, SCHEMAS, message_schemas
from tests.protocol.wire.instances import documents, edges, instances, json_values, smallest, tag
from tests.protocol.wire.test_messages import SAMPLES
from tests.support.schemas import check, is_valid, load
from umslab_protocol.wire.messages import MESSAGE_TYPES, Hello, UnreadableMessageError, decode_message
from umslab_protocol.wire.os11 import GREETING_TYPES, Contact, Proof, decode_greeting

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.wire.messages import Message
    from umslab_protocol.wire.os11 import Greeting

ALL_TYPES = (*MESSAGE_TYPES, *GREETING_TYPES)
kinds = pytest.mark.parametrize("kind", ALL_TYPES, ids=tag)


def decode(kind: type[msgspec.Struct], document: object) -> Message | Greeting:
    """Read a document with the decoder that reads this kind."""
    payload = json.dumps(document).encode()
    return decode_greeting(payload) if kind in GREETING_TYPES else decode_message(payload)


def is_read(kind: type[msgspec.Struct], document: object) -> bool:
    """Whether our decoder takes a document for a message of this kind."""
    try:
        return isinstance(decode(kind, document), kind)
    except UnreadableMessageError:
        return False


# The files.


def test_files_are_fresh() -> None:
    """`python -m tests.docs.generate` would change nothing, and no message that is gone has left its schema."""
    assert message_schemas() == {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}


@kinds
def test_a_schema_is_one(kind: type[msgspec.Struct]) -> None:
    """Draft 2020-12, with everything it refers to in itself, and words for people."""
    schema = load(tag(kind))
    Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)))

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["title"], schema["properties"]["type"]) == (tag(kind), {"const": tag(kind)})
    assert schema["description"]
    assert "SIMULATED" in schema["$comment"]
    assert references == {f"#/$defs/{name}" for name in schema.get("$defs", {})}
    assert all(one["description"] for one in schema.get("$defs", {}).values())


# The codec.


@kinds
def test_what_we_write_passes(kind: type[msgspec.Struct]) -> None:
    """Every message that our codec can write is one by its schema."""

    @settings(deadline=None, max_examples=30)
    @given(instances(kind))
    def look(message: Message) -> None:
        check(json.loads(msgspec.json.encode(message)))

    look()


@kinds
def test_limits_are_the_same(kind: type[msgspec.Struct]) -> None:
    """At every limit, beyond every limit, with everything missing in turn: schema and decoder judge alike."""
    for what, document, good in edges(kind):
        assert good == is_valid(tag(kind), document), what
        assert good == is_read(kind, document), what


@kinds
def test_changed_documents_are_judged_alike(kind: type[msgspec.Struct]) -> None:
    """Good messages with something put in, taken out or replaced anywhere."""

    @settings(deadline=None, max_examples=60)
    @given(documents(kind), st.data())
    def look(document: dict[str, Any], data: st.DataObject) -> None:
        changed = _change(json.loads(json.dumps(document)), data)

        assert is_valid(tag(kind), changed) == is_read(kind, changed)

    look()


def test_a_message_within_a_message_may_leave_its_type_out() -> None:
    """Where it stands says what it is; another type there is refused."""
    hello = {name: value for name, value in smallest(Hello).items() if name != "type"}
    for inner, passes in ((hello, True), ({**hello, "type": "hello"}, True), ({**hello, "type": "ack"}, False)):
        document = {"type": "proof", "proof": "0" * 64, "hello": inner}

        assert (passes, passes) == (is_valid("proof", document), is_read(Proof, document))


def _change(value: Any, data: st.DataObject) -> Any:
    """Change one place of a JSON value: this one, or one below it."""
    if not (isinstance(value, dict | list) and value and data.draw(st.integers(0, 3))):
        return data.draw(_strange)
    key: Any = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    match data.draw(st.sampled_from(["below", "below", "remove", "add"])):
        case "below":
            value[key] = _change(value[key], data)
        case "remove":
            del value[key]
        case _ if isinstance(value, dict):
            value[data.draw(st.text(max_size=4))] = data.draw(_strange)
        case _:
            value.insert(key, data.draw(_strange))
    return value


_fractions = st.floats(-1e9, 1e9).filter(lambda number: not number.is_integer())  # see the end of this file
_plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | _fractions
_texts = st.sampled_from(["", "x", "up", "reboot", "ums", "x\n", "ü" * 256, "x" * 2001]) | st.text(max_size=5)
_strange = (
    _plain
    | _texts
    | st.sampled_from([[], {}, [{}], [[]], 0, 1, -1, 65536])
    | st.recursive(_plain | _texts, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
    | st.dictionaries(st.text(max_size=4), _texts, max_size=2)
)


def test_another_type_is_another_message() -> None:
    """No message passes for another by its schema."""
    for kind in ALL_TYPES:
        passing = {tag(other) for other in ALL_TYPES if is_valid(tag(other), smallest(kind))}

        assert passing == {tag(kind)}


# Documents and tests.


def _examples() -> list[tuple[str, dict[str, Any]]]:
    """Messages in the JSON blocks of the documents: objects, one or several a block, that have a `type`."""
    blocks = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (_name(path), document)
        for path in DOCUMENTS
        for block in blocks.findall(path.read_text(encoding="utf-8"))
        for document in _objects(block)
        if isinstance(document, dict) and "type" in document
    ]


def _objects(block: str) -> list[Any]:
    decoder, at, objects = json.JSONDecoder(), 0, []
    while at < len(block.rstrip()):
        one, end = decoder.raw_decode(block, at)
        objects.append(one)
        at = end + len(block[end:]) - len(block[end:].lstrip())
    return objects


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("where", "document"),
    [pytest.param(*one, id=f"{one[0]}-{one[1]['type']}-{at}") for at, one in enumerate(_examples())],
)
def test_examples_in_documents(where: str, document: dict[str, Any]) -> None:
    """Every message that a document shows is one, by its schema and by our decoder, and says nothing unknown."""
    check(document)
    (kind,) = (one for one in ALL_TYPES if tag(one) == document["type"])
    message = decode(kind, document)

    assert tag(type(message)) == document["type"], where
    assert set(document) <= {"type", *type(message).__struct_fields__}


def test_every_message_has_an_example() -> None:
    """Each is shown in docs/protocol.md."""
    shown = {document["type"] for where, document in _examples() if where == "docs/protocol.md"}

    assert shown == {tag(kind) for kind in ALL_TYPES}


def test_every_error_code_is_documented() -> None:
    """The table in docs/protocol.md has the codes of errors that the product sends, and no others."""
    sources = [path for folder in ("agent", "protocol", "server") for path in (ROOT / folder).rglob("*.py")]
    said = r'\b(?:Error|UnreadableMessageError)\((?:reason|[^()]*?)\bcode="([a-z-]+)"|_misplaced\(message, "([a-z-]+)"'
    codes = {
        one or other
        for path in sources
        if "umslab_runtime" not in path.parts
        for one, other in re.findall(said, path.read_text(encoding="utf-8"))
    }
    table = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").split("### Errors")[1].split("### Limits")[0]

    assert codes == set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) - {"code"}


@pytest.mark.parametrize(("message", "payload"), SAMPLES)
def test_samples_of_the_tests(message: Message, payload: bytes) -> None:
    """The byte-by-byte samples of the codec's own tests pass too."""
    del message
    check(json.loads(payload))


# What JSON Schema cannot say, or says otherwise.


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"ack","re":1.0}',
        b'{"type":"ack","re":1e0}',
        b'{"type":"welcome","version":1,"server":"","session":"","pingSeconds":1e999,"maxMessageBytes":1}',
        b'{"type":"error","type":"ack","re":1}',
        b'{"type":"deregister","id":1,"reason":"\\ud800"}',
    ],
)
def test_only_our_decoder_refuses(payload: bytes) -> None:
    """Whole numbers with a fraction or an exponent, numbers beyond a double, `type` twice, half a surrogate pair."""
    document = json.loads(payload)

    assert is_valid(document["type"], document)
    with pytest.raises(UnreadableMessageError):
        decode_message(payload)


@settings(deadline=None, max_examples=60)
@given(json_values)
def test_nothing_else_is_a_message(value: object) -> None:
    """Any JSON at all: what no schema lets pass, the decoder does not read."""
    assert not any(is_valid(tag(kind), value) for kind in ALL_TYPES)
    for kind in (Hello, Contact):
        with pytest.raises(UnreadableMessageError):
            decode(kind, value)
