//! Quantities of resources as Kubernetes writes them: `500m`, `1Gi`, `1.5e3`.
//!
//! A quantity is exact down to a billionth; finer fractions are rounded up and what passes
//! 2^63 - 1 is cut there, as Kubernetes has it. The text itself is kept by its owner: two texts
//! may be the same quantity (`1000m` and `1`), so compare quantities and not texts.

use std::cmp::Ordering;
use std::fmt;

/// How many parts a unit is counted in.
const NANO: i128 = 1_000_000_000;
/// The most a quantity holds.
const MOST: i128 = i64::MAX as i128 * NANO;
/// The binary suffixes, by power of 1024.
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// The decimal suffixes with their powers of ten.
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// Why a text is no quantity; the wording is Kubernetes' own, clients match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not look like one.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// Its suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// Its digits are none.
    #[error("unable to parse numeric part of quantity")]
    Number,
}

/// The family of suffixes a quantity was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `Ki`, `Mi`, ...
    Binary,
    /// `m`, `k`, `M`, ...
    Decimal,
    /// `e3`.
    Exponent,
}

/// An amount of a resource.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::Decimal };

    /// Returns a whole number of units.
    pub fn from_units(units: i64, format: Format) -> Self {
        Self { nanos: i128::from(units) * NANO, format }
    }

    /// Returns thousandths of a unit.
    pub fn from_milli(milli: i64) -> Self {
        let nanos = (i128::from(milli) * (NANO / 1000)).clamp(-MOST, MOST);
        Self { nanos, format: Format::Decimal }
    }

    /// Parses a quantity.
    ///
    /// # Errors
    /// [`Error`], worded as Kubernetes words it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits_end =
            unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits_end);
        let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let power = letters.strip_prefix(['+', '-']).unwrap_or(letters);
        if number.is_empty() || !power.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Format);
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') {
            return Err(Error::Format);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(Error::Number);
        }
        let (format, binary, decimal) = scale(suffix)?;
        let negative = text.starts_with('-');
        let nanos = amount(whole, fraction, binary, decimal);
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// Returns the family of its suffix.
    pub fn format(self) -> Format {
        self.format
    }

    /// Returns whole units, rounded away from zero.
    pub fn units(self) -> i64 {
        self.scaled(NANO)
    }

    /// Returns thousandths, rounded away from zero; what does not fit is cut.
    pub fn milli(self) -> i64 {
        self.scaled(NANO / 1000)
    }

    /// Returns whether it is a whole number of units.
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// Returns whether it is a whole number of thousandths.
    pub fn is_whole_milli(self) -> bool {
        self.nanos % (NANO / 1000) == 0
    }

    /// Returns -1, 0 or 1.
    pub fn sign(self) -> i32 {
        match self.nanos.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// Returns the sum, cut to what a quantity holds; written as `self` is, or as `other` where
    /// `self` is nothing.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-MOST, MOST), format }
    }

    /// Returns the difference, cut to what a quantity holds.
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { nanos: -other.nanos, format: other.format })
    }

    fn scaled(self, unit: i128) -> i64 {
        let (quotient, rest) = (self.nanos / unit, self.nanos % unit);
        let rounded = quotient + if rest == 0 { 0 } else { self.nanos.signum() };
        i64::try_from(rounded.clamp(i64::MIN.into(), i64::MAX.into())).unwrap_or(i64::MAX)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// Writes the canonical form: the largest suffix that needs no fraction.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && self.nanos.abs() >= 1024 * NANO {
            let mut units = i128::from(self.units());
            let mut power = 0;
            while units % 1024 == 0 && power < BINARY.len() {
                units /= 1024;
                power += 1;
            }
            let suffix = power.checked_sub(1).map_or("", |index| BINARY[index]);
            return write!(f, "{units}{suffix}");
        }
        let (mut amount, mut exponent) = (self.nanos, -9);
        while amount % 1000 == 0 && exponent < 18 {
            amount /= 1000;
            exponent += 3;
        }
        match self.format {
            Format::Exponent if exponent == 0 => write!(f, "{amount}"),
            Format::Exponent => write!(f, "{amount}e{exponent}"),
            Format::Binary | Format::Decimal => {
                let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent);
                write!(f, "{amount}{}", suffix.map_or("", |(suffix, _)| suffix))
            }
        }
    }
}

