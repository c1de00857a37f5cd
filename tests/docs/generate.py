# SPDX-License-Identifier: Apache-2.0
"""The parts of the documents that are made from the code: `python -m tests.docs.generate` writes them anew.

A part stands between `<!-- begin: NAME -->` and `<!-- end -->`; test_generated.py fails when it is not what this file
makes. The JSON Schemas of the messages, docs/schemas, are made here too; test_schemas.py holds them to the codec.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from umslab.fleet.loading import load_scenario, shipped_names
from umslab_agent import actions, parameters
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet import scenario
from umslab_protocol.machines.os11 import MAX_OPEN
from umslab_protocol.machines.session import MAX_BAD_MESSAGES
from umslab_protocol.values import failure
from umslab_protocol.values.firmware import Behaviour
from umslab_protocol.wire import close_codes, inventory, orders, os11
from umslab_protocol.wire import messages as wire_messages
from umslab_protocol.wire.messages import FROM_DEVICE, FROM_SERVER, MESSAGE_TYPES, Hello, Welcome
from umslab_protocol.wire.orders import CommandName
from umslab_protocol.wire.os11 import GREETING_TYPES, MAX_GREETING_BYTES, ContactRefusal
from umslab_protocol.wire.provenance import FORMATS
from umslab_server.commanding import parameters as checked
from umslab_server.config import ServerConfig
from umslab_server.reports import KEPT_ASSET_EVENTS, KEPT_LOGONS
from umslab_server.service_model import ServiceModel, ServiceTime, ServiceTimes
from umslab_server.sessions import MAX_UNANSWERED

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_PART = re.compile(r"(<!-- begin: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join("| " + " | ".join(str(value) for value in row) + " |\n" for row in lines)


def _docstrings(kind: type) -> dict[str, str]:
    """The sentences below the attributes of a class."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    for before, node in zip(body.body, body.body[1:], strict=False):
        targets = (
            before.targets
            if isinstance(before, ast.Assign)
            else [before.target]
            if isinstance(before, ast.AnnAssign)
            else []
        )
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and targets:
            assert isinstance(targets[0], ast.Name)
            found[targets[0].id] = " ".join(str(node.value.value).split())
    return found


def _assigned(node: ast.stmt) -> str | None:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else None


def settings() -> str:
    """Every key of the server's configuration."""
    rows: list[tuple[object, ...]] = []

    def walk(kind: type[msgspec.Struct], prefix: str) -> None:
        sentences = _docstrings(kind)
        for entry in msgspec.structs.fields(kind):
            default = _default(entry)
            if isinstance(default, msgspec.Struct):
                walk(type(default), f"{prefix}{entry.name}.")
                continue
            shown = msgspec.json.encode(default).decode()
            rows.append((f"`{prefix}{entry.name}`", f"`{shown}`", sentences[entry.name]))

    walk(ServerConfig, "")
    return _table(("Key", "Default", "Meaning"), rows)


def service_model() -> str:
    """Every key of the file of `--service-model`; the times in one row each."""
    rows: list[tuple[object, ...]] = []
    for kind, prefix in ((ServiceModel, ""), (ServiceTimes, "times."), (ServiceTime, "times.KIND.")):
        sentences = _docstrings(kind)
        for entry in msgspec.structs.fields(kind):
            default = None if entry.required else _default(entry)
            if isinstance(default, ServiceTime):
                shown = f"mean {default.mean:g} s, {default.distribution}, spread {default.spread:g}"
            elif isinstance(default, ServiceTimes):
                continue
            else:
                shown = "required" if entry.required else f"`{msgspec.json.encode(default).decode()}`"
            rows.append((f"`{prefix}{entry.name}`", shown, sentences[entry.name]))
    return _table(("Key", "Default", "Meaning"), rows)


def _default(entry: msgspec.structs.FieldInfo) -> Any:
    return entry.default_factory() if entry.default is msgspec.NODEFAULT else entry.default


