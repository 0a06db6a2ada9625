//! `AppendEvents`: a room's journal becomes its history.

use std::collections::BTreeMap;

use ruma::OwnedEventId;
use serde::Serialize;
use tern_model::{MatrixError, RawJson, RoomSeq};
use tern_ports::wire::storage::{AppendEvent, AppendEvents, Appended, Redaction};

use crate::{
    Storage,
    commands::{directory, search},
    sql::{Database, Databases, Statement, json_list, run, run_all},
};

/// Bytes of event text in one parameter; a parameter may have two million.
const CHUNK_BYTES: usize = 800_000;

/// `room`: its number and head. Every write below is guarded by it, so an event that is stored already changes nothing and
/// one that would leave a gap is not stored. `?1` is the room, `?2` the events, `?3` the position of the first of them.
macro_rules! room {
    () => {
        "WITH room AS MATERIALIZED (\
           SELECT r.num AS num, coalesce((SELECT e.pos & 4294967295 FROM events e \
             WHERE e.pos > (r.num << 32) AND e.pos < ((r.num + 1) << 32) ORDER BY e.pos DESC LIMIT 1), 0) AS head \
           FROM rooms r WHERE r.room_id = ?1\
         )"
    };
}

const ADD_ROOM: &str = "INSERT INTO rooms (room_id) VALUES (?1) ON CONFLICT DO NOTHING";

const REDACT: &str = concat!(
    room!(),
    ", hit AS MATERIALIZED (\
       SELECT e.pos AS pos, j.value ->> 2 AS pdu, j.value ->> 3 AS unsigned \
       FROM room CROSS JOIN json_each(?2) j CROSS JOIN events e ON e.event_id = j.value ->> 1 \
       WHERE e.pos >> 32 = room.num AND j.value ->> 0 > room.head AND ?3 <= room.head + 1\
     ) \
     UPDATE events SET pdu = hit.pdu, unsigned = hit.unsigned FROM hit WHERE events.pos = hit.pos"
);

const ADD_STATE: &str = concat!(
    room!(),
    " INSERT INTO state_deltas (room, kind, state_key, pos) \
     SELECT room.num, j.value ->> 2, j.value ->> 4, (room.num << 32) + (j.value ->> 0) \
     FROM room CROSS JOIN json_each(?2) j \
     WHERE j.value ->> 9 AND j.value ->> 0 > room.head AND ?3 <= room.head + 1"
);

/// What state resolution changed with an event.
const ADD_RESOLUTIONS: &str = concat!(
    room!(),
    " INSERT INTO state_deltas (room, kind, state_key, pos, event) \
     SELECT room.num, j.value ->> 1, j.value ->> 2, (room.num << 32) + (j.value ->> 0), \
            iif(j.value ->> 3 > 0, (room.num << 32) + (j.value ->> 3), 0) \
     FROM room CROSS JOIN json_each(?2) j \
     WHERE j.value ->> 0 > room.head AND ?3 <= room.head + 1"
);

/// An id may be another room's: in rooms of versions 1 and 2 servers make ids up, each under its own name. The event is then kept under
/// another one of its server, so that neither room waits for the other.
const ADD_EVENTS: &str = concat!(
    room!(),
    " INSERT INTO events (pos, event_id, kind, sender, state_key, ts, pdu, unsigned, txn) \
     SELECT (room.num << 32) + (j.value ->> 0), \
            iif(EXISTS (SELECT 1 FROM events t WHERE t.event_id = j.value ->> 1 AND t.pos >> 32 <> room.num), \
                '$' || ((room.num << 32) + (j.value ->> 0)) || substr(j.value ->> 1, instr(j.value ->> 1, ':')), \
                j.value ->> 1), j.value ->> 2, j.value ->> 3, j.value ->> 4, \
            j.value ->> 5, j.value ->> 6, j.value ->> 7, j.value ->> 8 \
     FROM room CROSS JOIN json_each(?2) j \
     WHERE j.value ->> 0 > room.head AND ?3 <= room.head + 1"
);

/// Takes the words of redacted events out of the index, while the events still have them; before `REDACT`, with the same
/// parameters. An event that is rewritten without losing its words stays.
const UNINDEX: &str = concat!(
    room!(),
    ", gone AS MATERIALIZED (\
       SELECT e.pos AS pos, e.words AS words \
       FROM room CROSS JOIN json_each(?2) j CROSS JOIN searchable e ON e.event_id = j.value ->> 1 \
       CROSS JOIN search_docsize d ON d.id = e.pos \
       WHERE e.pos >> 32 = room.num AND j.value ->> 0 > room.head AND ?3 <= room.head + 1 \
       AND coalesce(j.value ->> 2 ->> '$.content.body', j.value ->> 2 ->> '$.content.name', \
                    j.value ->> 2 ->> '$.content.topic') IS NULL\
     ) \
     INSERT INTO search (search, rowid, words) SELECT 'delete', pos, words FROM gone"
);

