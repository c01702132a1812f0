//! Cron expressions in the five POSIX fields, as GitHub, GitLab and Kubernetes take them.
//!
//! A day matches if its day of month *or* its day of week does, where both are restricted
//! (POSIX `crontab`). Names (`JAN`, `MON`), ranges, steps, lists and 7 for Sunday are accepted;
//! `@daily` and its like only where a caller asks for them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// How far ahead [`Schedule::next`] looks: past the longest gap there is (29 February).
const HORIZON_YEARS: i16 = 9;

/// Why a text is no cron expression. The offset is in bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    /// Where the wrong part begins.
    pub offset: usize,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong with a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// There are not five fields.
    #[error("expected five fields (minute, hour, day of month, month, day of week), found {0}")]
    FieldCount(usize),
    /// A part is no number or name.
    #[error("`{text}` is not a {field}")]
    NotANumber {
        /// The part.
        text: String,
        /// The field's name.
        field: &'static str,
    },
    /// A number is out of range.
    #[error("{field} {number} is not between {least} and {most}")]
    OutOfRange {
        /// The field's name.
        field: &'static str,
        /// The number.
        number: u32,
        /// The least allowed.
        least: u32,
        /// The most allowed.
        most: u32,
    },
    /// A range runs backwards.
    #[error("range {from}-{to} of {field} runs backwards")]
    Backwards {
        /// The field's name.
        field: &'static str,
        /// Where it starts.
        from: u32,
        /// Where it ends.
        to: u32,
    },
    /// A step is zero.
    #[error("a step of 0 never comes")]
    ZeroStep,
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        name: "day of week",
        least: 0,
        most: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// A cron expression that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// One bit a value, by field.
    bits: [u64; 5],
    /// Whether day of month and day of week are restricted.
    restricted: [bool; 2],
}

impl Schedule {
    /// Parses five fields.
    ///
    /// # Errors
    /// [`Error`], with the place of the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fields: Vec<(usize, &str)> = text
            .split_ascii_whitespace()
            .map(|field| (field.as_ptr() as usize - text.as_ptr() as usize, field))
            .collect();
        let Ok(fields): Result<[_; 5], _> =
            fields.try_into().map_err(|fields: Vec<_>| fields.len())
        else {
            let count = text.split_ascii_whitespace().count();
            return Err(Error { offset: 0, kind: ErrorKind::FieldCount(count) });
        };
        let mut bits = [0; 5];
        for (index, (offset, field)) in fields.into_iter().enumerate() {
            let mut at = offset;
            for part in field.split(',') {
                bits[index] |=
                    parse_part(part, &FIELDS[index]).map_err(|kind| Error { offset: at, kind })?;
                at += part.len() + 1;
            }
        }
        // 7 is Sunday too.
        bits[4] = bits[4] & 0x7f | bits[4] >> 7 & 1;
        let restricted = [2, 4].map(|index: usize| !fields[index].1.starts_with('*'));
        Ok(Self { bits, restricted })
    }

    /// Returns the first time after `after` at which the schedule is due in `zone`, or `None`
    /// where that never comes (30 February). Times that a change of clocks leaves out do not
    /// come; times it repeats come once.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = after.to_zoned(zone.clone()).datetime();
        let last = start.date().checked_add(i32::from(HORIZON_YEARS).years()).ok()?;
        let mut date = start.date();
        while date <= last {
            if self.is_day(date)
                && let Some(found) = self.on_day(date, start, after, zone)
            {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Returns the shortest time between two due minutes of an hour, in minutes, where the
    /// minute field alone decides it.
    pub fn is_more_often_than_minutes(&self, minutes: u32) -> bool {
        let due: Vec<u32> = (0..60).filter(|minute| self.has(0, *minute)).collect();
        let wraps = self.bits[1].count_ones() > 1;
        due.windows(2).any(|pair| pair[1] - pair[0] < minutes)
            || wraps && due.len() > 1 && due[0] + 60 - due[due.len() - 1] < minutes
    }

    fn has(&self, field: usize, value: u32) -> bool {
        self.bits[field] >> value & 1 == 1
    }

    /// Returns whether no day is ever meant: a day that its months do not have.
    pub fn is_never(&self) -> bool {
        const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        // Beside days of the week, days of the month are only one of two ways to be due.
        self.restricted == [true, false]
            && (1..)
                .zip(DAYS)
                .all(|(month, days)| !self.has(3, month) || (1..=days).all(|day| !self.has(2, day)))
    }

    fn is_day(&self, date: Date) -> bool {
        let month_day = self.has(2, date.day().unsigned_abs().into());
        let week_day = self.has(4, date.weekday().to_sunday_zero_offset().unsigned_abs().into());
        self.has(3, date.month().unsigned_abs().into())
            && match self.restricted {
                [true, true] => month_day || week_day,
                _ => month_day && week_day,
            }
    }

    fn on_day(
        &self,
        date: Date,
        start: DateTime,
        after: Timestamp,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        let first = if date == start.date() { start.hour() } else { 0 };
        for hour in (first..24).filter(|hour| self.has(1, hour.unsigned_abs().into())) {
            for minute in (0..60).filter(|minute: &i8| self.has(0, minute.unsigned_abs().into())) {
                let local = date.to_datetime(Time::constant(hour, minute, 0, 0));
                let ambiguous = zone.to_ambiguous_timestamp(local);
                if matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
                    continue;
                }
                if let Ok(found) = ambiguous.earlier()
                    && found > after
                {
                    return Some(found);
                }
            }
        }
        None
    }
}

