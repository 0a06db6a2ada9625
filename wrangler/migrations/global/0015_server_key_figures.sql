-- Of how many servers there are keys, at most: anybody can make up servers. See ../SCHEMA.md.

CREATE TABLE server_key_figures (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  servers INTEGER NOT NULL
) STRICT;

INSERT INTO server_key_figures (id, servers) SELECT 1, count(*) FROM server_key_responses;
