//! Names of content, the content behind them, and orphaned objects, which are to be deleted from the bucket. See
//! `wrangler/migrations/SCHEMA.md`.

use ruma::UserId;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Row,
    wire::{
        Done,
        media::{FetchMedia, Purge, PurgeMedia, Purged, QuarantineMedia, ReserveMedia, StoreMedia, WITHHELD},
    },
};

use crate::{
    Storage,
    sql::{Database, Databases, Statement, json_list, run},
};

/// How long an object without a name stays: requests that were already on their way may still read it, or make something
/// of it.
const ORPHAN_GRACE_MS: u64 = 15 * 60 * 1000;

/// Objects that are deleted in one sweep.
const SWEEP: u64 = 200;

/// May the content be stored under this name? `?1` origin, `?2` id, `?3` user, `?4` reserved before, `?5` now, `?6` quota,
/// `?7` size.
macro_rules! admitted {
    () => {
        "NOT EXISTS (SELECT 1 FROM media WHERE origin = ?1 AND media_id = ?2) \
         AND (?4 = 0 OR EXISTS (SELECT 1 FROM reservations r \
           WHERE r.media_id = ?2 AND r.user_id = ?3 AND r.expires > ?5)) \
         AND (?6 IS NULL OR ?7 + coalesce((SELECT sum(m.size) FROM media m WHERE m.user_id = ?3), 0) <= ?6)"
    };
}

/// One batch. One row for a name.
pub(crate) async fn reserve_media<D: Databases>(
    storage: &Storage<'_, D>,
    ask: ReserveMedia,
) -> Result<Done, MatrixError> {
    const EXPIRE: &str = "DELETE FROM reservations WHERE user_id = ?1 AND expires <= ?2";
    const RESERVE: &str = "INSERT INTO reservations (media_id, user_id, expires) SELECT ?1, ?2, ?3 \
        WHERE (SELECT count(*) FROM reservations WHERE user_id = ?2) < ?4 RETURNING 1 AS made";
    const NEXT: &str = "SELECT min(expires) AS expires FROM reservations WHERE user_id = ?1";
    let user = ask.user_id.as_str();
    let statements = [
        Statement::new(EXPIRE, [user.into(), ask.ts.0.into()]),
        Statement::new(RESERVE, [ask.media_id.into(), user.into(), ask.expires.0.into(), ask.most.into()]),
        Statement::new(NEXT, [user.into()]),
    ];
    let [_, made, next] = run(&storage.databases, Database::Global, statements).await?;
    if made.is_empty() {
        let next = next.first().and_then(|row| row.int(0)).unwrap_or(ask.ts.0);
        return Err(MatrixError::limit_exceeded(next.saturating_sub(ask.ts.0)));
    }
    Ok(Done {})
}

/// One batch before anything is written to the bucket: refuses what will not be committed, and writes an orphan mark
/// for `object` unless the content is there. Tells whether it is.
pub(crate) async fn admission(
    databases: &impl Databases,
    ask: &StoreMedia,
    sha256: Option<&str>,
    object: &str,
    due: Millis,
) -> Result<bool, MatrixError> {
    const NAME: &str = "SELECT 1 AS taken FROM media WHERE origin = ?1 AND media_id = ?2";
    const RESERVED: &str = "SELECT user_id AS user_id FROM reservations WHERE media_id = ?1 AND expires > ?2";
    const KEPT: &str = "SELECT coalesce(sum(size), 0) AS kept FROM media WHERE ?2 IS NOT NULL AND user_id = ?1";
    const KNOWN: &str = "SELECT 1 AS known FROM blobs WHERE sha256 = ?1";
    const ORPHAN: &str = "INSERT INTO graves (object, due) SELECT ?1, ?2 \
        WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE sha256 = ?3)";
    let (name, user) = (ask.media.media_id.as_str(), ask.user_id.as_deref().map(UserId::as_str));
    let statements = [
        Statement::new(NAME, [ask.media.origin.as_str().into(), name.into()]),
        Statement::new(RESERVED, [name.into(), ask.ts.0.into()]),
        Statement::new(KEPT, [user.into(), ask.quota.into()]),
        Statement::new(KNOWN, [sha256.into()]),
        Statement::new(ORPHAN, [object.into(), due.0.into(), sha256.into()]),
    ];
    let [taken, reserved, kept, known, _] = run(databases, Database::Global, statements).await?;
    if !taken.is_empty() {
        return Err(overwritten());
    }
    if ask.reserved {
        match reserved.first().and_then(|row| row.text(0)) {
            None => return Err(MatrixError::not_found("No such reservation")),
            owner @ Some(_) if owner != user => return Err(MatrixError::forbidden("Reserved by somebody else")),
            Some(_) => {}
        }
    }
    let kept = kept.first().and_then(|row| row.int(0)).unwrap_or(0);
    if ask.quota.is_some_and(|quota| kept >= quota) {
        return Err(over_quota());
    }
    Ok(!known.is_empty())
}

