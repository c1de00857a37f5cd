# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl certs`: the certificates of the running server, the rotation of its web root, its EST client CAs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, UserError, print_json, print_pairs, print_table
from umslab_certs.errors import CertificateError
from umslab_certs.files import read_limited
from umslab_certs.keys import KeyType

app = typer.Typer(no_args_is_help=True, help="The certificates of the running server.", **SETTINGS)

SHOWN_AT_MOST = 20
"""Devices in a text; --json has all."""
ChainOption = Annotated[
    Path | None, typer.Option("--chain", metavar="FILE", help="PEM file with a whole chain from elsewhere.")
]


@app.command("show")
def show_certificates(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show token, fingerprints and dates."""
    print_certificates(call(state, "certs.show"), as_json=as_json)


@app.command("renew")
def renew_certificate(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Replace the web certificate under the same root; devices notice nothing."""
    print_certificates(call(state, "certs.renew"), as_json=as_json)


@app.command("announce-root")
def announce_root(
    *,
    root_key: Annotated[KeyType | None, typer.Option(help="Key of the next root; default: as now.")] = None,
    web_key: Annotated[KeyType | None, typer.Option(help="Key of its web certificate; default: as now.")] = None,
    chain: ChainOption = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="PEM file with the key to it.")] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Phase one of a rotation: make (or import) the next web root; devices are told to trust it beside the current."""
    if chain is None and key is None:
        result = call(state, "certs.announce-root", root_key=root_key, web_key=web_key)
    elif root_key or web_key:
        raise UserError("--root-key and --web-key are for a root made here, not for --chain", exit_codes.USAGE)
    else:
        chain_pem, key_pem = _read_chain(chain, key, "--key")
        result = call(state, "certs.announce-chain", chain=chain_pem, key=key_pem)
    _print_rotation(result, as_json=as_json)


@app.command("rotation")
def show_rotation(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show the phase of the rotation, and which devices have not acknowledged the roots they are to trust."""
    _print_rotation(call(state, "certs.rotation"), as_json=as_json)


@app.command("switch-root")
def switch_root(
    *,
    force: Annotated[bool, typer.Option("--force", help="Even if devices fail (46) and must onboard anew.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Phase two of a rotation: present the announced chain from now on and let devices forget the old root."""
    result = call(state, "certs.switch-root", force=force)
    if as_json:
        print_json("switched", result)
        return
    print(f"the web root is now {result['rotation']['root']['subject']}; the one before is not trusted any more")
    if result["lost"]:
        _print_devices(f"{len(result['lost'])} devices fail (46) and must come on board again:", result["lost"])


@app.command("cancel-rotation")
def cancel_rotation(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Forget the announced root; devices are told to trust the current one only."""
    _print_rotation(call(state, "certs.cancel-rotation"), as_json=as_json)


@app.command("client-cas")
def list_client_cas(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List the EST client CAs: the one that issues, and those whose certificates are still accepted."""
    _print_client_cas(call(state, "certs.client-cas"), as_json=as_json)


@app.command("new-client-ca")
def new_client_ca(
    *,
    key_type: Annotated[KeyType | None, typer.Option("--key", help="Kind of key; default: as now.")] = None,
    chain: ChainOption = None,
    ca_key: Annotated[
        Path | None, typer.Option("--ca-key", metavar="FILE", help="PEM file with the key of the authority.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue device certificates with a new authority from now on; those of earlier ones stay accepted."""
    if chain is None and ca_key is None:
        result = call(state, "certs.new-client-ca", key_type=key_type)
    elif key_type:
        raise UserError("--key is for an authority made here, not for --chain", exit_codes.USAGE)
    else:
        chain_pem, key_pem = _read_chain(chain, ca_key, "--ca-key")
        result = call(state, "certs.import-client-ca", chain=chain_pem, key=key_pem)
    _print_client_cas(result, as_json=as_json)


@app.command("retire-client-ca")
def retire_client_ca(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="One of its four parts, or its first digits.")
    ],
    *,
    force: Annotated[bool, typer.Option("--force", help="Even if devices are locked out.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept certificates of an earlier EST client CA no longer."""
    result = call(state, "certs.retire-client-ca", fingerprint=fingerprint, force=force)
    if as_json:
        print_json("retired", result)
        return
    if result["locked_out"]:
        print(f"{len(result['locked_out'])} devices are locked out: {_shorten(result['locked_out'])}")
    _print_client_cas(result["client_cas"], as_json=False)


def print_certificates(result: dict[str, Any], *, as_json: bool) -> None:
    """Print what `describe` tells of certificates."""
    if as_json:
        print_json("certificates", result)
        return
    pairs: list[tuple[str, object]] = [("communication token", result["token"])]
    titles = [("root", "web root"), ("next_root", "next web root"), ("web", "web certificate")]
    pairs += [pair for name, title in titles if result[name] for pair in _describe(title, result[name])]
    pairs += _describe("EST client CA", result["client_ca"])
    pairs += [pair for one in result["earlier_client_cas"] for pair in _describe("earlier EST client CA", one)]
    if "device_communication" in result:
        pairs += _describe("device communication (OS 11)", result["device_communication"])
    print_pairs(pairs)


def _describe(title: str, one: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        (title, one["subject"]),
        ("  SHA-256", " ".join(one["sha256_parts"])),
        ("  valid", f"{one['not_before']} to {one['not_after']}"),
    ]


def _print_rotation(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json("rotation", result)
        return
    phase = {"none": "no rotation was ever begun"}.get(result["phase"], f"{result['phase']} at {result['since']}")
    pairs: list[tuple[str, object]] = [("rotation", phase)]
    for name, title in (("root", "web root"), ("next_root", "next web root"), ("previous_root", "web root before")):
        if result[name]:
            pairs += _describe(title, result[name])
    if result["phase"] != "none":
        pairs.append(("acknowledged", f"{result['acknowledged']} of {result['active']} active devices"))
    print_pairs(pairs)
    if result["behind"]:
        _print_devices("not acknowledged by:", result["behind"])


def _print_devices(heading: str, devices: list[dict[str, Any]]) -> None:
    print(heading)
    print_table(
        ("unit ID", "name", "online", "last contact"),
        ((one["unit_id"], one["name"], one["online"], one["last_contact"]) for one in devices[:SHOWN_AT_MOST]),
        empty="",
    )
    if len(devices) > SHOWN_AT_MOST:
        print(f"and {len(devices) - SHOWN_AT_MOST} more; --json lists all")


def _print_client_cas(result: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json("client_cas", result)
        return
    print_table(
        ("issues", "EST client CA", "valid until", "devices", "SHA-256"),
        (
            (one["issues"], one["ca"]["subject"], one["ca"]["not_after"], one["devices"], one["ca"]["sha256_parts"][0])
            for one in result
        ),
        empty="",
    )


def _shorten(unit_ids: list[str]) -> str:
    more = f" and {len(unit_ids) - SHOWN_AT_MOST} more; --json lists all" if len(unit_ids) > SHOWN_AT_MOST else ""
    return ", ".join(unit_ids[:SHOWN_AT_MOST]) + more


def _read_chain(chain: Path | None, key: Path | None, key_option: str) -> tuple[str, str]:
    if chain is None or key is None:
        raise UserError(f"--chain and {key_option} belong together", exit_codes.USAGE)
    try:
        return _read_text(chain), _read_text(key)
    except CertificateError as error:
        raise UserError(str(error)) from None


def _read_text(file: Path) -> str:
    return read_limited(file).decode("ascii", errors="replace")  # what is not ASCII is not PEM, and is refused as such
