-- Rooms that application services list for the networks they bridge. See ../SCHEMA.md.

CREATE TABLE network_rooms (
  network TEXT NOT NULL,
  room_id TEXT NOT NULL,
  PRIMARY KEY (network, room_id)
) STRICT, WITHOUT ROWID;
