-- What everybody may see of users' identity keys, copied from their hubs. See ../SCHEMA.md.

CREATE TABLE public_keys (
  user_id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  devices TEXT,
  master TEXT,
  self_signing TEXT
) STRICT, WITHOUT ROWID;
