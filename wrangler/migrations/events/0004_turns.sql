-- State that state resolution restored or removed. See ../SCHEMA.md.

ALTER TABLE state_deltas ADD COLUMN event INTEGER;
