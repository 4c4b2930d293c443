-- Secrets that header rules name. As in 0001: records are JSON; values in them are sealed.

CREATE TABLE secrets (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE NOT NULL,
    record TEXT NOT NULL
);
