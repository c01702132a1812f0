//! What is wrong with the schedule of a cron job, as the parser of Kubernetes says it.
//!
//! Kubernetes takes five fields, `@daily` and its like, and `@every 1h30m`.

use super::check::{At, Checker};

struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
    first: u32,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[], first: 0 },
    Field { least: 0, most: 23, names: &[], first: 0 },
    Field { least: 1, most: 31, names: &[], first: 0 },
    Field { least: 1, most: 12, names: &MONTHS, first: 1 },
    Field { least: 0, most: 6, names: &DAYS, first: 0 },
];

/// Returns what is wrong with a schedule.
pub(super) fn problem(text: &str) -> Option<String> {
    check(text).err()
}

fn check(text: &str) -> Result<(), String> {
    let mut text = text;
    for prefix in ["TZ=", "CRON_TZ="] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (zone, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            if jiff::tz::TimeZone::get(zone).is_err() {
                return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
            }
            text = rest.trim();
            break;
        }
    }
    if text.starts_with('@') {
        return descriptor(text);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    fields.iter().zip(&FIELDS).try_for_each(|(text, field)| {
        text.split(',').filter(|part| !part.is_empty()).try_for_each(|part| range(part, field))
    })
}

fn descriptor(text: &str) -> Result<(), String> {
    let known = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if known.contains(&text) {
        return Ok(());
    }
    if let Some(duration) = text.strip_prefix("@every ") {
        if is_duration(duration) {
            return Ok(());
        }
        return Err(format!(
            "failed to parse duration {text}: time: invalid duration {duration:?}"
        ));
    }
    Err(format!("unrecognized descriptor: {text}"))
}

/// Returns whether a text is a duration as Go reads it: `1h30m`, `1.5s`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = &rest[..digits];
        if number.matches('.').count() > 1 || !number.bytes().any(|byte| byte.is_ascii_digit()) {
            return false;
        }
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        if !UNITS.contains(&&rest[..end]) {
            return false;
        }
        rest = &rest[end..];
    }
    true
}

fn range(part: &str, field: &Field) -> Result<(), String> {
    let pieces: Vec<&str> = part.split('/').collect();
    let ends: Vec<&str> = pieces[0].split('-').collect();
    let (from, mut to);
    if ends[0] == "*" || ends[0] == "?" {
        (from, to) = (field.least, field.most);
    } else {
        from = value(ends[0], field)?;
        to = match ends.len() {
            1 => from,
            2 => value(ends[1], field)?,
            _ => return Err(format!("too many hyphens: {part}")),
        };
    }
    let step = match pieces.len() {
        1 => 1,
        2 => {
            let step = number(pieces[1])?;
            if ends.len() == 1 {
                to = field.most;
            }
            step
        }
        _ => return Err(format!("too many slashes: {part}")),
    };
    if from < field.least {
        let least = field.least;
        return Err(format!("beginning of range ({from}) below minimum ({least}): {part}"));
    }
    if to > field.most {
        let most = field.most;
        return Err(format!("end of range ({to}) above maximum ({most}): {part}"));
    }
    if from > to {
        return Err(format!("beginning of range ({from}) beyond end of range ({to}): {part}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    Ok(())
}

fn value(text: &str, field: &Field) -> Result<u32, String> {
    let named = field.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match named.and_then(|index| u32::try_from(index).ok()) {
        Some(index) => Ok(index + field.first),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let found: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })?;
    u32::try_from(found).map_err(|_| format!("negative number ({found}) not allowed: {text}"))
}

/// Checks the name of a time zone.
pub(super) fn zone(c: &mut Checker, at: &At<'_>) {
    const PART: usize = 14;
    let text = at.text();
    if text.is_empty() {
        c.invalid(at, "timeZone must be nil or non-empty string");
        return;
    }
    let fits = |part: &str| {
        !part.is_empty()
            && part.len() <= PART
            && !matches!(part, "." | "..")
            && !part.starts_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    if !text.split('/').all(fits) {
        c.invalid(at, format!("unknown time zone {text}"));
        return;
    }
    if text.eq_ignore_ascii_case("local") {
        c.invalid(
            at,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        );
    } else if jiff::tz::TimeZone::get(text).is_err() {
        c.invalid(at, format!("unknown time zone {text}"));
    }
}
