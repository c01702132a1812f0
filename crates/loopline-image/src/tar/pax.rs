//! Records of PAX headers: `LENGTH KEY=VALUE\n`.

use super::entry::Time;

/// Returns the records of a header, or nothing where it is broken.
pub(super) fn records(mut text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
        if length <= space + 1 || length > text.len() {
            return None;
        }
        let (record, rest) = text.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        text = rest;
    }
    Some(records)
}

/// Adds a record.
pub(super) fn push(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Reads a decimal number.
pub(super) fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// Reads a time: seconds, with a fraction or without.
pub(super) fn time(value: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(if whole.starts_with('-') && nanoseconds > 0 {
        Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds }
    } else {
        Time { seconds, nanoseconds }
    })
}

/// Writes a time.
pub(super) fn show_time(time: Time) -> String {
    let Time { seconds, nanoseconds } = time;
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    let (sign, seconds, nanoseconds) = if seconds < 0 {
        ("-", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        ("", seconds, nanoseconds)
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves() {
        for size in [0, 1, 3, 90, 93, 94, 95, 900, 990, 995, 9_990] {
            let mut out = Vec::new();
            let value = vec![b'x'; size];
            push(&mut out, b"path", &value);
            push(&mut out, b"a", b"b=c\n");
            let expected = vec![(&b"path"[..], &value[..]), (b"a", b"b=c\n")];
            assert_eq!(records(&out), Some(expected), "{size}");
        }
        for broken in [&b"5 a=b"[..], b"99 a=b\n", b"a=b\n", b"0 a=b\n", b"6 a.b\n\n", b"2 a=b\n"] {
            assert_eq!(records(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn times_keep_their_fraction() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1350244992.023960108", 1_350_244_992, 23_960_108),
            ("1.5", 1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-0.25", -1, 750_000_000),
            ("-3", -3, 0),
        ] {
            let expected = Time { seconds, nanoseconds };
            assert_eq!(time(text.as_bytes()), Some(expected), "{text}");
            assert_eq!(show_time(expected), text);
        }
        assert_eq!(time(b"1.5x"), None);
        assert_eq!(time(b"x"), None);
    }
}
