# SPDX-License-Identifier: Apache-2.0
"""Make, show, export, import and renew the certificates of a server that is stopped.

For a running server use `umslab ctl certs`.

Examples:
    umslab certs init --name ums.lab.example
    umslab certs token
    umslab certs export-web chain.crt
    umslab certs import-web company-chain.pem company.key --name ums.lab.example
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from umslab.cli.ctl.asking import server_folder
from umslab.cli.ctl.certs import print_certificates
from umslab.cli.output import SETTINGS, JsonOption, StateOption, UserError, help_text
from umslab_certs.client_authority import ClientAuthority
from umslab_certs.errors import CertificateError
from umslab_certs.files import read_limited, write_private
from umslab_certs.keys import KeyType
from umslab_certs.store import WebCertificates
from umslab_server.certificates import describe, open_or_create
from umslab_server.config import CertificatesConfig, ServerConfig
from umslab_server.services import certificate_names
from umslab_server.state_folder import StateFolder, StateFolderError

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

Names = Annotated[
    list[str] | None, typer.Option("--name", metavar="NAME", help="Name or address to cover; may be repeated.")
]
ChainFile = Annotated[Path, typer.Argument(metavar="CHAIN", help="PEM file with the whole chain, in any order.")]
KeyFile = Annotated[Path, typer.Argument(metavar="KEY", help="PEM file with the private key, not encrypted.")]
OutFile = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A file; default: standard output.")]


@app.command()
def init(
    *,
    name: Names = None,
    root_key: Annotated[KeyType, typer.Option(help="Key of the web root.")] = KeyType.RSA4096,
    web_key: Annotated[KeyType, typer.Option(help="Key of the web certificate.")] = KeyType.RSA4096,
    client_ca_key: Annotated[KeyType, typer.Option(help="Key of the EST client CA.")] = KeyType.P256,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make what a new server would make at its first start: web root, web certificate, EST client CA."""
    config = CertificatesConfig(root_key=root_key, web_key=web_key, client_ca_key=client_ca_key)
    with _holding(state) as folder:
        web, clients = open_or_create(folder, _names(name), config, _now())
    print_certificates(describe(web, clients), as_json=as_json)


@app.command()
def show(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show token, fingerprints in four parts and dates."""
    with _telling():
        print_certificates(describe(*_open(server_folder(state))), as_json=as_json)


@app.command()
def token(*, state: StateOption = None) -> None:
    """Print the communication token: the third part of the web root's SHA-256 fingerprint."""
    with _telling():
        print(_open(server_folder(state))[0].token)


@app.command("export-web")
def export_web(file: OutFile = None, *, state: StateOption = None) -> None:
    """Write the web chain in PEM, as devices or an onboarding service need it."""
    with _telling():
        _write(_open(server_folder(state))[0].export_chain(), file)


@app.command("export-client")
def export_client(file: OutFile = None, *, state: StateOption = None) -> None:
    """Write the EST client CA chain in PEM, as a reverse proxy needs it to check devices."""
    with _telling():
        _write(_open(server_folder(state))[1].export_chain(), file)


@app.command("import-web")
def import_web(
    chain: ChainFile, key: KeyFile, *, name: Names = None, state: StateOption = None, as_json: JsonOption = False
) -> None:
    """Use a chain from elsewhere; refused when it is incomplete, mismatched, expired or lacks a --name."""
    with _holding(state) as folder:
        web, clients = _open(folder)
        web.import_chain(read_limited(chain), read_limited(key), names=name or [], now=_now())
    print_certificates(describe(web, clients), as_json=as_json)


@app.command("import-client-ca")
def import_client_ca(chain: ChainFile, key: KeyFile, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Issue device certificates with an authority from elsewhere from now on."""
    with _holding(state) as folder:
        web, clients = _open(folder)
        clients.import_authority(read_limited(chain), read_limited(key), now=_now())
    print_certificates(describe(web, clients), as_json=as_json)


@app.command()
def renew(*, name: Names = None, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Replace the web certificate under the same root."""
    with _holding(state) as folder:
        web, clients = _open(folder)
        web.renew(names=_names(name), now=_now())
    print_certificates(describe(web, clients), as_json=as_json)


def _names(names: list[str] | None) -> list[str]:
    return certificate_names(ServerConfig(names=names or []))


def _open(folder: StateFolder) -> tuple[WebCertificates, ClientAuthority]:
    if not (folder.web / "web.pem").exists():
        raise UserError(f"{folder.path} has no certificates yet: make them with `umslab certs init`")
    return WebCertificates.open(folder.web), ClientAuthority.open(folder.est)


def _now() -> datetime:
    return datetime.now(UTC)


def _write(pem: bytes, file: Path | None) -> None:
    if file is None:
        print(pem.decode("ascii"), end="")
    else:
        write_private(file.absolute(), pem)


@contextmanager
def _holding(state: Path | None) -> Iterator[StateFolder]:
    folder = server_folder(state)
    with _telling():
        try:
            with folder.locked():
                yield folder
        except StateFolderError:
            raise UserError(f"a server runs on {folder.path}: stop it first, or use `umslab ctl certs`") from None


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except CertificateError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror or error}") from None