/// Reads a suffix: its family, its power of 1024 and its power of ten.
fn scale(suffix: &str) -> Result<(Format, u32, i32), Error> {
    if let Some(index) = BINARY.iter().position(|binary| *binary == suffix) {
        return Ok((Format::Binary, u32::try_from(index).unwrap_or(0) + 1, 0));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(decimal, _)| *decimal == suffix) {
        return Ok((Format::Decimal, 0, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(Error::Suffix)?;
    let exponent: i64 = exponent.parse().map_err(|_| Error::Suffix)?;
    // Past this everything is nothing or too much.
    let exponent = i32::try_from(exponent.clamp(-400, 400)).unwrap_or(0);
    Ok((Format::Exponent, 0, exponent))
}

/// Returns billionths, rounded up and cut.
fn amount(whole: &str, fraction: &str, binary: u32, decimal: i32) -> i128 {
    // Digits past these change nothing but the rounding, and cannot overflow.
    const DIGITS: usize = 27;
    let mut digits: Vec<u8> =
        whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let mut exponent = decimal + 9 - i32::try_from(fraction.len()).unwrap_or(i32::MAX / 2);
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    if digits.is_empty() {
        return 0;
    }
    let mut more = false;
    if digits.len() > DIGITS {
        exponent = exponent.saturating_add(i32::try_from(digits.len() - DIGITS).unwrap_or(0));
        more = digits[DIGITS..].iter().any(|digit| *digit != 0);
        digits.truncate(DIGITS);
    }
    let mut value = digits.iter().fold(0_i128, |value, digit| value * 10 + i128::from(*digit));
    // A power of two is applied while there are fractions, so that `0.1Ki` is exact.
    for _ in 0..binary {
        if value > i128::MAX / 1024 {
            more |= value % 10 != 0;
            value /= 10;
            exponent += 1;
        }
        value = value.saturating_mul(1024);
    }
    while exponent > 0 && value <= MOST {
        value *= 10;
        exponent -= 1;
    }
    while exponent < 0 {
        more |= value % 10 != 0;
        value /= 10;
        exponent += 1;
        if value == 0 {
            break;
        }
    }
    (value + i128::from(more)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms_are_those_of_kubernetes() {
        for (text, canonical, units, milli) in [
            ("0", "0", 0, 0),
            ("1", "1", 1, 1000),
            ("1000m", "1", 1, 1000),
            ("1500m", "1500m", 2, 1500),
            ("0.1", "100m", 1, 100),
            (".5", "500m", 1, 500),
            ("5.", "5", 5, 5000),
            ("1Gi", "1Gi", 1 << 30, 1000 << 30),
            ("1024Ki", "1Mi", 1 << 20, 1000 << 20),
            ("1.5Gi", "1536Mi", 3 << 29, 3000 << 29),
            ("0.5Ki", "512", 512, 512_000),
            ("1000Ki", "1000Ki", 1_024_000, 1_024_000_000),
            ("1e3", "1e3", 1000, 1_000_000),
            ("12E3", "12e3", 12_000, 12_000_000),
            ("1e-3", "1e-3", 1, 1),
            ("100k", "100k", 100_000, 100_000_000),
            ("1000k", "1M", 1_000_000, 1_000_000_000),
            ("2E", "2E", 2_000_000_000_000_000_000, i64::MAX),
            ("-5m", "-5m", -1, -5),
            ("1n", "1n", 1, 1),
            ("0.1n", "1n", 1, 1),
            ("+7", "7", 7, 7000),
            ("100Ei", "9223372036854775807", i64::MAX, i64::MAX),
            ("0.0000000001Gi", "107374183n", 1, 108),
        ] {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!(quantity.to_string(), canonical, "{text}");
            assert_eq!((quantity.units(), quantity.milli()), (units, milli), "{text}");
            let again = Quantity::parse(canonical).expect(canonical);
            assert_eq!(again.cmp(&quantity), Ordering::Equal, "{canonical} is {text}");
        }
    }

    #[test]
    fn order_is_exact() {
        let ascending = ["-1", "0", "1n", "999u", "1m", "1", "1.001", "1k", "1Ki", "1M", "1Mi"];
        let quantities = ascending.map(|text| Quantity::parse(text).expect(text));
        assert!(quantities.windows(2).all(|pair| pair[0] < pair[1]));
        let [a, b] = ["512Mi", "256M"].map(|text| Quantity::parse(text).expect(text));
        assert_eq!(a.plus(b).to_string(), "774288Ki");
        assert_eq!(a.minus(a), Quantity::ZERO);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for (text, error) in [
            ("", Error::Format),
            ("Gi", Error::Format),
            ("1 Gi", Error::Format),
            ("1GB", Error::Format),
            ("1.2.3", Error::Format),
            ("1gi", Error::Format),
            ("--1", Error::Format),
            (".", Error::Number),
            ("1ki", Error::Suffix),
            ("1mi", Error::Suffix),
            ("1K", Error::Suffix),
            ("1e", Error::Suffix),
            ("1Gi5", Error::Suffix),
        ] {
            assert_eq!(Quantity::parse(text).err(), Some(error), "{text}");
        }
    }
}