def firmware() -> str:
    """What depends on the firmware version."""
    rows: list[tuple[object, ...]] = [(f"{one.since}", one.sentence, one.fact) for one in Behaviour]
    return _table(("Since", "A device with this firmware", "Fact"), rows)


def failures() -> str:
    """Which reasons have which vendor code."""
    codes = [f"{code} ({meaning})" for code, meaning in failure.VENDOR_CODES.items()]
    rows: list[tuple[object, ...]] = [
        (phase, reason or "*any other*", code, failure.VENDOR_CODES[code], confidence)
        for phase, reason, code, confidence in failure.code_table()
    ]
    listed = ", ".join(codes)
    table = _table(("Phase", "Reason", "IGEL code", "Its meaning", "Confidence"), rows)
    return f"{table}\nAll the vendor's codes (section 3.6 of our notes; 31 is not in the list): {listed}.\n"


def formats() -> str:
    """Where each format comes from."""
    return _table(("Format", "Provenance", "Source"), [(one.name, one.provenance, one.source) for one in FORMATS])


def close_codes_table() -> str:
    """The close codes this project sends."""
    sentences = _docstrings(close_codes.CloseCode)
    rows: list[tuple[object, ...]] = [
        (int(code), code.name.lower().replace("_", " "), sentences.get(code.name, "RFC 6455"))
        for code in close_codes.CloseCode
    ]
    return _table(("Code", "Name", "Meaning"), rows)


def messages() -> str:
    """Every message with its schema, its direction and its answer."""
    rows: list[tuple[object, ...]] = []
    for kind in MESSAGE_TYPES:
        name = message_name(kind)
        rows.append((f"[`{name}`](schemas/{name}.json)", _direction(kind), _answer(kind), _first_sentence(kind)))
    return _table(("Message", "From", "Answered by", "What it says"), rows)


def greetings() -> str:
    """Every message before an OS 11 session, with its schema."""
    names = [message_name(kind) for kind in GREETING_TYPES]
    rows: list[tuple[object, ...]] = [
        (f"[`{name}`](schemas/{name}.json)", _first_sentence(kind))
        for name, kind in zip(names, GREETING_TYPES, strict=True)
    ]
    return _table(("Message", "What it says"), rows)


def contact_refusals() -> str:
    """Why a greeting is refused."""
    sentences = _docstrings(ContactRefusal)
    return _table(("`refusal`", "Meaning"), [(f"`{one}`", sentences[one.name]) for one in ContactRefusal])


def greeting_limits() -> str:
    """How much may be said on the ports of OS 11, beside what holds for every session."""
    rows: list[tuple[object, ...]] = [
        (MAX_GREETING_BYTES, "bytes in a frame before the greeting is done", "closed with 1009"),
        (MAX_GREETING_BYTES, "bytes sent ahead while the server decides", "closed with 1008"),
        (
            wire_messages.MAX_MESSAGE_BYTES,
            "bytes in a frame after it, unless `welcome` differs",
            "closed with 1009",
        ),
        (MAX_OPEN, "messages of the peer that are not answered yet", "closed with 1008"),
    ]
    return _table(("At most", "What", "Otherwise"), [(f"{most:,}", *rest) for most, *rest in rows])


def message_name(kind: type[msgspec.Struct]) -> str:
    """What the member `type` of a message is."""
    return str(kind.__struct_config__.tag)


def _direction(kind: type[msgspec.Struct]) -> str:
    speakers = [
        side for side, said in (("device", (Hello, *FROM_DEVICE)), ("server", (Welcome, *FROM_SERVER))) if kind in said
    ]
    return " and ".join(speakers)


def _answer(kind: type[msgspec.Struct]) -> str:
    return ANSWERS.get(message_name(kind), "`ack`" if "id" in kind.__struct_fields__ else "-")


