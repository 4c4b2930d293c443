-- Sandboxes that live on their own, their snapshots, and templates. As in 0001: times are
-- RFC 3339 in UTC, records are JSON.

CREATE TABLE fleet (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,
    record TEXT NOT NULL
);

CREATE TABLE snapshots (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
);

CREATE TABLE templates (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
);
