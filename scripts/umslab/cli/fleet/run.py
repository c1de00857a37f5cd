# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet run`: a fleet against a server, measured."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from umslab import exit_codes, logs
from umslab.cli.ctl.asking import server_folder
from umslab.cli.fleet import options
from umslab.cli.fleet.options import plan_of, scenario_of
from umslab.cli.fleet.report import ThresholdOption
from umslab.cli.os11_options import read_user_password
from umslab.cli.output import JsonOption, UserError, print_json, run_async
from umslab.fleet.crowd import WorkerError
from umslab.fleet.job import Job
from umslab.fleet.launching import launch
from umslab.fleet.live import Live, can_be_live
from umslab.fleet.machine import this_machine
from umslab.fleet.progress import Progress
from umslab.fleet.report_files import write_output
from umslab.fleet.state import FleetStateError
from umslab.fleet.summary import summarise
from umslab.fleet.telling import print_report
from umslab_agent.fleet.plan import Plan
from umslab_agent.fleet.report import ReportError, RunReport, encode_report, outcome
from umslab_agent.fleet.resources import estimate
from umslab_certs.errors import CertificateError
from umslab_certs.files import read_limited
from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint
from umslab_protocol.values.host_port import DEVICE_COMMUNICATION_PORT, parse_host_port
from umslab_runtime.dns import parse_nameserver, parse_search_domain
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError

_MAX_KEY_FILE_BYTES = 4096


