-- Everything that must be unique across the server, and where each room is stored. See ../SCHEMA.md.

CREATE TABLE placements (
  room_id TEXT NOT NULL PRIMARY KEY,
  shard INTEGER NOT NULL,
  version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
  alias TEXT NOT NULL PRIMARY KEY,
  room_id TEXT NOT NULL,
  creator TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_by_room ON aliases (room_id);

CREATE TABLE directory (
  room_id TEXT NOT NULL PRIMARY KEY,
  published INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  user_id TEXT NOT NULL PRIMARY KEY,
  password_hash TEXT,
  admin INTEGER NOT NULL,
  deactivated INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
