//! The dashboard: one page without scripts that brings its own style and pictures.

mod format;
mod rows;

use askama::Template;

use self::{
    format::Format,
    rows::{PeriodRow, RegionRow, RouteRow, Tile, TroubleRow},
};
use crate::{
    chart::{Bars, HEIGHT, Lines, STEP},
    series::Counter,
    view::{Range, View},
    words::{self, Words},
};

/// The page's style; its content security policy names it by its hash.
pub const STYLE: &str = include_str!("../../templates/dashboard.css");

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    words: &'static Words,
    server: &'a str,
    style: &'static str,
    ranges: [Choice; 3],
    tiles: Vec<Tile>,
    /// Of both charts.
    width: usize,
    height: u32,
    bars: Bars,
    lines: Lines,
    /// What stands beside and below the charts.
    scale: Scale,
    /// In words what the charts show.
    requests_told: String,
    durations_told: String,
    periods: Vec<PeriodRow>,
    routes: Vec<RouteRow>,
    further: Option<String>,
    regions: Vec<RegionRow>,
    troubles: Option<Vec<TroubleRow>>,
    lost: Option<String>,
}

/// One way to look further back.
struct Choice {
    name: &'static str,
    label: &'static str,
    is_shown: bool,
}

/// What stands beside and below the charts.
struct Scale {
    requests: [String; 3],
    durations: [String; 3],
    times: [String; 3],
}

/// The page of the server of this name, in one of the languages that there are.
pub fn html(view: &View, lang: &str, server: &str) -> String {
    let words = words::of(lang);
    // Into a string, which takes everything.
    Dashboard::of(view, words, server).render().unwrap_or_default()
}

impl<'a> Dashboard<'a> {
    fn of(view: &View, words: &'static Words, server: &'a str) -> Self {
        let (format, total) = (Format(words), view.sums.total());
        let (bars, lines) = (Bars::of(&view.points), Lines::of(&view.points));
        let lost = total.get(Counter::FramesLost);
        let (routes, further) = rows::routes(format, &view.sums);
        Self {
            words,
            server,
            style: STYLE,
            ranges: Range::ALL.map(|range| Choice::of(range, view.range, words)),
            tiles: rows::tiles(format, &total),
            width: view.range.points() * STEP,
            height: HEIGHT,
            scale: Scale::of(format, view.range, &bars, &lines),
            requests_told: format!("{}: {}", words.requests, format.number(total.get(Counter::Requests))),
            durations_told: rows::durations_told(format, &total),
            bars,
            lines,
            periods: rows::periods(format, view),
            routes,
            further: (further > 0).then(|| words.further.replace("{n}", &format.number(further))),
            regions: rows::regions(format, &view.sums),
            troubles: view.troubles.as_ref().map(|troubles| rows::troubles(format, troubles, view.now_ms)),
            lost: (lost > 0).then(|| words.lost.replace("{n}", &format.number(lost))),
        }
    }
}

impl Choice {
    fn of(range: Range, shown: Range, words: &Words) -> Self {
        let label = match range {
            Range::Day => words.day,
            Range::Week => words.week,
            Range::Year => words.year,
        };
        Self { name: range.name(), label, is_shown: range == shown }
    }
}

impl Scale {
    fn of(format: Format, range: Range, bars: &Bars, lines: &Lines) -> Self {
        let before = |span| format!("−{}", format.span(span));
        Self {
            requests: [bars.top, bars.top / 2, 0].map(|number| format.number(number)),
            durations: [lines.top, lines.middle, 1.0].map(|ms| format.duration(ms)),
            times: [before(range.span_ms()), before(range.span_ms() / 2), format.0.now.to_owned()],
        }
    }
}
