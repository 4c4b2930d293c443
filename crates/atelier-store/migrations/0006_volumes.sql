-- Volumes: files that outlive sandboxes. As in 0001: records are JSON.

CREATE TABLE volumes (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE NOT NULL,
    record TEXT NOT NULL
);
