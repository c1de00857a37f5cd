# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet plan`: what would happen, without a packet."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import msgspec
import typer

from umslab import exit_codes
from umslab.cli.fleet import options
from umslab.cli.fleet.options import plan_of, scenario_of
from umslab.cli.output import JsonOption, print_json, print_pairs
from umslab.fleet.machine import this_machine
from umslab_agent.fleet.arrivals import busiest_second, picture
from umslab_agent.fleet.plan import Plan, PlannedPhase
from umslab_agent.fleet.resources import Estimate, Need, estimate
from umslab_agent.fleet.scenario import Onboard, Steady, Storm


def plan(
    scenario: Annotated[str, typer.Argument(metavar="[SCENARIO]", help="A shipped one, or a TOML file.")] = "",
    *,
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
    processes: Annotated[int, typer.Option(min=1, max=256, help="Processes that would share the devices.")] = 1,
    show_devices: Annotated[bool, typer.Option("--list", help="Also list every device.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a fleet would do and need; no packet is sent. Exit code 3 when it does not fit this machine."""
    chosen = plan_of(
        scenario_of(
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
        ),
        shard,
    )
    needed = estimate(chosen, this_machine(), processes=processes)
    if as_json:
        print_json("plan", _as_object(chosen, needed, with_devices=show_devices))
    else:
        _print(chosen, needed)
        if show_devices:
            _print_devices(chosen)
    raise typer.Exit(exit_codes.OK if needed.fits else exit_codes.FAILED)


def _print(chosen: Plan, needed: Estimate) -> None:
    scenario, times = chosen.scenario, chosen.arrivals
    number, of = chosen.shard
    if scenario.about:
        print(scenario.about)
    part = f"  (shard {number}/{of} of {scenario.devices})" if of > 1 else ""
    pairs: list[tuple[str, object]] = [
        ("scenario", scenario.name),
        ("devices", f"{len(chosen.devices)}{part}"),
        ("mix", _mix(chosen)),
        ("sites", _counted(Counter(device.site for device in chosen.devices if device.site))),
        ("arrivals", f"{scenario.arrivals.__struct_config__.tag}: the last after {_time(max(times))}"),
        ("", f"|{picture(times)}|  at most {busiest_second(times)} in a second"),
    ]
    pairs += [(f"phase {phase.number}", _phase(phase)) for phase in chosen.phases]
    pairs.append(("lasts", f"at least {_time(chosen.seconds)}"))
    if scenario.time_scale != 1:
        pairs.append(("time scale", f"{scenario.time_scale:g} (the times above are real ones)"))
    pairs += [
        ("keys", f"{_counted(needed.keys)}: {_time(needed.key_seconds)} before the start"),
        ("CPU", f"{_time(needed.cpu_seconds)} on this machine for all to come on board"),
    ]
    if needed.os11:
        pairs.append(("OS 11", f"{needed.os11} devices, each called at an address of its own"))
    pairs += [(need.name, _need(need)) for need in needed.needs]
    pairs.append(("digest", chosen.digest))
    print_pairs(pairs)
    for need in needed.needs:
        if not need.fits:
            print(f"does not fit: {need.name}. Change: {need.advice}")


def _print_devices(chosen: Plan) -> None:
    for one in chosen.devices:
        place = f"{one.site}/{one.circuit}" if one.site else "-"
        persona = one.persona
        print(
            f"{one.index:>7}  {persona.unit_id}  {one.arrival:10.3f} s  {persona.firmware}  {one.key_type}  "
            f"{place}  {one.address or '-'}  {persona.device_type}"
        )


def _as_object(chosen: Plan, needed: Estimate, *, with_devices: bool) -> dict[str, Any]:
    number, of = chosen.shard
    found: dict[str, Any] = {
        "scenario": chosen.scenario,
        "digest": chosen.digest,
        "devices": len(chosen.devices),
        "shard": {"number": number, "of": of},
        "arrivals": {
            "last_seconds": max(chosen.arrivals),
            "busiest_second": busiest_second(chosen.arrivals),
            "picture": picture(chosen.arrivals),
        },
        "phases": [
            {"number": one.number, "kind": one.kind, "actions": len(one.actions), "says": _phase(one)}
            for one in chosen.phases
        ],
        "least_seconds": chosen.seconds,
        "keys": needed.keys,
        "key_seconds": needed.key_seconds,
        "cpu_seconds": needed.cpu_seconds,
        "os11": needed.os11,
        "fits": needed.fits,
        "needs": [{**msgspec.to_builtins(need), "fits": need.fits} for need in needed.needs],
    }
    if with_devices:
        found["list"] = chosen.devices
    return found


def _mix(chosen: Plan) -> str:
    counts = Counter(
        f"OS {chosen.kind_of(device).os} {device.persona.firmware} {device.key_type}" for device in chosen.devices
    )
    return _counted(counts)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def _phase(planned: PlannedPhase) -> str:
    phase, count = planned.phase, len(planned.actions)
    match phase:
        case Onboard():
            return f"onboard, until all are settled, at most {_time(phase.within_seconds)} after the last arrival"
        case Steady():
            return f"steady for {_time(phase.seconds)}; {count} things happen to devices"
        case Storm():
            away = f" for {_time(phase.away_seconds)}" if phase.away_seconds else ""
            what = f"{phase.cause} loss of {phase.who}{away}: {count} devices"
            return f"storm, {what}; at most {_time(phase.within_seconds)} until all are back"
        case _:
            return f"{planned.kind}, at most {_time(phase.within_seconds)}" + (f": {count} devices" if count else "")


def _need(need: Need) -> str:
    if need.unit == "bytes":
        return f"{need.needed / 2**20:.0f} of {need.available / 2**20:.0f} MiB"
    return f"{need.needed:.0f} of {need.available:.0f}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
