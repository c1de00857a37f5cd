# SPDX-License-Identifier: Apache-2.0
"""nginx in front of something: as a TLS server of its own, or passing TLS through.

No port is guessed: the test binds its sockets itself and nginx inherits them, as it does when its program is replaced
while it runs (the NGINX variable). They listen before nginx is there, so nobody needs to wait for it either.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .strangers import in_background, missing, need, run
from .ums import EST_PATH, WS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .openssl import Identity

_MAIN = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
{more}
events {{ worker_connections 256; }}
"""

_HTTP = """\
http {{
  access_log {access_log};
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {listen} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    {body}
  }}
}}
"""

_EST = """\
    ssl_client_certificate {client_ca};
    ssl_verify_client optional;
    location {est}/ {{
      proxy_pass http://127.0.0.1:{est_port};
      proxy_set_header X-Client-Verify $ssl_client_verify;
      proxy_set_header X-Client-Subject $ssl_client_s_dn;
    }}
    location = {ws} {{
      if ($ssl_client_verify != SUCCESS) {{ return 403; }}
      proxy_pass http://127.0.0.1:{ws_port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header X-Client-Subject $ssl_client_s_dn;
    }}
"""

_EST_ONLY = """\
    location {prefix}/ {{
      proxy_pass https://{behind}{est}/;
      proxy_ssl_protocols TLSv1.3;
    }}
    location / {{ return 404; }}
"""

_STREAM = """\
stream {{
  server {{
    listen {listen};
    proxy_pass {behind};
  }}
}}
"""


@dataclass(frozen=True)
class Backends:
    """What stands behind an EST server made of nginx."""

    client_ca: Path
    est_port: int
    ws_port: int


@contextmanager
def est_server(folder: Path, identity: Identity, backends: Backends) -> Iterator[str]:
    """TLS 1.3 with optional client certificates in front of plain backends; yields host:port."""
    body = _EST.format(
        client_ca=backends.client_ca, est=EST_PATH, est_port=backends.est_port, ws=WS_PATH, ws_port=backends.ws_port
    )
    with _tls_server(folder, identity, body) as address:
        yield address


@contextmanager
def intercepting(folder: Path, identity: Identity, behind: str) -> Iterator[str]:
    """A proxy that ends TLS with a certificate of its own and begins it anew to `behind`; yields host:port."""
    body = f"location / {{ proxy_pass https://{behind}; proxy_ssl_protocols TLSv1.3; }}"
    with _tls_server(folder, identity, body) as address:
        yield address


@contextmanager
def enrolling(folder: Path, identity: Identity, prefix: str, behind: str, listener: socket.socket) -> Iterator[Path]:
    """A proxy that never asks for client certificates and has only EST, below `prefix`; yields its access log."""
    body = _EST_ONLY.format(prefix=prefix, behind=behind, est=EST_PATH)
    log = folder / "access.log"
    with _tls_server(folder, identity, body, access_log=str(log), listener=listener):
        yield log


@contextmanager
def passing_through(folder: Path, behind: str) -> Iterator[str]:
    """A load balancer that leaves TLS alone; yields host:port."""
    need("nginx")
    with listening() as listener:
        stream = _STREAM.format(listen=address_of(listener), behind=behind)
        with _nginx(folder, _stream_module(), stream, listener) as address:
            yield address


@contextmanager
def _tls_server(
    folder: Path, identity: Identity, body: str, *, access_log: str = "off", listener: socket.socket | None = None
) -> Iterator[str]:
    need("nginx")
    with nullcontext(listener) if listener is not None else listening() as taken:
        http = _HTTP.format(
            folder=folder,
            access_log=access_log,
            listen=address_of(taken),
            certificate=identity.certificate,
            key=identity.key,
            body=body,
        )
        with _nginx(folder, "", http, taken) as address:
            yield address


@contextmanager
def _nginx(folder: Path, more: str, server: str, listener: socket.socket) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    if os.geteuid() == 0:
        more = f"user root;\n{more}"  # its workers must get into pytest's private folders
    file.write_text(_MAIN.format(folder=folder, more=more) + server)
    command = ("nginx", "-p", folder, "-e", "stderr", "-c", file)
    descriptor = listener.fileno()
    with in_background(*command, env={"NGINX": f"{descriptor};"}, inherit=[descriptor]):
        yield address_of(listener)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket for nginx to take over: for a test that must know the address before nginx can start."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        yield listener


@contextmanager
def nobody() -> Iterator[str]:
    """An address that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield address_of(taken)


def address_of(listener: socket.socket) -> str:
    """Where it listens."""
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _stream_module() -> str:
    """The line that loads the stream module, empty when it is built in; skips without it."""
    built = run("nginx", "-V").err
    if re.search(r"--with-stream(?!=dynamic)(\s|$)", built):
        return ""
    folder = re.search(r"--modules-path=(\S+)", built)
    module = Path(folder.group(1) if folder else "/usr/lib/nginx/modules") / "ngx_stream_module.so"
    if not module.exists():
        missing("nginx's stream module is not installed")
    return f"load_module {module};"
