//! `SearchEvents`: what was said in unencrypted rooms, by the index `search`, which `AppendEvents` fills.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use ruma::{EventId, OwnedRoomId};
use tern_model::{MatrixError, Millis, RoomSeq};
use tern_ports::{
    Row,
    wire::{
        search::{MatchedEvent, Matches, SearchEvents},
        sync::VisibilityFacts,
    },
};

use crate::{
    Storage,
    commands::{ask::AskRow, timeline::PAGE_FACTS},
    rows::add_fact,
    sql::{Database, Databases, Statement, json_list, run},
};

/// Event types of which some text can be searched for; the view `searchable` says which.
pub(crate) fn is_searched(kind: &str) -> bool {
    matches!(kind, "m.room.message" | "m.room.name" | "m.room.topic")
}

/// The newest events of each room of the list `?1` that match `?2`; then the newest of all. `?3` are the types, `?4` the
/// senders or `null`, `?5` other senders, `?6` asks for a URL or none or is `null`, `?7` is the latest time or `null`, `?8`
/// the limit, `?9` the types of relations or `null`, `?10` other ones. A room is one range of the index's row ids, read from its end.
const MATCHES: &str = "WITH room AS MATERIALIZED (\
       SELECT a.key AS i, r.num AS num FROM json_each(?1) a CROSS JOIN rooms r ON r.room_id = a.value \
       WHERE NOT EXISTS (SELECT 1 FROM state_deltas d \
         WHERE d.room = r.num AND d.kind = 'm.room.encryption' AND d.state_key = '')\
     ), hit AS MATERIALIZED (\
       SELECT room.i AS i, h.value AS pos FROM room CROSS JOIN json_each((\
         SELECT json_group_array(pos) FROM (\
           SELECT s.rowid AS pos FROM search s CROSS JOIN events e ON e.pos = s.rowid \
           WHERE search MATCH ?2 AND s.rowid > (room.num << 32) AND s.rowid < ((room.num + 1) << 32) \
           AND e.kind IN (SELECT value FROM json_each(?3)) \
           AND (?4 IS NULL OR e.sender IN (SELECT value FROM json_each(?4))) \
           AND e.sender NOT IN (SELECT value FROM json_each(?5)) \
           AND (?6 IS NULL OR ?6 = (e.pdu ->> '$.content.url' IS NOT NULL)) \
           AND (?7 IS NULL OR e.ts <= ?7) \
           AND (?9 IS NULL OR e.rel_type IN (SELECT value FROM json_each(?9))) \
           AND (e.rel_type IS NULL OR e.rel_type NOT IN (SELECT value FROM json_each(?10))) \
           ORDER BY s.rowid DESC LIMIT ?8))) h\
     ) \
     SELECT hit.i AS i, e.pos & 4294967295 AS seq, e.event_id AS event_id, e.kind AS kind, e.sender AS sender, \
            e.state_key AS state_key, e.ts AS ts, \
            substr((SELECT words FROM searchable w WHERE w.pos = hit.pos), 1, 4000) AS words \
     FROM hit CROSS JOIN events e ON e.pos = hit.pos ORDER BY e.ts DESC, e.event_id DESC LIMIT ?8";

/// At most two batches on each shard that holds one of the rooms, all shards at once.
pub(crate) async fn search_events<D: Databases>(
    storage: &Storage<'_, D>,
    ask: SearchEvents,
) -> Result<Matches, MatrixError> {
    let rooms = ask.rooms.iter().map(|room_id| &**room_id).collect();
    let mut by_shard: BTreeMap<u8, Vec<OwnedRoomId>> = BTreeMap::new();
    for (room_id, shard) in storage.shards.find(&storage.databases, rooms).await? {
        by_shard.entry(shard).or_default().push(room_id);
    }
    let jobs =
        by_shard.iter().map(|(shard, rooms)| search_shard(&storage.databases, Database::Shard(*shard), rooms, &ask));
    let mut found = Matches { events: Vec::new(), facts: Vec::new() };
    for mut part in try_join_all(jobs).await? {
        found.events.append(&mut part.events);
        found.facts.append(&mut part.facts);
    }
    found.events.sort_by(|a, b| (b.ts, &b.event_id).cmp(&(a.ts, &a.event_id)));
    found.events.truncate(ask.limit as usize);
    Ok(found)
}

