//! A rendezvous: one message at a time, each replacing the one that its sender has seen. What the messages say is
//! between the two devices; here they are opaque.

use serde::{Deserialize, Serialize};
use tern_auth::secret;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    ObjectHost, Sql,
    wire::{
        Done,
        device_sign_in::{Message, OpenRendezvous, UpdateRendezvous},
    },
};

use super::DeviceSignInActor;

#[derive(Serialize, Deserialize)]
struct Rendezvous {
    sequence: String,
    data: String,
    modified: Millis,
}

impl<H: ObjectHost> DeviceSignInActor<H> {
    pub(super) async fn open_rendezvous(&self, command: OpenRendezvous) -> Result<Message, MatrixError> {
        let message = self.leave(command.data, command.expires)?;
        self.host.set_alarm(command.expires).await;
        Ok(message)
    }

    pub(super) fn read_rendezvous(&self) -> Result<Option<Message>, MatrixError> {
        Ok(self.load::<Rendezvous>()?.map(|(kept, expires)| message(kept, expires)))
    }

    pub(super) fn update_rendezvous(&self, command: UpdateRendezvous) -> Result<Message, MatrixError> {
        let (kept, expires) = self.load::<Rendezvous>()?.ok_or_else(|| MatrixError::not_found("No such rendezvous"))?;
        if kept.sequence != command.sequence {
            return Err(MatrixError::new(412, "M_CONCURRENT_WRITE", "The other device has written meanwhile"));
        }
        self.leave(command.data, expires)
    }

    pub(super) fn close_rendezvous(&self) -> Result<Done, MatrixError> {
        if self.is_there()? {
            self.host.sql().query("DELETE FROM kept", &[])?;
        }
        Ok(Done {})
    }

    fn leave(&self, data: String, expires: Millis) -> Result<Message, MatrixError> {
        let mut bytes = [0; 12];
        self.host.fill(&mut bytes);
        let kept = Rendezvous { sequence: secret::base64(&bytes), data, modified: self.host.now() };
        self.save(&kept, expires)?;
        Ok(message(kept, expires))
    }
}

fn message(kept: Rendezvous, expires: Millis) -> Message {
    let Rendezvous { sequence, data, modified } = kept;
    Message { sequence, data, modified, expires }
}
