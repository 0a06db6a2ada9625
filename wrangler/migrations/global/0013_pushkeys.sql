-- Whose a device of a push gateway is. See ../SCHEMA.md.

CREATE TABLE pushkeys (
  key TEXT NOT NULL,
  user_id TEXT NOT NULL,
  ts INTEGER NOT NULL,
  PRIMARY KEY (key, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX pushkeys_of_user ON pushkeys (user_id, ts);
