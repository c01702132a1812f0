//! The formats of strings that the API checks; others are for people.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Returns whether a string has a format. Formats that the API does not know fit everything.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => crate::text::time_problem(text, "").is_none(),
        "date" => {
            text.len() == 10
                && crate::text::time_problem(&format!("{text}T00:00:00Z"), "").is_none()
        }
        "duration" => crate::text::duration_value(text).is_some() || long_duration(text),
        "byte" => STANDARD.decode(text).is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(address, length)| {
            let most = match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => 32,
                Ok(std::net::IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            length.bytes().all(|byte| byte.is_ascii_digit())
                && length.parse::<u8>().is_ok_and(|length| length <= most)
        }),
        "mac" => mac(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => uuid(format, text),
        "hostname" => hostname(text),
        "uri" => uri(text),
        "email" => text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !local.contains(char::is_whitespace) && hostname(domain)
        }),
        "hexcolor" => {
            text.strip_prefix('#').unwrap_or(text).len().is_multiple_of(3)
                && matches!(text.trim_start_matches('#').len(), 3 | 6)
                && text.trim_start_matches('#').bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        _ => true,
    }
}

/// Durations with days and weeks, such as `3 days`, besides Go's own.
fn long_duration(text: &str) -> bool {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = if unit.len() > 2 { unit.trim_end_matches('s') } else { &unit };
    !number.is_empty()
        && matches!(
            unit,
            "ns" | "nano"
                | "us"
                | "micro"
                | "ms"
                | "milli"
                | "s"
                | "sec"
                | "second"
                | "m"
                | "min"
                | "minute"
                | "h"
                | "hr"
                | "hour"
                | "d"
                | "day"
                | "w"
                | "week"
                | "wk"
        )
}

fn mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<_> = text.split(separator).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn uuid(format: &str, text: &str) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let dashes: Vec<_> = text.match_indices('-').map(|(at, _)| at).collect();
    if !dashes.is_empty() && dashes != [8, 13, 18, 23] {
        return false;
    }
    match format.strip_prefix("uuid") {
        Some("") | None => true,
        Some(version) => digits[12..13] == *version,
    }
}

fn hostname(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    (1..=253).contains(&labels.len())
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// What Go's `url.ParseRequestURI` takes: an absolute address or an absolute path.
fn uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && !rest.is_empty()
            && !rest.contains(' ')
    })
}
