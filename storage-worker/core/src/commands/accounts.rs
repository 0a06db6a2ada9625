//! Administration of accounts: the list of users, registration tokens, and the record of who did what.

use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::{
        Done,
        accounts::{
            AuditEntry, ChangeUser, CheckRegistrationToken, CreateRegistrationToken, DeleteRegistrationToken,
            ListRegistrationTokens, ListUsers, NumberedEntry, ReadAudit, RecordAudit, RegistrationToken, UserEntry,
        },
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

const LIST: &str = "SELECT user_id AS user_id, admin AS admin, locked AS locked, suspended AS suspended, \
     deactivated AS deactivated, created AS created FROM users \
     WHERE (?1 IS NULL OR user_id > ?1) AND (?2 IS NULL OR instr(user_id, ?2) > 0) ORDER BY user_id LIMIT ?3";

const CHANGE: &str = "UPDATE users SET admin = coalesce(?2, admin), locked = coalesce(?3, locked), \
     suspended = coalesce(?4, suspended) WHERE user_id = ?1 AND deactivated = 0 RETURNING 1 AS found";

/// How often a token was used is counted, not noted: a registration repeated after a lost answer counts once.
const TOKENS: &str = "SELECT t.token AS token, t.uses_allowed AS uses_allowed, \
     (SELECT count(*) FROM users u WHERE u.registered_with = t.token) AS completed, \
     t.expires AS expires, t.created AS created FROM registration_tokens t \
     WHERE (?1 IS NULL OR t.token = ?1) ORDER BY t.created, t.token";

const CREATE_TOKEN: &str = "INSERT INTO registration_tokens (token, uses_allowed, expires, created) \
     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING RETURNING 1 AS made";

const DELETE_TOKEN: &str = "DELETE FROM registration_tokens WHERE token = ?1 RETURNING 1 AS found";

const RECORD: &str = "INSERT INTO audit (ts, actor, action, target) VALUES (?1, ?2, ?3, ?4)";

const READ_AUDIT: &str = "SELECT id AS id, ts AS ts, actor AS actor, action AS action, target AS target FROM audit \
     WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2";

/// One read.
pub(crate) async fn list_users<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ListUsers,
) -> Result<Vec<UserEntry>, MatrixError> {
    let after = ask.after.as_ref().map(|user_id| user_id.as_str());
    let list = Statement::new(LIST, [after.into(), ask.search.as_deref().into(), u64::from(ask.limit).into()]);
    let [rows] = run(&storage.databases, Database::Global, [list]).await?;
    Ok(rows.iter().filter_map(user_entry).collect())
}

/// One write.
pub(crate) async fn change_user<D: Databases>(storage: &Storage<'_, D>, ask: ChangeUser) -> Result<Done, MatrixError> {
    let flag = |flag: Option<bool>| flag.map(u64::from).into();
    let change = [ask.user_id.as_str().into(), flag(ask.admin), flag(ask.locked), flag(ask.suspended)];
    let [found] = run(&storage.databases, Database::Global, [Statement::new(CHANGE, change)]).await?;
    some(&found, || MatrixError::not_found("No such user"))
}

/// One read.
pub(crate) async fn check_registration_token<D: Databases>(
    storage: &Storage<'_, D>,
    ask: CheckRegistrationToken,
) -> Result<bool, MatrixError> {
    let load = Statement::new(TOKENS, [ask.token.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    Ok(rows.first().and_then(registration_token).is_some_and(|token| {
        token.expires.is_none_or(|expires| expires > ask.now)
            && token.uses_allowed.is_none_or(|allowed| allowed > token.completed)
    }))
}

/// One write.
pub(crate) async fn create_registration_token<D: Databases>(
    storage: &Storage<'_, D>,
    ask: CreateRegistrationToken,
) -> Result<Done, MatrixError> {
    let token = ask.token;
    let expires = token.expires.map(|expires| expires.0);
    let values = [token.token.into(), token.uses_allowed.into(), expires.into(), token.created.0.into()];
    let [made] = run(&storage.databases, Database::Global, [Statement::new(CREATE_TOKEN, values)]).await?;
    some(&made, || MatrixError::invalid_param("There is such a token already"))
}

/// One read.
pub(crate) async fn list_registration_tokens<D: Databases>(
    storage: &Storage<'_, D>,
    _: ListRegistrationTokens,
) -> Result<Vec<RegistrationToken>, MatrixError> {
    let list = Statement::new(TOKENS, [None::<&str>.into()]);
    let [rows] = run(&storage.databases, Database::Global, [list]).await?;
    Ok(rows.iter().filter_map(registration_token).collect())
}

/// One write.
pub(crate) async fn delete_registration_token<D: Databases>(
    storage: &Storage<'_, D>,
    ask: DeleteRegistrationToken,
) -> Result<Done, MatrixError> {
    let delete = Statement::new(DELETE_TOKEN, [ask.token.into()]);
    let [found] = run(&storage.databases, Database::Global, [delete]).await?;
    some(&found, || MatrixError::not_found("No such token"))
}

/// One write.
pub(crate) async fn record_audit<D: Databases>(
    storage: &Storage<'_, D>,
    ask: RecordAudit,
) -> Result<Done, MatrixError> {
    let entry = ask.entry;
    let values = [entry.ts.0.into(), entry.actor.into(), entry.action.into(), entry.target.into()];
    let [_] = run(&storage.databases, Database::Global, [Statement::new(RECORD, values)]).await?;
    Ok(Done {})
}

/// One read.
pub(crate) async fn read_audit<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ReadAudit,
) -> Result<Vec<NumberedEntry>, MatrixError> {
    let read = Statement::new(READ_AUDIT, [ask.before.into(), u64::from(ask.limit).into()]);
    let [rows] = run(&storage.databases, Database::Global, [read]).await?;
    Ok(rows.iter().filter_map(numbered_entry).collect())
}

fn some(rows: &[Row], otherwise: impl FnOnce() -> MatrixError) -> Result<Done, MatrixError> {
    if rows.is_empty() { Err(otherwise()) } else { Ok(Done {}) }
}

fn user_entry(row: &Row) -> Option<UserEntry> {
    Some(UserEntry {
        user_id: row.text(0)?.try_into().ok()?,
        admin: row.flag(1),
        locked: row.flag(2),
        suspended: row.flag(3),
        deactivated: row.flag(4),
        created: Millis(row.int(5)?),
    })
}

fn registration_token(row: &Row) -> Option<RegistrationToken> {
    Some(RegistrationToken {
        token: row.string(0)?,
        uses_allowed: row.int(1),
        completed: row.int(2)?,
        expires: row.int(3).map(Millis),
        created: Millis(row.int(4)?),
    })
}

fn numbered_entry(row: &Row) -> Option<NumberedEntry> {
    let entry =
        AuditEntry { ts: Millis(row.int(1)?), actor: row.string(2)?, action: row.string(3)?, target: row.string(4)? };
    Some(NumberedEntry { id: row.int(0)?, entry })
}
