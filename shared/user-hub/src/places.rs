//! Where rooms were at positions of the user's stream, and what stands beside them.

use ruma::{OwnedRoomId, RoomId};
use tern_model::{MatrixError, RawJson, RoomSeq, StreamPos};
use tern_ports::{
    ObjectHost, Sql as _, SqlError, WaitingPolls,
    wire::places::{Beside, FindPlaces, FindRecent, Place, ReadBeside},
};
use tern_sync::AccountData;

use super::{
    UserActor,
    store::{account_data, inbox, places},
};

/// Positions looked for at once.
const MOST_POSITIONS: usize = 2;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn find_places(&self, command: &FindPlaces) -> Result<Vec<Place>, MatrixError> {
        let at = command.at.iter().take(MOST_POSITIONS);
        at.map(|at| Ok(self.place_at(&command.room_id, *at)?)).collect()
    }

    /// What was known of a room at `at`. A position of the future is now: a token may be of another user, or made up.
    fn place_at(&self, room_id: &RoomId, at: StreamPos) -> Result<Place, SqlError> {
        let sql = self.host.sql();
        let at = at.min(self.hub.get().position);
        let Some(row) = self.room_row(room_id)? else { return Ok(Place { earliest: RoomSeq(0), latest: None }) };
        let known = if row.activity <= at { Some(row.newest) } else { inbox::newest_at(sql, room_id, at)? };
        let known = match known {
            None => places::at(sql, room_id, at)?,
            known => known,
        };
        if let Some(seq) = known {
            return Ok(Place { earliest: seq, latest: Some(seq) });
        }
        // Before all that the hub remembers: before the user came, or long ago.
        let oldest = match places::oldest(sql, room_id)? {
            None => inbox::oldest(sql, room_id)?,
            oldest => oldest,
        };
        Ok(Place { earliest: RoomSeq(0), latest: Some(oldest.map_or(row.newest, RoomSeq::previous)) })
    }

    pub(super) fn read_beside(&self, command: &ReadBeside) -> Result<Vec<Beside>, MatrixError> {
        command.rooms.iter().map(|room_id| Ok(self.beside(room_id)?)).collect()
    }

    fn beside(&self, room_id: &RoomId) -> Result<Beside, SqlError> {
        let sql = self.host.sql();
        let Some(row) = self.room_row(room_id)?.filter(|row| !row.forgotten) else { return Ok(Beside::default()) };
        let entry = |data: AccountData| {
            let kind = serde_json::Value::from(data.kind);
            RawJson::parse(format!("{{\"type\":{kind},\"content\":{}}}", data.content.text())).ok()
        };
        Ok(Beside {
            membership: Some(row.membership.as_str().to_owned()),
            member: inbox::member(sql, room_id, &self.user_id, row.inbox_from)?,
            account_data: account_data::of_room(sql, room_id)?.into_iter().filter_map(entry).collect(),
        })
    }

    /// Only what rooms have not said to be stored is looked at: a few events of each.
    pub(super) fn find_recent(&self, command: &FindRecent) -> Result<Option<OwnedRoomId>, MatrixError> {
        let rows = self.host.sql().query(
            "SELECT r.room_id FROM room r CROSS JOIN inbox i ON i.room_id = r.room_id AND i.seq > r.forwarded
             WHERE i.event_id = ? LIMIT 1",
            &[command.event_id.as_str().into()],
        )?;
        Ok(rows.first().and_then(|row| row.text(0)?.try_into().ok()))
    }
}