/// What became of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The name is there, and this object holds its content.
    Done { object: String },
    /// The content was to be there already, and is not any more.
    Gone,
}

/// One batch: the content is visible, or nothing is changed. Without `object` the content must be there already.
pub(crate) async fn commit(
    databases: &impl Databases,
    ask: &StoreMedia,
    sha256: &str,
    size: u64,
    object: Option<&str>,
) -> Result<Commit, MatrixError> {
    const BLOB: &str = concat!(
        "INSERT INTO blobs (sha256, object, size, refs) SELECT ?8, coalesce(?9, ''), ?7, 1 WHERE ",
        admitted!(),
        " AND (?9 IS NOT NULL OR EXISTS (SELECT 1 FROM blobs WHERE sha256 = ?8)) \
         ON CONFLICT (sha256) DO UPDATE SET refs = refs + 1"
    );
    const NAME: &str = concat!(
        "INSERT INTO media (origin, media_id, user_id, created, size, sha256, content_type, name) \
         SELECT ?1, ?2, ?3, ?5, ?7, ?8, ?9, ?10 WHERE ",
        admitted!(),
        " AND EXISTS (SELECT 1 FROM blobs WHERE sha256 = ?8) RETURNING 1 AS made"
    );
    const USED: &str = "SELECT object AS object FROM blobs WHERE sha256 = ?1";
    const FILLED: &str = "DELETE FROM reservations WHERE media_id = ?1 \
        AND EXISTS (SELECT 1 FROM media WHERE origin = ?2 AND media_id = ?1)";
    const CLOSE: &str = "DELETE FROM graves WHERE object = (SELECT object FROM blobs WHERE sha256 = ?1)";
    const TAKEN: &str = "SELECT 1 AS taken FROM media WHERE origin = ?1 AND media_id = ?2";
    let (origin, name) = (ask.media.origin.as_str(), ask.media.media_id.as_str());
    let admitted = |more: &[tern_ports::Value]| {
        let mut params = vec![
            origin.into(),
            name.into(),
            ask.user_id.as_deref().map(UserId::as_str).into(),
            ask.reserved.into(),
            ask.ts.0.into(),
            ask.quota.into(),
            size.into(),
            sha256.into(),
        ];
        params.extend_from_slice(more);
        params
    };
    let statements = [
        Statement::new(BLOB, admitted(&[object.into()])),
        Statement::new(NAME, admitted(&[ask.content_type.as_str().into(), ask.name.as_deref().into()])),
        Statement::new(USED, [sha256.into()]),
        Statement::new(FILLED, [name.into(), origin.into()]),
        Statement::new(CLOSE, [sha256.into()]),
        Statement::new(TAKEN, [origin.into(), name.into()]),
    ];
    let [_, made, used, _, _, taken] = run(databases, Database::Global, statements).await?;
    match used.first().and_then(|row| row.string(0)) {
        Some(object) if !made.is_empty() => Ok(Commit::Done { object }),
        _ if !taken.is_empty() => Err(overwritten()),
        None if object.is_none() => Ok(Commit::Gone),
        _ => Err(over_quota()),
    }
}