def run(
    target: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The UMS, as devices see it.")],
    *,
    scenario: Annotated[
        str, typer.Option("--scenario", "-s", metavar="NAME|FILE", help="A shipped one, or a TOML file.")
    ] = "",
    devices: options.DevicesOption = None,
    ramp: options.RampOption = "",
    rate: options.RateOption = None,
    poisson: options.PoissonOption = None,
    at_once: options.AtOnceOption = False,
    replay: options.ReplayOption = "",
    steady: options.SteadyOption = "",
    seed: options.SeedOption = None,
    first_index: options.FirstIndexOption = None,
    key_type: options.KeyTypeOption = None,
    time_scale: options.TimeScaleOption = None,
    outstanding: options.OutstandingOption = None,
    assignments: options.SetOption = None,
    shard: options.ShardOption = "",
    processes: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the devices.")] = 1,
    auth_key: Annotated[
        str,
        typer.Option("--auth-key", "--key", metavar="KEY", envvar="UMSLAB_AUTH_KEY", help="Mass-deployment key."),
    ] = "",
    auth_key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Read the key from a file.")] = None,
    token: Annotated[str, typer.Option(metavar="TOKEN", help="Communication token of the UMS.")] = "",
    ca_hash: Annotated[str, typer.Option(metavar="SHA256", help="Whole fingerprint of the web root instead.")] = "",
    os11_port: Annotated[
        int, typer.Option("--os11-port", min=1, max=65_535, metavar="PORT", help="What OS 11 devices call on HOST.")
    ] = DEVICE_COMMUNICATION_PORT,
    register_user: Annotated[
        str, typer.Option(metavar="USER", help="OS 11: register with this user of the UMS (A9).")
    ] = "",
    register_password_file: Annotated[
        str, typer.Option(metavar="FILE|prompt", help="OS 11: the user's password; - is standard input.")
    ] = "",
    nameserver: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDR[:PORT]", help="For devices whose source is dns; may be repeated."),
    ] = None,
    search_domain: Annotated[
        list[str] | None, typer.Option(metavar="D", help="They look for igelrmserver below it; may be repeated.")
    ] = None,
    dhcp_interface: Annotated[
        str,
        typer.Option(metavar="IF", help="Devices whose source is dhcp lease here, in a network namespace of yours."),
    ] = "",
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep what devices have; a second run reconnects them.")
    ] = None,
    server_state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="State folder of a local server, which is to give commands.")
    ] = None,
    proxied: Annotated[bool, typer.Option("--proxied", help="HOST belongs to a proxy in front of the UMS.")] = False,
    i_own: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="This host outside the machine is mine to test; may be repeated."),
    ] = None,
    metrics: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve Prometheus metrics of the run at http://127.0.0.1:PORT/metrics; 0: any free port.",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report, for `fleet report`.")] = None,
    thresholds: ThresholdOption = None,
    plain: Annotated[bool, typer.Option("--plain", help="Progress in plain lines, also on a terminal.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a fleet and report what it met. Ctrl-C drains it; a second one ends it.

    Exit codes: 0 all went well, 3 something failed, 99 a threshold was missed.
    """
    logs.configure(as_json=False, level="error")
    chosen = scenario_of(
        scenario,
        devices=devices,
        ramp=ramp,
        rate=rate,
        poisson=poisson,
        at_once=at_once,
        replay=replay,
        seed=seed,
        first_index=first_index,
        key_type=key_type,
        time_scale=time_scale,
        outstanding=outstanding,
        steady=steady,
        assignments=assignments,
    )
    words = Words(token, ca_hash, tuple(nameserver or ()), tuple(search_domain or ()))
    try:
        words.check()
        if thresholds:
            chosen = msgspec.structs.replace(chosen, thresholds=(*chosen.thresholds, *thresholds))
        plan = plan_of(chosen, shard)
        refuse_what_cannot_be(plan, words, processes)
        job = Job(
            scenario=chosen,
            shard=plan.shard[0],
            of=plan.shard[1],
            target=str(parse_host_port(target)),
            os11_port=os11_port,
            user=register_user,
            password=read_user_password(register_user, register_password_file),
            auth_key=_auth_key(auth_key, auth_key_file),
            token=token,
            ca_hash=ca_hash,
            own=tuple(i_own or ()),
            nameservers=words.nameservers,
            dhcp_interface=dhcp_interface,
            search=words.search,
            state="" if state is None else str(state.absolute()),
            control="" if server_state is None else _control(server_state),
            watched=can_be_live() and not plain,
        )
        with ExitStack() as stack:
            shown = stack.enter_context(Live()) if job.watched else Progress()
            found = run_async(
                partial(launch, job, plan, processes=processes, proxied=proxied, tell=shown.told, metrics=metrics)
            )
        if report is not None:
            write_output(report, encode_report(found))
    except (CertificateError, FleetStateError, ListenError, ReportError, WorkerError) as error:
        raise UserError(str(error)) from None
    except (TargetRefusedError, ValueError) as error:
        raise UserError(str(error), exit_codes.USAGE) from None
    _tell(found, as_json=as_json)


@dataclass(frozen=True)
class Words:
    """What the user knows of the server and its name servers."""

    token: str
    ca_hash: str
    nameservers: tuple[str, ...]
    search: tuple[str, ...]

    def check(self) -> None:
        """Raise `InvalidValueError` for what is none of these."""
        if self.token:
            CommunicationToken.parse(self.token)
        if self.ca_hash:
            Fingerprint.parse(self.ca_hash)
        for one in self.nameservers:
            parse_nameserver(one)
        for one in self.search:
            parse_search_domain(one)


def refuse_what_cannot_be(plan: Plan, words: Words, processes: int) -> None:
    """Raise `UserError` when the mix wants what the command line lacks, or the machine cannot carry the plan."""
    for kind in plan.scenario.mix:
        if (kind.trust == "token" and not words.token) or (kind.trust == "ca-hash" and not words.ca_hash):
            raise UserError(f"a kind of the mix trusts by {kind.trust}: give --{kind.trust}", exit_codes.USAGE)
        if kind.source == "dns" and not words.nameservers:
            raise UserError("a kind of the mix finds its server by dns: give --nameserver", exit_codes.USAGE)
    for need in estimate(plan, this_machine(), processes=processes).needs:
        if need.hard and not need.fits:
            told = f"{need.needed:.0f} of {need.available:.0f} {need.unit}".rstrip()
            raise UserError(f"this machine cannot carry it: {need.name}: {told}. Change: {need.advice}")


def _control(state: Path) -> str:
    """The control socket of the server with this state folder, as far as one can know without asking it."""
    folder = server_folder(state)
    try:
        return str(msgspec.json.decode(folder.about.read_bytes())["control"] or folder.control)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return str(folder.control)


def _auth_key(text: str, file: Path | None) -> str:
    if file is not None:
        text = read_limited(file, _MAX_KEY_FILE_BYTES).decode("utf-8", "replace").strip()
    return parse_auth_key(text) if text else ""


def _tell(found: RunReport, *, as_json: bool) -> None:
    if as_json:
        print_json("report", {**msgspec.to_builtins(summarise(found)), "thresholds": found.thresholds})
    else:
        print_report(found)
    came = outcome(found)
    if came.missed:
        raise typer.Exit(exit_codes.MISSED)
    if came.failed:
        raise typer.Exit(exit_codes.FAILED)
