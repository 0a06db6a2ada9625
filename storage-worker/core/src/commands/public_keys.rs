//! The copy of what everybody may see of users' identity keys. The hubs of the users have the truth.

use ruma::OwnedUserId;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Row, Value,
    wire::{
        Done,
        keys::{FoundKeys, KeysPage, PublicKeys, PublishKeys, ReadPublicKeys},
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

/// Users of one statement. With [`PublicKeys::MOST_BYTES`] of each, its rows are at most 16 MiB.
const AT_A_TIME: usize = 250;
/// Bytes after which a page ends.
const PAGE_BYTES: usize = 2 << 20;

/// A write that was overtaken changes nothing.
const PUBLISH: &str = "INSERT INTO public_keys (user_id, version, devices, master, self_signing) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET version = excluded.version, devices = excluded.devices, \
     master = excluded.master, self_signing = excluded.self_signing WHERE excluded.version > public_keys.version";

/// The copies of the users in `?1`. Users without one come with nothing; those of whom nobody has heard do not come at all.
macro_rules! read {
    ($further:literal) => {
        concat!(
            "SELECT j.value AS user_id, k.devices AS devices, k.master AS master, k.self_signing AS self_signing",
            $further,
            " FROM json_each(?1) j LEFT JOIN public_keys k ON k.user_id = j.value \
              WHERE k.user_id IS NOT NULL OR EXISTS (SELECT 1 FROM users u WHERE u.user_id = j.value)"
        )
    };
}

const READ: &str = read!("");
const READ_VERSIONS: &str = read!(", k.version AS version");

/// One write.
pub(crate) async fn publish<D: Databases>(storage: &Storage<'_, D>, ask: PublishKeys) -> Result<Done, MatrixError> {
    let text = |json: Option<RawJson>| Value::from(json.map(|json| json.text().to_owned()));
    let [devices, master, self_signing] = match ask.keys {
        Some(keys) => [Some(keys.devices), keys.master, keys.self_signing],
        None => [None, None, None],
    };
    let params = [ask.user_id.as_str().into(), ask.version.into(), text(devices), text(master), text(self_signing)];
    let [_] = run(&storage.databases, Database::Global, [Statement::new(PUBLISH, params)]).await?;
    Ok(Done {})
}

/// One read for each [`AT_A_TIME`] users.
pub(crate) async fn read<D: Databases>(storage: &Storage<'_, D>, ask: ReadPublicKeys) -> Result<KeysPage, MatrixError> {
    let mut page = KeysPage::default();
    let mut bytes = 0;
    let read = if ask.versions { READ_VERSIONS } else { READ };
    for users in ask.users.chunks(AT_A_TIME) {
        let [rows] = run(&storage.databases, Database::Global, [Statement::new(read, [json_list(users)?])]).await?;
        for row in &rows {
            let found = found(row).ok_or_else(MatrixError::unavailable)?;
            bytes += found.keys.as_ref().map_or(0, PublicKeys::bytes);
            page.found.push(found);
        }
        page.looked_at += users.len();
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

/// `None` for a row that cannot be read: it must not look like a user without keys.
fn found(row: &Row) -> Option<FoundKeys> {
    let user_id = OwnedUserId::try_from(row.text(0)?).ok()?;
    let json = |column| match row.string(column) {
        Some(text) => RawJson::parse(text).ok().map(Some),
        None => Some(None),
    };
    let keys = match json(1)? {
        Some(devices) => Some(PublicKeys { devices, master: json(2)?, self_signing: json(3)? }),
        None => None,
    };
    Some(FoundKeys { user_id, keys, version: row.int(4) })
}
