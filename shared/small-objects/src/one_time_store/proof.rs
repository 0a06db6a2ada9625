//! Whether a mail address was proven. One turn of the object decides that a mail is sent once for each attempt, and that
//! what was proven is used once.

use tern_auth::secret::same;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    ObjectHost, Row, Sql, SqlError,
    wire::{
        Done,
        one_time_store::{ConfirmProof, OpenProof, Proof, SpendProof},
    },
};

use super::OneTimeStoreActor;

struct ProofRow {
    address: String,
    secret: String,
    attempt: u64,
    token: String,
    confirmed: Option<Millis>,
    until: Millis,
}

impl<H: ObjectHost> OneTimeStoreActor<H> {
    pub(super) async fn open_proof(&self, ask: OpenProof) -> Result<bool, MatrixError> {
        if self.proof()?.is_some_and(|proof| proof.confirmed.is_some() || proof.attempt >= ask.attempt) {
            return Ok(false);
        }
        self.host.sql().query(
            "INSERT OR REPLACE INTO proof (id, address, secret, attempt, token, until) VALUES (1, ?, ?, ?, ?, ?)",
            &[ask.address.into(), ask.secret.into(), ask.attempt.into(), ask.token.into(), ask.until.0.into()],
        )?;
        self.look_again(ask.until).await;
        Ok(true)
    }

    pub(super) fn confirm_proof(&self, ask: &ConfirmProof) -> Result<bool, MatrixError> {
        let known = self.proof()?.is_some_and(|proof| same(&proof.token, &ask.token));
        if known {
            let now = self.host.now().0;
            self.host.sql().query("UPDATE proof SET confirmed = coalesce(confirmed, ?)", &[now.into()])?;
        }
        Ok(known)
    }

    pub(super) fn spend_proof(&self, ask: &SpendProof) -> Result<Option<Proof>, MatrixError> {
        self.host.sql().transaction(|| {
            let proof = self.proof()?.filter(|proof| same(&proof.secret, &ask.secret));
            let spent = proof.and_then(|proof| Some(Proof { confirmed: proof.confirmed?, address: proof.address }));
            if spent.is_some() {
                self.host.sql().query("DELETE FROM proof", &[])?;
            }
            Ok(spent)
        })
    }

    pub(super) fn drop_proof(&self) -> Result<Done, MatrixError> {
        if self.is_there()? {
            self.host.sql().query("DELETE FROM proof", &[])?;
        }
        Ok(Done {})
    }

    fn proof(&self) -> Result<Option<ProofRow>, SqlError> {
        if !self.is_there()? {
            return Ok(None);
        }
        let rows = self.host.sql().query("SELECT address, secret, attempt, token, confirmed, until FROM proof", &[])?;
        Ok(rows.first().and_then(proof).filter(|proof| proof.until > self.host.now()))
    }
}

/// When the proof is worth nothing any more.
pub(super) fn until(sql: &impl Sql) -> Result<Millis, SqlError> {
    let rows = sql.query("SELECT until FROM proof", &[])?;
    Ok(Millis(rows.first().and_then(|row| row.int(0)).unwrap_or(0)))
}

fn proof(row: &Row) -> Option<ProofRow> {
    Some(ProofRow {
        address: row.string(0)?,
        secret: row.string(1)?,
        attempt: row.int(2)?,
        token: row.string(3)?,
        confirmed: row.int(4).map(Millis),
        until: Millis(row.int(5)?),
    })
}
