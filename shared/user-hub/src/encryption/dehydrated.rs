//! The dehydrated device (MSC3814): one that is nowhere signed in, and collects keys to messages until another device of
//! the user takes its place.

use ruma::OwnedDeviceId;
use tern_model::{MatrixError, Millis, StreamPos};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::{
        Done,
        keys::{Dehydrated, DehydratedEvents, PutDehydrated, ReadDehydratedEvents},
    },
};

use super::keys::{take_fallback_keys, take_one_time_keys};
use crate::{
    UserActor,
    sessions::LONGEST_DEVICE_ID,
    store::{
        Span,
        devices::{self, DeviceRow},
        keys, to_device,
    },
};

/// Longest `device_data`, in bytes.
const LONGEST_DATA: usize = 256 * 1024;
/// Most messages in one page.
const PAGE: u64 = 100;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(crate) fn put_dehydrated(&self, command: &PutDehydrated) -> Result<Done, MatrixError> {
        let device_id = &command.device_id;
        if !(1..=LONGEST_DEVICE_ID).contains(&device_id.as_str().len()) {
            return Err(MatrixError::invalid_param("The device id is empty or too long"));
        }
        if command.device_data.text().len() > LONGEST_DATA {
            return Err(MatrixError::too_large("device_data is too long"));
        }
        self.change(|tx| {
            if let Some(old) = keys::dehydrated(tx.sql)? {
                self.remove_device(tx, &old.device_id)?;
            }
            self.refuse_taken_name(device_id)?;
            if devices::load(tx.sql, device_id)?.is_some() {
                return Err(MatrixError::invalid_param("There is a device of this id"));
            }
            let row = DeviceRow {
                device_id: device_id.clone(),
                session_id: None,
                display_name: command.display_name.clone(),
                last_seen_ts: Millis(0),
                last_seen_ip: None,
                generation: 0,
                settled: None,
            };
            self.add_device(tx, &row)?;
            keys::set_dehydrated(tx.sql, device_id, &command.device_data)?;
            self.take_identity(tx, device_id, &command.device_keys)?;
            take_one_time_keys(tx, device_id, &command.one_time_keys)?;
            take_fallback_keys(tx, device_id, &command.fallback_keys)?;
            Ok(Done {})
        })
    }

    pub(crate) fn read_dehydrated(&self) -> Result<Option<Dehydrated>, MatrixError> {
        Ok(keys::dehydrated(self.host.sql())?)
    }

    pub(crate) fn delete_dehydrated(&self) -> Result<Option<OwnedDeviceId>, MatrixError> {
        self.change(|tx| {
            let Some(Dehydrated { device_id, .. }) = keys::dehydrated(tx.sql)? else { return Ok(None) };
            self.remove_device(tx, &device_id)?;
            self.devices_changed(tx)?;
            Ok(Some(device_id))
        })
    }

    pub(crate) fn read_dehydrated_events(
        &self,
        command: &ReadDehydratedEvents,
    ) -> Result<DehydratedEvents, MatrixError> {
        let sql = self.host.sql();
        if keys::dehydrated(sql)?.is_none_or(|device| device.device_id != command.device_id) {
            return Err(MatrixError::forbidden("This is not your dehydrated device"));
        }
        let unknown = |_| MatrixError::invalid_param("Unknown next_batch");
        let after = command.next_batch.as_deref().map_or(Ok(0), str::parse).map_err(unknown)?;
        let span = Span { after: StreamPos(after), until: self.hub.get().position };
        let messages = to_device::between(sql, &command.device_id, span, PAGE)?;
        let next = messages.last().map_or(after, |message| message.at.0);
        Ok(DehydratedEvents {
            events: messages.into_iter().map(|message| message.event).collect(),
            next_batch: next.to_string(),
        })
    }
}
