-- Services of environments. As in 0001: times are RFC 3339 in UTC, records are JSON. `subnet` is the
-- number of the environment's subnet in the configured range.

CREATE TABLE services (
    environment_id TEXT PRIMARY KEY,
    subnet BIGINT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    record TEXT NOT NULL
);