async fn search_shard(
    databases: &impl Databases,
    shard: Database,
    rooms: &[OwnedRoomId],
    ask: &SearchEvents,
) -> Result<Matches, MatrixError> {
    let senders = ask.senders.as_ref().map(json_list).transpose()?;
    let rel_types = ask.rel_types.as_ref().map(json_list).transpose()?;
    let params = [
        json_list(rooms)?,
        query(&ask.words).into(),
        json_list(&ask.kinds)?,
        senders.unwrap_or(tern_ports::Value::Null),
        json_list(&ask.not_senders)?,
        ask.with_url.into(),
        ask.until.map(|until| until.0).into(),
        u64::from(ask.limit).into(),
        rel_types.unwrap_or(tern_ports::Value::Null),
        json_list(&ask.not_rel_types)?,
    ];
    let [rows] = run(databases, shard, [Statement::new(MATCHES, params)]).await?;
    let event = |row: &Row| matched(row, rooms, &ask.words).ok_or_else(MatrixError::unavailable);
    let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    let hit: BTreeSet<&OwnedRoomId> = events.iter().map(|event| &event.room_id).collect();
    let facts = facts(databases, shard, &hit.into_iter().cloned().collect::<Vec<_>>(), ask).await?;
    Ok(Matches { events, facts })
}

/// The user's visibility facts of whole rooms: what was found may be anywhere in them.
async fn facts(
    databases: &impl Databases,
    shard: Database,
    rooms: &[OwnedRoomId],
    ask: &SearchEvents,
) -> Result<Vec<(OwnedRoomId, VisibilityFacts)>, MatrixError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let user = ask.user_id.as_str();
    let spans = rooms.iter().map(|room_id| AskRow(room_id.as_str(), user, 0, None, 0, true, 0, false, false));
    let spans = json_list(&spans.collect::<Vec<_>>())?;
    let [rows] = run(databases, shard, [Statement::new(PAGE_FACTS, [spans])]).await?;
    let mut facts: Vec<_> = rooms.iter().map(|room_id| (room_id.clone(), VisibilityFacts::default())).collect();
    for row in &rows {
        let index = row.int(0).and_then(|index| usize::try_from(index).ok());
        if let Some((_, facts)) = index.and_then(|index| facts.get_mut(index)) {
            add_fact(facts, row);
        }
    }
    Ok(facts)
}

fn matched(row: &Row, rooms: &[OwnedRoomId], words: &[String]) -> Option<MatchedEvent> {
    let text = row.text(7).unwrap_or_default();
    Some(MatchedEvent {
        room_id: rooms.get(usize::try_from(row.int(0)?).ok()?)?.clone(),
        seq: RoomSeq(row.int(1)?),
        event_id: EventId::parse(row.text(2)?).ok()?,
        kind: row.string(3)?,
        sender: row.string(4)?,
        state_key: row.string(5),
        ts: Millis(row.int(6)?),
        score: score(text, words),
    })
}

/// The words in the language of FTS5: all of them, each taken literally.
fn query(words: &[String]) -> String {
    let literal = |word: &String| format!("\"{}\"", word.replace('"', "\"\""));
    words.iter().map(literal).collect::<Vec<_>>().join(" ")
}

/// How well a text matches: BM25 without its weights for rare words, which would change with every message anywhere, and a
/// page of results with them. In thousandths.
fn score(text: &str, words: &[String]) -> u32 {
    /// Words of a usual message.
    const USUAL: usize = 12;
    let said = tokens(text);
    // k1 = 1.2 and b = 0.75, as FTS5 has them, in thousandths.
    let damping = 300 + 900 * said.len().min(1_000) / USUAL;
    let weigh = |word: &String| {
        let wanted = tokens(word);
        let times = said.windows(wanted.len().max(1)).filter(|run| *run == wanted).count().max(1);
        2_200 * 1_000 * times / (1_000 * times + damping)
    };
    u32::try_from(words.iter().map(weigh).sum::<usize>()).unwrap_or(u32::MAX)
}

fn tokens(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