def _first_sentence(kind: type) -> str:
    """The first sentence of a message's docstring, without who says it to whom."""
    found = re.match(r"(?:Device to server|Server to device|Either way)[^:]*: (.*)", " ".join(_paragraphs(kind)))
    assert found is not None, kind
    sentence = re.split(r"(?<=[.?]) ", found[1])[0]
    return sentence[0].upper() + sentence[1:]


def _paragraphs(kind: type) -> list[str]:
    return [" ".join(part.split()) for part in inspect.cleandoc(kind.__doc__ or "").split("\n\n")]


def message_schemas() -> dict[str, str]:
    """The text of every file in docs/schemas, by name."""
    texts = {}
    for kind in (*MESSAGE_TYPES, *GREETING_TYPES):
        gap = "NP6" if kind in MESSAGE_TYPES else "NP3-NP5"
        (reference,), components = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
        for name, component in components.items():
            _describe(component, _class_of(name))
        own = components.pop(reference["$ref"].rpartition("/")[2])
        del own["title"]
        own["properties"]["type"] = {"const": own["properties"]["type"]["enum"][0]}
        for name in components.keys() & {one.__name__ for one in (*MESSAGE_TYPES, *GREETING_TYPES)}:
            components[name]["required"].remove("type")  # the decoder lets a message within a message leave it out
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$comment": f"Made from the code of umslab. SIMULATED: the vendor does not publish this format ({gap}).",
            "title": message_name(kind),
            **own,
            **({"$defs": components} if components else {}),
        }
        texts[f"{message_name(kind)}.json"] = json.dumps(schema, indent=2) + "\n"
    return texts


def _class_of(name: str) -> type:
    found: list[type] = [getattr(one, name) for one in (wire_messages, inventory, orders, os11) if hasattr(one, name)]
    return found[0]


def _describe(component: dict[str, Any], kind: type) -> None:
    """Put our sentences where readers of a schema look for them."""
    component["description"] = "\n\n".join(_paragraphs(kind))
    if issubclass(kind, msgspec.Struct):
        for name, sentence in _docstrings(kind).items():
            component["properties"][name]["description"] = sentence


def limits() -> str:
    """How much may be said; what a single member may hold is in its schema."""
    rows: list[tuple[object, ...]] = [
        (
            wire_messages.MAX_MESSAGE_BYTES,
            "bytes in a message, if `welcome` does not differ",
            "closed with 1009",
        ),
        (orders.MAX_DOCUMENT_BYTES, "bytes in a `settings` message", "refused, not sent"),
        (orders.MAX_PARAMETERS, "parameters in a settings document", "`invalid-message`"),
        (orders.MAX_VALUE_CHARACTERS, "characters in the value of a parameter", "`invalid-message`"),
        *((most, f"{name} in `{message}`", "`invalid-message`") for most, name, message in _list_limits()),
        (MAX_UNANSWERED, "messages of the server that a device has not answered", "closed with 1008"),
        (MAX_BAD_MESSAGES - 1, "bad messages in a row", "closed with 1008"),
        (KEPT_LOGONS, "log-ons kept for a device", "the oldest go"),
        (KEPT_ASSET_EVENTS, "asset events kept for a device", "the oldest go"),
    ]
    return _table(("At most", "What", "Otherwise"), [(f"{most:,}", *rest) for most, *rest in rows])


def _list_limits() -> list[tuple[int, str, str]]:
    described = [(msgspec.inspect.type_info(kind), message_name(kind)) for kind in MESSAGE_TYPES]
    return [
        (field.type.max_length or 0, field.encode_name, name)
        for kind, name in described
        if isinstance(kind, msgspec.inspect.StructType)
        for field in kind.fields
        if isinstance(field.type, msgspec.inspect.ListType)
    ]


def behaviour() -> str:
    """Every key of a behaviour file."""
    sentences = _docstrings(DeviceBehaviour)
    rows: list[tuple[object, ...]] = [
        (f"`{entry.name}`", f"`{msgspec.json.encode(_default(entry)).decode()}`", sentences[entry.name])
        for entry in msgspec.structs.fields(DeviceBehaviour)
    ]
    return _table(("Key", "Default", "Meaning"), rows)


