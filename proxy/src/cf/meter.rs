//! Points about requests, into Analytics Engine.

use tern_ports::meter::{Meter, Point};
use worker::{AnalyticsEngineDataPointBuilder, AnalyticsEngineDataset, Env};

/// The operator's dataset; without the binding points go nowhere.
pub(crate) struct Dataset(Option<AnalyticsEngineDataset>);

impl Dataset {
    /// The dataset of `env`.
    pub(crate) fn of(env: &Env) -> Self {
        Self(env.analytics_engine("METRICS").ok())
    }
}

impl Meter for Dataset {
    fn record(&self, point: &Point) {
        let Some(dataset) = &self.0 else { return };
        let written = AnalyticsEngineDataPointBuilder::new()
            // Points are thinned out by index: per route, so that a busy one does not hide the others.
            .indexes([index(point.route)])
            .blobs(point.blobs())
            .doubles(point.doubles())
            .write_to(dataset);
        if let Err(error) = written {
            worker::console_error!("metrics: {error}");
        }
    }
}

/// An index holds 96 bytes; templates are ASCII.
fn index(route: &str) -> &str {
    route.get(route.len().saturating_sub(96)..).unwrap_or(route)
}
