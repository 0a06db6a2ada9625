//! The room directory, and what rooms show.

use ruma::RoomId;
use tern_model::{MatrixError, RoomFacts};
use tern_ports::{
    Row,
    wire::{
        Done,
        directory::{Directory, DirectoryPage, FactsAsOf, IsListed, ListRoom, LoadFacts, PageDirectory, ShownRoom},
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

const LIST: &str = "INSERT INTO directory (room_id, published) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

pub(super) const UNLIST: &str = "DELETE FROM directory WHERE room_id = ?1";

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
