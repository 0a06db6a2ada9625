//! `PageEvents` and `LoadEvent`: reading a room's history.

use std::cmp::Reverse;

use futures::future::try_join_all;
use ruma::{EventId, OwnedRoomId, RoomId};
use tern_model::{MatrixError, RoomSeq, StoredEvent};
use tern_ports::{
    Row,
    wire::{
        places::LocateEvent,
        relations::FindByTime,
        storage::{AuthLink, EventPage, LoadAuthChain, LoadEvent, LoadEvents, LoadedEvent, PageEvents},
        sync::VisibilityFacts,
    },
};

use crate::{
    Storage,
    commands::ask::AskRow,
    rows::{add_fact, event_columns, facts, span, stored_event},
    sql::{Database, Databases, Statement, json_list, run},
};

/// Bytes of events after which a page ends; the first is on it, however large.
const PAGE_BYTES: u64 = 2 << 20;

/// The events of a range in one order, within `?2` bytes.
macro_rules! page {
    ($order:literal) => {
        concat!(
            span!(),
            " SELECT seq AS seq, event_id AS event_id, kind AS kind, sender AS sender, state_key AS state_key, ts AS ts, \
               pdu AS pdu, unsigned AS unsigned, txn AS txn FROM (SELECT ",
            event_columns!(),
            ", row_number() OVER place AS place, \
               sum(length(CAST(e.pdu AS BLOB)) + coalesce(length(CAST(e.unsigned AS BLOB)), 0)) OVER place AS bytes \
             FROM span s CROSS JOIN events e ON e.pos > (s.room << 32) + s.low AND e.pos <= (s.room << 32) + s.high \
             WINDOW place AS (ORDER BY e.pos",
            $order,
            ")) WHERE bytes <= ?2 OR place = 1"
        )
    };
}

const PAGE: &str = page!("");

const PAGE_BACKWARDS: &str = page!(" DESC");

pub(crate) const PAGE_FACTS: &str = concat!(span!(), facts!());

/// `?1` is the event, `?2` the room it must be in.
const EVENT: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e CROSS JOIN rooms r ON r.num = e.pos >> 32 WHERE e.event_id = ?1 AND r.room_id = ?2"
);

/// The events in `?1`, in the room `?2`.
const EVENTS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM json_each(?1) j CROSS JOIN events e ON e.event_id = j.value CROSS JOIN rooms r ON r.num = e.pos >> 32 \
     WHERE r.room_id = ?2"
);

/// As [`EVENT`]; `?3` is the user.
const EVENT_FACTS: &str = concat!(
    "WITH span AS MATERIALIZED (\
       SELECT 0 AS i, r.num AS room, ?3 AS user_id, (e.pos & 4294967295) - 1 AS low \
       FROM events e CROSS JOIN rooms r ON r.num = e.pos >> 32 WHERE e.event_id = ?1 AND r.room_id = ?2\
     )",
    facts!()
);

/// `?1` is the event.
const ROOM_OF: &str =
    "SELECT r.room_id AS room_id FROM events e CROSS JOIN rooms r ON r.num = e.pos >> 32 WHERE e.event_id = ?1";

/// The state event that took the place of event `?1` of room `?2`: the next delta of its type and state key.
const SUCCESSOR: &str = concat!(
    "WITH old AS MATERIALIZED (\
       SELECT d.room AS room, d.kind AS kind, d.state_key AS state_key, d.pos AS pos \
       FROM events e CROSS JOIN rooms r ON r.num = e.pos >> 32 CROSS JOIN state_deltas d \
         ON d.room = r.num AND d.kind = e.kind AND d.state_key = e.state_key AND d.pos = e.pos \
       WHERE e.event_id = ?1 AND r.room_id = ?2\
     ) \
     SELECT ",
    event_columns!(),
    " FROM old o CROSS JOIN events e ON e.pos = (SELECT d.pos FROM state_deltas d \
       WHERE d.room = o.room AND d.kind = o.kind AND d.state_key = o.state_key AND d.pos > o.pos \
       AND d.event IS NULL ORDER BY d.pos LIMIT 1)"
);

/// From the events in `?2`, of room `?1`, along `auth_events`, whichever form the room's version gives them; at most `?3`.
const AUTH_CHAIN: &str = "WITH RECURSIVE chain (event_id) AS (\
       SELECT value FROM json_each(?2) \
       UNION \
       SELECT iif(a.type = 'array', a.value ->> 0, a.value) \
       FROM chain c CROSS JOIN events e ON e.event_id = c.event_id CROSS JOIN rooms r ON r.num = e.pos >> 32 \
       CROSS JOIN json_each(e.pdu, '$.auth_events') a WHERE r.room_id = ?1 \
       LIMIT ?3\
     ) \
     SELECT e.event_id AS event_id, (SELECT json_group_array(iif(a.type = 'array', a.value ->> 0, a.value)) \
       FROM json_each(e.pdu, '$.auth_events') a) AS auth \
     FROM chain c CROSS JOIN events e ON e.event_id = c.event_id CROSS JOIN rooms r ON r.num = e.pos >> 32 \
     WHERE r.room_id = ?1";