fn parse_part(part: &str, field: &Field) -> Result<u64, ErrorKind> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(number(step, field, false)?)),
        None => (part, None),
    };
    if step == Some(0) {
        return Err(ErrorKind::ZeroStep);
    }
    let (from, to) = if range == "*" {
        (field.least, field.most)
    } else if let Some((from, to)) = range.split_once('-') {
        (number(from, field, true)?, number(to, field, true)?)
    } else {
        let from = number(range, field, true)?;
        (from, if step.is_some() { field.most } else { from })
    };
    if from > to {
        return Err(ErrorKind::Backwards { field: field.name, from, to });
    }
    let step = step.unwrap_or(1) as usize;
    Ok((from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
}

fn number(text: &str, field: &Field, in_range: bool) -> Result<u32, ErrorKind> {
    let named = field.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    if let Some(index) = named {
        return Ok(u32::try_from(index).unwrap_or(0) + field.least);
    }
    let number = Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ErrorKind::NotANumber { text: text.to_owned(), field: field.name })?;
    if in_range && !(field.least..=field.most).contains(&number) {
        let Field { name, least, most, .. } = *field;
        return Err(ErrorKind::OutOfRange { field: name, number, least, most });
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, after: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let after: Timestamp = after.parse().expect("a timestamp");
        match Schedule::parse(cron) {
            Ok(schedule) => {
                schedule.next(after, &zone).map_or("never".to_owned(), |next| next.to_string())
            }
            Err(error) => format!("{}: {error}", error.offset),
        }
    }

    #[test]
    fn the_next_time_is_the_next_time() {
        for (cron, after, expected) in [
            ("*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"),
            ("0 2 * * MON-FRI", "2026-01-02T03:00:00Z", "2026-01-05T02:00:00Z"),
            ("30 5,17 * * *", "2026-01-01T05:30:00Z", "2026-01-01T17:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 30 2 *", "2026-01-01T00:00:00Z", "never"),
            ("5/20 * * * *", "2026-01-01T00:30:00Z", "2026-01-01T00:45:00Z"),
            (
                "0 0 * *",
                "2026-01-01T00:00:00Z",
                "0: expected five fields (minute, hour, day of month, month, day of week), found 4",
            ),
            ("0 0 * 13 *", "2026-01-01T00:00:00Z", "6: month 13 is not between 1 and 12"),
            ("0 1,x * * *", "2026-01-01T00:00:00Z", "4: `x` is not a hour"),
            ("*/0 * * * *", "2026-01-01T00:00:00Z", "0: a step of 0 never comes"),
            ("9-3 * * * *", "2026-01-01T00:00:00Z", "0: range 9-3 of minute runs backwards"),
        ] {
            assert_eq!(next(cron, after, "UTC"), expected, "{cron}");
        }
    }

    #[test]
    fn frequency_is_known() {
        let often =
            |cron: &str| Schedule::parse(cron).expect("a schedule").is_more_often_than_minutes(5);
        assert!(often("*/4 * * * *") && often("58,0 * * * *") && often("* 3 * * *"));
        assert!(!often("*/5 * * * *") && !often("0 * * * *") && !often("58,0 3 * * *"));
    }
}
