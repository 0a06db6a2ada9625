//! `SyncRooms`: slices of many rooms, in as many statements as for one.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use tern_model::{MatrixError, RoomSeq};
use tern_ports::{
    Row, Value,
    wire::{
        storage::SyncRooms,
        sync::{SyncAsk, SyncRoom, VisibilityFacts},
    },
};

use crate::{
    Storage,
    commands::{
        ask::{AskRow, Pattern},
        state,
    },
    rows::{add_fact, effective_columns, facts, is_over, sizes, span, stored_event, within},
    sql::{Database, Databases, Statement, json_list, run},
};

const HEADS: &str = concat!(span!(), " SELECT i AS i, head AS head, low > after AS limited FROM span");

const TIMELINES: &str = concat!(
    span!(),
    " SELECT s.i AS i, ",
    effective_columns!(),
    " FROM span s CROSS JOIN events e ON e.pos > (s.room << 32) + s.low AND e.pos <= (s.room << 32) + s.high"
);

/// As [`TIMELINES`], within `?3` bytes.
const TIMELINES_WITHIN: &str = concat!(
    span!(),
    ", sized AS (SELECT s.i AS i, ",
    effective_columns!(),
    ", ",
    sizes!("s"),
    " FROM span s CROSS JOIN events e ON e.pos > (s.room << 32) + s.low AND e.pos <= (s.room << 32) + s.high) ",
    within!("")
);

/// Bytes of timelines, and bytes of state, in an answer of several rooms. Rooms that do not fit are as good as unknown: who
/// asks does so again, or does without. One room, and the first of several, is as large as it is.
const MAX_BYTES: u64 = 8 << 20;

/// How much of a shard goes into an answer.
#[derive(Clone, Copy)]
struct Bounds {
    /// Bytes.
    share: u64,
    /// The first ask is the first of all shards.
    first: bool,
}

const FACTS: &str = concat!(span!(), facts!());

/// One batch of four statements on each shard that holds one of the rooms, all shards at once; before that at most one
/// read on GLOBAL for rooms that this isolate has not met.
pub(crate) async fn sync_rooms<D: Databases>(
    storage: &Storage<'_, D>,
    ask: SyncRooms,
) -> Result<Vec<SyncRoom>, MatrixError> {
    let ids: BTreeSet<_> = ask.rooms.iter().map(|room| &*room.room_id).collect();
    let placed = storage.shards.find(&storage.databases, ids).await?;
    let mut by_shard: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (index, room) in ask.rooms.iter().enumerate() {
        if let Some(shard) = placed.get(&room.room_id) {
            by_shard.entry(*shard).or_default().push(index);
        }
    }
    let share = MAX_BYTES / (by_shard.len() as u64).max(1);
    let jobs = by_shard.into_iter().map(async |(shard, members)| {
        let asks = members.iter().filter_map(|index| ask.rooms.get(*index)).collect::<Vec<_>>();
        let bounds = (ask.rooms.len() > 1).then_some(Bounds { share, first: members.first() == Some(&0) });
        let rooms = sync_shard(&storage.databases, Database::Shard(shard), &asks, bounds).await?;
        Ok::<_, MatrixError>(members.into_iter().zip(rooms).collect::<Vec<_>>())
    });
    let mut answers: Vec<_> = ask.rooms.iter().map(unknown_room).collect();
    for (index, room) in try_join_all(jobs).await?.into_iter().flatten() {
        if let Some(answer) = answers.get_mut(index) {
            *answer = room;
        }
    }
    Ok(answers)
}