/// The words of events, unless the room is encrypted; before `ADD_EVENTS`, with the same parameters.
const INDEX: &str = concat!(
    room!(),
    ", said AS MATERIALIZED (\
       SELECT (room.num << 32) + (j.value ->> 0) AS pos, j.value ->> 6 ->> CASE j.value ->> 2 \
         WHEN 'm.room.message' THEN '$.content.body' \
         WHEN 'm.room.name' THEN '$.content.name' \
         WHEN 'm.room.topic' THEN '$.content.topic' END AS words \
       FROM room CROSS JOIN json_each(?2) j WHERE j.value ->> 0 > room.head AND ?3 <= room.head + 1 \
       AND NOT EXISTS (SELECT 1 FROM state_deltas d \
         WHERE d.room = room.num AND d.kind = 'm.room.encryption' AND d.state_key = '')\
     ) \
     INSERT INTO search (rowid, words) SELECT pos, words FROM said WHERE words IS NOT NULL"
);

/// Takes all words of room `?1` out of the index when it is encrypted.
const CLOSE: &str = "WITH gone AS MATERIALIZED (\
       SELECT e.pos AS pos, e.words AS words \
       FROM rooms r CROSS JOIN search_docsize d ON d.id > (r.num << 32) AND d.id < ((r.num + 1) << 32) \
       CROSS JOIN searchable e ON e.pos = d.id \
       WHERE r.room_id = ?1 AND EXISTS (SELECT 1 FROM state_deltas d \
         WHERE d.room = r.num AND d.kind = 'm.room.encryption' AND d.state_key = '')\
     ) \
     INSERT INTO search (search, rowid, words) SELECT 'delete', pos, words FROM gone";

/// Deleted words are wiped out of the index's pages at once, which costs fifty times as much. Those of a room that becomes
/// encrypted are not, because they are many and its history keeps them. Literals: D1 hands every number over as a real one.
const WIPE: &str = "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)";
const LEAVE: &str = "INSERT INTO search (search, rank) VALUES ('secure-delete', 0)";

const HEAD: &str = concat!(room!(), " SELECT head AS head FROM room");

/// An event as `ADD_EVENTS` and `ADD_STATE` read it: position, id, type, sender, state key, time, PDU, unsigned,
/// transaction, became state.
#[derive(Serialize)]
struct EventRow<'a>(
    RoomSeq,
    &'a str,
    &'a str,
    &'a str,
    Option<&'a str>,
    u64,
    &'a str,
    Option<&'a str>,
    Option<String>,
    bool,
);

/// A resolution change as `ADD_RESOLUTIONS` reads it: position, type, state key, position of the event or zero.
#[derive(Serialize)]
struct ResolutionRow<'a>(RoomSeq, &'a str, &'a str, RoomSeq);

/// A redaction as `REDACT` reads it: position of the redacting event, redacted event, PDU, unsigned.
#[derive(Serialize)]
struct RedactionRow<'a>(RoomSeq, &'a str, &'a str, Option<&'a str>);

/// One atomic batch on the room's shard, after at most one batch on GLOBAL for a room that this isolate has not met.
pub(crate) async fn append_events<D: Databases>(
    storage: &Storage<'_, D>,
    mut ask: AppendEvents,
) -> Result<Appended, MatrixError> {
    keep_unbroken(&mut ask.events);
    let starts_room = ask.events.first().is_some_and(|first| first.event.seq == RoomSeq(1));
    let shard = if starts_room {
        Some(storage.shards.place(&storage.databases, &ask.room_id, &ask.room_version).await?)
    } else {
        storage.shards.find_one(&storage.databases, &ask.room_id).await?
    };
    // A room that nobody has placed: the caller starts again from its first event.
    let Some(shard) = shard else { return Ok(Appended { through: RoomSeq(0) }) };
    // First what the room shows: if the events fail after it, the caller sends both again.
    if let Some(facts) = &ask.facts {
        run(&storage.databases, Database::Global, [directory::publish(&ask.room_id, facts)?]).await?;
    }
    let rows = run_all(&storage.databases, shard, statements(&ask, starts_room)?).await?;
    let head = rows.last().and_then(|rows| rows.first()).and_then(|row| row.int(0));
    Ok(Appended { through: RoomSeq(head.unwrap_or(0)) })
}

