# SPDX-License-Identifier: Apache-2.0
"""Run a simulated UMS server.

On first use it makes its certificates (a few seconds for RSA 4096) in the state folder. Afterwards `umslab ctl` manages
it from another terminal.

Examples:
    umslab serve
    umslab serve --port 0 --ready-file ready.json
    umslab serve --config lab.toml --set limits.header_seconds=5
    umslab serve --os11-port 31001 --file-transfer-port 31003
    umslab serve --listen 192.168.7.10 --name ums.lab.example --allow-remote
    umslab serve --mdns
    umslab serve --metrics 9464
    umslab serve --service-model slow.toml

The file of --service-model makes the server as slow as a busy UMS: workers and queue as documented by the vendor (50,
no limit), service times that are assumed, because nobody has published them. An empty file has these defaults.
"""

from __future__ import annotations

import ipaddress
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import trio
import typer

from umslab import __version__, exit_codes, logs, plugins, settings
from umslab.cli.output import DEFAULT_STATE, SETTINGS, StateOption, UserError, help_text, run_async
from umslab.neighbours import policy_here
from umslab.one_device import owned_addresses
from umslab_certs.errors import CertificateError
from umslab_certs.files import write_private
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.codec import ENTRY_POINT_GROUP
from umslab_protocol.wire.mdns import parse_own_address
from umslab_runtime.clock import SystemClock
from umslab_runtime.connections import raise_descriptor_limit
from umslab_runtime.executor import ThreadExecutor
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import EVERYWHERE, ListenError
from umslab_runtime.policy import TargetPolicy, TargetRefusedError
from umslab_runtime.tuning import tune_interpreter
from umslab_server.app import Ready, Surroundings, UmsServer
from umslab_server.config import ServerConfig
from umslab_server.front.est import AUTHENTICATION_GROUP
from umslab_server.service_model import ServiceModel
from umslab_server.state_folder import StateFolder, StateFolderError
from umslab_server.store import StoreError

if TYPE_CHECKING:
    import os


app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def serve(
    *,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML configuration.")] = None,
    state: StateOption = None,
    listen: Annotated[
        list[str] | None, typer.Option("--listen", metavar="ADDRESS", help="Address to listen on; may be repeated.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Web port; 0: any free one.")] = None,
    os11_port: Annotated[
        int | None, typer.Option("--os11-port", min=0, max=65535, help="Port that OS 11 devices call; 0: any free one.")
    ] = None,
    file_transfer_port: Annotated[
        int | None,
        typer.Option("--file-transfer-port", min=0, max=65535, help="Port where OS 11 devices fetch files."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="Name or address for the web certificate; may be repeated."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the configuration; may be repeated."),
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", metavar="FILE", help="Write JSON once connections are accepted.")
    ] = None,
    metrics: Annotated[
        int | None,
        typer.Option(
            "--metrics",
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve Prometheus metrics at http://127.0.0.1:PORT/metrics; 0: any free port.",
        ),
    ] = None,
    service_model: Annotated[
        Path | None,
        typer.Option(
            "--service-model",
            metavar="FILE",
            help="TOML file: workers, queue and service times of a simulated busy server. Off without it.",
        ),
    ] = None,
    for_load: Annotated[
        bool,
        typer.Option("--for-load", help="Fleets of any size may come, also from other machines: it is proved to them."),
    ] = False,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let addresses other than loopback be listened on.")
    ] = False,
    mdns: Annotated[bool, typer.Option("--mdns", help="Announce the server by mDNS (umslab device --mdns).")] = False,
    mdns_on: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDR", help="Announce from this address of the machine, whose network is mine."),
    ] = None,
    i_own: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Devices at this host outside the machine are mine; may be repeated."),
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON lines.")] = False,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
) -> None:
    """Run a simulated UMS server."""
    if log_level not in {"debug", "info", "warning", "error"}:
        raise UserError("--log-level is debug, info, warning or error", exit_codes.USAGE)
    logs.configure(as_json=log_json, level=log_level)
    os11 = {"os11.port": os11_port, "os11.file_transfer_port": file_transfer_port}
    flags = _flags({"listen": listen, "port": port, "names": name, "metrics.port": metrics, **os11})
    flags += [settings.parse_assignment(text) for text in set_ or []]
    if mdns or mdns_on:
        flags.append(("mdns.enabled", True))
    loaded = settings.load(ServerConfig, file=config, environment=_environment(), flags=flags)
    _refuse_remote(loaded, allow_remote=allow_remote)
    slowness = None
    if service_model is not None:
        slowness = settings.load(ServiceModel, file=service_model, environment={}, flags=[])
    policy = _policy(i_own or [])
    folder = StateFolder((state or DEFAULT_STATE).absolute() / "server")
    try:
        named = _speaking_from(mdns_on or [], loaded)
        run = partial(_run, mdns_on=named, policy=policy, service_model=slowness, for_load=for_load)
        run_async(run, loaded, folder, ready_file)
    except InvalidValueError as error:
        raise UserError(str(error), exit_codes.USAGE) from None
    except (StateFolderError, StoreError, CertificateError, ListenError, TargetRefusedError) as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from None


