//! Browsers that are signed in on the pages, authorization codes, and the clients behind OAuth sessions.

use ruma::DeviceId;
use tern_model::Millis;
use tern_ports::{Row, Sql, SqlError, wire::grant::Grant};

/// A version of the hub's tables. Secrets are kept as SHA-256.
pub(crate) const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS browser (
        hash BLOB PRIMARY KEY, opened INTEGER NOT NULL, ip TEXT, agent TEXT
    ) STRICT, WITHOUT ROWID",
    // `session_id` is what the code was exchanged for.
    "CREATE TABLE IF NOT EXISTS grant_code (
        hash BLOB PRIMARY KEY, granted TEXT NOT NULL, auth_time INTEGER NOT NULL, expires INTEGER NOT NULL,
        session_id TEXT
    ) STRICT, WITHOUT ROWID",
    // `device_id` is empty for a client that only learns who the user is.
    "CREATE TABLE IF NOT EXISTS oauth_session (
        session_id TEXT PRIMARY KEY, device_id TEXT NOT NULL, client_id TEXT NOT NULL, client_name TEXT,
        scope TEXT NOT NULL, opened INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // What the user has allowed for a few minutes.
    "CREATE TABLE IF NOT EXISTS approval (kind TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    // When a refresh token was first used.
    "ALTER TABLE refresh_token ADD COLUMN used INTEGER",
];

/// When a browser signed in; `None` for one that has not.
pub(crate) fn browser(sql: &impl Sql, hash: &[u8]) -> Result<Option<Millis>, SqlError> {
    let rows = sql.query("SELECT opened FROM browser WHERE hash = ?", &[hash.to_vec().into()])?;
    Ok(rows.first().and_then(|row| row.int(0)).map(Millis))
}

pub(crate) fn add_browser(
    sql: &impl Sql,
    hash: &[u8],
    opened: Millis,
    ip: Option<String>,
    agent: Option<String>,
) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO browser (hash, opened, ip, agent) VALUES (?, ?, ?, ?)",
        &[hash.to_vec().into(), opened.0.into(), ip.into(), agent.into()],
    )?;
    Ok(())
}

pub(crate) fn drop_browser(sql: &impl Sql, hash: &[u8]) -> Result<(), SqlError> {
    sql.query("DELETE FROM browser WHERE hash = ?", &[hash.to_vec().into()])?;
    Ok(())
}

pub(crate) fn drop_browsers_before(sql: &impl Sql, opened: Millis) -> Result<(), SqlError> {
    sql.query("DELETE FROM browser WHERE opened < ?", &[opened.0.into()])?;
    Ok(())
}

/// Keeps the newest `most` browsers.
pub(crate) fn keep_browsers(sql: &impl Sql, most: u64) -> Result<(), SqlError> {
    sql.query(
        "DELETE FROM browser WHERE hash NOT IN (SELECT hash FROM browser ORDER BY opened DESC LIMIT ?)",
        &[most.into()],
    )?;
    Ok(())
}

/// Ends what the user said yes to on the pages: codes that were not exchanged yet, approvals, clients without a device.
pub(crate) fn drop_pages(sql: &impl Sql) -> Result<(), SqlError> {
    sql.query("DELETE FROM oauth_session WHERE device_id = ''", &[])?;
    for table in ["browser", "grant_code", "approval"] {
        sql.query(&format!("DELETE FROM {table}"), &[])?;
    }
    Ok(())
}

/// An authorization code.
pub(crate) struct CodeRow {
    pub(crate) grant: Grant,
    pub(crate) auth_time: Millis,
    pub(crate) expires: Millis,
    pub(crate) session_id: Option<String>,
}

pub(crate) fn code(sql: &impl Sql, hash: &[u8]) -> Result<Option<CodeRow>, SqlError> {
    let rows = sql.query(
        "SELECT granted, auth_time, expires, session_id FROM grant_code WHERE hash = ?",
        &[hash.to_vec().into()],
    )?;
    let code = |row: &Row| {
        Some(CodeRow {
            grant: serde_json::from_str(row.text(0)?).ok()?,
            auth_time: Millis(row.int(1)?),
            expires: Millis(row.int(2)?),
            session_id: row.string(3),
        })
    };
    Ok(rows.first().and_then(code))
}

