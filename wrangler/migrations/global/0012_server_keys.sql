-- What other servers say of their keys. See ../SCHEMA.md.

CREATE TABLE server_keys (
  server TEXT NOT NULL,
  key_id TEXT NOT NULL,
  key TEXT NOT NULL,
  valid_until INTEGER NOT NULL,
  expired INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  PRIMARY KEY (server, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE server_key_responses (
  server TEXT NOT NULL PRIMARY KEY,
  seen INTEGER NOT NULL,
  response TEXT NOT NULL
) STRICT;
