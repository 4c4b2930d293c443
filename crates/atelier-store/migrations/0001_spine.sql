-- Portable between SQLite and PostgreSQL: TEXT, BIGINT and DOUBLE PRECISION only.
-- Times are RFC 3339 in UTC, ids are UUID v7, details are JSON.

CREATE TABLE environments (
    id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    project_name TEXT NOT NULL,
    root TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE sandboxes (
    id TEXT PRIMARY KEY,
    runtime TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at TEXT NOT NULL,
    running TEXT NOT NULL
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL,
    pid BIGINT NOT NULL,
    command TEXT NOT NULL,
    started_at TEXT NOT NULL,
    exit_code BIGINT
);
CREATE INDEX runs_by_environment ON runs (environment_id, started_at);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    step TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    error TEXT
);
CREATE INDEX jobs_by_state ON jobs (state);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    began_at TEXT NOT NULL,
    ended_at TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT
);
