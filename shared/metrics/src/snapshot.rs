//! Sums by route and by region over some time.

use crate::series::{BUCKETS, Counter, Series};

/// Most entries: all routes and all places where Cloudflare has machines. What is more is counted as [`OTHER`].
pub const MOST_ENTRIES: usize = 1_024;

/// Longest name, in bytes.
pub const MOST_NAME: usize = 200;

/// The name of what has no entry of its own.
pub const OTHER: &str = "other";

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A route: method and path template.
    Route,
    /// A place where requests arrived, as Cloudflare calls it.
    Region,
}

/// The sums of one route or region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// Path template, or region.
    pub name: String,
    /// Of a route.
    pub method: String,
    /// The sums.
    pub series: Series,
}

impl Entry {
    /// Its requests wait for news, so that how long they take says nothing of the server.
    pub fn waits(&self) -> bool {
        self.name.ends_with("/sync")
    }
}

/// Sums by route and by region. Merging two gives the same whichever comes first, as long as there is room for all entries;
/// the totals are the same always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// In order of kind, name and method; no two alike.
    entries: Vec<Entry>,
}

impl Snapshot {
    /// All entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Those of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// Adds to the sums of an entry, which is made if there is none.
    pub fn add(&mut self, kind: Kind, name: &str, method: &str, add: &mut dyn FnMut(&mut Series)) {
        let wanted = (kind, name, method);
        let found = self.entries.binary_search_by(|one| (one.kind, &*one.name, &*one.method).cmp(&wanted));
        match found {
            Ok(place) => {
                if let Some(entry) = self.entries.get_mut(place) {
                    add(&mut entry.series);
                }
            }
            Err(_) if self.entries.len() >= MOST_ENTRIES && name != OTHER => self.add(kind, OTHER, "", add),
            Err(place) => {
                let (name, method) = (name.to_owned(), method.to_owned());
                let mut entry = Entry { kind, name, method, series: Series::default() };
                add(&mut entry.series);
                self.entries.insert(place, entry);
            }
        }
    }

    /// Adds all sums of another.
    pub fn merge(&mut self, other: &Self) {
        for Entry { kind, name, method, series } in &other.entries {
            self.add(*kind, name, method, &mut |sums| sums.merge(series));
        }
    }

    /// The sums over all routes, with what isolates say of themselves. Durations are those of routes that do not wait.
    pub fn total(&self) -> Series {
        let mut total = self.sum(Kind::Route);
        let isolates = self.sum(Kind::Region);
        for counter in [Counter::ColdStarts, Counter::Frames, Counter::FramesLost] {
            total.add(counter, isolates.get(counter));
        }
        total
    }

    /// As a frame arrives: what the routes sum up to is the region's, too.
    #[must_use]
    pub fn with_region_summed(mut self) -> Self {
        let routes = self.sum(Kind::Route);
        if let Some(region) = self.entries.iter_mut().find(|entry| entry.kind == Kind::Region) {
            region.series.merge(&routes);
        }
        self
    }

    fn sum(&self, kind: Kind) -> Series {
        let mut sum = Series::default();
        for entry in self.of_kind(kind) {
            if entry.waits() {
                sum.merge(&Series { buckets: [0; BUCKETS], ..entry.series.clone() });
            } else {
                sum.merge(&entry.series);
            }
        }
        sum
    }
}
