//! Making the room: all its first events or none.

use std::rc::Rc;

use ruma::{CanonicalJsonObject, OwnedEventId, signatures::reference_hash};
use tern_model::{MatrixError, Pdu};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::room::{CreateRoom, Sent},
};
use tern_room::{SendError, Version, authorise, build::propose};

use crate::{
    RoomActor, SCHEMA,
    timeline::{
        head::Head,
        send::rule_draft,
        view::{Entry, Transaction},
    },
};

/// Why a room was not made.
enum Refused {
    Sql(SqlError),
    Error(MatrixError),
}

impl From<SqlError> for Refused {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<MatrixError> for Refused {
    fn from(error: MatrixError) -> Self {
        Self::Error(error)
    }
}

impl From<Refused> for MatrixError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Sql(error) => error.into(),
            Refused::Error(error) => error,
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Makes the room and answers with its create event.
    pub(crate) async fn create_room(self: &Rc<Self>, request: &CreateRoom) -> Result<Sent, MatrixError> {
        if self.head()?.is_some() {
            return Err(MatrixError::new(400, "M_ROOM_IN_USE", "The room exists already"));
        }
        let Some(version) = Version::find(&request.version) else {
            return Err(MatrixError::new(400, "M_UNSUPPORTED_ROOM_VERSION", "The room version is not supported"));
        };
        let create = create_event(version, request)?;
        self.adopt(self.found(version, request, &create)?);
        self.settle().await;
        // The creator's own hub is told before the reply, so that the client finds the room in its next request.
        self.tell(&[create.from().to_owned()]).await;
        self.follow_up();
        Ok(Sent { event_id: create.id().to_owned() })
    }

    fn found(&self, version: &'static Version, request: &CreateRoom, create: &Pdu) -> Result<Head, MatrixError> {
        let sql = self.host.sql();
        let tx = Transaction::new(&self.room_id, sql, &self.cache, Head::empty(version)).at(self.host.now());
        sql.transaction(|| {
            SCHEMA.create_within(sql)?;
            authorise(&tx, create).map_err(|error| SendError::from(error).while_creating())?;
            tx.append(&Entry::plain(create.clone()))?;
            for draft in &request.drafts {
                let pdu = propose(&tx, &rule_draft(draft.clone()), self.host.now(), self.signer()?);
                let pdu = pdu.map_err(SendError::while_creating)?;
                tx.check_state_bytes(&pdu)?.map_err(MatrixError::from)?;
                tx.append(&Entry::plain(pdu))?;
            }
            self.follow_services(&tx)?;
            Ok::<_, Refused>(tx.seal()?)
        })?;
        Ok(tx.committed())
    }
}

/// The create event with its id: its reference hash, as of every event.
fn create_event(version: &Version, request: &CreateRoom) -> Result<Pdu, MatrixError> {
    let bad = |error: &dyn std::fmt::Display| MatrixError::bad_json(format!("The create event is unusable: {error}"));
    let object: CanonicalJsonObject = request.create.read().map_err(|error| bad(&error))?;
    let hash = reference_hash(&object, &version.rules).map_err(|error| bad(&error))?;
    let event_id = OwnedEventId::try_from(format!("${hash}")).map_err(|error| bad(&error))?;
    Pdu::parse(event_id, request.create.clone()).map_err(|error| bad(&error))
}
