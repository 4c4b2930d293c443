-- Tokens of the API. As in 0001: times are RFC 3339 in UTC, scopes are a JSON array.
-- `hash` is the SHA-256 of the secret in hexadecimal; the secret itself is stored nowhere.

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    last_used_at TEXT
);
CREATE INDEX tokens_by_prefix ON tokens (prefix);