SCENARIO_TABLES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "the file itself": (scenario.Scenario,),
    "`[[mix]]`": (scenario.Kind,),
    "`[[sites]]`": (scenario.Site,),
    "`[arrivals]`": (scenario.AtOnce, scenario.Ramp, scenario.ConstantRate, scenario.Poisson, scenario.Replay),
    "`[[phases]]`": (
        scenario.Onboard,
        scenario.Steady,
        scenario.Storm,
        scenario.CommandWave,
        scenario.RenewalWave,
        scenario.Drain,
    ),
    "`[behaviour]`": (scenario.Behaviour,),
    "`[retry]`": (scenario.Flat, scenario.Exponential),
}


def scenario_keys() -> str:
    """Every key of a scenario file."""
    rows: list[tuple[object, ...]] = []
    for table, kinds in SCENARIO_TABLES.items():
        for kind in kinds:
            tag = kind.__struct_config__.tag
            if tag:
                rows.append((table, f'`kind = "{tag}"`', "", " ".join((kind.__doc__ or "").split())))
            sentences = _docstrings(kind)
            rows += [
                (table, f"`{entry.name}`", _short_default(entry), sentences[entry.name])
                for entry in msgspec.structs.fields(kind)
            ]
    return _table(("Table", "Key", "Default", "Meaning"), rows)


def _short_default(entry: msgspec.structs.FieldInfo) -> str:
    if entry.required:
        return "needed"
    default = _default(entry)
    if isinstance(default, msgspec.Struct | tuple):
        return "see below" if default else "none"
    return f"`{msgspec.json.encode(default).decode()}`"


def scenarios() -> str:
    """The scenarios that are shipped."""
    found = [load_scenario(name, []) for name in shipped_names()]
    return _table(("Name", "Devices", "What happens"), [(f"`{one.name}`", one.devices, one.about) for one in found])


def parameter_table() -> str:
    """The parameters that a device obeys."""
    rows: list[tuple[object, ...]] = [
        (f"`{one.name}`", f"`{one.default}`" if one.default else "empty", one.since, one.meaning, one.fact)
        for one in parameters.KNOWN
    ]
    return _table(("Parameter", "Default", "Since", "Meaning", "Fact"), rows)


def commands() -> str:
    """Every command with its parameters and what it does."""
    rows: list[tuple[object, ...]] = []
    for name in CommandName:
        needed = checked.NEEDED.get(name)
        allowed = checked.ALLOWED.get(name)
        given = f"`{needed}`" if needed else f"`{allowed}`, optional" if allowed else "-"
        rows.append((f"`{name}`", given, " ".join((actions.ACTIONS[name].__doc__ or "").split())))
    return _table(("Command", "Parameter", "What the device does"), rows)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "service-model": service_model,
    "firmware": firmware,
    "failures": failures,
    "formats": formats,
    "close-codes": close_codes_table,
    "messages": messages,
    "limits": limits,
    "greetings": greetings,
    "contact-refusals": contact_refusals,
    "greeting-limits": greeting_limits,
    "behaviour": behaviour,
    "parameters": parameter_table,
    "scenario-keys": scenario_keys,
    "scenarios": scenarios,
    "commands": commands,
}


ANSWERS = {"hello": "`welcome`", "pullsettings": "`settings` or `ack`", "command": "`result`"}
"""What is not answered with `ack`."""


def regenerate(text: str) -> str:
    """Return a document with all its made parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}{part[4]}", text)


def main() -> None:
    """Write every document that changed, and all schemas."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        fresh = regenerate(text)
        if fresh != text:
            path.write_text(fresh, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    SCHEMAS.mkdir(exist_ok=True)
    texts = message_schemas()
    for path in SCHEMAS.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (SCHEMAS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
