//! One client of one account: a store on disk, a session and the sync service of an app.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use matrix_sdk::config::RequestConfig;
use matrix_sdk::encryption::{BackupDownloadStrategy, EncryptionSettings};
use matrix_sdk::ruma::api::client::account::register::v3::Request as Register;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request as CreateRoom, RoomPreset};
use matrix_sdk::ruma::api::client::uiaa::{AuthData, Dummy};
use matrix_sdk::ruma::events::InitialStateEvent;
use matrix_sdk::ruma::events::room::encryption::RoomEncryptionEventContent;
use matrix_sdk::ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use matrix_sdk::sliding_sync::VersionBuilder;
use matrix_sdk::{Client, ClientBuilder, Room};
use matrix_sdk_ui::sync_service::SyncService;
use matrix_sdk_ui::timeline::{RoomExt, Timeline, TimelineReadReceiptTracking};

use crate::stage::secret;

/// How long anything that should arrive live may take.
pub const LIVE: Duration = Duration::from_secs(30);

/// Waits for something that has no limit of its own.
pub async fn within<T>(claim: &str, wait: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(LIVE, wait).await.with_context(|| format!("not within {LIVE:?}: {claim}"))
}

pub struct Homeserver {
    pub base: String,
    /// Where the clients keep their stores.
    pub folder: PathBuf,
}

/// The name and password of somebody.
#[derive(Clone)]
pub struct Account {
    pub name: String,
    pub password: String,
}

pub struct Device {
    pub client: Client,
    pub sync: SyncService,
    pub store: PathBuf,
    /// What is on the screen. A subscription replaces the one before, so it names them all.
    opened: Mutex<BTreeSet<OwnedRoomId>>,
}

impl Homeserver {
    /// A new account.
    pub async fn register(&self, name: &str) -> Result<Account> {
        let tag = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let account = Account { name: format!("{name}{tag:x}"), password: format!("Pw-{tag:x}-{name}") };
        let door = Client::builder().homeserver_url(&self.base).build().await?;
        let mut request = Register::new();
        request.username = Some(account.name.clone());
        request.password = Some(account.password.clone());
        request.inhibit_login = true;
        if let Err(error) = door.matrix_auth().register(request.clone()).await {
            let Some(asked) = error.as_uiaa_response() else { return Err(error.into()) };
            let mut dummy = Dummy::new();
            dummy.session.clone_from(&asked.session);
            request.auth = Some(AuthData::Dummy(dummy));
            door.matrix_auth().register(request).await?;
        }
        Ok(account)
    }

    /// A new device of the account, logged in with its password.
    pub async fn log_in(&self, account: &Account, device: &str) -> Result<Device> {
        let store = self.folder.join(format!("{}-{device}", account.name));
        let client = self.builder(&store).build().await?;
        let login = client.matrix_auth().login_username(&account.name, &account.password);
        login.initial_device_display_name(device).request_refresh_token().send().await?;
        secret(&account.password);
        secret(&client.access_token().context("logged in without a token")?);
        Device::new(client, store).await
    }

    /// A new account and its first device.
    pub async fn sign_up(&self, name: &str) -> Result<(Account, Device)> {
        let account = self.register(name).await?;
        let device = self.log_in(&account, "first").await?;
        Ok((account, device))
    }

    /// The same device after its app was closed and opened again.
    pub async fn reopen(&self, device: Device) -> Result<Device> {
        let session = device.client.matrix_auth().session().context("no session to restore")?;
        let store = device.store.clone();
        device.sync.stop().await;
        drop(device);
        let client = self.builder(&store).build().await?;
        client.restore_session(session).await?;
        Device::new(client, store).await
    }

    /// A client as an app sets it up. It takes sliding sync only if the server says it has it.
    pub fn builder(&self, store: &Path) -> ClientBuilder {
        Client::builder()
            .homeserver_url(&self.base)
            .sqlite_store(store, None)
            .handle_refresh_tokens()
            .request_config(RequestConfig::new().timeout(Duration::from_secs(60)))
            .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
            .with_encryption_settings(EncryptionSettings {
                auto_enable_cross_signing: true,
                backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
                auto_enable_backups: true,
            })
    }
}

impl Device {
    pub async fn new(client: Client, store: PathBuf) -> Result<Self> {
        let sync = SyncService::builder(client.clone()).with_offline_mode().build().await?;
        Ok(Self { client, sync, store, opened: Mutex::default() })
    }

    pub fn user(&self) -> OwnedUserId {
        self.client.user_id().expect("a device is logged in").to_owned()
    }

    /// Starts to sync and waits until the keys of this device are known to the server.
    pub async fn start(&self) -> Result<()> {
        let wait = async {
            self.sync.start().await;
            self.client.encryption().wait_for_e2ee_initialization_tasks().await;
        };
        within("a device that syncs and has its keys on the server", wait).await
    }

    /// Waits until every room key that this device has is in the backup.
    pub async fn back_up(&self) -> Result<()> {
        let backups = self.client.encryption().backups();
        Ok(within("all room keys in the backup", backups.wait_for_steady_state().into_future()).await??)
    }

    pub async fn create_room(&self, name: &str, invited: &[&UserId], encrypted: bool) -> Result<Room> {
        let mut request = CreateRoom::new();
        request.name = Some(name.to_owned());
        request.preset = Some(RoomPreset::PrivateChat);
        request.invite = invited.iter().map(|user| (*user).to_owned()).collect();
        if encrypted {
            let content = RoomEncryptionEventContent::with_recommended_defaults();
            request.initial_state = vec![InitialStateEvent::with_empty_state_key(content).to_raw_any()];
        }
        Ok(self.client.create_room(request).await?)
    }

    /// The room as an app opens it: subscribed, with a timeline that tracks everybody's receipts.
    pub async fn open(&self, room: &RoomId) -> Result<Timeline> {
        let opened = {
            let mut opened = self.opened.lock().expect("nothing panics with the list in hand");
            opened.insert(room.to_owned());
            opened.clone()
        };
        let rooms: Vec<&RoomId> = opened.iter().map(|room| &**room).collect();
        self.sync.room_list_service().subscribe_to_rooms(&rooms).await;
        let room = self.client.get_room(room).with_context(|| format!("{room} is unknown"))?;
        let tracking = TimelineReadReceiptTracking::AllEvents;
        Ok(room.timeline_builder().track_read_marker_and_receipts(tracking).build().await?)
    }
}
