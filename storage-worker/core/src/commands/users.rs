//! The registry of users: names are unique, for ever.

use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::{
        Done,
        storage::{CreateUser, DeactivateUser, LoadUser, SetPassword, UserRow},
    },
};

use super::threepids;
use crate::{
    Storage,
    sql::{Database, Databases, Statement, run},
};

/// With a registration token (`?5`) only while that one is good. Counting users makes the check and the use one statement.
/// And only when all identifiers (`?6`) are the user's: they come first, so that nobody who is there already gets them.
const CREATE: &str = "INSERT INTO users (user_id, password_hash, admin, created, registered_with) \
     SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?5 IS NULL OR EXISTS (SELECT 1 FROM registration_tokens t WHERE t.token = ?5 \
     AND (t.expires IS NULL OR t.expires > ?4) AND (t.uses_allowed IS NULL OR t.uses_allowed > \
     (SELECT count(*) FROM users u WHERE u.registered_with = ?5))) \
     AND NOT EXISTS (SELECT 1 FROM json_each(?6) j LEFT JOIN threepids t ON t.medium = j.value->>'medium' \
     AND t.address = j.value->>'address' WHERE t.user_id IS NOT ?1) \
     ON CONFLICT DO NOTHING RETURNING 1 AS made";

const IDENTIFIERS: &str = "INSERT INTO threepids (medium, address, user_id, validated_at, added_at) \
     SELECT j.value->>'medium', j.value->>'address', ?1, j.value->>'validated_at', j.value->>'added_at' \
     FROM json_each(?2) j WHERE NOT EXISTS (SELECT 1 FROM users WHERE user_id = ?1) ON CONFLICT DO NOTHING";

const NOT_MADE: &str =
    "DELETE FROM threepids WHERE user_id = ?1 AND NOT EXISTS (SELECT 1 FROM users WHERE user_id = ?1)";

const OWNED: &str = "SELECT 1 AS owned FROM json_each(?2) j JOIN threepids t ON t.medium = j.value->>'medium' \
     AND t.address = j.value->>'address' WHERE t.user_id <> ?1";

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
    let identifiers = serde_json::to_string(&ask.identifiers).map_err(|_| MatrixError::internal())?;
    let identifiers = identifiers.as_str();
    let token = ask.registration_token.into();
    let statements = [
        Statement::new(TAKEN, [user.into()]),
        Statement::new(OWNED, [user.into(), identifiers.into()]),
        Statement::new(IDENTIFIERS, [user.into(), identifiers.into()]),
        Statement::new(
            CREATE,
            [user.into(), hash.into(), ask.admin.into(), ask.ts.0.into(), token, identifiers.into()],
        ),
        Statement::new(NOT_MADE, [user.into()]),
        Statement::new(SAME, [user.into(), hash.into()]),
    ];
    let [taken, owned, _, made, _, same] = run(&storage.databases, Database::Global, statements).await?;
    if made.is_empty() && same.is_empty() {
        return Err(if !taken.is_empty() {
            MatrixError::new(400, "M_USER_IN_USE", "User ID already taken")
        } else if !owned.is_empty() {
            MatrixError::new(400, "M_THREEPID_IN_USE", "This address belongs to another account")
        } else {
            MatrixError::forbidden("This registration token is used up")
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

/// One batch; 404 when there is no such user.
pub(crate) async fn deactivate_user<D: Databases>(
    storage: &Storage<'_, D>,
    ask: DeactivateUser,
) -> Result<Done, MatrixError> {
    let user = ask.user_id.as_str();
    let statements = [Statement::new(DEACTIVATE, [user.into()]), threepids::removing_all(user)];
    let [found, _] = run(&storage.databases, Database::Global, statements).await?;
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
