-- Media: names, the content behind them, and what is to be deleted from R2. See ../SCHEMA.md.

CREATE TABLE media (
  origin TEXT NOT NULL,
  media_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,
  user_id TEXT,
  content_type TEXT NOT NULL,
  name TEXT,
  created INTEGER NOT NULL,
  PRIMARY KEY (origin, media_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX media_by_user ON media (user_id, size) WHERE user_id IS NOT NULL;

CREATE INDEX media_cached ON media (created) WHERE user_id IS NULL;

CREATE TABLE blobs (
  sha256 TEXT NOT NULL PRIMARY KEY,
  object TEXT NOT NULL,
  size INTEGER NOT NULL,
  refs INTEGER NOT NULL,
  withheld INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX blobs_unused ON blobs (sha256) WHERE refs = 0;

CREATE TABLE reservations (
  media_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_by_user ON reservations (user_id);

CREATE TABLE graves (
  object TEXT NOT NULL PRIMARY KEY,
  due INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
