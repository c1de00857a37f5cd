# SPDX-License-Identifier: Apache-2.0
"""The tables of the registry. How an older file becomes a newer one: schema.py.

Times are text in UTC, `2026-11-21T20:40:00.123Z`, so that they sort and read. A device keeps the database id that the
vendor's REST interface shows (section 15.4) beside its unit ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

ROOT_DIRECTORY = -1  # Q12
OS11, OS12 = "11", "12"
"""The two values of `device.generation` (T1)."""

metadata = MetaData()


def _new(version: int, name: str, kind: type[TypeEngine[Any]], default: str | None = None) -> Column[Any]:
    """Define a column that an older file gets by migration; without a default it may be empty."""
    return Column(name, kind, nullable=default is None, server_default=default, info={"since": version})


meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

device = Table(
    "device",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("unit_id", String, nullable=False, unique=True),
    Column("mac", String, nullable=False),
    Column("name", String, nullable=False),
    Column("site", String, nullable=False, default=""),
    Column("department", String, nullable=False, default=""),
    Column("cost_center", String, nullable=False, default=""),
    Column("comment", String, nullable=False, default=""),
    Column("asset_id", String, nullable=False, default=""),
    Column("inservice_date", String, nullable=False, default=""),
    Column("serial_number", String, nullable=False, default=""),
    Column("firmware", String, nullable=False, default=""),
    Column("structure_tag", String, nullable=False, default=""),
    Column("last_ip", String, nullable=False, default=""),
    Column("info", String, nullable=False, default="{}"),  # what the device said last, JSON (DeviceInfo)
    Column("created_at", String, nullable=False),
    Column("registered_at", String),  # None: imported, never registered (K8)
    Column("last_contact", String),
    Column("binned_at", String),  # not None: in the recycle bin (RB1)
    # Since schema 2. Where it belongs and who brought it:
    _new(2, "directory_id", Integer, "-1"),
    _new(2, "onboarded_by", String, ""),  # a mail address (B5)
    _new(2, "onboarding_role", String, ""),
    # The configuration it is to have, and the one it has acknowledged:
    _new(2, "settings_version", Integer, "0"),
    _new(2, "settings_digest", String, ""),
    _new(2, "settings_when", String, "now"),  # or "reboot": kept for the next boot
    _new(2, "applied_version", Integer, "0"),
    _new(2, "applied_digest", String, ""),
    _new(2, "applied_at", String),
    # What it said last, JSON where not said otherwise:
    _new(2, "boot", String, ""),
    _new(2, "booted_at", String),
    _new(2, "runtime", String, "{}"),
    _new(2, "apps", String, "[]"),
    _new(2, "files", String, "[]"),
    _new(2, "licences", String, "[]"),
    _new(2, "attributes", String, "[]"),
    _new(2, "own_settings", String, "{}"),
    _new(2, "last_user", String, ""),
    # Which lists it has acknowledged:
    _new(2, "roots_digest", String, ""),
    _new(2, "connectors_digest", String, ""),
    # Since schema 3. OS 11 only, but for the first:
    _new(3, "generation", String, "12"),  # "12" or "11": which of the two protocols it speaks (T1)
    _new(3, "device_key", String, ""),  # base64, a secret (G8): goes into no event, log, answer or view
    _new(3, "device_certificate", String, ""),  # PEM; the only one it is believed on TCP 30005 (G12)
    _new(3, "push_port", Integer, "0"),  # where it listens for its server; 0: 30005
    _new(3, "reachable", String, ""),  # by the online check: "online", "offline", or "" before the first
    _new(3, "checked_at", String),
    sqlite_autoincrement=True,
)

directory = Table(
    "directory",
    metadata,
    Column("id", Integer, primary_key=True),  # -1 is the root (Q12)
    Column("name", String, nullable=False),
    Column("parent_id", Integer, ForeignKey("directory.id")),  # None: the root
    Column("created_at", String, nullable=False),
    UniqueConstraint("parent_id", "name"),
    sqlite_autoincrement=True,
)

profile = Table(
    "profile",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),  # "global" (one), "profile" or "priority"
    Column("settings", String, nullable=False, default="{}"),  # JSON, parameter -> value
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    sqlite_autoincrement=True,
)

app = Table(
    "app",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("name", "version"),
    sqlite_autoincrement=True,
)

file = Table(
    "file",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("sha256", String, nullable=False),  # the content lies in the state folder under this name
    Column("size", Integer, nullable=False),
    Column("created_at", String, nullable=False),
    sqlite_autoincrement=True,
)

assignment = Table(
    "assignment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("object_type", String, nullable=False),  # "profile" (also priority), "app" or "file"
    Column("object_id", Integer, nullable=False),
    Column("receiver_type", String, nullable=False),  # "directory" or "device"
    Column("receiver_id", Integer, nullable=False),  # directory.id or device.id
    Column("position", Integer, nullable=False),  # order of application at this receiver (11.6)
    UniqueConstraint("object_type", "object_id", "receiver_type", "receiver_id"),
    Index("assignment_of_receiver", "receiver_type", "receiver_id"),
    sqlite_autoincrement=True,
)

directory_rule = Table(
    "directory_rule",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("parent_id", Integer, ForeignKey("directory_rule.id", ondelete="CASCADE")),
    Column("position", Integer, nullable=False),
    Column("criteria", String, nullable=False),  # JSON
    Column("directory_id", Integer, ForeignKey("directory.id")),  # None: a rule without target
    Column("override", Integer, nullable=False, default=0),
    Column("leave_in_subdirectory", Integer, nullable=False, default=0),
    Column("at_boot", Integer, nullable=False, default=0),
    sqlite_autoincrement=True,
)

view = Table(
    "view",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("criteria", String, nullable=False),  # JSON
    Column("created_at", String, nullable=False),
    sqlite_autoincrement=True,
)

execution = Table(
    "execution",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("exec_id", String, nullable=False, unique=True),
    Column("command", String, nullable=False),
    Column("parameters", String, nullable=False, default="{}"),  # JSON
    Column("actor", String, nullable=False),
    Column("job_id", Integer),  # no foreign key: results stay when the job goes
    Column("created_at", String, nullable=False),
    Column("timeout_seconds", Float, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("delay_seconds", Float, nullable=False),
    Column("retry_at_boot", Integer, nullable=False),
    Column("finished_at", String),
    sqlite_autoincrement=True,
)

task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("execution_id", Integer, ForeignKey("execution.id", ondelete="CASCADE"), nullable=False),
    Column("unit_id", String, nullable=False),
    Column("mac", String, nullable=False),
    Column("state", String, nullable=False),  # "waiting", "at-next-boot", "sent", "SUCCESS" or "FAILED"
    Column("message", String, nullable=False, default=""),
    Column("sent_at", String),
    Column("finished_at", String),
    Index("task_of_execution", "execution_id"),
    Index("task_of_device", "unit_id", "state"),
    sqlite_autoincrement=True,
)

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("command", String, nullable=False),
    Column("parameters", String, nullable=False, default="{}"),
    Column("selector", String, nullable=False),  # JSON
    Column("enabled", Integer, nullable=False, default=1),
    Column("next_run_at", String),  # None: not planned any more
    Column("every_seconds", Float),  # None: once
    Column("expiry_seconds", Float),  # None: never expires (J4)
    Column("timeout_seconds", Float, nullable=False),
    Column("parallel", Integer, nullable=False),
    Column("delay_seconds", Float, nullable=False),
    Column("retry_at_boot", Integer, nullable=False),
    Column("keep_results", Integer, nullable=False, default=1),
    Column("created_at", String, nullable=False),
    Column("last_run_at", String),
    sqlite_autoincrement=True,
)

logon = Table(
    "logon",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("unit_id", String, ForeignKey("device.unit_id", ondelete="CASCADE"), nullable=False),
    Column("username", String, nullable=False),
    Column("loginresult", Integer, nullable=False),
    Column("logintime", String, nullable=False),
    Column("logofftime", String, nullable=False),
    Column("logontype", String, nullable=False),
    UniqueConstraint("unit_id", "username", "logintime"),
    sqlite_autoincrement=True,
)

asset_event = Table(
    "asset_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("unit_id", String, ForeignKey("device.unit_id", ondelete="CASCADE"), nullable=False),
    Column("event", String, nullable=False),
    Column("event_time_ms", Integer, nullable=False),
    Column("device_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("vendor", String, nullable=False),
    UniqueConstraint("unit_id", "event", "event_time_ms", "device_id"),
    sqlite_autoincrement=True,
)

connector = Table(
    "connector",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("type", String, nullable=False),
    Column("host", String, nullable=False),
    Column("port", Integer, nullable=False),
    UniqueConstraint("host", "port"),
    sqlite_autoincrement=True,
)

attribute = Table(  # since schema 3; the values: device.attributes
    "attribute",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("identifier", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),  # "string", "number", "date" or "range"
    Column("allowed", String, nullable=False),  # JSON, the values of a range
    Column("written_by", String, nullable=False),  # "ums", "device" or "both"
    Column("position", Integer, nullable=False),
    sqlite_autoincrement=True,
)

approval = Table(
    "approval",
    metadata,
    Column("unit_id", String, primary_key=True),
    Column("public_key", String, nullable=False),  # SHA-256 of the SubjectPublicKeyInfo: another key asks anew
    Column("source", String, nullable=False),
    Column("state", String, nullable=False),  # "waiting", "approved" or "rejected"
    Column("asked_at", String, nullable=False),
    Column("decided_at", String),
)

certificate = Table(
    "certificate",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order of issue, whatever the clock does
    Column("sha256", String, nullable=False, unique=True),
    Column("unit_id", String, ForeignKey("device.unit_id", ondelete="CASCADE"), nullable=False),
    Column("serial", String, nullable=False, unique=True),
    Column("public_key", String, nullable=False),  # SHA-256 of the SubjectPublicKeyInfo
    Column("request", String, nullable=False),  # SHA-256 of the CSR it answers
    Column("key_id", Integer),  # the first-authentication key it was issued under; None: a renewal
    Column("renews", String),  # the certificate it renews
    Column("der", LargeBinary, nullable=False),
    Column("not_after", String, nullable=False),
    Column("issued_at", String, nullable=False),
    Column("first_used_at", String),
    Column("superseded_at", String),
    Column("revoked_at", String),
    Column("revoked_why", String, nullable=False, default=""),
    Index("certificate_of_device", "unit_id"),
    Index("certificate_of_request", "request"),
    sqlite_autoincrement=True,
)

auth_key = Table(
    "auth_key",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("secret", String, nullable=False, unique=True),  # shown on demand (K3), so it is kept as it is
    Column("kind", String, nullable=False),
    Column("label", String, nullable=False, default=""),
    Column("bound_to", String),  # unit ID of a bound key
    Column("enabled", Integer, nullable=False, default=1),
    Column("uses", Integer, nullable=False, default=0),
    Column("created_at", String, nullable=False),
    Column("used_by", String),  # one-time keys: unit ID and public key of the first success
    Column("used_public_key", String),
    Column("used_at", String),
    Column("spent_at", String),  # the first ws-connect after it: from then on it opens nothing
    _new(2, "onboards", String, ""),  # the mail address of whoever onboards with it (B5; ours, there is no OBS here)
    _new(2, "role", String, ""),
    sqlite_autoincrement=True,
)

tombstone = Table(
    "tombstone",
    metadata,
    Column("unit_id", String, primary_key=True),
    Column("deleted_at", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    # OS 11: what it takes to tell it, as in `device`
    _new(3, "device_key", String, ""),
    _new(3, "device_certificate", String, ""),
    _new(3, "last_ip", String, ""),
    _new(3, "push_port", Integer, "0"),
)

account = Table(
    "account",
    metadata,
    Column("name", String, primary_key=True),
    Column("salt", String, nullable=False),  # hexadecimal digits
    Column("hash", String, nullable=False),  # scrypt over the password: accounts.py
    Column("created_at", String, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("unit_id", String),
    Column("actor", String, nullable=False),
    Column("cause", String, nullable=False, default=""),
    Column("data", String, nullable=False, default="{}"),
    Index("event_of_device", "unit_id"),
    sqlite_autoincrement=True,
)
