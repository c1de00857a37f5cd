# SPDX-License-Identifier: Apache-2.0
"""Every key of a scenario and every option of the verbs has a test of what it does; here is which.

A key or an option that is added without one fails here, and so does a test that is renamed or removed.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import typer.main

from tests.docs.generate import ROOT, SCENARIO_TABLES
from umslab.cli.fleet.main import app as fleet_app
from umslab.cli.merge import app as merge_app

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {
    "Scenario.name": "umslab/bench/test_scenarios.py::test_two_run_small",
    "Scenario.about": "umslab/cli/fleet/test_plan.py::test_a_person_sees_what_would_happen",
    "Scenario.devices": "agent/fleet/test_running.py::test_a_hundred_come_on_board",
    "Scenario.first_index": "agent/fleet/test_plan.py::test_devices_are_personas_of_their_index",
    "Scenario.seed": "agent/fleet/test_plan.py::test_devices_are_personas_of_their_index",
    "Scenario.time_scale": "agent/fleet/test_running.py::test_time_scale_makes_it_shorter",
    "Scenario.mix": "agent/fleet/test_plan.py::test_the_mix_is_exact",
    "Scenario.sites": "agent/fleet/test_plan.py::test_sites_and_circuits",
    "Scenario.addresses": "umslab/cli/fleet/test_run.py::test_a_scenario_with_all_phases",
    "Scenario.arrivals": "agent/fleet/test_running.py::test_arrivals_are_where_the_plan_has_them",
    "Scenario.outstanding": "agent/fleet/test_known_delays.py::test_a_generator_that_waits_omits_nothing",
    "Scenario.phases": "umslab/cli/fleet/test_run.py::test_a_scenario_with_all_phases",
    "Scenario.behaviour": "agent/fleet/test_running.py::test_behaviour_happens_and_is_no_failure",
    "Scenario.retry": "agent/fleet/test_running.py::test_back_off_decides_how_long_a_storm_lasts",
    "Scenario.thresholds": "umslab/cli/fleet/test_run.py::test_a_scenario_with_all_phases",
    "Kind.weight": "agent/fleet/test_plan.py::test_the_mix_is_exact",
    "Kind.os": "agent/fleet/test_scenario.py::test_firmware_follows_the_os",
    "Kind.model": "agent/fleet/test_plan.py::test_the_mix_is_exact",
    "Kind.firmware": "agent/fleet/test_plan.py::test_the_mix_is_exact",
    "Kind.key_type": "umslab/fleet/test_shard.py::test_a_run_on_loopback",
    "Kind.trust": "umslab/fleet/test_shard.py::test_each_kind_trusts_in_its_way",
    "Kind.source": "umslab/cli/fleet/test_run.py::test_a_kind_asks_its_name_server",
    "Site.name": "agent/fleet/test_actions.py::test_a_storm_hits_a_place",
    "Site.weight": "agent/fleet/test_plan.py::test_sites_and_circuits",
    "Site.circuits": "agent/fleet/test_plan.py::test_sites_and_circuits",
    "Site.structure_tag": "agent/fleet/test_plan.py::test_sites_and_circuits",
    "Site.offset_seconds": "agent/fleet/test_plan.py::test_sites_and_circuits",
    "Ramp.seconds": "agent/fleet/test_arrivals.py::test_a_ramp_is_even",
    "ConstantRate.per_second": "agent/fleet/test_arrivals.py::test_a_constant_rate",
    "Poisson.per_second": "agent/fleet/test_arrivals.py::test_poisson_gaps_are_exponential",
    "Replay.file": "umslab/fleet/test_loading.py::test_a_recording_beside_the_scenario",
    "Replay.seconds": "agent/fleet/test_arrivals.py::test_a_recording_is_played_as_it_is",
    "Onboard.within_seconds": "agent/fleet/test_running.py::test_arrivals_do_not_wait_for_a_server_that_hangs",
    "Steady.seconds": "agent/fleet/test_running.py::test_time_scale_makes_it_shorter",
    "Storm.cause": "agent/fleet/test_running.py::test_a_storm_hits_and_all_come_back",
    "Storm.who": "agent/fleet/test_running.py::test_a_storm_hits_and_all_come_back",
    "Storm.away_seconds": "agent/fleet/test_running.py::test_a_storm_hits_and_all_come_back",
    "Storm.spread_seconds": "agent/fleet/test_actions.py::test_after_a_power_loss_devices_boot_each_in_its_time",
    "Storm.within_seconds": "agent/fleet/test_running.py::test_a_phase_has_its_time",
    "CommandWave.command": "agent/fleet/test_running.py::test_a_command_wave",
    "CommandWave.parameters": "umslab/cli/fleet/test_run.py::test_a_scenario_with_all_phases",
    "CommandWave.within_seconds": "agent/fleet/test_running.py::test_a_command_wave_has_its_time",
    "RenewalWave.spread_seconds": "agent/fleet/test_actions.py::test_renewals_are_spread",
    "RenewalWave.within_seconds": "agent/fleet/test_running.py::test_a_phase_has_its_time",
    "Drain.spread_seconds": "agent/fleet/test_running.py::test_a_drain_takes_its_time",
    "Drain.within_seconds": "agent/fleet/test_running.py::test_a_phase_has_its_time",
    "Behaviour.reboots_per_day": "agent/fleet/test_running.py::test_behaviour_happens_and_is_no_failure",
    "Behaviour.suspends_per_day": "agent/fleet/test_running.py::test_behaviour_happens_and_is_no_failure",
    "Behaviour.suspend_seconds": "agent/fleet/test_actions.py::test_behaviour_has_its_rate",
    "Behaviour.network_losses_per_day": "agent/fleet/test_running.py::test_behaviour_happens_and_is_no_failure",
    "Behaviour.network_loss_seconds": "agent/fleet/test_actions.py::test_behaviour_has_its_rate",
    "Behaviour.device": "agent/fleet/test_actions.py::test_after_a_power_loss_devices_boot_each_in_its_time",
    "Flat.seconds": "umslab/fleet/test_shard.py::test_retry_policies",
    "Flat.jitter": "umslab/fleet/test_shard.py::test_retry_policies",
    "Flat.before_enrolment": "agent/fleet/test_member.py::test_retry_before_enrolment_is_a_choice",
    "Exponential.first_seconds": "umslab/fleet/test_shard.py::test_retry_policies",
    "Exponential.factor": "umslab/fleet/test_shard.py::test_retry_policies",
    "Exponential.most_seconds": "umslab/fleet/test_shard.py::test_retry_policies",
    "Exponential.jitter": "umslab/fleet/test_shard.py::test_retry_policies",
    "Exponential.before_enrolment": "umslab/fleet/test_shard.py::test_the_usual_retry_is_that_of_a_device",
}

_OPTIONS = "umslab/cli/fleet/test_options.py::test_each_option_has_its_effect"
_FIFTY = "umslab/cli/fleet/test_run.py::test_fifty_devices_need_no_file"
_PHASES = "umslab/cli/fleet/test_run.py::test_a_scenario_with_all_phases"
_STEERED = "umslab/cli/fleet/test_ctl.py::test_a_fleet_is_asked_and_steered"
_FORMS = "umslab/cli/fleet/test_report.py::test_all_forms_at_once"
_BOTH = {
    "--devices": _OPTIONS,
    "--ramp": _OPTIONS,
    "--rate": _OPTIONS,
    "--poisson": _OPTIONS,
    "--at-once": _OPTIONS,
    "--replay": "umslab/cli/fleet/test_options.py::test_a_recording_is_an_option",
    "--steady": _OPTIONS,
    "--seed": _OPTIONS,
    "--first-index": _OPTIONS,
    "--key-type": _OPTIONS,
    "--time-scale": _OPTIONS,
    "--outstanding": _OPTIONS,
    "--set": _OPTIONS,
    "--shard": "umslab/cli/fleet/test_options.py::test_shards",
}
OPTIONS = {
    **{f"plan {option}": test for option, test in _BOTH.items()},
    **{f"run {option}": test for option, test in _BOTH.items()},
    "plan [SCENARIO]": "umslab/cli/fleet/test_plan.py::test_a_person_sees_what_would_happen",
    "plan --processes": "umslab/cli/fleet/test_plan.py::test_what_does_not_fit",
    "plan --list": "umslab/cli/fleet/test_plan.py::test_devices_are_listed_for_people",
    "plan --json": "umslab/cli/fleet/test_plan.py::test_a_machine_sees_the_same",
    "run HOST[:PORT]": _FIFTY,
    "run --scenario": _PHASES,
    "run --processes": "umslab/cli/fleet/test_run.py::test_processes_share_a_fleet",
    "run --auth-key": _FIFTY,
    "run --auth-key-file": "umslab/cli/fleet/test_run.py::test_other_ways_to_give_the_key",
    "run --token": "umslab/cli/fleet/test_run.py::test_trust_is_checked",
    "run --ca-hash": "umslab/cli/fleet/test_run.py::test_trust_is_checked",
    "run --nameserver": "umslab/cli/fleet/test_run.py::test_a_kind_asks_its_name_server",
    "run --search-domain": "umslab/cli/fleet/test_run.py::test_a_kind_asks_its_name_server",
    "run --os11-port": "umslab/cli/fleet/test_run.py::test_a_mixed_fleet",
    "run --register-user": "umslab/cli/fleet/test_run.py::test_a_mixed_fleet",
    "run --register-password-file": "umslab/cli/fleet/test_run.py::test_a_mixed_fleet",
    "run --dhcp-interface": "foreign/test_fleet_dhcp.py::test_the_lease_leads_and_not_the_command_line",
    "run --state": "umslab/cli/fleet/test_run.py::test_processes_share_a_fleet",
    "run --server-state": _PHASES,
    "run --proxied": "umslab/cli/fleet/test_run.py::test_what_failed_is_grouped",
    "run --i-own": "safety/test_fleet_own.py::test_who_owns_it_may_call",
    "run --report": "umslab/cli/fleet/test_run.py::test_processes_share_a_fleet",
    "run --threshold": "umslab/cli/fleet/test_run.py::test_a_missed_threshold_is_99",
    "run --metrics": "umslab/cli/fleet/test_run.py::test_metrics_while_it_runs",
    "run --plain": "umslab/cli/fleet/test_run_live.py::test_plain_lines_on_request",
    "run --json": _PHASES,
    "scenarios [NAME]": "umslab/cli/fleet/test_scenarios.py::test_a_file_to_start_ones_own",
    "scenarios --json": "umslab/cli/fleet/test_scenarios.py::test_the_list",
    "report FILE": _FORMS,
    "report --html": _FORMS,
    "report --junit": _FORMS,
    "report --svg": "umslab/cli/fleet/test_report.py::test_pictures",
    "report --threshold": "umslab/cli/fleet/test_report.py::test_judged_anew",
    "report --json": "umslab/cli/fleet/test_report.py::test_judged_anew",
    "compare A": "umslab/cli/fleet/test_compare.py::test_two_runs",
    "compare B": "umslab/cli/fleet/test_compare.py::test_two_runs",
    "compare --json": "umslab/cli/fleet/test_compare.py::test_two_runs",
    "ctl disconnect --site": _STEERED,
    "ctl disconnect --circuit": _STEERED,
    "ctl disconnect --for": _STEERED,
    "ctl rate N": _STEERED,
    "ctl device INDEX|UNIT_ID": _STEERED,
    **{
        f"ctl {verb} {option}": _STEERED
        for verb in ("status", "pause", "resume", "rate", "disconnect", "device")
        for option in ("--state", "--json")
    },
    "merge FILE...": "umslab/cli/test_merge.py::test_all_shards",
    "merge --out": "umslab/cli/test_merge.py::test_all_shards",
    "merge --json": "umslab/cli/test_merge.py::test_all_shards",
}


@cache
def _tests_in(file: str) -> frozenset[str]:
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))


def _keys() -> Iterator[str]:
    for kinds in SCENARIO_TABLES.values():
        for kind in kinds:
            yield from (f"{kind.__name__}.{entry.name}" for entry in msgspec.structs.fields(kind))


def _options(command: Any, *words: str) -> Iterator[str]:
    for name, one in getattr(command, "commands", {}).items():
        yield from _options(one, *words, name)
    if not hasattr(command, "commands"):
        for one in command.params:
            yield " ".join((*words, one.opts[0] if one.param_type_name == "option" else one.metavar or one.name))


@pytest.mark.parametrize("named", [KEYS, OPTIONS], ids=["keys", "options"])
def test_the_named_tests_are_there(named: dict[str, str]) -> None:
    """Each file has the function."""
    missing = [what for what, test in named.items() if test.split("::")[1] not in _tests_in(test.split("::")[0])]

    assert [] == missing


def test_every_key_is_named() -> None:
    """And nothing that is no key."""
    assert set(_keys()) == set(KEYS)


def test_every_option_is_named() -> None:
    """And nothing that is no option."""
    fleet, merge = typer.main.get_command(fleet_app), typer.main.get_command(merge_app)

    assert {*_options(fleet), *_options(merge, "merge")} == set(OPTIONS)
