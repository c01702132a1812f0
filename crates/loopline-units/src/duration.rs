//! Durations as Go writes them: `1m30s`, `1.5h`, `-20ms`.

use std::fmt;

/// A length of time in nanoseconds, as Go's `time.Duration`; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub i64);

/// Why a text is no duration. The wording is Go's.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum GoDurationError {
    /// The text has another shape, or the value is out of range.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A number has another unit.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl GoDuration {
    /// One millisecond.
    pub const MILLISECOND: Self = Self(1_000_000);

    /// Reads `text`.
    ///
    /// # Errors
    /// [`GoDurationError`], each variant as it says.
    pub fn parse(text: &str) -> Result<Self, GoDurationError> {
        let invalid = || GoDurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (whole, after) = digits(rest);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => digits(after),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let length =
                after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(length);
            let scale: i128 = match unit {
                "" => return Err(GoDurationError::MissingUnit(text.to_owned())),
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => {
                    let unit = unit.to_owned();
                    return Err(GoDurationError::UnknownUnit { unit, text: text.to_owned() });
                }
            };
            let number = |digits: &str| -> Option<i128> {
                if digits.is_empty() { Some(0) } else { digits.parse().ok() }
            };
            let whole = number(whole).and_then(|whole| whole.checked_mul(scale));
            // More digits than a nanosecond of an hour has change nothing.
            let fraction = &fraction[..fraction.len().min(18)];
            let power = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
            let fraction = number(fraction).map(|fraction| fraction * scale / power);
            total = whole
                .zip(fraction)
                .and_then(|(whole, fraction)| total.checked_add(whole)?.checked_add(fraction))
                .filter(|total| *total <= 1 << 63)
                .ok_or_else(invalid)?;
            rest = after;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(Self).map_err(|_| invalid())
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

impl fmt::Display for GoDuration {
    /// Writes the duration as Go does: `1m30s`, `1.5s`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let decimal = |nanos: u64, scale: u64| {
            let width = scale.ilog10() as usize;
            let text = format!("{}.{:0width$}", nanos / scale, nanos % scale);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{sign}{seconds}s"),
                    (0, minutes) => write!(f, "{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_in_go() {
        let cases = [
            ("0", 0, "0s"),
            ("30s", 30_000_000_000, "30s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            (".5s", 500_000_000, "500ms"),
            ("-20ms", -20_000_000, "-20ms"),
            ("1us2ns", 1_002, "1.002µs"),
            ("10s", 10_000_000_000, "10s"),
            ("100m", 6_000_000_000_000, "1h40m0s"),
            ("2562047h47m16.854775807s", i64::MAX, "2562047h47m16.854775807s"),
        ];
        for (text, nanos, shown) in cases {
            let duration = GoDuration::parse(text).expect(text);
            assert_eq!((duration.0, duration.to_string().as_str()), (nanos, shown), "{text}");
        }
        let error = |text| GoDuration::parse(text).expect_err(text).to_string();
        assert_eq!(error(""), "time: invalid duration \"\"");
        assert_eq!(error("1"), "time: missing unit in duration \"1\"");
        assert_eq!(error("1d"), "time: unknown unit \"d\" in duration \"1d\"");
        assert_eq!(error("s"), "time: invalid duration \"s\"");
        assert_eq!(error("1s "), "time: unknown unit \"s \" in duration \"1s \"");
        assert_eq!(error("2562048h"), "time: invalid duration \"2562048h\"");
    }
}
