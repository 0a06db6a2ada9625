//! Numbers as people of a language read them.

use crate::{
    series::float,
    view::{DAY_MS, HOUR_MS, MINUTE_MS},
    words::Words,
};

/// Writes numbers with the words of a language. A space between a number and its unit is never broken.
#[derive(Clone, Copy)]
pub(super) struct Format(pub(super) &'static Words);

impl Format {
    /// A whole number, in groups of three digits.
    pub(super) fn number(self, number: u64) -> String {
        let digits = number.to_string();
        let mut grouped = String::with_capacity(digits.len() * 2);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push_str(self.0.thousands);
            }
            grouped.push(digit);
        }
        grouped
    }

    /// With one digit after the decimal sign where there are few before it.
    pub(super) fn decimal(self, number: f64) -> String {
        let text = if number < 9.95 { format!("{number:.1}") } else { format!("{number:.0}") };
        text.replace('.', self.0.decimal)
    }

    /// Milliseconds.
    pub(super) fn duration(self, ms: f64) -> String {
        if ms >= 65_536.0 {
            "> 65\u{a0}s".to_owned()
        } else if ms >= 1_000.0 {
            format!("{}\u{a0}s", self.decimal(ms / 1_000.0))
        } else {
            format!("{:.0}\u{a0}ms", ms.max(1.0))
        }
    }

    /// A duration, or a dash where none is known.
    pub(super) fn duration_if(self, ms: Option<f64>) -> String {
        ms.map_or_else(|| "–".to_owned(), |ms| self.duration(ms))
    }

    /// Bytes.
    pub(super) fn bytes(self, bytes: f64) -> String {
        let (mut number, mut unit) = (bytes, "B");
        for greater in ["kB", "MB", "GB", "TB"] {
            if number >= 999.5 {
                (number, unit) = (number / 1_000.0, greater);
            }
        }
        let text = if unit == "B" { format!("{number:.0}") } else { self.decimal(number) };
        format!("{text}\u{a0}{unit}")
    }

    /// A part of a whole, in per cent. What is there is never nothing.
    pub(super) fn share(self, part: u64, whole: u64) -> String {
        let percent = if whole == 0 { 0.0 } else { 100.0 * float(part) / float(whole) };
        let text = match part {
            0 => "0".to_owned(),
            _ if percent < 0.05 => format!("< {}", self.decimal(0.1)),
            _ => self.decimal(percent),
        };
        format!("{text}\u{a0}%")
    }

    /// A span of time in its greatest unit, from milliseconds.
    pub(super) fn span(self, ms: u64) -> String {
        let (unit_ms, unit) = match ms {
            ..HOUR_MS => (MINUTE_MS, self.0.minute_unit),
            // A day is told in hours, half a week in days.
            HOUR_MS..=DAY_MS => (HOUR_MS, self.0.hour_unit),
            _ => (DAY_MS, self.0.day_unit),
        };
        let number = float(ms) / float(unit_ms);
        let text = if ms.is_multiple_of(unit_ms) { self.number(ms / unit_ms) } else { self.decimal(number) };
        format!("{text}\u{a0}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::{
        view::{DAY_MS, HOUR_MS},
        words::of,
    };

    #[test]
    fn numbers_are_written_as_in_their_language() {
        let [english, german, french] = ["en", "de", "fr"].map(|lang| Format(of(lang)));
        assert_eq!(english.number(1_234_567), "1,234,567");
        assert_eq!([german.number(1_234), french.number(999)], ["1.234", "999"]);
        assert_eq!(
            [0.2, 999.4, 1_540.0, 65_536.0].map(|ms| german.duration(ms)),
            ["1\u{a0}ms", "999\u{a0}ms", "1,5\u{a0}s", "> 65\u{a0}s"]
        );
        assert_eq!(
            [12.0, 1_300.0, 25_000_000.0].map(|bytes| english.bytes(bytes)),
            ["12\u{a0}B", "1.3\u{a0}kB", "25\u{a0}MB"]
        );
        assert_eq!(
            [english.share(0, 0), english.share(1, 1_000_000), english.share(1, 3)],
            ["0\u{a0}%", "< 0.1\u{a0}%", "33\u{a0}%"]
        );
        assert_eq!(
            [DAY_MS, HOUR_MS / 2, 7 * DAY_MS / 2, 365 * DAY_MS].map(|ms| english.span(ms)),
            ["24\u{a0}h", "30\u{a0}min", "3.5\u{a0}d", "365\u{a0}d"]
        );
    }
}
