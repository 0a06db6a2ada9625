//! From a frame to the command it carries, and back.

use serde::Serialize;
use tern_model::MatrixError;
use tern_ports::wire::{StorageCommand, frame};

use crate::{
    Storage,
    commands::{
        accounts, aliases, append, archive, backup, clients, directory, keyring, levels, media, public_keys, pushkeys,
        relations, reports, rooms, search, server_keys, state, sync, threepids, timeline, troubles, user_directory,
        users,
    },
    sql::Databases,
};

impl<D: Databases> Storage<'_, D> {
    /// Answers one frame. A frame of another wire version, or none at all, is refused as the caller's build error.
    pub async fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        match frame::read::<StorageCommand>(bytes) {
            Ok(command) => self.dispatch(command).await,
            Err(error) => reply::<()>(&Err(MatrixError::new(400, "M_UNKNOWN", error.to_string()))),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a line for each command")]
    async fn dispatch(&self, command: StorageCommand) -> Vec<u8> {
        match command {
            StorageCommand::AppendEvents(ask) => reply(&append::append_events(self, *ask).await),
            StorageCommand::SyncRooms(ask) => reply(&sync::sync_rooms(self, *ask).await),
            StorageCommand::PageEvents(ask) => reply(&timeline::page_events(self, *ask).await),
            StorageCommand::LocateEvent(ask) => reply(&timeline::locate_event(self, *ask).await),
            StorageCommand::LoadEvents(ask) => reply(&timeline::load_events(self, *ask).await),
            StorageCommand::LoadEvent(ask) => reply(&timeline::load_event(self, *ask).await),
            StorageCommand::StateAt(ask) => reply(&state::state_at(self, *ask).await),
            StorageCommand::PageRelations(ask) => reply(&relations::page_relations(self, *ask).await),
            StorageCommand::LoadAggregations(ask) => reply(&relations::load_aggregations(self, *ask).await),
            StorageCommand::PageThreads(ask) => reply(&relations::page_threads(self, *ask).await),
            StorageCommand::FindByTime(ask) => reply(&timeline::find_by_time(self, *ask).await),
            StorageCommand::LoadAuthChain(ask) => reply(&timeline::load_auth_chain(self, *ask).await),
            StorageCommand::SearchEvents(ask) => reply(&search::search_events(self, *ask).await),
            StorageCommand::RegisterRoom(ask) => reply(&rooms::register_room(self, *ask).await),
            StorageCommand::ReadLevels(ask) => reply(&levels::read_levels(self, *ask).await),
            StorageCommand::ResolveAlias(ask) => reply(&rooms::resolve_alias(self, *ask).await),
            StorageCommand::ReleaseAlias(ask) => reply(&rooms::release_alias(self, *ask).await),
            StorageCommand::AddAlias(ask) => reply(&aliases::add_alias(self, *ask).await),
            StorageCommand::LoadAlias(ask) => reply(&aliases::load_alias(self, *ask).await),
            StorageCommand::RemoveAlias(ask) => reply(&aliases::remove_alias(self, *ask).await),
            StorageCommand::ListAliases(ask) => reply(&aliases::list_aliases(self, *ask).await),
            StorageCommand::MoveAliases(ask) => reply(&aliases::move_aliases(self, *ask).await),
            StorageCommand::ListRoom(ask) => reply(&directory::list_room(self, *ask).await),
            StorageCommand::IsListed(ask) => reply(&directory::is_listed(self, *ask).await),
            StorageCommand::PageDirectory(ask) => reply(&directory::page_directory(self, *ask).await),
            StorageCommand::LoadFacts(ask) => reply(&directory::load_facts(self, *ask).await),
            StorageCommand::PublishProfile(ask) => reply(&user_directory::publish_profile(self, *ask).await),
            StorageCommand::SearchUsers(ask) => reply(&user_directory::search_users(self, *ask).await),
            StorageCommand::FileReport(ask) => reply(&reports::file_report(self, *ask).await),
            StorageCommand::CreateUser(ask) => reply(&users::create_user(self, *ask).await),
            StorageCommand::LoadUser(ask) => reply(&users::load_user(self, *ask).await),
            StorageCommand::SetPassword(ask) => reply(&users::set_password(self, *ask).await),
            StorageCommand::DeactivateUser(ask) => reply(&users::deactivate_user(self, *ask).await),
            StorageCommand::AddThreepid(ask) => reply(&threepids::add(self, *ask).await),
            StorageCommand::RemoveThreepid(ask) => reply(&threepids::remove(self, *ask).await),
            StorageCommand::RemoveSignIn(ask) => reply(&threepids::remove_sign_in(self, *ask).await),
            StorageCommand::ListThreepids(ask) => reply(&threepids::list(self, *ask).await),
            StorageCommand::FindPushkey(ask) => reply(&pushkeys::find(self, *ask).await),
            StorageCommand::SavePushkey(ask) => reply(&pushkeys::save(self, *ask).await),
            StorageCommand::FindThreepid(ask) => reply(&threepids::find(self, *ask).await),
            StorageCommand::ReserveMedia(ask) => reply(&media::reserve_media(self, *ask).await),
            StorageCommand::QuarantineMedia(ask) => reply(&media::quarantine_media(self, *ask).await),
            StorageCommand::PurgeMedia(ask) => reply(&media::purge_media(self, *ask).await),
            StorageCommand::CreateBackup(ask) => reply(&backup::create(self, *ask).await),
            StorageCommand::ReadBackup(ask) => reply(&backup::read(self, *ask).await),
            StorageCommand::UpdateBackup(ask) => reply(&backup::update(self, *ask).await),
            StorageCommand::DeleteBackup(ask) => reply(&backup::delete(self, *ask).await),
            StorageCommand::DropBackups(ask) => reply(&backup::drop_all(self, *ask).await),
            StorageCommand::StoreBackupKeys(ask) => reply(&backup::store(self, *ask).await),
            StorageCommand::ReadBackupKeys(ask) => reply(&backup::read_keys(self, *ask).await),
            StorageCommand::DeleteBackupKeys(ask) => reply(&backup::delete_keys(self, *ask).await),
            StorageCommand::PublishKeys(ask) => reply(&public_keys::publish(self, *ask).await),
            StorageCommand::ReadPublicKeys(ask) => reply(&public_keys::read(self, *ask).await),
            StorageCommand::SaveClient(ask) => reply(&clients::save_client(self, *ask).await),
            StorageCommand::UseClient(ask) => reply(&clients::use_client(self, *ask).await),
            StorageCommand::LoadClient(ask) => reply(&clients::load_client(self, *ask).await),
            StorageCommand::ListUsers(ask) => reply(&accounts::list_users(self, *ask).await),
            StorageCommand::ChangeUser(ask) => reply(&accounts::change_user(self, *ask).await),
            StorageCommand::CheckRegistrationToken(ask) => reply(&accounts::check_registration_token(self, *ask).await),
            StorageCommand::CreateRegistrationToken(ask) => {
                reply(&accounts::create_registration_token(self, *ask).await)
            }
            StorageCommand::ListRegistrationTokens(ask) => reply(&accounts::list_registration_tokens(self, *ask).await),
            StorageCommand::DeleteRegistrationToken(ask) => {
                reply(&accounts::delete_registration_token(self, *ask).await)
            }
            StorageCommand::RecordAudit(ask) => reply(&accounts::record_audit(self, *ask).await),
            StorageCommand::ReadAudit(ask) => reply(&accounts::read_audit(self, *ask).await),
            StorageCommand::LoadKeyring(ask) => reply(&keyring::load_keyring(self, *ask).await),
            StorageCommand::SaveKeyring(ask) => reply(&keyring::save_keyring(self, *ask).await),
            StorageCommand::StoreServerKeys(ask) => reply(&server_keys::store(self, *ask).await),
            StorageCommand::LoadServerKeys(ask) => reply(&server_keys::load(self, *ask).await),
            StorageCommand::NoteTrouble(ask) => reply(&troubles::note(self, *ask).await),
            StorageCommand::ListTroubles(ask) => reply(&troubles::list(self, *ask).await),
            StorageCommand::Archive(ask) => reply(&archive::answer(self, *ask).await),
            StorageCommand::LoadKeyResponses(ask) => reply(&server_keys::load_responses(self, *ask).await),
        }
    }
}

fn reply<T: Serialize>(result: &Result<T, MatrixError>) -> Vec<u8> {
    frame::write_reply(result)
}
