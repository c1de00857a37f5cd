# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.app: a whole server starts, serves, stops, and starts again."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding

from umslab_certs.errors import CertificateError
from umslab_certs.pkcs7 import decode_certificates
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.wire import paths
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.transfer import Wrapping, decode_body
from umslab_runtime.control import connect_control
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import ListenError
from umslab_server.app import UmsServer
from umslab_server.config import EnrolmentConfig, OnlineCheckConfig, RegistryConfig, ServerConfig
from umslab_server.services import certificate_names, reply_host
from umslab_server.state_folder import StateFolder, StateFolderError
from umslab_server.store import StoreError

from .parts import Endpoint, rendered_logs, unit_id
from .world import SERVER, Line, config, open_world, surroundings

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.network import Network
    from umslab_server.app import Ready


def server(path: Path, network: Network | None = None, *, control: bool = False, **values: Any) -> UmsServer:
    """A server that has not started."""
    world = surroundings(network or MemoryNetwork().host(SERVER), control=control)
    return UmsServer(config(**values), StateFolder(path / "server"), world, version="test")


async def start_and_stop(one: UmsServer) -> None:
    """A start that must succeed, and its end."""
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        one.stop()


class TestReady:
    """What is reported once connections are accepted."""

    async def test_what_is_told(self, tmp_path: Path) -> None:
        """Addresses, root, token; the event `over` comes with the orderly end."""
        async with open_world(tmp_path) as world:
            described = world.services.certificates.describe()

            assert world.ready.addresses == [f"{SERVER}:{world.target.port}"]
            assert world.ready.root.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
            assert world.ready.token == described["token"]
            assert world.ready.control is None
            assert not world.ready.over.is_set()
            await world.stop()
            assert world.ready.over.is_set()

    async def test_every_address(self, tmp_path: Path) -> None:
        """Each configured address is listened on."""
        real = TrioNetwork()
        one = server(tmp_path, real, listen=["127.0.0.1", "127.0.0.2"])
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(one.run)
            one.stop()

        assert [address.rpartition(":")[0] for address in ready.addresses] == ["127.0.0.1", "127.0.0.2"]

    @pytest.mark.parametrize(
        ("listen", "names", "covered"),
        [
            (["127.0.0.1"], [], ["localhost", "127.0.0.1", "::1"]),
            (["192.0.2.7"], ["ums.lab"], ["ums.lab", "localhost", "127.0.0.1", "::1", "192.0.2.7"]),
            (["0.0.0.0", "::"], ["ums.lab", "localhost"], ["ums.lab", "localhost", "127.0.0.1", "::1"]),
        ],
    )
    def test_names(self, listen: list[str], names: list[str], covered: list[str]) -> None:
        """C6: configured names, addresses that are listened on, this machine's own; each once, no wildcards."""
        assert certificate_names(ServerConfig(listen=listen, names=names)) == covered


