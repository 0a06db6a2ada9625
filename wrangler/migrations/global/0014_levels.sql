-- How full the databases were when they were last measured. See ../SCHEMA.md.

CREATE TABLE levels (
  shard INTEGER NOT NULL PRIMARY KEY,
  bytes INTEGER NOT NULL,
  measured INTEGER NOT NULL
) STRICT;
