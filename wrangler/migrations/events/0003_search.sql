-- The words of unencrypted rooms, for searching (Client-Server API, "Server Side Search"). See ../SCHEMA.md.

CREATE VIEW searchable (pos, event_id, words) AS
  SELECT pos, event_id, CASE kind
    WHEN 'm.room.message' THEN pdu ->> '$.content.body'
    WHEN 'm.room.name' THEN pdu ->> '$.content.name'
    WHEN 'm.room.topic' THEN pdu ->> '$.content.topic'
  END
  FROM events;

CREATE VIRTUAL TABLE search USING fts5 (
  words, content = 'searchable', content_rowid = 'pos', tokenize = 'unicode61 remove_diacritics 2'
);

INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
