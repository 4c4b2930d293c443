-- What must be known of a command by whoever follows it after a restart of the control plane.
ALTER TABLE runs ADD COLUMN terminal BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN removes BIGINT NOT NULL DEFAULT 0;