/// Halves the room's timeline until the first event not older than `?2` is found: `high`, or one beyond the end.
const BY_TIME: &str = "WITH RECURSIVE room AS MATERIALIZED (\
       SELECT r.num AS num, coalesce((SELECT e.pos & 4294967295 FROM events e \
         WHERE e.pos > (r.num << 32) AND e.pos < ((r.num + 1) << 32) ORDER BY e.pos DESC LIMIT 1), 0) AS head \
       FROM rooms r WHERE r.room_id = ?1\
     ), half(low, high) AS (\
       SELECT 0, head + 1 FROM room \
       UNION ALL \
       SELECT iif(e.ts < ?2, (h.low + h.high) / 2, h.low), iif(e.ts < ?2, h.high, (h.low + h.high) / 2) \
       FROM half h CROSS JOIN room CROSS JOIN events e ON e.pos = (room.num << 32) + (h.low + h.high) / 2 \
       WHERE h.high - h.low > 1\
     ) \
     SELECT h.high AS seq FROM half h CROSS JOIN room WHERE h.high - h.low = 1 AND h.high <= room.head";

/// One batch on the room's shard; an empty page for a room that is not stored.
pub(crate) async fn page_events<D: Databases>(
    storage: &Storage<'_, D>,
    ask: PageEvents,
) -> Result<EventPage, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(EventPage { events: Vec::new(), facts: VisibilityFacts::default() });
    };
    let (room, user, oldest_first) = (ask.room_id.as_str(), ask.user_id.as_str(), !ask.backwards);
    let (after, until, limit) = (ask.after.0, Some(ask.until.0), u64::from(ask.limit));
    let row = json_list(&[AskRow(room, user, after, until, limit, oldest_first, 0, false, false)])?;
    let page = Statement::new(if ask.backwards { PAGE_BACKWARDS } else { PAGE }, [row.clone(), PAGE_BYTES.into()]);
    let statements = [page, Statement::new(PAGE_FACTS, [row])];
    let [events, facts] = run(&storage.databases, shard, statements).await?;
    let mut events = events.iter().map(|row| stored_event(row, 0)).collect::<Result<Vec<_>, _>>()?;
    if ask.backwards {
        events.sort_by_key(|event| Reverse(event.seq));
    } else {
        events.sort_by_key(|event| event.seq);
    }
    Ok(EventPage { events, facts: read_facts(&facts) })
}

/// One batch on the room's shard.
pub(crate) async fn load_event<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadEvent,
) -> Result<Option<LoadedEvent>, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(None);
    };
    let (event, room, user) = (ask.event_id.as_str(), ask.room_id.as_str(), ask.user_id.as_str());
    let statements = [
        Statement::new(EVENT, [event.into(), room.into()]),
        Statement::new(EVENT_FACTS, [event.into(), room.into(), user.into()]),
        Statement::new(SUCCESSOR, [event.into(), room.into()]),
    ];
    let [events, facts, successor] = run(&storage.databases, shard, statements).await?;
    let Some(row) = events.first() else { return Ok(None) };
    let successor = successor.first().map(|row| stored_event(row, 0)).transpose()?;
    Ok(Some(LoadedEvent { event: stored_event(row, 0)?, facts: read_facts(&facts), successor }))
}

/// One read on the room's shard.
pub(crate) async fn load_events<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadEvents,
) -> Result<Vec<StoredEvent>, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(Vec::new());
    };
    let load = Statement::new(EVENTS, [json_list(&ask.event_ids)?, ask.room_id.as_str().into()]);
    let [rows] = run(&storage.databases, shard, [load]).await?;
    rows.iter().map(|row| stored_event(row, 0)).collect()
}

/// One read on each shard, all at once: an event's id does not tell its room.
pub(crate) async fn locate_event<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LocateEvent,
) -> Result<Option<OwnedRoomId>, MatrixError> {
    let event = ask.event_id.as_str();
    let find = |shard| run(&storage.databases, Database::Shard(shard), [Statement::new(ROOM_OF, [event.into()])]);
    let found = try_join_all((0..storage.databases.shards()).map(find)).await?;
    Ok(found.iter().flatten().flatten().find_map(|row| RoomId::parse(row.text(0)?).ok()))
}

/// One read on the room's shard. The room number goes with the walk, so that it does not leave the room.
pub(crate) async fn load_auth_chain<D: Databases>(
    storage: &Storage<'_, D>,
    ask: LoadAuthChain,
) -> Result<Vec<AuthLink>, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(Vec::new());
    };
    let (room, events) = (ask.room_id.as_str(), json_list(&ask.events)?);
    let walk = Statement::new(AUTH_CHAIN, [room.into(), events, u64::from(ask.limit).into()]);
    let [rows] = run(&storage.databases, shard, [walk]).await?;
    let link = |row: &Row| {
        let cited: Vec<String> = serde_json::from_str(row.text(1)?).ok()?;
        Some(AuthLink {
            event_id: EventId::parse(row.text(0)?).ok()?,
            auth: cited.into_iter().map(|id| EventId::parse(id).ok()).collect::<Option<_>>()?,
        })
    };
    rows.iter().map(|row| link(row).ok_or_else(MatrixError::unavailable)).collect()
}

/// One read on the room's shard.
pub(crate) async fn find_by_time<D: Databases>(
    storage: &Storage<'_, D>,
    ask: FindByTime,
) -> Result<Option<RoomSeq>, MatrixError> {
    let Some(shard) = storage.shards.find_one(&storage.databases, &ask.room_id).await? else {
        return Ok(None);
    };
    let find = Statement::new(BY_TIME, [ask.room_id.as_str().into(), ask.ts.0.into()]);
    let [rows] = run(&storage.databases, shard, [find]).await?;
    Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
}

pub(crate) fn read_facts(rows: &[Row]) -> VisibilityFacts {
    let mut facts = VisibilityFacts::default();
    for row in rows {
        add_fact(&mut facts, row);
    }
    facts
}
