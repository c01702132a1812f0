//! The shapes a secret takes when tools print it: base64, escapes, quotes.
//!
//! The list is that of GitHub's runner, and two more ways of writing a secret in an address that
//! Python, Go and browsers have. Finding the shapes in text is the masker's business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The shortest stretch of base64 digits that is masked on its own; shorter ones would hide
/// words that have nothing to do with the secret.
const MIN_BASE64_DIGITS: usize = 8;
/// The shortest piece of a secret that PowerShell's split at `&` makes worth masking.
const MIN_POWERSHELL_PIECE: usize = 6;
/// The shortest quoted secret that is also masked without its quotes.
const MIN_QUOTED: usize = 9;

/// Returns every other shape of `value`; some may equal it, none is empty.
pub(super) fn shapes(value: &str) -> Vec<String> {
    let mut shapes = vec![
        value.replace('"', "\\\""),
        value.replace('\'', "''"),
        json(value),
        uri(value),
        xml(value),
    ];
    // In a path slashes stay, and in a form a space is a plus.
    let uri = uri(value);
    if uri.contains("%2F") {
        shapes.push(uri.replace("%2F", "/"));
    }
    if uri.contains("%20") {
        shapes.push(uri.replace("%20", "+"));
    }
    if value.len() >= MIN_QUOTED
        && let Some(bare) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
    {
        shapes.push(bare.to_owned());
    }
    shapes.push(before_ampersand(value).to_owned());
    shapes.push(after_ampersand(value).to_owned());
    base64(value.as_bytes(), &mut shapes);
    shapes.retain(|shape| !shape.is_empty());
    shapes
}

/// Base64 of the secret alone and without its first one or two bytes; and for every alignment
/// the digits that depend on the secret alone, because what stands before and after it (a user
/// name, a line feed) changes the outer ones.
fn base64(value: &[u8], shapes: &mut Vec<String>) {
    let mut padded = vec![0; 2];
    padded.extend_from_slice(value);
    for shift in 0..3 {
        let rest = value.get(shift..).filter(|rest| !rest.is_empty()).unwrap_or(value);
        let digits = STANDARD.encode(rest);
        shapes.push(digits.replace('+', "-").replace('/', "_"));
        shapes.push(digits);
        let digits = STANDARD.encode(&padded[2 - shift..]);
        let (first, end) = ((shift * 8).div_ceil(6), (shift + value.len()) * 8 / 6);
        if let Some(own) = digits.get(first..end)
            && own.len() >= MIN_BASE64_DIGITS
        {
            shapes.push(own.replace('+', "-").replace('/', "_"));
            shapes.push(own.to_owned());
        }
    }
}

fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

fn uri(value: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

fn xml(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

/// What PowerShell's error view shows before it breaks the line at an ampersand.
fn before_ampersand(value: &str) -> &str {
    let end = match value.find("&+") {
        Some(at) => at + 2,
        None => value.rfind('&').map_or(0, |at| at + 1),
    };
    let piece = &value[..end];
    if piece.chars().count() >= MIN_POWERSHELL_PIECE { piece } else { "" }
}

/// What PowerShell's error view shows after it broke the line at an ampersand.
fn after_ampersand(value: &str) -> &str {
    let piece = match value.find("&+") {
        Some(at) => {
            let mut rest = value[at + 2..].chars();
            rest.next();
            rest.as_str()
        }
        None => value.rfind('&').map_or("", |at| &value[at + 1..]),
    };
    if piece.chars().count() >= MIN_POWERSHELL_PIECE { piece } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_around_ampersands() {
        for (value, before, after) in [
            ("abcdef&", "abcdef&", ""),
            ("abcdef&+ghijkl", "abcdef&+", ""),
            ("abc&def&", "abc&def&", ""),
            ("ab&", "", ""),
            ("abc&ghijkl", "", "ghijkl"),
            ("abc&+ghijklm", "", "hijklm"),
            ("none", "", ""),
        ] {
            assert_eq!((before_ampersand(value), after_ampersand(value)), (before, after));
        }
    }

    #[test]
    fn shapes_of_a_secret() {
        let in_addresses = shapes("a b/c?");
        for expected in ["a%20b%2Fc%3F", "a%20b/c%3F", "a+b%2Fc%3F"] {
            assert!(in_addresses.iter().any(|shape| shape == expected), "{in_addresses:?}");
        }
        let shapes = shapes("\"p<a&'s s\"");
        for expected in [
            "\\\"p<a&'s s\\\"",
            "\"p<a&''s s\"",
            "%22p%3Ca%26%27s%20s%22",
            "&quot;p&lt;a&amp;&apos;s s&quot;",
            "p<a&'s s",
            "InA8YSYncyBzIg==",
            "cDxhJidzIHMi",
            "PGEmJ3MgcyI=",
        ] {
            assert!(shapes.iter().any(|shape| shape == expected), "{expected}: {shapes:?}");
        }
    }
}
