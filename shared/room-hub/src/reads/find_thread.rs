//! Threads that somebody wants to follow (MSC4306).

use ruma::EventId;
use serde::Deserialize;
use tern_model::{MatrixError, StoredEvent};
use tern_ports::{
    ObjectHost,
    wire::threads::{FindThread, FoundThread},
};

use crate::RoomActor;

impl<H: ObjectHost> RoomActor<H> {
    /// A thread is there for whoever sees its root, with or without an answer in it.
    pub(crate) async fn find_thread(&self, request: &FindThread) -> Result<FoundThread, MatrixError> {
        self.find_visible(&request.caller, &request.root).await?;
        let Some(cause) = &request.cause else {
            return Ok(FoundThread { newest: self.room()?.newest, cause: None });
        };
        let (head, cause, _) = self.find_visible(&request.caller, cause).await?;
        if !is_in_thread(&cause, &request.root) {
            return Err(MatrixError::new(400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD", "The event is not in this thread"));
        }
        Ok(FoundThread { newest: head.newest, cause: Some(cause.seq) })
    }
}

fn is_in_thread(event: &StoredEvent, root: &EventId) -> bool {
    #[derive(Deserialize)]
    struct Event {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relation: Relation,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: String,
        event_id: String,
    }
    let relation = event.pdu.read::<Event>().map(|event| event.content.relation);
    relation.is_ok_and(|relation| relation.rel_type == "m.thread" && relation.event_id == root.as_str())
}
