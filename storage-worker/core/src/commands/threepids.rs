//! Identifiers of other systems: each belongs to one account.

use ruma::OwnedUserId;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::{
        Done,
        threepid::{AddThreepid, FindThreepid, ListThreepids, RemoveSignIn, RemoveThreepid, Threepid},
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

/// Only for a user who is there; of one who has it already, the times stay.
const ADD: &str = "INSERT INTO threepids (medium, address, user_id, validated_at, added_at) \
     SELECT ?1, ?2, user_id, ?4, ?5 FROM users WHERE user_id = ?3 AND deactivated = 0 ON CONFLICT DO NOTHING";

const FIND: &str = "SELECT user_id AS user_id FROM threepids WHERE medium = ?1 AND address = ?2";

const REMOVE: &str = "DELETE FROM threepids WHERE medium = ?1 AND address = ?2 AND user_id = ?3";

/// One statement, so that of two requests at once not both find the other's way in.
const REMOVE_SIGN_IN: &str = "DELETE FROM threepids WHERE user_id = ?1 AND medium = ?2 AND (\
       EXISTS (SELECT 1 FROM users WHERE user_id = ?1 AND password_hash IS NOT NULL) \
       OR EXISTS (SELECT 1 FROM threepids o WHERE o.user_id = ?1 AND o.medium <> ?2 \
         AND o.medium IN (SELECT value FROM json_each(?3)))) RETURNING 1 AS untied";

const LIST: &str = "SELECT medium AS medium, address AS address, validated_at AS validated_at, added_at AS added_at \
     FROM threepids WHERE user_id = ?1 ORDER BY added_at, address";

const REMOVE_ALL: &str = "DELETE FROM threepids WHERE user_id = ?1";

/// The statement that gives a user an identifier.
pub(super) fn adding(user_id: &str, threepid: &Threepid) -> Statement {
    let Threepid { medium, address, validated_at, added_at } = threepid;
    Statement::new(
        ADD,
        [medium.as_str().into(), address.as_str().into(), user_id.into(), validated_at.0.into(), added_at.0.into()],
    )
}

/// The statement that says whose an identifier is.
pub(super) fn finding(medium: &str, address: &str) -> Statement {
    Statement::new(FIND, [medium.into(), address.into()])
}

/// The statement that takes all identifiers from a user.
pub(super) fn removing_all(user_id: &str) -> Statement {
    Statement::new(REMOVE_ALL, [user_id.into()])
}

/// One batch.
pub(crate) async fn add<D: Databases>(storage: &Storage<'_, D>, ask: AddThreepid) -> Result<Done, MatrixError> {
    let user = ask.user_id.as_str();
    let statements = [adding(user, &ask.threepid), finding(&ask.threepid.medium, &ask.threepid.address)];
    let [_, owner] = run(&storage.databases, Database::Global, statements).await?;
    match owner.first().and_then(|row| row.text(0)) {
        Some(owner) if owner == user => Ok(Done {}),
        Some(_) => Err(MatrixError::new(400, "M_THREEPID_IN_USE", "This address belongs to another account")),
        None => Err(MatrixError::not_found("No such user")),
    }
}

/// One write.
pub(crate) async fn remove<D: Databases>(storage: &Storage<'_, D>, ask: RemoveThreepid) -> Result<Done, MatrixError> {
    let remove = Statement::new(REMOVE, [ask.medium.into(), ask.address.into(), ask.user_id.as_str().into()]);
    let [_] = run(&storage.databases, Database::Global, [remove]).await?;
    Ok(Done {})
}

/// One write.
pub(crate) async fn remove_sign_in<D: Databases>(
    storage: &Storage<'_, D>,
    ask: RemoveSignIn,
) -> Result<bool, MatrixError> {
    let providers = json_list(&ask.providers)?;
    let remove = Statement::new(REMOVE_SIGN_IN, [ask.user_id.as_str().into(), ask.medium.into(), providers]);
    let [untied] = run(&storage.databases, Database::Global, [remove]).await?;
    Ok(!untied.is_empty())
}

/// One read.
pub(crate) async fn list<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ListThreepids,
) -> Result<Vec<Threepid>, MatrixError> {
    let [rows] =
        run(&storage.databases, Database::Global, [Statement::new(LIST, [ask.user_id.as_str().into()])]).await?;
    Ok(rows.iter().filter_map(threepid).collect())
}

/// One read.
pub(crate) async fn find<D: Databases>(
    storage: &Storage<'_, D>,
    ask: FindThreepid,
) -> Result<Option<OwnedUserId>, MatrixError> {
    let [rows] = run(&storage.databases, Database::Global, [finding(&ask.medium, &ask.address)]).await?;
    Ok(rows.first().and_then(|row| row.text(0)?.try_into().ok()))
}

fn threepid(row: &Row) -> Option<Threepid> {
    Some(Threepid {
        medium: row.string(0)?,
        address: row.string(1)?,
        validated_at: Millis(row.int(2)?),
        added_at: Millis(row.int(3)?),
    })
}
