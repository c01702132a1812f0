//! Texts as Go reads and writes them: times, durations and base64.

/// Returns what Go's `time.Parse` says of a text that is no time of RFC 3339.
pub(crate) fn time_problem(text: &str, layout: &str) -> Option<String> {
    let (rest, wanted) = time_rest(text)?;
    if wanted.is_empty() {
        return Some(format!("parsing time {text:?}: {rest}"));
    }
    Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {wanted:?}"))
}

/// Returns where the text leaves the form of RFC 3339, and which part of Go's layout it should
/// have been; nothing if it has that form.
fn time_rest(text: &str) -> Option<(&str, &'static str)> {
    const PARTS: [(&str, usize); 11] = [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    let mut numbers = Vec::new();
    for (part, digits) in PARTS {
        if digits == 0 {
            match rest.strip_prefix(part) {
                Some(after) => rest = after,
                None => return Some((rest, part)),
            }
        } else {
            let number = rest.get(..digits).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
            match number {
                Some(number) => {
                    numbers.push(number.parse::<u32>().unwrap_or_default());
                    rest = &rest[digits..];
                }
                None => return Some((rest, part)),
            }
        }
    }
    let range = |problem| Some((problem, ""));
    let [year, month, day, hour, minute, second] = numbers[..] else { return None };
    if !(1..=12).contains(&month) {
        return range("month out of range");
    }
    if day == 0 || day > days(year, month) {
        return range("day out of range");
    }
    if hour > 23 {
        return range("hour out of range");
    }
    if minute > 59 {
        return range("minute out of range");
    }
    if second > 59 {
        return range("second out of range");
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Some((rest, "Z07:00"));
        }
        rest = &fraction[digits..];
    }
    if rest == "Z" {
        return None;
    }
    let zone = rest.as_bytes();
    let fits = zone.len() == 6
        && matches!(zone[0], b'+' | b'-')
        && zone[3] == b':'
        && [1, 2, 4, 5].iter().all(|&at| zone[at].is_ascii_digit());
    if fits { None } else { Some((rest, "Z07:00")) }
}

fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the index of the first byte that cannot be part of padded base64 where it stands.
pub(crate) fn corrupt_base64(text: &str) -> Option<usize> {
    let mut length = 0_usize;
    let mut padding = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // Go's decoder passes over line ends.
            b'\r' | b'\n' => {}
            b'=' if padding > 0 || length % 4 >= 2 => {
                padding += 1;
                if (length + padding).is_multiple_of(4) && padding <= 2 {
                    let rest = text[at + 1..].trim_start_matches(['\r', '\n']);
                    return (!rest.is_empty()).then(|| text.len() - rest.len());
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => length += 1,
            _ => return Some(at),
        }
    }
    // What is left is less than a whole group of four.
    let rest = (length + padding) % 4;
    (rest != 0).then(|| text.len() - rest)
}

/// Returns seconds and nanoseconds since 1970 as text of RFC 3339, with as many decimals.
pub(crate) fn time_text(seconds: i64, nanos: u32, decimals: usize) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The years are counted in eras of 400 of them, from March on, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if decimals > 0 {
        let fraction = format!("{nanos:09}");
        text.push('.');
        text.push_str(&fraction[..decimals.min(9)]);
    }
    text.push('Z');
    text
}

/// Reads a time of RFC 3339 as seconds and nanoseconds since 1970.
pub(crate) fn time_value(text: &str) -> Option<(i64, u32)> {
    if time_rest(text).is_some() {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (mut year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let of_day = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    year -= i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit())?;
        let digits: String = fraction[..end].chars().chain("000000000".chars()).take(9).collect();
        nanos = digits.parse().ok()?;
        rest = &fraction[end..];
    }
    let zone = match rest.as_bytes() {
        [b'Z'] => 0,
        [sign, ..] => {
            let part = |from: usize, to: usize| rest.get(from..to)?.parse::<i64>().ok();
            let offset = part(1, 3)? * 3600 + part(4, 6)? * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        [] => return None,
    };
    Some((days * 86_400 + of_day - zone, nanos))
}

/// Returns nanoseconds as Go shows a duration: `1m30s`, `1.5ms`.
pub(crate) fn duration_text(nanos: i64) -> String {
    let amount = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let decimal = |unit: u64| {
        let (whole, part) = (amount / unit, amount % unit);
        let width = unit.ilog10() as usize;
        let fraction = format!("{part:0width$}");
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
    };
    match amount {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{amount}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(1_000_000)),
        _ => {
            let (hours, minutes) = (amount / 3_600_000_000_000, amount / 60_000_000_000 % 60);
            let rest = amount % 60_000_000_000;
            let fraction = format!("{:09}", rest % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            let seconds = format!("{}{point}{fraction}s", rest / 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, _) => format!("{sign}{minutes}m{seconds}"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// Reads a Go duration as nanoseconds.
pub(crate) fn duration_value(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 18 {
            return None;
        }
        total += if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? } * unit;
        if !fraction.is_empty() {
            let scale = 10_i128.pow(fraction.len() as u32);
            total += fraction.parse::<i128>().ok()? * unit / scale;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

#[cfg(test)]
mod tests {
    use super::{duration_text, duration_value, time_text, time_value};

    #[test]
    fn times_and_durations_come_back() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_732_924_800, "2024-11-30T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(time_text(seconds, 0, 0), text);
            assert_eq!(time_value(text), Some((seconds, 0)));
        }
        assert_eq!(time_text(0, 1_500_000, 6), "1970-01-01T00:00:00.001500Z");
        assert_eq!(time_value("1970-01-01T02:00:00.0015+02:00"), Some((0, 1_500_000)));
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (1_500_000, "1.5ms"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_050_000_000, "-1.05s"),
        ] {
            assert_eq!(duration_text(nanos), text);
            assert_eq!(duration_value(text), Some(nanos));
        }
        assert_eq!(duration_value("1.5h"), Some(5_400_000_000_000));
        for wrong in ["", "1", "s", "1x", "1.2.3s", "."] {
            assert_eq!(duration_value(wrong), None, "{wrong}");
        }
    }
}
