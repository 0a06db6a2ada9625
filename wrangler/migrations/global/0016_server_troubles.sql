-- Other servers that fail again and again, for administrators. What is well has no row. See ../SCHEMA.md.

CREATE TABLE server_troubles (
  server TEXT NOT NULL PRIMARY KEY,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
