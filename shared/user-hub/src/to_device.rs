//! To-device messages (Client-Server API, "Send-to-Device messaging").

use ruma::{DeviceId, OwnedDeviceId};
use serde::Serialize;
use tern_model::{MatrixError, RawJson, StreamPos, news};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::{Done, user::DeliverToDevice},
};

use super::{
    UserActor, queue_shares,
    store::{devices, to_device},
    transaction::Transaction,
};

/// About how many messages of a device pass between two looks at its queue.
const TIDY_EVERY: u64 = 64;
/// As long as a message mostly is, in bytes.
const ORDINARY_MESSAGE: usize = 4 * 1024;
/// Longest message, in bytes.
const LONGEST_MESSAGE: usize = 128 * 1024;
/// How long a transaction is remembered, in milliseconds.
const REMEMBER_MS: u64 = 24 * 60 * 60 * 1_000;
/// Every device of the user.
const EVERY_DEVICE: &str = "*";

#[derive(Serialize)]
struct Message<'a> {
    content: &'a RawJson,
    sender: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn deliver_to_device(&self, command: &DeliverToDevice) -> Result<Done, MatrixError> {
        if command.messages.values().any(|content| content.text().len() > LONGEST_MESSAGE) {
            return Err(MatrixError::too_large("The message is too long"));
        }
        self.change(|tx| {
            // A device that is named gets what names it, not what goes to every device.
            let addressed = devices::all(tx.sql)?.into_iter().filter_map(|device| {
                let name = device.device_id.as_str();
                let content = command.messages.get(name).or_else(|| command.messages.get(EVERY_DEVICE))?;
                Some((device.device_id, content))
            });
            let addressed: Vec<(OwnedDeviceId, &RawJson)> = addressed.collect();
            // Where nothing is delivered nothing has to be remembered, or strangers could fill the hub of somebody who
            // has no device.
            if addressed.is_empty()
                || !to_device::first_time(tx.sql, &command.sender, &transaction(command), self.host.now())?
            {
                return Ok(Done {});
            }
            for (device_id, content) in addressed {
                let sender = command.sender.user_id.as_str();
                let message = RawJson::from_value(&Message { content, sender, kind: &command.kind });
                let message = message.map_err(|_| MatrixError::internal())?;
                let pos = tx.advance_device(&device_id, news::TO_DEVICE);
                to_device::queue(tx.sql, &device_id, pos, (&command.sender.user_id, message.text()))?;
                self.tidy(tx, &device_id, pos, message.text().len())?;
            }
            Ok(Done {})
        })
    }

    /// Keeps queues and memory of transactions bounded.
    fn tidy(
        &self,
        tx: &Transaction<'_, H::Sql>,
        device_id: &DeviceId,
        pos: StreamPos,
        bytes: usize,
    ) -> Result<(), MatrixError> {
        if is_turn(pos, bytes) {
            for (sender, keep) in queue_shares::too_many(to_device::shares(tx.sql, device_id)?, &self.user_id) {
                to_device::keep_newest(tx.sql, device_id, sender.as_deref(), keep)?;
            }
            let now = self.host.now().0;
            to_device::forget_transactions(tx.sql, tern_model::Millis(now.saturating_sub(REMEMBER_MS)))?;
        }
        Ok(())
    }

    /// The device has its messages up to `through`.
    pub(super) fn acknowledge(&self, device_id: &DeviceId, through: StreamPos) -> Result<(), MatrixError> {
        // A position from the future is none that this hub gave out.
        if through <= self.hub.get().position {
            to_device::drop_through(self.host.sql(), device_id, through)?;
        }
        Ok(())
    }
}

/// A transaction id is one of an endpoint, and the path of this one has the type in it (Client-Server API, "Transaction
/// identifiers").
fn transaction(command: &DeliverToDevice) -> String {
    let DeliverToDevice { kind, txn_id, .. } = command;
    format!("{}:{kind}{txn_id}", kind.len())
}

/// One position of [`TIDY_EVERY`], and with long messages more of them, without a period: a device that gets every second
/// position has its turn as well.
const fn is_turn(pos: StreamPos, bytes: usize) -> bool {
    let turns = 1 + (bytes / ORDINARY_MESSAGE) as u64;
    let turns = if turns < TIDY_EVERY { turns } else { TIDY_EVERY };
    pos.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) < u64::MAX / TIDY_EVERY * turns
}
