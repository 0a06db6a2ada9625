//! Which events relate to which: `PageRelations`, `LoadAggregations`, `PageThreads`. Two columns that SQLite reads out of
//! the PDU, `relates_to` and `rel_type`, and their indexes answer; a redacted event drops out of them by itself.

use std::{cmp::Reverse, collections::BTreeMap};

use ruma::{EventId, OwnedEventId};
use tern_model::{MatrixError, RoomSeq};
use tern_ports::{
    Row, Value,
    wire::{
        relations::{
            LoadAggregations, PageRelations, PageThreads, StoredAggregation, StoredThread, ThreadPage, ThreadRow,
        },
        storage::EventPage,
        sync::VisibilityFacts,
    },
};

use crate::{
    Storage,
    commands::{ask::AskRow, timeline::PAGE_FACTS},
    rows::{event_columns, stored_event},
    sql::{Databases, Statement, json_list, run},
};

/// Events that relate to one of the list `?2`. `?1` is the room, `?3` and `?4` bound the positions, `?5` is the relation
/// type and `?6` the event type, either of which may be `null`.
macro_rules! related {
    () => {
        concat!(
            "SELECT ",
            event_columns!(),
            " FROM rooms r CROSS JOIN json_each(?2) j CROSS JOIN events e ON e.relates_to = j.value \
             WHERE r.room_id = ?1 AND e.pos > (r.num << 32) + ?3 AND e.pos <= (r.num << 32) + ?4 \
             AND (?5 IS NULL OR e.rel_type = ?5) AND (?6 IS NULL OR e.kind = ?6) ORDER BY e.pos"
        )
    };
}

const RELATED: &str = concat!(related!(), " LIMIT ?7");
const RELATED_BACKWARDS: &str = concat!(related!(), " DESC LIMIT ?7");

/// For each event of the list `?2`, its newest edit up to `?3`: the rule of the Client-Server API ("Event replacements") as
/// far as a query can tell; the reader checks it again.
const EDITS: &str = concat!(
    "SELECT t.event_id AS target, ",
    event_columns!(),
    " FROM rooms r CROSS JOIN json_each(?2) j CROSS JOIN events t ON t.event_id = j.value \
     CROSS JOIN events e ON e.pos = (SELECT n.pos FROM events n WHERE n.relates_to = t.event_id \
       AND n.rel_type = 'm.replace' AND n.sender = t.sender AND n.kind = t.kind AND n.state_key IS NULL \
       AND n.pos >> 32 = r.num AND n.pos <= (r.num << 32) + ?3 \
       ORDER BY n.ts DESC, n.event_id DESC LIMIT 1) \
     WHERE r.room_id = ?1"
);

/// For each event of the list `?2`, its thread up to `?3` without what the users of the list `?5` sent; `?4` is the user
/// whose participation is asked for.
const THREADS_OF: &str = concat!(
    "WITH thread AS MATERIALIZED (\
       SELECT n.relates_to AS target, count(*) AS events, max(n.pos) AS latest, max(n.sender = ?4) AS participated \
       FROM rooms r CROSS JOIN json_each(?2) j CROSS JOIN events n ON n.relates_to = j.value AND n.rel_type = 'm.thread' \
       WHERE r.room_id = ?1 AND n.pos >> 32 = r.num AND n.pos <= (r.num << 32) + ?3 \
       AND n.sender NOT IN (SELECT value FROM json_each(?5)) GROUP BY n.relates_to\
     ) \
     SELECT t.target AS target, t.events AS events, t.participated AS participated, ",
    event_columns!(),
    " FROM thread t CROSS JOIN events e ON e.pos = t.latest"
);

/// Events that refer to one of the list `?2`, up to `?3`, but for those of the users of the list `?4`.
const REFERENCES: &str = "SELECT n.relates_to AS target, n.event_id AS event_id \
     FROM rooms r CROSS JOIN json_each(?2) j CROSS JOIN events n ON n.relates_to = j.value AND n.rel_type = 'm.reference' \
     WHERE r.room_id = ?1 AND n.pos >> 32 = r.num AND n.pos <= (r.num << 32) + ?3 \
     AND n.sender NOT IN (SELECT value FROM json_each(?4)) ORDER BY n.pos LIMIT 1000";

/// References returned for one event, at most.
const MOST_REFERENCES: usize = 100;

/// Threads of room `?1` by their newest event up to `?3`, before `?2`, but for those of the list `?4`. `?5` is the user
/// whose participation is asked for; with `?6` only threads with it. What the users of the list `?8` sent does not count.
const THREADS: &str = concat!(
    "WITH thread AS MATERIALIZED (\
       SELECT n.relates_to AS root, max(n.pos) AS pos, max(n.sender = ?5) AS spoke \
       FROM rooms r CROSS JOIN events n INDEXED BY threads ON n.pos >> 32 = r.num AND n.rel_type = 'm.thread' \
       WHERE r.room_id = ?1 AND n.pos <= (r.num << 32) + ?3 \
       AND n.relates_to NOT IN (SELECT value FROM json_each(?4)) \
       AND n.sender NOT IN (SELECT value FROM json_each(?8)) \
       GROUP BY n.relates_to HAVING max(n.pos) & 4294967295 < ?2\
     ) \
     SELECT t.pos & 4294967295 AS latest, t.spoke OR e.sender = ?5 AS participated, ",
    event_columns!(),
    " FROM thread t CROSS JOIN events e ON e.event_id = t.root \
     WHERE e.pos >> 32 = t.pos >> 32 AND (NOT ?6 OR t.spoke OR e.sender = ?5) ORDER BY t.pos DESC LIMIT ?7"
);

