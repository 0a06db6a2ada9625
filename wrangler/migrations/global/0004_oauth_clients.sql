-- OAuth clients: what they registered, once for each different registration. See ../SCHEMA.md.

CREATE TABLE oauth_clients (
  client_id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL,
  secret_hash TEXT,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
