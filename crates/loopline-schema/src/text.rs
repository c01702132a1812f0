//! What Go's parsers say of texts: times and base64.

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
