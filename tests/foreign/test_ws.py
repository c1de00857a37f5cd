# SPDX-License-Identifier: Apache-2.0
"""`ws-connect` as npm's ws sees it: opening, messages, control frames, limits, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import openssl
from .curl import EstByCurl
from .openssl import Authority, fresh_unit_id
from .ums import running_ums
from .websocket import SUBPROTOCOL, ws_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .ums import Ums


def test_comes_on_board(est: EstByCurl) -> None:
    """A device made of curl, openssl and ws is managed: hello, welcome, information, acknowledgement, registry."""
    unit_id = fresh_unit_id()
    info = {"unitID": unit_id, "mac": unit_id, "firmwareVersion": "12.8.4", "productId": "UC1-LX", "networkName": "ws"}
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        opened = device.wait_for("open")
        welcome = device.greet(unit_id)
        acknowledged = device.ask(type="pushsysinfo", id=7, info=info)
        settings = device.ask(type="pullsettings", id=8, version=0, digest="")
        shown = est.ums.call("devices.show", unit_id=unit_id)

    assert opened["protocol"] == SUBPROTOCOL
    assert opened["extensions"] == ""  # ws offers permessage-deflate, which costs too much memory
    assert (welcome["type"], welcome["version"]) == ("welcome", 1)
    assert welcome["maxMessageBytes"] == 256 * 1024
    assert acknowledged == {"type": "ack", "re": 7}
    assert (settings["type"], settings["re"]) in {("settings", 8), ("ack", 8), ("error", 8)}
    assert (shown["state"], shown["firmware"], shown["mac"]) == ("online", "12.8.4", unit_id)
    assert shown["info"]["networkName"] == "ws"


def test_is_refused_without_a_certificate(ums: Ums) -> None:
    """M2: the path wants a client certificate, and says so by HTTP 403."""
    with ws_client(ums, None) as nobody:
        refused = nobody.wait_for("refused")

    assert refused["status"] == 403
    assert refused["headers"]["umslab-refusal"] == "no-certificate"


def test_is_refused_with_a_rogue_certificate(ums: Ums, tmp_path: Path) -> None:
    """The right name from the wrong authority: ws reports the alert."""
    rogue = Authority(tmp_path / "rogue", "rogue CA").issue("r", openssl.CLIENT, subject=f"/CN={fresh_unit_id()}")
    with ws_client(ums, rogue) as stranger:
        problem = stranger.wait_for("error")

    assert "alert unknown ca" in problem["message"]


def test_a_deleted_device_is_told(est: EstByCurl) -> None:
    """L4: after hello, a device that was deleted for good is told to forget the server."""
    unit_id = fresh_unit_id()
    identity = est.enrol(unit_id)
    est.ums.call("devices.delete", unit_ids=[unit_id])
    est.ums.call("devices.purge", unit_ids=[unit_id])
    with ws_client(est.ums, identity) as device:
        device.wait_for("open")
        device.greet(unit_id)
        told = device.hear()
        device.say(type="ack", re=told["id"])
        closed = device.wait_for("close")
    with ws_client(est.ums, identity) as again:
        refused = again.wait_for("refused")

    assert told["type"] == "deregister"
    assert closed["code"] == 4002
    assert refused["status"] == 410


def test_no_subprotocol_is_no_problem(est: EstByCurl) -> None:
    """A client that offers none gets none; one that offers others too gets ours."""
    unit_id = fresh_unit_id()
    identity = est.enrol(unit_id)
    with ws_client(est.ums, identity, protocols=()) as plain:
        none = plain.wait_for("open")["protocol"]
    with ws_client(est.ums, identity, protocols=("other", SUBPROTOCOL)) as choosy:
        ours = choosy.wait_for("open")["protocol"]

    assert (none, ours) == ("", SUBPROTOCOL)


def test_text_that_is_not_json_is_answered(est: EstByCurl) -> None:
    """An `error` message names the problem, and the session goes on."""
    unit_id = fresh_unit_id()
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        device.greet(unit_id)
        device.do("text", "this is not JSON")
        not_json = device.hear()
        device.say(type="nosuch", id=3)
        unknown = device.hear()
        device.do("ping", "still there")
        pong = device.wait_for("pong")

    assert (not_json["type"], not_json["code"]) == ("error", "not-json")
    assert (unknown["type"], unknown["code"], unknown["re"]) == ("error", "unknown-type", 3)
    assert pong["data"] == "still there"


def test_what_a_device_may_not_say_or_says_twice(est: EstByCurl) -> None:
    """A server's message, a second hello and a repeated id are named, and the session goes on."""
    unit_id = fresh_unit_id()
    runtime = {"totalUptime": "1000"}
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        device.greet(unit_id)
        foreign = device.ask(type="deregister", id=2)
        again = device.greet(unit_id)
        first = device.ask(type="pushruntime", id=5, runtime=runtime)
        second = device.ask(type="pushruntime", id=5, runtime=runtime)
        third = device.ask(type="pushruntime", id=6, runtime=runtime)

    assert [one.get("code") for one in (foreign, again, first, second, third)] == [
        "out-of-order",
        "out-of-order",
        None,
        "duplicate-id",
        None,
    ]


def test_a_session_begins_with_hello(est: EstByCurl) -> None:
    """Anything else first is an error and the end."""
    with ws_client(est.ums, est.enrol(fresh_unit_id())) as device:
        device.wait_for("open")
        device.say(type="ack", re=1)
        heard, closed = device.hear(), device.wait_for("close")

    assert heard["code"] == "out-of-order"
    assert closed["code"] == 1002