/// What a name leads to.
pub(crate) struct Found {
    pub(crate) content_type: String,
    pub(crate) name: Option<String>,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) object: String,
}

/// One read.
pub(crate) async fn find(databases: &impl Databases, ask: &FetchMedia) -> Result<Found, MatrixError> {
    const FIND: &str = "SELECT m.content_type AS content_type, m.name AS name, m.sha256 AS sha256, b.size AS size, \
        b.object AS object, b.withheld AS withheld FROM media m CROSS JOIN blobs b ON b.sha256 = m.sha256 \
        WHERE m.origin = ?1 AND m.media_id = ?2 AND (?3 IS NULL OR m.created < ?3)";
    const WAITS: &str = "SELECT 1 AS waits FROM reservations WHERE media_id = ?1 AND expires > ?2 AND ?3 IS NULL \
        AND NOT EXISTS (SELECT 1 FROM media WHERE origin = ?4 AND media_id = ?1)";
    let (origin, name) = (ask.media.origin.as_str(), ask.media.media_id.as_str());
    let before = ask.before.map(|before| before.0);
    let statements = [
        Statement::new(FIND, [origin.into(), name.into(), before.into()]),
        Statement::new(WAITS, [name.into(), ask.ts.0.into(), before.into(), origin.into()]),
    ];
    let [found, waits] = run(databases, Database::Global, statements).await?;
    if let Some(found) = found.first() {
        if found.int(5) == Some(1) {
            return Err(MatrixError::new(404, WITHHELD, "No such media"));
        }
        return read_found(found).ok_or_else(MatrixError::unavailable);
    }
    if waits.is_empty() {
        return Err(MatrixError::not_found("No such media"));
    }
    Err(MatrixError::new(504, "M_NOT_YET_UPLOADED", "The media has not been uploaded yet"))
}

fn read_found(row: &Row) -> Option<Found> {
    Some(Found {
        content_type: row.string(0)?,
        name: row.string(1),
        sha256: row.string(2)?,
        size: row.int(3)?,
        object: row.string(4)?,
    })
}

/// One write.
pub(crate) async fn quarantine_media<D: Databases>(
    storage: &Storage<'_, D>,
    ask: QuarantineMedia,
) -> Result<Done, MatrixError> {
    const WITHHOLD: &str = "UPDATE blobs SET withheld = ?3 WHERE sha256 = \
        (SELECT sha256 FROM media WHERE origin = ?1 AND media_id = ?2) RETURNING 1 AS found";
    let (origin, name) = (ask.media.origin.as_str(), ask.media.media_id.as_str());
    let withhold = Statement::new(WITHHOLD, [origin.into(), name.into(), ask.withheld.into()]);
    let [found] = run(&storage.databases, Database::Global, [withhold]).await?;
    if found.is_empty() {
        return Err(MatrixError::not_found("No such media"));
    }
    Ok(Done {})
}

