//! The user directory, and the names that it shows.

use ruma::UserId;
use tern_model::MatrixError;
use tern_ports::{
    Row,
    wire::{
        Done,
        directory::{FoundUser, PublishProfile, SearchUsers},
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

const PUBLISH_PROFILE: &str = "INSERT INTO profiles (user_id, displayname, avatar_url, folded) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (user_id) DO UPDATE SET displayname = excluded.displayname, avatar_url = excluded.avatar_url, \
       folded = excluded.folded";

/// `?1` is the term, `?2` a user left out. Reads all users; those whose name begins with the term come first.
const SEARCH_USERS: &str = "SELECT u.user_id AS user_id, p.displayname AS displayname, p.avatar_url AS avatar_url \
     FROM users u LEFT JOIN profiles p ON p.user_id = u.user_id \
     WHERE u.deactivated = 0 AND u.user_id <> ?2 AND (instr(u.user_id, ?1) > 0 OR instr(p.folded, ?1) > 0) \
     ORDER BY instr(u.user_id, ?1) = 2 OR coalesce(instr(p.folded, ?1), 0) = 1 DESC, u.user_id LIMIT ?3";

/// The same among the users of the list `?4`, and the one whose id is the term. Reads no others.
const SEARCH_AMONG: &str = "SELECT u.user_id AS user_id, p.displayname AS displayname, p.avatar_url AS avatar_url \
     FROM (SELECT value FROM json_each(?4) UNION SELECT ?1) j CROSS JOIN users u ON u.user_id = j.value \
     LEFT JOIN profiles p ON p.user_id = u.user_id \
     WHERE u.deactivated = 0 AND u.user_id <> ?2 AND (instr(u.user_id, ?1) > 0 OR instr(p.folded, ?1) > 0) \
     ORDER BY instr(u.user_id, ?1) = 2 OR coalesce(instr(p.folded, ?1), 0) = 1 DESC, u.user_id LIMIT ?3";

/// One write.
pub(crate) async fn publish_profile<D: Databases>(
    storage: &Storage<'_, D>,
    ask: PublishProfile,
) -> Result<Done, MatrixError> {
    let folded = ask.displayname.as_deref().unwrap_or_default().to_lowercase();
    let params = [ask.user_id.as_str().into(), ask.displayname.into(), ask.avatar_url.into(), folded.into()];
    run(&storage.databases, Database::Global, [Statement::new(PUBLISH_PROFILE, params)]).await?;
    Ok(Done {})
}

/// One read.
pub(crate) async fn search_users<D: Databases>(
    storage: &Storage<'_, D>,
    ask: SearchUsers,
) -> Result<Vec<FoundUser>, MatrixError> {
    let params = [ask.term.into(), ask.except.as_str().into(), u64::from(ask.limit).into()];
    let search = match &ask.among {
        None => Statement::new(SEARCH_USERS, params),
        Some(among) => Statement::new(SEARCH_AMONG, [&params[..], &[json_list(among)?]].concat()),
    };
    let [rows] = run(&storage.databases, Database::Global, [search]).await?;
    let user = |row: &Row| {
        let user_id = UserId::parse(row.text(0)?).ok()?;
        Some(FoundUser { user_id, display_name: row.string(1), avatar_url: row.string(2) })
    };
    Ok(rows.iter().filter_map(user).collect())
}
