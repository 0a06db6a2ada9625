-- Which restore of a backup is under way: one row. See ../SCHEMA.md.

CREATE TABLE restore (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL
) STRICT;
