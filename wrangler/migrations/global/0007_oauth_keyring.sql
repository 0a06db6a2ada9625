-- The keys that sign id tokens: one row. See ../SCHEMA.md.

CREATE TABLE oauth_keyring (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  keyring TEXT NOT NULL
) STRICT;
