//! When something was, in words and exactly.

use tern_model::Millis;

use super::words::Text;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;

/// A time as a page shows it: pages have no script that knows the reader's zone.
pub(crate) struct Moment {
    /// How long ago, in words.
    pub(crate) ago: String,
    /// The minute, in UTC, for people: `2026-11-30 12:45 UTC`.
    pub(crate) exact: String,
    /// The second, for programs (RFC 3339): `2026-11-30T12:45:00Z`.
    pub(crate) datetime: String,
}

impl Moment {
    /// The time `at`, as it is told at `now`.
    pub(crate) fn of(text: &Text, at: Millis, now: Millis) -> Self {
        let seconds = at.0 / 1000;
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds % DAY / HOUR, seconds % HOUR / MINUTE, seconds % MINUTE);
        Self {
            ago: ago(text, now.since(at) / 1000),
            exact: format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC"),
            datetime: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
        }
    }
}

/// So many seconds, in words.
fn ago(text: &Text, seconds: u64) -> String {
    let (count, one, many) = match seconds {
        0..MINUTE => (1, text.just_now, ""),
        MINUTE..HOUR => (seconds / MINUTE, text.minute_ago, text.minutes_ago),
        HOUR..DAY => (seconds / HOUR, text.hour_ago, text.hours_ago),
        DAY..MONTH => (seconds / DAY, text.day_ago, text.days_ago),
        MONTH..YEAR => (seconds / MONTH, text.month_ago, text.months_ago),
        YEAR.. => (1, text.year_ago, ""),
    };
    if count == 1 { one.to_owned() } else { many.replace("{n}", &count.to_string()) }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
fn date(day: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the day that comes and goes is the last; 400 years are always as long.
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use tern_model::Millis;

    use super::{DAY, HOUR, MINUTE, Moment, YEAR, ago};
    use crate::text::choose;

    #[test]
    fn a_time_is_told_in_the_readers_language() {
        for (seconds, en, de, fr) in [
            (0, "just now", "gerade eben", "à l’instant"),
            (59, "just now", "gerade eben", "à l’instant"),
            (MINUTE, "a minute ago", "vor einer Minute", "il y a une minute"),
            (59 * MINUTE, "59 minutes ago", "vor 59 Minuten", "il y a 59 minutes"),
            (2 * HOUR - 1, "an hour ago", "vor einer Stunde", "il y a une heure"),
            (DAY, "yesterday", "gestern", "hier"),
            (29 * DAY, "29 days ago", "vor 29 Tagen", "il y a 29 jours"),
            (61 * DAY, "2 months ago", "vor 2 Monaten", "il y a 2 mois"),
            (9 * YEAR, "over a year ago", "vor über einem Jahr", "il y a plus d’un an"),
        ] {
            for (lang, words) in [("en", en), ("de", de), ("fr", fr)] {
                assert_eq!(ago(choose(Some(lang)), seconds), words);
            }
        }
    }

    #[test]
    fn the_exact_time_is_there_too() {
        for (at, exact) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_796_042_700, "2026-11-30T12:45:00Z"),
        ] {
            assert_eq!(Moment::of(choose(None), Millis(at * 1000), Millis(0)).datetime, exact);
        }
        let moment = Moment::of(choose(None), Millis(1_796_042_700_000), Millis(1_796_042_700_000));
        assert_eq!((moment.exact.as_str(), moment.ago.as_str()), ("2026-11-30 12:45 UTC", "just now"));
    }
}
