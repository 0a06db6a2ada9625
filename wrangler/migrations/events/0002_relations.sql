-- Which events relate to which (Client-Server API, "Relationship types"). See ../SCHEMA.md.

ALTER TABLE events ADD COLUMN relates_to TEXT GENERATED ALWAYS AS (pdu ->> '$.content."m.relates_to".event_id') VIRTUAL;
ALTER TABLE events ADD COLUMN rel_type TEXT GENERATED ALWAYS AS (pdu ->> '$.content."m.relates_to".rel_type') VIRTUAL;

CREATE INDEX relations ON events (relates_to, rel_type) WHERE relates_to IS NOT NULL;
CREATE INDEX threads ON events (pos >> 32, relates_to, sender) WHERE rel_type = 'm.thread';