/// One batch. The names are gone at once; what is left without a name is deleted by the sweep.
pub(crate) async fn purge_media<D: Databases>(
    storage: &Storage<'_, D>,
    ask: PurgeMedia,
) -> Result<Purged, MatrixError> {
    // With its last name the content goes too, even when it was withheld.
    const UNREF_ONE: &str = "UPDATE blobs SET refs = refs - 1, withheld = CASE refs WHEN 1 THEN 0 ELSE withheld END \
        WHERE sha256 = (SELECT sha256 FROM media WHERE origin = ?1 AND media_id = ?2)";
    const DROP_ONE: &str = "DELETE FROM media WHERE origin = ?1 AND media_id = ?2 RETURNING 1 AS gone";
    const UNREF_ALL: &str = "UPDATE blobs SET refs = refs - \
          (SELECT count(*) FROM media m WHERE m.user_id = ?1 AND m.sha256 = blobs.sha256) \
        WHERE sha256 IN (SELECT sha256 FROM media WHERE user_id = ?1)";
    const DROP_ALL: &str = "DELETE FROM media WHERE user_id = ?1 RETURNING 1 AS gone";
    let [_, gone] = match &ask.which {
        Purge::One(media) => {
            let params = [media.origin.as_str().into(), media.media_id.as_str().into()];
            let statements = [Statement::new(UNREF_ONE, params.clone()), Statement::new(DROP_ONE, params)];
            run(&storage.databases, Database::Global, statements).await?
        }
        Purge::OfUser(user_id) => {
            let params = [user_id.as_str().into()];
            let statements = [Statement::new(UNREF_ALL, params.clone()), Statement::new(DROP_ALL, params)];
            run(&storage.databases, Database::Global, statements).await?
        }
    };
    Ok(Purged { count: u64::try_from(gone.len()).unwrap_or(u64::MAX) })
}

/// One batch: forgets what is expired and marks objects as orphaned that nothing names any more.
pub(crate) async fn mark_orphans(
    databases: &impl Databases,
    now: Millis,
    cached_before: Millis,
) -> Result<(), MatrixError> {
    const EXPIRE: &str = "DELETE FROM reservations WHERE expires <= ?1";
    const UNREF_CACHED: &str = "UPDATE blobs SET refs = refs - (SELECT count(*) FROM media m \
          WHERE m.user_id IS NULL AND m.created < ?1 AND m.sha256 = blobs.sha256) \
        WHERE sha256 IN (SELECT sha256 FROM media WHERE user_id IS NULL AND created < ?1)";
    const DROP_CACHED: &str = "DELETE FROM media WHERE user_id IS NULL AND created < ?1";
    // Content that is withheld stays known, so that it stays withheld when it is uploaded again.
    const ORPHANS: &str = "INSERT INTO graves (object, due) SELECT object, ?1 FROM blobs \
        WHERE refs = 0 AND withheld = 0 ON CONFLICT DO NOTHING";
    const DROP: &str = "DELETE FROM blobs WHERE refs = 0 AND withheld = 0";
    let due = now.0.saturating_add(ORPHAN_GRACE_MS);
    let statements = [
        Statement::new(EXPIRE, [now.0.into()]),
        Statement::new(UNREF_CACHED, [cached_before.0.into()]),
        Statement::new(DROP_CACHED, [cached_before.0.into()]),
        Statement::new(ORPHANS, [due.into()]),
        Statement::new(DROP, []),
    ];
    run(databases, Database::Global, statements).await?;
    Ok(())
}

/// One read: objects to be deleted now.
pub(crate) async fn due(databases: &impl Databases, now: Millis) -> Result<Vec<String>, MatrixError> {
    const DUE: &str = "SELECT object AS object FROM graves WHERE due <= ?1 LIMIT ?2";
    let due = Statement::new(DUE, [now.0.into(), SWEEP.into()]);
    let [rows] = run(databases, Database::Global, [due]).await?;
    Ok(rows.iter().filter_map(|row| row.string(0)).collect())
}

/// One write: they are deleted.
pub(crate) async fn close(databases: &impl Databases, objects: &[String]) -> Result<(), MatrixError> {
    const CLOSE: &str = "DELETE FROM graves WHERE object IN (SELECT value FROM json_each(?1))";
    if objects.is_empty() {
        return Ok(());
    }
    let close = Statement::new(CLOSE, [json_list(objects)?]);
    run(databases, Database::Global, [close]).await?;
    Ok(())
}

fn overwritten() -> MatrixError {
    MatrixError::new(409, "M_CANNOT_OVERWRITE_MEDIA", "Media already uploaded")
}

fn over_quota() -> MatrixError {
    MatrixError::forbidden("You have no room left for uploads")
}