def test_a_message_in_fragments_is_one_message(est: EstByCurl) -> None:
    """RFC 6455 section 5.4, with multi-byte characters cut in the middle."""
    unit_id = fresh_unit_id()
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        device.do(
            "fragments",
            ['{"type":"hello","versions":[1],', f'"unitID":"{unit_id}",', '"firmwareVersion":"12.8.4","x":"äöü"}'],
        )
        welcome = device.hear()

    assert welcome["type"] == "welcome"


def test_an_oversized_message_closes_1009(est: EstByCurl) -> None:
    """A message over the limit the welcome named ends the session with 1009 (RFC 6455 section 7.4.1)."""
    unit_id = fresh_unit_id()
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        limit = device.greet(unit_id)["maxMessageBytes"]
        device.do("fill", limit + 1)
        closed = device.wait_for("close")

    assert closed["code"] == 1009


def test_a_message_at_the_limit_is_read(est: EstByCurl) -> None:
    """The limit itself is allowed: here it is read and found not to be JSON."""
    unit_id = fresh_unit_id()
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        limit = device.greet(unit_id)["maxMessageBytes"]
        device.do("fill", limit)
        heard = device.hear()

    assert heard["code"] == "not-json"


def test_an_oversized_message_in_fragments_closes_1009(est: EstByCurl) -> None:
    """The limit holds for the message, not only for a frame."""
    unit_id = fresh_unit_id()
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        limit = device.greet(unit_id)["maxMessageBytes"]
        device.do("fragments", ["x" * (limit // 2)] * 3)
        closed = device.wait_for("close")

    assert closed["code"] == 1009


def test_a_ping_is_answered(est: EstByCurl) -> None:
    """The pong carries the data of the ping, also before hello."""
    with ws_client(est.ums, est.enrol(fresh_unit_id())) as device:
        device.wait_for("open")
        device.do("ping", "first")
        pong = device.wait_for("pong")

    assert pong["data"] == "first"


def test_a_goodbye_is_answered(est: EstByCurl) -> None:
    """The close handshake completes with the code that ws sent, and the registry notices."""
    unit_id = fresh_unit_id()
    with ws_client(est.ums, est.enrol(unit_id)) as device:
        device.wait_for("open")
        device.greet(unit_id)
        device.do("close", 1000)
        closed = device.wait_for("close")

    assert closed["code"] == 1000
    assert est.ums.call("devices.show", unit_id=unit_id)["state"] == "offline"


def test_the_newest_session_wins(est: EstByCurl) -> None:
    """A second connection of the same device closes the first with 4001."""
    unit_id = fresh_unit_id()
    identity = est.enrol(unit_id)
    with ws_client(est.ums, identity) as first, ws_client(est.ums, identity) as second:
        first.wait_for("open")
        first.greet(unit_id)
        second.wait_for("open")
        second.greet(unit_id)
        closed = first.wait_for("close")
        second.do("ping", "mine now")
        pong = second.wait_for("pong")
        state = est.ums.call("devices.show", unit_id=unit_id)["state"]

    assert closed["code"] == 4001
    assert pong["data"] == "mine now"
    assert state == "online"


def test_hello_for_somebody_else_is_refused(est: EstByCurl) -> None:
    """The certificate says who a device is; a hello in another name ends the session with 4003."""
    with ws_client(est.ums, est.enrol(fresh_unit_id())) as device:
        device.wait_for("open")
        device.greet(fresh_unit_id())
        closed = device.wait_for("close")

    assert closed["code"] == 4003


def test_a_newer_certificate_takes_over(est: EstByCurl) -> None:
    """Once the renewed certificate was used, the old one is refused."""
    unit_id, key = fresh_unit_id(), est.new_key("new")
    old = est.enrol(unit_id)
    answer = est.post("simplereenroll", est.ask(key, unit_id), identity=old, auth_key=None)
    with ws_client(est.ums, old) as before:
        before.wait_for("open")
    with ws_client(est.ums, est.keep(answer, key)) as after:
        after.wait_for("open")
    with ws_client(est.ums, old) as late:
        refused = late.wait_for("refused")

    assert (refused["status"], refused["headers"]["umslab-refusal"]) == (403, "refused")


@pytest.fixture(scope="module")
def pinging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EstByCurl]:
    """A server that pings all the time and does not wait long for the pong, nor for hello."""
    folder = tmp_path_factory.mktemp("pinging")
    pace = ("sessions.ping_seconds=0.1", "sessions.pong_seconds=1", "sessions.hello_seconds=1")
    with running_ums(folder / "state", *pace) as ums:
        (folder / "keys").mkdir()
        yield EstByCurl(ums, folder / "keys")


def test_pings_keep_a_session(pinging: EstByCurl) -> None:
    """The server pings, ws answers by itself, the session lives on."""
    unit_id = fresh_unit_id()
    with ws_client(pinging.ums, pinging.enrol(unit_id)) as device:
        device.wait_for("open")
        device.greet(unit_id)
        pings = [device.next()["event"] for _ in range(5)]

    assert pings == ["ping"] * 5


def test_a_client_without_hello_is_sent_away(pinging: EstByCurl) -> None:
    """Pongs are no hello: 4008."""
    with ws_client(pinging.ums, pinging.enrol(fresh_unit_id())) as device:
        device.wait_for("open")
        closed = device.wait_for("close")

    assert closed["code"] == 4008


def test_sessions_are_told_that_the_server_stops(tmp_path: Path) -> None:
    """SIGTERM ends sessions with 1001, and the server with exit code 0."""
    with running_ums(tmp_path / "state") as ums:
        (tmp_path / "keys").mkdir()
        unit_id = fresh_unit_id()
        with ws_client(ums, EstByCurl(ums, tmp_path / "keys").enrol(unit_id)) as device:
            device.wait_for("open")
            device.greet(unit_id)
            code = ums.daemon.stop()
            closed = device.wait_for("close")

    assert closed["code"] == 1001
    assert code == 0