async fn sync_shard(
    databases: &impl Databases,
    shard: Database,
    asks: &[&SyncAsk],
    bounds: Option<Bounds>,
) -> Result<Vec<SyncRoom>, MatrixError> {
    let mut patterns = PatternSets::default();
    let rows: Vec<_> = asks.iter().map(|ask| ask_row(ask, &mut patterns)).collect();
    let rows = json_list(&rows)?;
    let patterns = json_list(&patterns.sets)?;
    let (timelines, states) = match bounds {
        None => (Statement::new(TIMELINES, [rows.clone()]), Statement::new(state::STATES, [rows.clone(), patterns])),
        Some(Bounds { share, first }) => {
            let first = Value::Int(if first { 0 } else { -1 });
            // Both take four parameters, of which the first has no use for the second.
            let params = || [rows.clone(), patterns.clone(), share.into(), first.clone()];
            (Statement::new(TIMELINES_WITHIN, params()), Statement::new(state::STATES_WITHIN, params()))
        }
    };
    let statements = [Statement::new(HEADS, [rows.clone()]), timelines, states, Statement::new(FACTS, [rows])];
    let answer = run(databases, shard, statements).await?;
    let mut rooms: Vec<_> = asks.iter().map(|ask| unknown_room(ask)).collect();
    fill(&mut rooms, &answer)?;
    Ok(rooms)
}

/// Hands each row to the room whose index is in its first column.
fn fill(rooms: &mut [SyncRoom], [heads, timelines, states, facts]: &[Vec<Row>; 4]) -> Result<(), MatrixError> {
    for row in heads {
        if let Some(room) = room_of(rooms, row) {
            room.through = RoomSeq(row.int(1).unwrap_or(0));
            room.limited = row.flag(2);
        }
    }
    for row in timelines.iter().filter(|row| !is_over(row, 1)) {
        if let Some(room) = room_of(rooms, row) {
            room.timeline.push(stored_event(row, 1)?);
        }
    }
    for row in states.iter().filter(|row| !is_over(row, 1)) {
        if let Some(room) = room_of(rooms, row) {
            room.state.push(state::state_event(row)?);
        }
    }
    for row in timelines.iter().chain(states).filter(|row| is_over(row, 1)) {
        if let Some(room) = room_of(rooms, row) {
            (room.through, room.over) = (RoomSeq(0), true);
            (room.timeline, room.state) = Default::default();
        }
    }
    for row in facts {
        if let Some(room) = room_of(rooms, row) {
            add_fact(&mut room.facts, row);
        }
    }
    for room in rooms {
        room.timeline.sort_by_key(|event| event.seq);
        room.state.sort_by_key(|event| event.seq);
    }
    Ok(())
}

fn room_of<'a>(rooms: &'a mut [SyncRoom], row: &Row) -> Option<&'a mut SyncRoom> {
    rooms.get_mut(usize::try_from(row.int(0)?).ok()?)
}

fn ask_row<'a>(ask: &'a SyncAsk, patterns: &mut PatternSets) -> AskRow<'a> {
    AskRow(
        ask.room_id.as_str(),
        ask.user_id.as_str(),
        ask.after.unwrap_or_default().0,
        ask.until.map(|until| until.0),
        u64::from(ask.limit),
        false,
        patterns.index_of(&ask.state, &ask.members),
        ask.lazy,
        ask.replaced,
    )
}

/// Types with state keys, and members, as a question names them.
type Asked = (Vec<(String, String)>, Vec<String>);

/// The sets of patterns asked for, each once: most rooms of a list ask for the same one.
#[derive(Default)]
struct PatternSets {
    sets: Vec<Vec<Pattern>>,
    known: BTreeMap<Asked, usize>,
}

impl PatternSets {
    fn index_of(&mut self, wanted: &[(String, String)], members: &[String]) -> usize {
        let asked = (wanted.to_vec(), members.to_vec());
        if let Some(index) = self.known.get(&asked) {
            return *index;
        }
        let index = self.sets.len();
        let wanted = wanted.iter().map(|(kind, key)| Pattern::with_wildcards(kind, key));
        self.sets.push(wanted.chain(members.iter().map(|user_id| Pattern::member(user_id))).collect());
        self.known.insert(asked, index);
        index
    }
}

fn unknown_room(ask: &SyncAsk) -> SyncRoom {
    SyncRoom {
        room_id: ask.room_id.clone(),
        through: RoomSeq(0),
        timeline: Vec::new(),
        limited: false,
        state: Vec::new(),
        facts: VisibilityFacts::default(),
        summary: None,
        over: false,
    }
}
