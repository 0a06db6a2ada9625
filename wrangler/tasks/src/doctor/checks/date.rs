//! The date of an HTTP answer (IMF-fixdate, RFC 9110 section 5.6.7).

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i32 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = i32::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i32 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut time = words.next()?.split(':').map(str::parse::<i32>);
    let mut next = || time.next()?.ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    let of_day = f64::from(hour * 3600 + minute * 60 + second);
    Some(f64::from(days(year, month, day)) * 86_400.0 + of_day)
}

/// Days since 1970 of a date of the Gregorian calendar; years are counted from March, so that leap days come last.
fn days(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn the_date_of_the_specification_and_days_around_leap_days() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777.0));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0.0));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199.0));
        assert_eq!(seconds("Fri, 01 Mar 2024 00:00:00 GMT"), Some(1_709_251_200.0));
        assert_eq!(seconds("yesterday"), None);
    }
}
