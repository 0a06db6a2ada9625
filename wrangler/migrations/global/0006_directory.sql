-- What the directory, spaces and the user directory show of rooms and users. See ../SCHEMA.md.

CREATE TABLE room_facts (
  room_id TEXT NOT NULL PRIMARY KEY,
  as_of INTEGER NOT NULL,
  joined INTEGER NOT NULL,
  room_type TEXT,
  folded TEXT NOT NULL,
  facts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE profiles (
  user_id TEXT NOT NULL PRIMARY KEY,
  displayname TEXT,
  avatar_url TEXT,
  folded TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
  num INTEGER PRIMARY KEY,
  reporter TEXT NOT NULL,
  room_id TEXT,
  event_id TEXT,
  user_id TEXT,
  reason TEXT NOT NULL,
  ts INTEGER NOT NULL
) STRICT;
