//! A frame between the parts of a server: which commands in the first byte, then the frame.

use serde::{Serialize, de::DeserializeOwned};
use tern_ports::wire::{RoomCommand, StorageCommand, UserCommand, frame};

/// A command that can be read is written and read again as itself.
pub(crate) fn frame(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => written::<RoomCommand>(bytes),
        1 => written::<UserCommand>(bytes),
        _ => written::<StorageCommand>(bytes),
    }
}

fn written<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(command) = frame::read::<T>(bytes) else { return };
    let first = frame::write(&command);
    let again = frame::read::<T>(&first).expect("what was written can be read");
    assert_eq!(frame::write(&again), first, "read as another command");
}
