//! Encrypted files.

use anyhow::{Context, Result, bail};
use matrix_sdk::Client;
use matrix_sdk::ruma::events::room::MediaSource;
use matrix_sdk::ruma::events::room::message::{FileMessageEventContent, MessageType};
use matrix_sdk_ui::timeline::{AttachmentConfig, AttachmentSource, Timeline};

use crate::timeline;

/// The bytes that every client of these tests sends as a file of that size.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| ((place * 31 + (place >> 8)) & 0xff) as u8).collect()
}

/// Sends a file and waits until the server has told it back.
pub async fn attach(timeline: &Timeline, name: &str, bytes: usize) -> Result<()> {
    let source = AttachmentSource::Data { bytes: pattern(bytes), filename: name.to_owned() };
    timeline.send_attachment(source, mime::APPLICATION_OCTET_STREAM, AttachmentConfig::default()).await?;
    timeline::hear(timeline, name).await?;
    Ok(())
}

/// Waits for the file, downloads and decrypts it; nothing comes out of the client's cache.
pub async fn fetch(timeline: &Timeline, client: &Client, name: &str) -> Result<Vec<u8>> {
    let content: FileMessageEventContent = timeline::until(timeline, &format!("the file {name:?}"), |items| {
        match timeline::find(items, name)?.content().as_message()?.msgtype() {
            MessageType::File(content) => Some(content.clone()),
            _ => None,
        }
    })
    .await?;
    let MediaSource::Encrypted(_) = &content.source else { bail!("{name} came in the clear") };
    client.media().get_file(&content, false).await?.context("a file without a source")
}
