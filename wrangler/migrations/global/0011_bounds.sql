-- What keeps tables from growing without bound. See ../SCHEMA.md.

ALTER TABLE backups ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backups ADD COLUMN full INTEGER NOT NULL DEFAULT 0;
UPDATE backups SET bytes = (
  SELECT coalesce(sum(length(CAST(session_data AS BLOB)) + 100), 0) FROM backup_sessions WHERE backup = num
);

-- Clients that were there before count as used.
ALTER TABLE oauth_clients ADD COLUMN used INTEGER NOT NULL DEFAULT 1;
CREATE INDEX unused_clients ON oauth_clients (created) WHERE used = 0;