class TestFirstMinutes:
    """The whole way of a device, spoken by hand."""

    async def test_enrol_and_connect(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """cacerts, simpleenroll, ws-connect, over TLS; the registry knows the device afterwards."""
        async with open_world(tmp_path) as world:
            (key,) = await world.services.keys.create(KeyKind.MASS, actor="test")
            endpoint = Endpoint(1)
            answer = await world.enrol(endpoint, key.secret or "")
            (certificate,) = decode_certificates(decode_body(answer.body))
            line = await world.session(endpoint, certificate.public_bytes(Encoding.DER))
            await line.tell(
                DeviceInfo(unitID=endpoint.unit_id, mac=endpoint.unit_id, firmwareVersion="12.8.4", productId="X")
            )
            shown = await world.services.registry.show(endpoint.unit_id)

            assert (shown.state, shown.firmware, shown.last_ip) == ("online", "12.8.4", "devices")

    async def test_restart(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """The same root, the same devices, the same certificates."""
        endpoint = Endpoint(1)
        async with open_world(tmp_path) as world:
            certificate, token = await world.certificate(endpoint), world.ready.token
            await world.stop()
        async with open_world(tmp_path) as world:
            await world.session(endpoint, certificate)

            assert world.ready.token == token
            assert world.services.presence.is_online(unit_id(1))

    async def test_killed(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Without any order the folder is free at once and holds what was acknowledged."""
        endpoint = Endpoint(1)
        async with open_world(tmp_path) as world:
            certificate = await world.certificate(endpoint)
            world.scope.cancel()
            await trio.testing.wait_all_tasks_blocked()

            assert not world.ready.over.is_set()
        async with open_world(tmp_path) as world:
            await world.session(endpoint, certificate)

    async def test_status_page(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """ST1: `ok` from the first minute on; a web certificate that runs out is told."""
        async with open_world(tmp_path) as world:
            first = json.loads((await world.call("GET", paths.CHECK_STATUS)).body)
            await trio.sleep(340 * 86_400)
            late = json.loads((await world.call("GET", paths.CHECK_STATUS)).body)
            await world.services.certificates.renew(actor="test")
            await trio.sleep(60)
            renewed = json.loads((await world.call("GET", paths.CHECK_STATUS)).body)

            assert [first, late, renewed] == [{"status": "ok"}, {"status": "warn"}, {"status": "ok"}]

    async def test_configuration_reaches_its_place(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A few switches, seen from outside."""
        chosen = config(
            enrolment=EnrolmentConfig(body=Wrapping.PEM),
            registry=RegistryConfig(recycle_bin=False),
            certificates=msgspec.structs.replace(config().certificates, device_days=2),
        )
        async with open_world(tmp_path, chosen) as world:
            await world.certificate(Endpoint(1))
            cacerts = await world.call("GET", f"{paths.EST}/cacerts")
            (certificate,) = (await world.services.registry.show(unit_id(1))).certificates
            where = await world.services.registry.delete(unit_id(1), actor="test")

            assert cacerts.body.startswith(b"-----BEGIN PKCS7-----")
            assert certificate.not_after[:10] == "2026-01-03"
            assert where == "deleted"


class TestFailingStarts:
    """Every start that fails raises what it declares, leaves nothing open, and can be tried again."""

    async def test_folder_in_use(self, tmp_path: Path) -> None:
        """Two servers on one state folder: the second refuses, the first goes on."""
        async with open_world(tmp_path) as world:
            with pytest.raises(StateFolderError, match="in use by a running server"):
                await server(tmp_path).run()
            answer = await world.call("GET", paths.INFO)

            assert answer.status == 200

    async def test_port_in_use(self, tmp_path: Path) -> None:
        """The address is named; nothing stays locked."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ListenError, match=str(port)):
                await server(tmp_path, TrioNetwork(), port=port).run()
        await start_and_stop(server(tmp_path, TrioNetwork(), port=port))

    async def test_second_address_fails(self, tmp_path: Path) -> None:
        """Listeners that were open already are closed again."""
        memory = MemoryNetwork()
        with pytest.raises(ListenError):
            await server(tmp_path, memory.host(SERVER), listen=["a", "b"], port=8443).run()

        assert memory.listeners == {}

    @pytest.mark.parametrize("name", ["web/web.pem", "est/authority.pem"])
    async def test_damaged_certificates(self, tmp_path: Path, name: str) -> None:
        """A sentence about the file, not a new root."""
        await start_and_stop(server(tmp_path))
        good = (tmp_path / "server" / name).read_bytes()
        (tmp_path / "server" / name).write_bytes(good[:200])
        with pytest.raises(CertificateError):
            await server(tmp_path).run()
        (tmp_path / "server" / name).write_bytes(good)
        await start_and_stop(server(tmp_path))

    @pytest.mark.parametrize("name", ["web/web.pem", "est/authority.pem"])
    async def test_lost_certificates(self, tmp_path: Path, name: str) -> None:
        """A registry without its certificates is not given new ones behind its back."""
        await start_and_stop(server(tmp_path))
        (tmp_path / "server" / name).unlink()

        with pytest.raises(CertificateError, match="umslab certs init"):
            await server(tmp_path).run()

    async def test_damaged_registry(self, tmp_path: Path) -> None:
        """A sentence about the file; it is left as it was."""
        await start_and_stop(server(tmp_path))
        registry = tmp_path / "server" / "registry.sqlite"
        registry.write_bytes(b"damaged" * 1000)
        with pytest.raises(StoreError, match=r"registry\.sqlite cannot be opened as a registry"):
            await server(tmp_path).run()

        assert registry.read_bytes() == b"damaged" * 1000

    async def test_bad_name(self, tmp_path: Path) -> None:
        """A name no certificate can carry."""
        with pytest.raises(CertificateError, match="not a name"):
            await server(tmp_path, names=["not a name"]).run()
        await start_and_stop(server(tmp_path))

    async def test_no_folder(self, tmp_path: Path) -> None:
        """A file where the folder should be."""
        (tmp_path / "server").write_text("a file")

        with pytest.raises(OSError, match="exists"):
            await server(tmp_path).run()

    async def test_control_socket_in_the_way(self, tmp_path: Path) -> None:
        """A folder where the control socket should be."""
        (tmp_path / "server" / "control.sock").mkdir(parents=True)
        memory = MemoryNetwork()
        with pytest.raises(OSError, match=r"control\.sock"):
            await server(tmp_path, memory.host(SERVER), control=True).run()

        assert memory.listeners == {}


class TestStopping:
    """SIGTERM's way: refuse what is new, finish what is under way, within the deadline."""

    async def test_idle(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Nobody is there: it ends at once, and nobody can connect any more."""
        async with open_world(tmp_path) as world:
            await world.call("GET", paths.INFO)
            started = trio.current_time()
            await world.stop()
            took = trio.current_time() - started
            with pytest.raises(Exception, match="refused"):
                await world.call("GET", paths.INFO)

            assert took < 0.1

    async def test_sessions_are_told(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Every session gets 1001, and every departure is in the feed."""
        async with open_world(tmp_path) as world:
            lines = [(await world.device(number))[2] for number in range(5)]
            started = trio.current_time()
            closed: list[int] = []

            async def listen(line: Line) -> None:
                closed.append((await line.closed()).code)

            async with trio.open_nursery() as nursery:
                for line in lines:
                    nursery.start_soon(listen, line)
                await trio.testing.wait_all_tasks_blocked()
                await world.stop()

            assert closed == [CloseCode.GOING_AWAY] * 5
            assert trio.current_time() - started < 1
        async with open_world(tmp_path) as world:
            left = await world.events("device-disconnected")

            assert [(event.actor, event.data["code"]) for event in left] == [("server", 1001)] * 5
            assert {event.unit_id for event in left} == {unit_id(number) for number in range(5)}

    async def test_silent_devices_do_not_hold_it(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A deaf device, a request that never ends, a connection that says nothing: cut off, and it is noted."""
        async with open_world(tmp_path, config(drain_seconds=2.0)) as world:
            _, _, deaf = await world.device(1)
            half = await world.dial()
            await half.send_all(b"POST /device-connector/device/.well-known/est/simpleenroll HTTP/1.1\r\n")
            silent = await world.network.dial(world.target)
            await trio.sleep(1)
            started = trio.current_time()
            await world.stop()

            assert 2 <= trio.current_time() - started <= 2.5
            for stream in (deaf.stream, half, silent):
                await stream.aclose()
        async with open_world(tmp_path) as world:
            (left,) = await world.events("device-disconnected")

            assert (left.unit_id, left.cause) == (unit_id(1), "the server ended the connection")

    async def test_request_under_way_is_finished(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """What had begun is answered, with `Connection: close`."""
        async with open_world(tmp_path) as world:
            stream = await world.dial()
            await stream.send_all(b"GET /info HTTP/1.1\r\nHost: x\r\n")
            await trio.sleep(0.1)
            world.server.stop()
            await trio.sleep(0.1)
            await stream.send_all(b"\r\n")
            answer = b""
            while data := await stream.receive_some():
                answer += data
            await world.ready.over.wait()
            await stream.aclose()

            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"Connection: close" in answer

    async def test_new_sessions_are_sent_away(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Who asks for a session while the server stops is told 503."""
        async with open_world(tmp_path) as world:
            endpoint, certificate, deaf = await world.device(1)
            waiting = await world.dial(world.context(endpoint, certificate))
            await waiting.send_all(f"GET {paths.WS_CONNECT} HTTP/1.1\r\nHost: x\r\n".encode())
            await trio.sleep(0.1)
            world.server.stop()
            await trio.sleep(0.1)
            opening = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            await waiting.send_all(f"{opening}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
            answer = await waiting.receive_some()
            await deaf.hang_up()
            await waiting.aclose()

            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Umslab-Refusal: busy" in answer

    async def test_stop_before_start(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A server that was told to stop before it ran starts and ends at once."""
        for _ in range(5):
            one = server(tmp_path)
            one.stop()
            await one.run()

            assert one._over.is_set()
        assert trio.current_time() < 1


class TestControlSocket:
    """Over a real Unix socket, as `umslab ctl` uses it."""

    async def test_status_backup_and_more(self, tmp_path: Path) -> None:
        """Only its owner may open it; status, keys, events, backup; gone after the end."""
        with trio.fail_after(20):
            async with open_world(tmp_path, control=True) as world:
                _, _, line = await world.device(1)
                path = world.ready.control
                assert path is not None
                mode = path.stat().st_mode & 0o777
                items: list[Any] = []
                async with connect_control(path) as client:
                    status = await client.call("status")
                    await client.call("keys.create", kind="mass", chosen="text")
                    await client.call("events", items.append, after=0)
                    told = await client.call("backup", path=str(tmp_path / "b.tar"))
                await line.hang_up()
                await world.stop()

        assert mode == 0o600
        assert (status["state"], status["reasons"], status["version"]) == ("ok", [], "test")
        assert (status["devices"]["online"], status["sessions"], status["connections"]) == (1, 1, 1)
        assert status["events"] == 6
        assert status["counters"]["accepted"] == 1
        assert [item["kind"] for item in items][-1] == "key-created"
        assert told["files"] == 7
        assert not path.exists()

    async def test_follower_does_not_hold_the_end(self, tmp_path: Path) -> None:
        """A client that follows the feed is let go when the server stops."""
        with trio.fail_after(20):
            async with open_world(tmp_path, control=True) as world:
                path = world.ready.control
                assert path is not None
                ended = trio.Event()

                async def follow() -> None:
                    async with connect_control(path) as client:
                        with pytest.raises(Exception, match="went away"):
                            await client.call("events", follow=True)
                    ended.set()

                world.nursery.start_soon(follow)
                await trio.testing.wait_all_tasks_blocked()
                await world.stop()
                await ended.wait()


async def test_full_disk(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The server goes on without a writable registry: pages answer, enrolment is busy, sessions stay."""
    async with open_world(tmp_path) as world:
        (key,) = await world.services.keys.create(KeyKind.MASS, actor="test")
        endpoint, certificate, _ = await world.device(1)
        writing = world.services.store._write_connection
        writing.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            enrolment = await world.enrol(Endpoint(2), key.secret or "")
            session = await world.open(endpoint, certificate)
            await trio.sleep(60)
            status = json.loads((await world.call("GET", paths.CHECK_STATUS)).body)
        online = world.services.presence.is_online(unit_id(1))
        writing.exec_driver_sql("PRAGMA query_only = OFF")
        again = await world.enrol(Endpoint(2), key.secret or "")

        assert not isinstance(session, Line)
        assert [enrolment.status, session.status, again.status] == [503, 503, 200]
        assert status == {"status": "err"}
        assert online


class TestOnlineCheck:
    """The UDP side of a whole server."""

    async def test_fixed_reply_port(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """It is there while the server runs, in use for anybody else, and free when the check is off (N1, N6)."""
        network = MemoryNetwork().host(SERVER)
        for enabled in (True, False):
            check = OnlineCheckConfig(enabled=enabled, reply_port=4711)
            one = server(tmp_path, network, online_check=check)
            async with trio.open_nursery() as nursery:
                await nursery.start(one.run)
                if enabled:
                    with pytest.raises(ListenError, match="in use"):
                        await network.udp("", 4711)
                else:
                    (await network.udp("", 4711)).close()
                one.stop()
        (await network.udp("", 4711)).close()

    async def test_reply_port_that_is_taken(self, tmp_path: Path) -> None:
        """The server does not start, and says why."""
        network = MemoryNetwork().host(SERVER)
        await network.udp("", 4711)
        with pytest.raises(ListenError, match="in use"):
            await server(tmp_path, network, online_check=OnlineCheckConfig(reply_port=4711)).run()

    @pytest.mark.parametrize(
        ("listen", "host"),
        [(["127.0.0.1"], "127.0.0.1"), (["127.0.0.1", "10.0.0.1"], "0.0.0.0"), (["::1"], "127.0.0.1")],
    )
    def test_where_answers_arrive(self, listen: list[str], host: str) -> None:
        """On loopback unless the server listens wider."""
        assert host == reply_host(listen)
