//! Finding rooms and users: aliases, the room directory, what rooms show, the user directory; and reports.

use ruma::{OwnedRoomAliasId, OwnedUserId, RoomAliasId, RoomId, UserId};
use tern_model::{MatrixError, RoomFacts};
use tern_ports::{
    Row, Value,
    wire::{
        Done,
        directory::{
            AddAlias, AliasRow, Directory, DirectoryPage, FactsAsOf, FileReport, FoundUser, IsListed, ListAliases,
            ListRoom, LoadAlias, LoadFacts, MoveAliases, PageDirectory, PublishProfile, RemoveAlias, SearchUsers,
            ShownRoom,
        },
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

const LOAD_ALIAS: &str = "SELECT room_id AS room_id, creator AS creator FROM aliases WHERE alias = ?1";

const ADD_ALIAS: &str =
    "INSERT INTO aliases (alias, room_id, creator, created) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

const ADDED: &str = "SELECT 1 FROM aliases WHERE alias = ?1 AND room_id = ?2 AND creator = ?3 AND created = ?4";

const REMOVE_ALIAS: &str = "DELETE FROM aliases WHERE alias = ?1 AND room_id = ?2";

const ALIASES: &str = "SELECT alias AS alias FROM aliases WHERE room_id = ?1 ORDER BY alias";

const LIST: &str = "INSERT INTO directory (room_id, published) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

const UNLIST: &str = "DELETE FROM directory WHERE room_id = ?1";

const IS_LISTED: &str = "SELECT EXISTS (SELECT 1 FROM directory d WHERE d.room_id = p.room_id) AS listed \
     FROM placements p WHERE p.room_id = ?1";

/// Older facts never replace newer ones, and equal ones cost no row.
const PUBLISH: &str = "INSERT INTO room_facts (room_id, as_of, joined, room_type, folded, facts) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (room_id) DO UPDATE SET as_of = excluded.as_of, \
       joined = excluded.joined, room_type = excluded.room_type, folded = excluded.folded, facts = excluded.facts \
     WHERE excluded.as_of > as_of AND excluded.facts <> facts";

const LIST_FOR: &str = "INSERT INTO network_rooms (network, room_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

const UNLIST_FOR: &str = "DELETE FROM network_rooms WHERE network = ?1 AND room_id = ?2";

/// The rooms of a directory. The parameter is a network; an empty text for all of them and the own rooms, `null` for these
/// alone.
macro_rules! rooms_of {
    ($network:literal) => {
        concat!(
            "(SELECT room_id FROM directory WHERE ",
            $network,
            " IS NULL OR ",
            $network,
            " = '' UNION SELECT room_id FROM network_rooms WHERE network = ",
            $network,
            " OR ",
            $network,
            " = '')"
        )
    };
}

/// `?1` is a term or `null`, `?2` a list of room types or `null`, `?3` and `?4` the count and the room next to which the
/// page stands, or `null`. The directory is read whole: it is ordered by what changes all the time.
macro_rules! listed_rooms {
    () => {
        concat!(
            "SELECT d.room_id AS room_id, f.facts AS facts FROM ",
            rooms_of!("?6"),
            " d CROSS JOIN room_facts f ON f.room_id = d.room_id \
         WHERE (?1 IS NULL OR instr(f.folded, ?1) > 0) \
         AND (?2 IS NULL OR EXISTS (SELECT 1 FROM json_each(?2) t WHERE t.value IS f.room_type))"
        )
    };
}

const PAGE: &str = concat!(
    listed_rooms!(),
    " AND (?3 IS NULL OR f.joined < ?3 OR f.joined = ?3 AND d.room_id > ?4) \
     ORDER BY f.joined DESC, d.room_id LIMIT ?5"
);

const PAGE_BACKWARDS: &str = concat!(
    listed_rooms!(),
    " AND (?3 IS NULL OR f.joined > ?3 OR f.joined = ?3 AND d.room_id < ?4) \
     ORDER BY f.joined, d.room_id DESC LIMIT ?5"
);

const TOTAL: &str = concat!("SELECT count(*) AS total FROM ", rooms_of!("?1"));

const FACTS: &str = "SELECT f.room_id AS room_id, f.facts AS facts \
     FROM json_each(?1) j CROSS JOIN room_facts f ON f.room_id = j.value";

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

const REPORT: &str = "INSERT INTO reports (reporter, room_id, event_id, user_id, reason, ts) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// One batch. An alias that exists is refused, whichever room it belongs to; the same request again, whose answer was lost,
/// is known by its time.
pub(crate) async fn add_alias<D: Databases>(storage: &Storage<'_, D>, ask: AddAlias) -> Result<Done, MatrixError> {
    let row: [Value; 4] =
        [ask.alias.as_str().into(), ask.room_id.as_str().into(), ask.creator.as_str().into(), ask.ts.0.into()];
    let statements = [Statement::new(ADD_ALIAS, row.clone()), Statement::new(ADDED, row)];
    let [_, added] = run(&storage.databases, Database::Global, statements).await?;
    if added.is_empty() {
        return Err(MatrixError::new(409, "M_UNKNOWN", "The alias exists already"));
    }
    Ok(Done {})
}

/// One read.
pub(crate) async fn load_alias<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadAlias,
) -> Result<Option<AliasRow>, MatrixError> {
    let load = Statement::new(LOAD_ALIAS, [ask.alias.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    let row = |row: &Row| {
        Some(AliasRow {
            room_id: RoomId::parse(row.text(0)?).ok()?,
            creator: OwnedUserId::try_from(row.text(1)?).ok()?,
        })
    };
    Ok(rows.first().and_then(row))
}

/// One write.
pub(crate) async fn remove_alias<D: Databases>(
    storage: &Storage<'_, D>,
    ask: RemoveAlias,
) -> Result<Done, MatrixError> {
    let remove = Statement::new(REMOVE_ALIAS, [ask.alias.as_str().into(), ask.room_id.as_str().into()]);
    run(&storage.databases, Database::Global, [remove]).await?;
    Ok(Done {})
}

/// One read.
pub(crate) async fn list_aliases<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ListAliases,
) -> Result<Vec<OwnedRoomAliasId>, MatrixError> {
    let list = Statement::new(ALIASES, [ask.room_id.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [list]).await?;
    Ok(rows.iter().filter_map(|row| RoomAliasId::parse(row.text(0)?).ok()).collect())
}

/// One batch.
pub(crate) async fn move_aliases<D: Databases>(
    storage: &Storage<'_, D>,
    ask: MoveAliases,
) -> Result<Done, MatrixError> {
    const ALIAS: &str = "UPDATE aliases SET room_id = ?2 WHERE room_id = ?1";
    const LISTED: &str = "INSERT INTO directory (room_id, published) \
        SELECT ?2, published FROM directory WHERE room_id = ?1 ON CONFLICT DO NOTHING";
    let both = || [ask.from.as_str().into(), ask.to.as_str().into()];
    let statements = [
        Statement::new(ALIAS, both()),
        Statement::new(LISTED, both()),
        Statement::new(UNLIST, [ask.from.as_str().into()]),
    ];
    run(&storage.databases, Database::Global, statements).await?;
    Ok(Done {})
}

/// One write.
pub(crate) async fn list_room<D: Databases>(storage: &Storage<'_, D>, ask: ListRoom) -> Result<Done, MatrixError> {
    let room = ask.room_id.as_str();
    let statement = match (ask.network, ask.listed) {
        (None, true) => Statement::new(LIST, [room.into(), ask.ts.0.into()]),
        (None, false) => Statement::new(UNLIST, [room.into()]),
        (Some(network), true) => Statement::new(LIST_FOR, [network.into(), room.into()]),
        (Some(network), false) => Statement::new(UNLIST_FOR, [network.into(), room.into()]),
    };
    run(&storage.databases, Database::Global, [statement]).await?;
    Ok(Done {})
}

/// One read.
pub(crate) async fn is_listed<D: Databases>(
    storage: &Storage<'_, D>,
    ask: IsListed,
) -> Result<Option<bool>, MatrixError> {
    let listed = Statement::new(IS_LISTED, [ask.room_id.as_str().into()]);
    let [rows] = run(&storage.databases, Database::Global, [listed]).await?;
    Ok(rows.first().map(|row| row.flag(0)))
}

/// The write that makes a room's facts known.
pub(crate) fn publish(room_id: &RoomId, told: &FactsAsOf) -> Result<Statement, MatrixError> {
    let facts = &told.facts;
    let shown = [&facts.name, &facts.topic, &facts.canonical_alias].map(|text| text.as_deref().unwrap_or_default());
    let params = [
        room_id.as_str().into(),
        told.as_of.0.into(),
        facts.num_joined_members.into(),
        facts.room_type.clone().into(),
        shown.join("\n").to_lowercase().into(),
        json_list(facts)?,
    ];
    Ok(Statement::new(PUBLISH, params))
}

/// One batch of two reads.
pub(crate) async fn page_directory<D: Databases>(
    storage: &Storage<'_, D>,
    ask: PageDirectory,
) -> Result<DirectoryPage, MatrixError> {
    let types = ask.room_types.as_ref().map(json_list).transpose()?;
    let (count, room) = ask.beside.map(|(count, room)| (count, room.to_string())).unzip();
    let network = match ask.of {
        Directory::Own => None,
        // An empty text would mean all.
        Directory::Network(network) if network.is_empty() => return Ok(DirectoryPage::default()),
        Directory::Network(network) => Some(network),
        Directory::All => Some(String::new()),
    };
    let params = [
        ask.term.into(),
        types.unwrap_or(None::<String>.into()),
        count.into(),
        room.into(),
        u64::from(ask.limit).into(),
        network.clone().into(),
    ];
    let sql = if ask.backwards { PAGE_BACKWARDS } else { PAGE };
    let statements = [Statement::new(sql, params), Statement::new(TOTAL, [network.into()])];
    let [rows, total] = run(&storage.databases, Database::Global, statements).await?;
    let mut rooms = rows.iter().map(shown_room).collect::<Result<Vec<_>, _>>()?;
    if ask.backwards {
        rooms.reverse();
    }
    Ok(DirectoryPage { rooms, total: total.first().and_then(|row| row.int(0)).unwrap_or(0) })
}

/// One read.
pub(crate) async fn load_facts<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadFacts,
) -> Result<Vec<ShownRoom>, MatrixError> {
    let load = Statement::new(FACTS, [json_list(&ask.rooms)?]);
    let [rows] = run(&storage.databases, Database::Global, [load]).await?;
    rows.iter().map(shown_room).collect()
}

fn shown_room(row: &Row) -> Result<ShownRoom, MatrixError> {
    let read = || {
        let facts: RoomFacts = serde_json::from_str(row.text(1)?).ok()?;
        Some(ShownRoom { room_id: RoomId::parse(row.text(0)?).ok()?, facts })
    };
    read().ok_or_else(MatrixError::unavailable)
}

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

/// One write.
pub(crate) async fn file_report<D: Databases>(storage: &Storage<'_, D>, ask: FileReport) -> Result<Done, MatrixError> {
    let params = [
        ask.reporter.as_str().into(),
        ask.room_id.as_ref().map(|id| id.as_str()).into(),
        ask.event_id.as_ref().map(|id| id.as_str()).into(),
        ask.user_id.as_ref().map(|id| id.as_str()).into(),
        ask.reason.into(),
        ask.ts.0.into(),
    ];
    run(&storage.databases, Database::Global, [Statement::new(REPORT, params)]).await?;
    Ok(Done {})
}
