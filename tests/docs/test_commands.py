# SPDX-License-Identifier: Apache-2.0
"""Every command shown in a document is run, in order, as its reader would.

A block of commands is a fence marked `console` with lines that begin with `$`. A comment above it can say more:
`<!-- run: background -->` starts a server and waits until it is ready, `<!-- run: background again -->` stops the
last one that was started so before, `<!-- run: background, until WORD -->` starts something else and waits until it
has said the word; `<!-- run: when WORD -->` waits until what was started last has said a word (once more), `<!-- run:
exit N -->` expects an exit code, `<!-- run: skip, WHY -->` says what runs the command instead. Documents use the
default port, so each runs in a network namespace of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.generate import DOCUMENTS, ROOT
from tests.support.process import clean_environment

_BLOCK = re.compile(r"(?:<!-- run: ([^>]*?) -->\n)?```console\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """The commands of one fence."""

    how: str
    commands: tuple[str, ...]


def blocks_of(path: Path) -> list[Block]:
    """Read the fences of a document."""
    found = []
    for how, body in _BLOCK.findall(path.read_text(encoding="utf-8")):
        commands = tuple(line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ "))
        assert commands, f"a console block without commands in {path}"
        found.append(Block(how, commands))
    return found


WITH_COMMANDS = [path for path in DOCUMENTS if any(not block.how.startswith("skip") for block in blocks_of(path))]

# Runs inside the namespace: brings loopback up, then each line of the script.
_ENTER = ("unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec bash "$0"')


_READY = "state folder"
"""What a server says when it is ready."""

_FUNCTIONS = """set -u
running=''
trap 'for one in $running; do kill $one; wait $one; done' EXIT
heard() {  # waits until the last program in the background has said a word
    while read -r line <&"$said"; do echo "$line" >&2; case $line in *"$1"*) return;; esac; done
    echo "it never said: $1" >&2; exit 1
}"""


def _script(blocks: list[Block]) -> str:
    lines = [_FUNCTIONS]
    for block in blocks:
        if block.how.startswith("skip"):
            continue
        kind, _, word = block.how.partition(", until ")
        if block.how.startswith("when "):
            lines.append(f"heard {_quoted(block.how.removeprefix('when '))}")
        if kind == "background again":
            lines.append("kill $server; wait $server")
        for command in block.commands:
            lines.append(f"echo '+ '{_quoted(command)} >&2")
            if kind.startswith("background"):
                lines += ["mkfifo said.fifo", f"{command} > said.fifo 2>&1 &", 'running="$! $running"']
                lines += ["exec {said}< said.fifo", "rm said.fifo", f"heard {_quoted(word or _READY)}"]
                lines += [] if word else ["server=$!"]
            else:
                wanted = int(block.how.removeprefix("exit ")) if block.how.startswith("exit ") else 0
                lines.append(f'{command}\ncode=$?; [ $code = {wanted} ] || {{ echo "exit code $code" >&2; exit 1; }}')
    return "\n".join(lines)


def _quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare (namespaces)")
@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of(path: Path, tmp_path: Path) -> None:
    """They succeed, or fail with the code the document says."""
    script = tmp_path / "script.sh"
    script.write_text(_script(blocks_of(path)))
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = clean_environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "160",
    }
    with (tmp_path / "output.txt").open("w+") as output:
        done = subprocess.Popen(
            [*_ENTER, str(script)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = done.wait(400)
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, signal.SIGKILL)
            code = done.wait()
        output.seek(0)
        text = output.read()

    assert 0 == code, text
    assert "Traceback" not in text


def test_every_document_is_looked_at() -> None:
    """The documents a user follows have commands, and they are found."""
    names = {path.name for path in WITH_COMMANDS}

    assert {"README.md", "server.md", "device.md", "certificates.md", "management.md"} <= names
