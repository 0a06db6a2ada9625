-- Identifiers of other systems that belong to accounts. See ../SCHEMA.md.

CREATE TABLE threepids (
  medium TEXT NOT NULL,
  address TEXT NOT NULL,
  user_id TEXT NOT NULL,
  validated_at INTEGER NOT NULL,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (medium, address)
) STRICT, WITHOUT ROWID;

CREATE INDEX threepids_of_user ON threepids (user_id);