/// The threads of the list `?2`, in the same form; `?3` is the user.
const KNOWN_THREADS: &str = concat!(
    "SELECT 0 AS latest, e.sender = ?3 OR EXISTS (SELECT 1 FROM events n \
       WHERE n.relates_to = e.event_id AND n.rel_type = 'm.thread' AND n.sender = ?3) AS participated, ",
    event_columns!(),
    " FROM rooms r CROSS JOIN json_each(?2) j CROSS JOIN events e ON e.event_id = j.value \
     WHERE r.room_id = ?1 AND e.pos >> 32 = r.num"
);

/// One batch on the room's shard; an empty page for a room that is not stored.
pub(crate) async fn page_relations<D: Databases>(
    storage: &Storage<'_, D>,
    ask: PageRelations,
) -> Result<EventPage, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(EventPage { events: Vec::new(), facts: VisibilityFacts::default() });
    };
    let room = ask.room_id.as_str();
    let related = [
        room.into(),
        json_list(&ask.targets)?,
        ask.after.0.into(),
        ask.until.0.into(),
        ask.rel_type.into(),
        ask.kind.into(),
        u64::from(ask.limit).into(),
    ];
    // Facts from the room's beginning on: the events may be anywhere.
    let span = json_list(&[AskRow(room, ask.user_id.as_str(), 0, Some(ask.until.0), 0, true, 0, false, false)])?;
    let sql = if ask.backwards { RELATED_BACKWARDS } else { RELATED };
    let statements = [Statement::new(sql, related), Statement::new(PAGE_FACTS, [span])];
    let [events, facts] = run(&storage.databases, shard, statements).await?;
    let mut events = events.iter().map(|row| stored_event(row, 0)).collect::<Result<Vec<_>, _>>()?;
    if ask.backwards {
        events.sort_by_key(|event| Reverse(event.seq));
    }
    Ok(EventPage { events, facts: super::timeline::read_facts(&facts) })
}

/// One batch on the room's shard.
pub(crate) async fn load_aggregations<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadAggregations,
) -> Result<Vec<StoredAggregation>, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(Vec::new());
    };
    let [edits, threads, references] = run(&storage.databases, shard, aggregation_reads(&ask)?).await?;
    let mut found = Found::default();
    for row in &edits {
        found.of(row)?.edit = Some(stored_event(row, 1)?);
    }
    for row in &threads {
        let (count, participated) = (row.int(1).unwrap_or(0), row.flag(2));
        found.of(row)?.thread = Some(StoredThread { count, participated, latest: stored_event(row, 3)? });
    }
    for row in &references {
        let references = &mut found.of(row)?.references;
        if references.len() < MOST_REFERENCES {
            references.push(event_id(row, 1)?);
        }
    }
    Ok(found.0.into_values().collect())
}

fn aggregation_reads(ask: &LoadAggregations) -> Result<[Statement; 3], MatrixError> {
    let shared = || -> Result<[Value; 3], MatrixError> {
        Ok([ask.room_id.as_str().into(), json_list(&ask.targets)?, ask.until.0.into()])
    };
    let [room, targets, until] = shared()?;
    let threads = [room, targets, until, ask.user_id.as_str().into(), json_list(&ask.ignored)?];
    let [room, targets, until] = shared()?;
    Ok([
        Statement::new(EDITS, shared()?),
        Statement::new(THREADS_OF, threads),
        Statement::new(REFERENCES, [room, targets, until, json_list(&ask.ignored)?]),
    ])
}

/// Aggregations by the event they belong to, named in the first column of each row.
#[derive(Default)]
struct Found(BTreeMap<OwnedEventId, StoredAggregation>);

impl Found {
    fn of(&mut self, row: &Row) -> Result<&mut StoredAggregation, MatrixError> {
        let target = event_id(row, 0)?;
        let empty = StoredAggregation { target: target.clone(), edit: None, thread: None, references: Vec::new() };
        Ok(self.0.entry(target).or_insert(empty))
    }
}

/// One batch on the room's shard. It reads the index of the room's threads, which is as long as they are.
pub(crate) async fn page_threads<D: Databases>(
    storage: &Storage<'_, D>,
    ask: PageThreads,
) -> Result<ThreadPage, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(ThreadPage::default());
    };
    let (room, user) = (ask.room_id.as_str(), ask.user_id.as_str());
    let known = json_list(&ask.known)?;
    let threads = [
        room.into(),
        ask.before.0.into(),
        ask.until.0.into(),
        known.clone(),
        user.into(),
        ask.participated.into(),
        u64::from(ask.limit).into(),
        json_list(&ask.ignored)?,
    ];
    let span = json_list(&[AskRow(room, user, 0, Some(ask.until.0), 0, true, 0, false, false)])?;
    let statements = [
        Statement::new(THREADS, threads),
        Statement::new(KNOWN_THREADS, [room.into(), known, user.into()]),
        Statement::new(PAGE_FACTS, [span]),
    ];
    let [threads, known, facts] = run(&storage.databases, shard, statements).await?;
    let row = |row: &Row| {
        let (latest, participated) = (RoomSeq(row.int(0).unwrap_or(0)), row.flag(1));
        Ok(ThreadRow { root: stored_event(row, 2)?, latest, participated })
    };
    let threads = threads.iter().chain(&known).map(row).collect::<Result<_, MatrixError>>()?;
    Ok(ThreadPage { threads, facts: super::timeline::read_facts(&facts) })
}

fn event_id(row: &Row, index: usize) -> Result<OwnedEventId, MatrixError> {
    EventId::parse(row.text(index).unwrap_or_default()).map_err(|_| MatrixError::unavailable())
}
