//! The markers that logs carry (`##[error]`, `##[group]`), as people read them.
//!
//! Logs on disk keep what steps wrote, markers included, so that nothing is lost; only what is
//! shown is changed here.

use std::borrow::Cow;

use crate::printer::Tone;

/// Returns `line` (with or without its line break) as shown; `None` where it only closes a
/// group. `paint` colours a word.
pub(crate) fn shown<'l>(
    line: &'l [u8],
    paint: impl Fn(Tone, &str) -> String,
) -> Option<Cow<'l, [u8]>> {
    let Some(rest) = line.strip_prefix(b"##[") else { return Some(Cow::Borrowed(line)) };
    let Some(end) = rest.iter().position(|byte| *byte == b']') else {
        return Some(Cow::Borrowed(line));
    };
    let (marker, text) = (&rest[..end], &rest[end + 1..]);
    let word = match marker {
        b"error" => paint(Tone::Bad, "error:"),
        b"warning" => paint(Tone::Care, "warning:"),
        b"notice" => paint(Tone::Strong, "notice:"),
        b"debug" => paint(Tone::Quiet, "debug:"),
        b"command" => paint(Tone::Quiet, "$"),
        b"group" => paint(Tone::Strong, ">"),
        b"section" => paint(Tone::Strong, "--"),
        b"endgroup" => return None,
        _ => return Some(Cow::Borrowed(line)),
    };
    let mut shown = word.into_bytes();
    shown.push(b' ');
    shown.extend_from_slice(text);
    Some(Cow::Owned(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_become_words() {
        let show = |line: &str| {
            shown(line.as_bytes(), |_, word| word.to_owned())
                .map(|line| String::from_utf8_lossy(&line).into_owned())
        };
        assert_eq!(show("##[error]it broke\n").as_deref(), Some("error: it broke\n"));
        assert_eq!(show("##[group]Install").as_deref(), Some("> Install"));
        assert_eq!(show("##[endgroup]\n"), None);
        assert_eq!(show("##[what]ever").as_deref(), Some("##[what]ever"));
        assert_eq!(show("plain ##[error]").as_deref(), Some("plain ##[error]"));
    }
}
