-- Encrypted backups of room keys. See ../SCHEMA.md.

CREATE TABLE backups (
  num INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  algorithm TEXT NOT NULL,
  auth_data TEXT NOT NULL,
  etag INTEGER NOT NULL DEFAULT 0,
  count INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  UNIQUE (user_id, version)
) STRICT;

CREATE TABLE backup_sessions (
  backup INTEGER NOT NULL,
  room_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  first_message_index INTEGER NOT NULL,
  forwarded_count INTEGER NOT NULL,
  is_verified INTEGER NOT NULL,
  session_data TEXT NOT NULL,
  PRIMARY KEY (backup, room_id, session_id)
) STRICT, WITHOUT ROWID;
