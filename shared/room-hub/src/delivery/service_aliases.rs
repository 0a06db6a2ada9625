//! Aliases of namespaces of application services, by which the room concerns these whoever is in it.

use tern_model::{
    MatrixError,
    appservice::{Appservice, within},
};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::{Done, directory::NoteAlias},
};

use crate::{RoomActor, timeline::store::Store};

impl<H: ObjectHost> RoomActor<H> {
    /// An alias that concerns a service came or went.
    pub(crate) fn note_alias(&self, ask: &NoteAlias) -> Result<Done, MatrixError> {
        let Some(head) = self.head()? else { return Ok(Done {}) };
        // What holds until now is settled first.
        self.spans(&head)?;
        self.host.sql().transaction(|| {
            self.store().note_alias(ask)?;
            let services = self.reachable_services();
            for service in services.filter(|service| within(&service.namespaces.aliases, ask.alias.as_str())) {
                if ask.present {
                    self.store().open_span(&service.id, head.newest.next())?;
                } else if !self.still_concerns(service)? {
                    self.store().close_span(&service.id, head.newest)?;
                }
            }
            Ok::<_, SqlError>(())
        })?;
        self.services.forget();
        Ok(Done {})
    }

    /// The room has an alias of the service's.
    pub(crate) fn has_alias_of(&self, service: &Appservice) -> Result<bool, SqlError> {
        Ok(self.store().service_aliases()?.iter().any(|alias| within(&service.namespaces.aliases, alias)))
    }
}

impl<S: Sql> Store<'_, S> {
    fn note_alias(self, ask: &NoteAlias) -> Result<(), SqlError> {
        let sql = if ask.present {
            "INSERT INTO service_aliases VALUES (?) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM service_aliases WHERE alias = ?"
        };
        self.0.query(sql, &[ask.alias.as_str().into()])?;
        Ok(())
    }

    fn service_aliases(self) -> Result<Vec<String>, SqlError> {
        let rows = self.0.query("SELECT alias FROM service_aliases", &[])?;
        Ok(rows.iter().filter_map(|row| row.string(0)).collect())
    }
}
