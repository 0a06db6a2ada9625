//! The registry of users: names are unique, for ever.

use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::{
        Done,
        storage::{CreateUser, DeactivateUser, LoadUser, SetPassword, UserRow},
    },
};

use crate::{
    dispatch::Storage,
    sql::{Database, Databases, Statement, run},
};

/// With a registration token (`?5`) only while that one is good. Counting users makes the check and the use one statement.
const CREATE: &str = "INSERT INTO users (user_id, password_hash, admin, created, registered_with) \
     SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?5 IS NULL OR EXISTS (SELECT 1 FROM registration_tokens t WHERE t.token = ?5 \
     AND (t.expires IS NULL OR t.expires > ?4) AND (t.uses_allowed IS NULL OR t.uses_allowed > \
     (SELECT count(*) FROM users u WHERE u.registered_with = ?5))) \
     ON CONFLICT DO NOTHING RETURNING 1 AS made";

const TAKEN: &str = "SELECT 1 AS taken FROM users WHERE user_id = ?1";

/// A hash has a salt of its own, so an equal one means that this very request was carried out before.
const SAME: &str = "SELECT 1 AS same FROM users WHERE user_id = ?1 AND password_hash = ?2 AND deactivated = 0";

const LOAD: &str = "SELECT password_hash AS password_hash, admin AS admin, deactivated AS deactivated, \
     created AS created, locked AS locked, suspended AS suspended FROM users WHERE user_id = ?1";

const SET_PASSWORD: &str =
    "UPDATE users SET password_hash = ?2 WHERE user_id = ?1 AND deactivated = 0 RETURNING 1 AS found";

const DEACTIVATE: &str =
    "UPDATE users SET deactivated = 1, password_hash = NULL WHERE user_id = ?1 RETURNING 1 AS found";

/// One batch. Repeated after a lost answer it succeeds again.
pub(crate) async fn create_user<D: Databases>(storage: &Storage<'_, D>, ask: CreateUser) -> Result<Done, MatrixError> {
    let user = ask.user_id.as_str();
    let hash = ask.password_hash.as_deref();
    let statements = [
        Statement::new(TAKEN, [user.into()]),
        Statement::new(
            CREATE,
            [user.into(), hash.into(), ask.admin.into(), ask.ts.0.into(), ask.registration_token.into()],
        ),
        Statement::new(SAME, [user.into(), hash.into()]),
    ];
    let [taken, made, same] = run(&storage.databases, Database::Global, statements).await?;
    if made.is_empty() && same.is_empty() {
        return Err(if taken.is_empty() {
            MatrixError::forbidden("This registration token is used up")
        } else {
            MatrixError::new(400, "M_USER_IN_USE", "User ID already taken")
        });
    }
    Ok(Done {})
}

/// One read.
pub(crate) async fn load_user<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadUser,
) -> Result<Option<UserRow>, MatrixError> {
    let load = Statement::new(LOAD, [ask.user_id.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    Ok(rows.first().map(user_row))
}

/// One write; 404 when there is no such active user.
pub(crate) async fn set_password<D: Databases>(
    storage: &Storage<'_, D>,
    ask: SetPassword,
) -> Result<Done, MatrixError> {
    let set = Statement::new(SET_PASSWORD, [ask.user_id.as_str().into(), ask.password_hash.into()]);
    let [found] = run(&storage.databases, Database::Global, [set]).await?;
    found_one(&found)
}

/// One write; 404 when there is no such user.
pub(crate) async fn deactivate_user<D: Databases>(
    storage: &Storage<'_, D>,
    ask: DeactivateUser,
) -> Result<Done, MatrixError> {
    let deactivate = Statement::new(DEACTIVATE, [ask.user_id.as_str().into()]);
    let [found] = run(&storage.databases, Database::Global, [deactivate]).await?;
    found_one(&found)
}

fn found_one(rows: &[Row]) -> Result<Done, MatrixError> {
    if rows.is_empty() {
        return Err(MatrixError::not_found("No such user"));
    }
    Ok(Done {})
}

fn user_row(row: &Row) -> UserRow {
    UserRow {
        password_hash: row.string(0),
        admin: row.flag(1),
        deactivated: row.flag(2),
        created: Millis(row.int(3).unwrap_or(0)),
        locked: row.flag(4),
        suspended: row.flag(5),
    }
}
