//! What the room shows to those who look for one.

use std::rc::Rc;

use ruma::events::StateEventType;
use tern_model::{MatrixError, RoomFacts, RoomSeq};
use tern_ports::{
    ObjectHost, SqlError,
    wire::{
        Done,
        directory::{CheckAliasPermission, ReadSummary, SeenRoom},
        room::{ReadForUpgrade, UpgradeSource},
    },
};
use tern_room::{facts, power::Powers, upgrade};

use crate::{
    RoomActor,
    timeline::{children::Children, head::Head, store::damaged, view::Transaction},
};

impl<H: ObjectHost> RoomActor<H> {
    /// What the room shows now.
    pub(crate) fn facts(&self, head: &Head) -> Result<RoomFacts, SqlError> {
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, head.clone());
        facts::facts(&tx, head.joined, Children::of(self.store())).map_err(damaged)
    }

    /// What the room shows to somebody in particular, or to anybody.
    pub(crate) async fn read_summary(&self, request: &ReadSummary) -> Result<SeenRoom, MatrixError> {
        let not_found = || MatrixError::not_found("There is no such room, or you may not see it");
        let head = self.head()?.ok_or_else(not_found)?;
        let caller = request.caller.as_deref();
        let membership = caller.map(|caller| self.store().membership(caller.as_str())).transpose()?.flatten();
        let membership = membership.map(|(_, membership)| membership);
        let facts = self.facts(&head)?;
        let restricted_join_rooms = match caller {
            Some(caller) if !facts.allowed_room_ids.is_empty() => self.restricted_join_rooms(caller).await?,
            _ => Vec::new(),
        };
        let joined = |room_id: &ruma::RoomId| restricted_join_rooms.iter().any(|room| room == room_id);
        if !facts::may_preview(&facts, membership.as_deref(), joined) {
            return Err(not_found());
        }
        Ok(SeenRoom { facts, membership })
    }

    /// What an upgrade takes over, for those who may close the room.
    pub(crate) fn read_for_upgrade(&self, request: &ReadForUpgrade) -> Result<UpgradeSource, MatrixError> {
        let head = self.room()?;
        self.check_joined(&request.caller)?;
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, (*head).clone());
        if !Powers::load(&tx)?.may_set(&request.caller, &StateEventType::RoomTombstone)? {
            return Err(MatrixError::forbidden("You may not upgrade this room"));
        }
        let mut state = self.store().members("ban")?;
        for kind in upgrade::COPIED {
            state.extend(self.store().state_like(kind, "*", RoomSeq::default())?);
        }
        let last = head.extremities.first().cloned().ok_or_else(MatrixError::internal)?;
        Ok(UpgradeSource { last, state: self.client_forms(&head, &state)? })
    }

    /// Who may set the canonical alias may also give and take aliases, and list the room.
    pub(crate) fn check_alias_permission(&self, request: &CheckAliasPermission) -> Result<Done, MatrixError> {
        let head = self.room()?;
        self.check_joined(&request.caller)?;
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, Rc::unwrap_or_clone(head));
        let may = Powers::load(&tx)?.may_set(&request.caller, &StateEventType::RoomCanonicalAlias)?;
        if may { Ok(Done {}) } else { Err(MatrixError::forbidden("You may not change the addresses of this room")) }
    }
}