pub(crate) fn add_code(sql: &impl Sql, hash: &[u8], row: &CodeRow) -> Result<(), SqlError> {
    // Our own types always serialise.
    let grant = serde_json::to_string(&row.grant).unwrap_or_default();
    sql.query(
        "INSERT INTO grant_code (hash, granted, auth_time, expires) VALUES (?, ?, ?, ?)",
        &[hash.to_vec().into(), grant.into(), row.auth_time.0.into(), row.expires.0.into()],
    )?;
    Ok(())
}

pub(crate) fn spend_code(sql: &impl Sql, hash: &[u8], session_id: &str) -> Result<(), SqlError> {
    sql.query("UPDATE grant_code SET session_id = ? WHERE hash = ?", &[session_id.into(), hash.to_vec().into()])?;
    Ok(())
}

pub(crate) fn drop_codes_before(sql: &impl Sql, expired: Millis) -> Result<(), SqlError> {
    sql.query("DELETE FROM grant_code WHERE expires < ?", &[expired.0.into()])?;
    Ok(())
}

/// A session of an OAuth client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientRow {
    pub(crate) session_id: String,
    /// Empty for a client that only learns who the user is.
    pub(crate) device_id: String,
    pub(crate) client_id: String,
    pub(crate) client_name: Option<String>,
    pub(crate) scope: String,
}

const CLIENT: &str = "SELECT session_id, device_id, client_id, client_name, scope FROM oauth_session";

fn client(row: &Row) -> Option<ClientRow> {
    Some(ClientRow {
        session_id: row.string(0)?,
        device_id: row.string(1)?,
        client_id: row.string(2)?,
        client_name: row.string(3),
        scope: row.string(4)?,
    })
}

pub(crate) fn client_of(sql: &impl Sql, session_id: &str) -> Result<Option<ClientRow>, SqlError> {
    let rows = sql.query(&format!("{CLIENT} WHERE session_id = ?"), &[session_id.into()])?;
    Ok(rows.first().and_then(client))
}

pub(crate) fn clients(sql: &impl Sql) -> Result<Vec<ClientRow>, SqlError> {
    Ok(sql.query(CLIENT, &[])?.iter().filter_map(client).collect())
}

pub(crate) fn add_client(sql: &impl Sql, row: &ClientRow, opened: Millis) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO oauth_session (session_id, device_id, client_id, client_name, scope, opened)
         VALUES (?, ?, ?, ?, ?, ?)",
        &[
            row.session_id.as_str().into(),
            row.device_id.as_str().into(),
            row.client_id.as_str().into(),
            row.client_name.clone().into(),
            row.scope.as_str().into(),
            opened.0.into(),
        ],
    )?;
    Ok(())
}

pub(crate) fn drop_client(sql: &impl Sql, session_id: &str) -> Result<(), SqlError> {
    sql.query("DELETE FROM oauth_session WHERE session_id = ?", &[session_id.into()])?;
    Ok(())
}

pub(crate) fn drop_clients_of(sql: &impl Sql, device_id: &DeviceId) -> Result<(), SqlError> {
    sql.query("DELETE FROM oauth_session WHERE device_id = ?", &[device_id.as_str().into()])?;
    Ok(())
}

/// Clients without a device leave no other trace.
pub(crate) fn drop_bare_clients_before(sql: &impl Sql, opened: Millis) -> Result<(), SqlError> {
    sql.query("DELETE FROM oauth_session WHERE device_id = '' AND opened < ?", &[opened.0.into()])?;
    Ok(())
}

/// Until when the user has allowed something.
pub(crate) fn approval(sql: &impl Sql, kind: &str) -> Result<Option<Millis>, SqlError> {
    let rows = sql.query("SELECT until FROM approval WHERE kind = ?", &[kind.into()])?;
    Ok(rows.first().and_then(|row| row.int(0)).map(Millis))
}

/// An approval is used once, and with it all others of its time.
pub(crate) fn drop_approvals(sql: &impl Sql) -> Result<(), SqlError> {
    sql.query("DELETE FROM approval", &[])?;
    Ok(())
}

pub(crate) fn drop_approvals_before(sql: &impl Sql, until: Millis) -> Result<(), SqlError> {
    sql.query("DELETE FROM approval WHERE until < ?", &[until.0.into()])?;
    Ok(())
}

pub(crate) fn approve(sql: &impl Sql, kind: &str, until: Millis) -> Result<(), SqlError> {
    sql.query(
        "INSERT INTO approval (kind, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
        &[kind.into(), until.0.into()],
    )?;
    Ok(())
}
