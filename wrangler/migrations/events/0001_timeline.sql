-- Rooms' events and how their state changed. See ../SCHEMA.md.

CREATE TABLE rooms (
  num INTEGER PRIMARY KEY,
  room_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
  pos INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  sender TEXT NOT NULL,
  state_key TEXT,
  ts INTEGER NOT NULL,
  pdu TEXT NOT NULL,
  unsigned TEXT,
  txn TEXT
) STRICT;

CREATE TABLE state_deltas (
  room INTEGER NOT NULL,
  kind TEXT NOT NULL,
  state_key TEXT NOT NULL,
  pos INTEGER NOT NULL,
  PRIMARY KEY (room, kind, state_key, pos)
) STRICT, WITHOUT ROWID;
