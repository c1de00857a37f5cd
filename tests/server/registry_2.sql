-- SPDX-License-Identifier: Apache-2.0
-- A registry as umslab wrote it before OS 11: schema 2, with something in its first tables.
BEGIN TRANSACTION;
CREATE TABLE app (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    UNIQUE (name, version)
);
CREATE TABLE approval (
    unit_id VARCHAR NOT NULL,
    public_key VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    asked_at VARCHAR NOT NULL,
    decided_at VARCHAR,
    PRIMARY KEY (unit_id)
);
CREATE TABLE asset_event (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    unit_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    event_time_ms INTEGER NOT NULL,
    device_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    vendor VARCHAR NOT NULL,
    UNIQUE (unit_id, event, event_time_ms, device_id),
    FOREIGN KEY(unit_id) REFERENCES device (unit_id) ON DELETE CASCADE
);
CREATE TABLE assignment (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    object_type VARCHAR NOT NULL,
    object_id INTEGER NOT NULL,
    receiver_type VARCHAR NOT NULL,
    receiver_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    UNIQUE (object_type, object_id, receiver_type, receiver_id)
);
CREATE TABLE auth_key (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    secret VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    bound_to VARCHAR,
    enabled INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    created_at VARCHAR NOT NULL,
    used_by VARCHAR,
    used_public_key VARCHAR,
    used_at VARCHAR,
    spent_at VARCHAR,
    onboards VARCHAR DEFAULT '' NOT NULL,
    role VARCHAR DEFAULT '' NOT NULL,
    UNIQUE (secret)
);
CREATE TABLE certificate (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sha256 VARCHAR NOT NULL,
    unit_id VARCHAR NOT NULL,
    serial VARCHAR NOT NULL,
    public_key VARCHAR NOT NULL,
    request VARCHAR NOT NULL,
    key_id INTEGER,
    renews VARCHAR,
    der BLOB NOT NULL,
    not_after VARCHAR NOT NULL,
    issued_at VARCHAR NOT NULL,
    first_used_at VARCHAR,
    superseded_at VARCHAR,
    revoked_at VARCHAR,
    revoked_why VARCHAR NOT NULL,
    UNIQUE (sha256),
    FOREIGN KEY(unit_id) REFERENCES device (unit_id) ON DELETE CASCADE,
    UNIQUE (serial)
);
CREATE TABLE connector (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    type VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    port INTEGER NOT NULL,
    UNIQUE (host, port)
);
CREATE TABLE device (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    unit_id VARCHAR NOT NULL,
    mac VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    department VARCHAR NOT NULL,
    cost_center VARCHAR NOT NULL,
    comment VARCHAR NOT NULL,
    asset_id VARCHAR NOT NULL,
    inservice_date VARCHAR NOT NULL,
    serial_number VARCHAR NOT NULL,
    firmware VARCHAR NOT NULL,
    structure_tag VARCHAR NOT NULL,
    last_ip VARCHAR NOT NULL,
    info VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    registered_at VARCHAR,
    last_contact VARCHAR,
    binned_at VARCHAR,
    directory_id INTEGER DEFAULT '-1' NOT NULL,
    onboarded_by VARCHAR DEFAULT '' NOT NULL,
    onboarding_role VARCHAR DEFAULT '' NOT NULL,
    settings_version INTEGER DEFAULT '0' NOT NULL,
    settings_digest VARCHAR DEFAULT '' NOT NULL,
    settings_when VARCHAR DEFAULT 'now' NOT NULL,
    applied_version INTEGER DEFAULT '0' NOT NULL,
    applied_digest VARCHAR DEFAULT '' NOT NULL,
    applied_at VARCHAR,
    boot VARCHAR DEFAULT '' NOT NULL,
    booted_at VARCHAR,
    runtime VARCHAR DEFAULT '{}' NOT NULL,
    apps VARCHAR DEFAULT '[]' NOT NULL,
    files VARCHAR DEFAULT '[]' NOT NULL,
    licences VARCHAR DEFAULT '[]' NOT NULL,
    attributes VARCHAR DEFAULT '[]' NOT NULL,
    own_settings VARCHAR DEFAULT '{}' NOT NULL,
    last_user VARCHAR DEFAULT '' NOT NULL,
    roots_digest VARCHAR DEFAULT '' NOT NULL,
    connectors_digest VARCHAR DEFAULT '' NOT NULL,
    UNIQUE (unit_id)
);
CREATE TABLE directory (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    parent_id INTEGER,
    created_at VARCHAR NOT NULL,
    UNIQUE (parent_id, name),
    FOREIGN KEY(parent_id) REFERENCES directory (id)
);
INSERT INTO "directory" VALUES(-1,'',NULL,'');
CREATE TABLE directory_rule (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    parent_id INTEGER,
    position INTEGER NOT NULL,
    criteria VARCHAR NOT NULL,
    directory_id INTEGER,
    override INTEGER NOT NULL,
    leave_in_subdirectory INTEGER NOT NULL,
    at_boot INTEGER NOT NULL,
    FOREIGN KEY(parent_id) REFERENCES directory_rule (id) ON DELETE CASCADE,
    FOREIGN KEY(directory_id) REFERENCES directory (id)
);
CREATE TABLE event (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    unit_id VARCHAR,
    actor VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    data VARCHAR NOT NULL
);
CREATE TABLE execution (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    exec_id VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    parameters VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    job_id INTEGER,
    created_at VARCHAR NOT NULL,
    timeout_seconds FLOAT NOT NULL,
    parallel INTEGER NOT NULL,
    delay_seconds FLOAT NOT NULL,
    retry_at_boot INTEGER NOT NULL,
    finished_at VARCHAR,
    UNIQUE (exec_id)
);
CREATE TABLE file (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    size INTEGER NOT NULL,
    created_at VARCHAR NOT NULL,
    UNIQUE (name)
);
CREATE TABLE job (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    parameters VARCHAR NOT NULL,
    selector VARCHAR NOT NULL,
    enabled INTEGER NOT NULL,
    next_run_at VARCHAR,
    every_seconds FLOAT,
    expiry_seconds FLOAT,
    timeout_seconds FLOAT NOT NULL,
    parallel INTEGER NOT NULL,
    delay_seconds FLOAT NOT NULL,
    retry_at_boot INTEGER NOT NULL,
    keep_results INTEGER NOT NULL,
    created_at VARCHAR NOT NULL,
    last_run_at VARCHAR,
    UNIQUE (name)
);
CREATE TABLE logon (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    unit_id VARCHAR NOT NULL,
    username VARCHAR NOT NULL,
    loginresult INTEGER NOT NULL,
    logintime VARCHAR NOT NULL,
    logofftime VARCHAR NOT NULL,
    logontype VARCHAR NOT NULL,
    UNIQUE (unit_id, username, logintime),
    FOREIGN KEY(unit_id) REFERENCES device (unit_id) ON DELETE CASCADE
);
CREATE TABLE meta (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema_version','2');
CREATE TABLE profile (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    settings VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    updated_at VARCHAR NOT NULL,
    UNIQUE (name)
);
CREATE TABLE task (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    execution_id INTEGER NOT NULL,
    unit_id VARCHAR NOT NULL,
    mac VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    sent_at VARCHAR,
    finished_at VARCHAR,
    FOREIGN KEY(execution_id) REFERENCES execution (id) ON DELETE CASCADE
);
CREATE TABLE tombstone (
    unit_id VARCHAR NOT NULL,
    deleted_at VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (unit_id)
);
CREATE TABLE "view" (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    criteria VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    UNIQUE (name)
);
CREATE INDEX assignment_of_receiver ON assignment (receiver_type, receiver_id);
CREATE INDEX event_of_device ON event (unit_id);
CREATE INDEX task_of_execution ON task (execution_id);
CREATE INDEX task_of_device ON task (unit_id, state);
CREATE INDEX certificate_of_device ON certificate (unit_id);
CREATE INDEX certificate_of_request ON certificate (request);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('directory',0);
COMMIT;