def _environment() -> os._Environ[str]:
    import os  # noqa: PLC0415 - the only place where serve reads the environment

    return os.environ


def _flags(given: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in given.items() if value is not None and value != []]


def _refuse_remote(config: ServerConfig, *, allow_remote: bool) -> None:
    for host in (*config.listen, config.metrics.listen):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise UserError(f"listen takes literal addresses, not {host!r}", exit_codes.USAGE) from None
        if not address.is_loopback and not allow_remote:
            raise UserError(
                f"{host} can be reached from other machines: give --allow-remote if that is what you want",
                exit_codes.USAGE,
            )


def _speaking_from(addresses: list[str], config: ServerConfig) -> tuple[str, ...]:
    """The addresses of --mdns-on, at which the server must be found; raises `InvalidValueError`."""
    named = tuple(map(parse_own_address, addresses))
    for address in named:
        if not {address, EVERYWHERE} & set(config.listen):
            raise InvalidValueError(f"the server does not listen on {address}, so it is not announced there: --listen")
    return named


def _policy(owned: list[str]) -> TargetPolicy:
    try:
        return policy_here(run_async(owned_addresses, owned))
    except ValueError as error:
        raise UserError(str(error), exit_codes.USAGE) from None


async def _run(
    config: ServerConfig,
    folder: StateFolder,
    ready_file: Path | None,
    *,
    mdns_on: tuple[str, ...],
    policy: TargetPolicy,
    service_model: ServiceModel | None,
    for_load: bool,
) -> None:
    raise_descriptor_limit()
    world = Surroundings(
        network=TrioNetwork(policy),
        clock=SystemClock(),
        writer=ThreadExecutor(),
        reader=ThreadExecutor(),
        codec=plugins.load(ENTRY_POINT_GROUP, config.sessions.codec),
        authentication=plugins.load(AUTHENTICATION_GROUP, config.enrolment.authentication),
        mdns_on=mdns_on,
        service_model=service_model,
        for_load=for_load,
    )
    server = UmsServer(config, folder, world, version=__version__)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, server, nursery.cancel_scope)
        ready: Ready = await nursery.start(server.run)
        tune_interpreter()
        _announce(ready, folder, ready_file, service_model, for_load=for_load)
        nursery.start_soon(_cancel_when_over, ready, nursery.cancel_scope)


async def _cancel_when_over(ready: Ready, scope: trio.CancelScope) -> None:
    await ready.over.wait()
    scope.cancel()


async def _stop_on_signal(server: UmsServer, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            print(f"umslab: {signal.Signals(number).name}: stopping", file=sys.stderr)
            server.stop()
            break
        async for _ in signals:
            scope.cancel()  # the second signal does not wait
            break


def _announce(
    ready: Ready, folder: StateFolder, ready_file: Path | None, service_model: ServiceModel | None, *, for_load: bool
) -> None:
    about = {
        "version": 1,
        "addresses": ready.addresses,
        "os11_addresses": ready.os11_addresses,
        "file_transfer_addresses": ready.file_transfer_addresses,
        "root": str(ready.root),
        "token": ready.token,
        "control": None if ready.control is None else str(ready.control),
        "metrics": None if ready.metrics is None else f"http://{ready.metrics}/metrics",
    }
    text = msgspec.json.format(msgspec.json.encode(about)) + b"\n"
    write_private(folder.about, text)
    if ready_file is not None:
        write_private(ready_file.absolute(), text)
    more = "" if about["metrics"] is None else f"  metrics               {about['metrics']}\n"
    if service_model is not None:
        queue = "a queue without limit" if service_model.queue is None else f"a queue of {service_model.queue}"
        more += f"  slow on purpose       {service_model.workers} workers, {queue} (--service-model)\n"
    if for_load:
        more += "  started for load      fleets of any size may come, also from other machines\n"
    print(
        f"umslab {__version__}: a simulated UMS, not affiliated with IGEL\n"
        f"  listening on          {', '.join(ready.addresses)}\n"
        f"  OS 11 devices         {', '.join(ready.os11_addresses) or 'off'}\n"
        f"  files for OS 11       {', '.join(ready.file_transfer_addresses) or 'off'}\n"
        f"  communication token   {ready.token}\n"
        f"  web root certificate  {ready.root}\n"
        f"{more}"
        f"  state folder          {folder.path}",
        file=sys.stderr,
    )