fn statements(ask: &AppendEvents, starts_room: bool) -> Result<Vec<Statement>, MatrixError> {
    let room_id = || ask.room_id.as_str().into();
    let mut statements = Vec::new();
    if starts_room {
        statements.push(Statement::new(ADD_ROOM, [room_id()]));
    }
    let redactions = redactions_within(&ask.events);
    for chunk in chunks(&ask.events) {
        let Some(first) = chunk.first().map(|first| first.event.seq.0) else { continue };
        // Events last: the guards of the others look at the head before it moves.
        // By event: of several that rewrite the same one, the last holds.
        let rewritten: BTreeMap<_, _> = chunk.iter().flat_map(redaction_rows).map(|row| (row.1, row)).collect();
        if !rewritten.is_empty() {
            let rewritten: Vec<_> = rewritten.into_values().collect();
            let rewritten = json_list(&rewritten)?;
            statements.push(Statement::new(UNINDEX, [room_id(), rewritten.clone(), first.into()]));
            statements.push(Statement::new(REDACT, [room_id(), rewritten, first.into()]));
        }
        let rows: Vec<_> = chunk.iter().map(|event| event_row(event, &redactions)).collect();
        let rows = json_list(&rows)?;
        if chunk.iter().any(|event| event.is_state) {
            statements.push(Statement::new(ADD_STATE, [room_id(), rows.clone(), first.into()]));
        }
        let resolutions: Vec<_> = chunk.iter().flat_map(resolution_rows).collect();
        let encrypts = resolutions.iter().any(|resolution| resolution.1 == "m.room.encryption");
        if !resolutions.is_empty() {
            statements.push(Statement::new(ADD_RESOLUTIONS, [room_id(), json_list(&resolutions)?, first.into()]));
        }
        let has = |wanted: fn(&str) -> bool| chunk.iter().any(|event| wanted(&event.event.kind));
        if encrypts || has(|kind| kind == "m.room.encryption") {
            let close = Statement::new(CLOSE, [room_id()]);
            statements.extend([Statement::new(LEAVE, []), close, Statement::new(WIPE, [])]);
        }
        if has(search::is_searched) {
            statements.push(Statement::new(INDEX, [room_id(), rows.clone(), first.into()]));
        }
        statements.push(Statement::new(ADD_EVENTS, [room_id(), rows, first.into()]));
    }
    statements.push(Statement::new(HEAD, [room_id()]));
    Ok(statements)
}

/// Drops what comes after a gap in the list itself; the answer makes the caller send it again.
fn keep_unbroken(events: &mut Vec<AppendEvent>) {
    let follows = |pair: &[AppendEvent]| matches!(pair, [one, two] if two.event.seq == one.event.seq.next());
    if let Some(gap) = events.windows(2).position(|pair| !follows(pair)) {
        events.truncate(gap + 1);
    }
}

/// Redactions by the event they redact. An event that is redacted in the same append is stored redacted.
fn redactions_within(events: &[AppendEvent]) -> BTreeMap<&OwnedEventId, &Redaction> {
    let redactions = events.iter().filter_map(|event| event.redaction.as_ref());
    redactions.flat_map(with_copies).map(|redaction| (&redaction.event_id, redaction)).collect()
}

/// The redacted event, and those that carried a copy of what it said.
fn with_copies(redaction: &Redaction) -> impl Iterator<Item = &Redaction> {
    std::iter::once(redaction).chain(&redaction.also)
}

fn redaction_rows(event: &AppendEvent) -> impl Iterator<Item = RedactionRow<'_>> {
    event.redaction.iter().flat_map(with_copies).map(|becomes| {
        let unsigned = becomes.unsigned.as_ref().map(RawJson::text);
        RedactionRow(event.event.seq, becomes.event_id.as_str(), becomes.pdu.text(), unsigned)
    })
}

fn resolution_rows(append: &AppendEvent) -> impl Iterator<Item = ResolutionRow<'_>> {
    append.resolutions.iter().map(|resolution| {
        ResolutionRow(append.event.seq, &resolution.kind, &resolution.state_key, resolution.event.unwrap_or_default())
    })
}

fn event_row<'a>(append: &'a AppendEvent, redactions: &BTreeMap<&OwnedEventId, &'a Redaction>) -> EventRow<'a> {
    let event = &append.event;
    let (pdu, unsigned) = match redactions.get(&event.event_id) {
        Some(redaction) => (&redaction.pdu, &redaction.unsigned),
        None => (&event.pdu, &event.unsigned),
    };
    EventRow(
        event.seq,
        event.event_id.as_str(),
        &event.kind,
        &event.sender,
        event.state_key.as_deref(),
        event.ts.0,
        pdu.text(),
        unsigned.as_ref().map(RawJson::text),
        event.txn.as_ref().and_then(|txn| serde_json::to_string(txn).ok()),
        append.is_state && event.state_key.is_some(),
    )
}

/// Cuts the list so that each part fits into one parameter.
fn chunks(events: &[AppendEvent]) -> Vec<&[AppendEvent]> {
    let size = |event: &AppendEvent| {
        let unsigned = event.event.unsigned.as_ref().map_or(0, |json| json.text().len());
        let copies = event.redaction.iter().flat_map(with_copies);
        let redaction: usize =
            copies.map(|copy| copy.pdu.text().len() + copy.unsigned.as_ref().map_or(0, |json| json.text().len())).sum();
        event.event.pdu.text().len() + unsigned + redaction + 500 + 600 * event.resolutions.len()
    };
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        if index > start && bytes + size(event) > CHUNK_BYTES {
            chunks.extend(events.get(start..index));
            (start, bytes) = (index, 0);
        }
        bytes += size(event);
    }
    chunks.extend(events.get(start..));
    chunks
}
