-- How users stand, tokens with which people may register, and the record of administration. See ../SCHEMA.md.

ALTER TABLE users ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN registered_with TEXT;

CREATE INDEX users_by_token ON users (registered_with) WHERE registered_with IS NOT NULL;

CREATE TABLE registration_tokens (
  token TEXT NOT NULL PRIMARY KEY,
  uses_allowed INTEGER,
  expires INTEGER,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  ts INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL
) STRICT;
