-- Which restore of a backup is under way, and whether its rows are all written: one row. See ../SCHEMA.md.

CREATE TABLE restore (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  written INTEGER NOT NULL
) STRICT;
