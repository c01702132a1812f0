//! The small grammars of registries: ranges, challenges, queries.

/// Returns an error and what caused it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Reads `START-END` of an upload, with or without the unit that the standard does not want.
pub(super) fn content_range(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let text = text.strip_prefix("bytes").map_or(text, str::trim_start);
    let text = text.split('/').next()?;
    let (start, end) = text.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end).then_some((start, end))
}

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Everything: there is none, or one that this server does not know.
    All,
    /// From the first byte to before the second.
    Part(u64, u64),
    /// Nothing that there is.
    Beyond,
}

/// Reads the `Range` header of a download of `size` bytes.
pub(super) fn range(text: &str, size: u64) -> Range {
    let Some(list) = text.trim().strip_prefix("bytes=") else { return Range::All };
    // Several ranges may be answered with everything.
    if list.contains(',') {
        return Range::All;
    }
    let Some((start, end)) = list.trim().split_once('-') else { return Range::All };
    if start.is_empty() {
        return match end.parse::<u64>() {
            Ok(0) => Range::Beyond,
            Ok(last) if size > 0 => Range::Part(size.saturating_sub(last), size),
            Ok(_) => Range::Beyond,
            Err(_) => Range::All,
        };
    }
    let Ok(start) = start.parse::<u64>() else { return Range::All };
    let end = match end {
        "" => size,
        end => match end.parse::<u64>() {
            Ok(end) if end < start => return Range::All,
            Ok(end) => end.saturating_add(1).min(size),
            Err(_) => return Range::All,
        },
    };
    if start < end { Range::Part(start, end) } else { Range::Beyond }
}

/// A challenge of a `WWW-Authenticate` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// `bearer` or `basic`, in lowercase.
    pub(super) scheme: String,
    /// Its parameters, names in lowercase.
    pub(super) parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one challenge; more of them come in headers of their own.
pub(super) fn challenge(text: &str) -> Challenge {
    let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let Some((key, after)) = rest.split_once('=') else { break };
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, character)) = characters.next() {
                match character {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => text.extend(characters.next().map(|(_, next)| next)),
                    other => text.push(other),
                }
            }
            value = text;
            rest = &quoted[end..];
        } else {
            let end = after.find(',').unwrap_or(after.len());
            value = after[..end].trim().to_owned();
            rest = &after[end..];
        }
        parameters.push((key.trim().to_lowercase(), value));
    }
    Challenge { scheme: scheme.to_lowercase(), parameters }
}

/// Returns a parameter of a query.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(content_range("0-9"), Some((0, 9)));
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9)));
        assert_eq!(content_range("9-5"), None);
        assert_eq!(content_range("5-"), None);
        for (text, expected) in [
            ("bytes=0-3", Range::Part(0, 4)),
            ("bytes=5-", Range::Part(5, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-30", Range::Part(0, 10)),
            ("bytes=8-99", Range::Part(8, 10)),
            ("bytes=10-", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=3-2", Range::All),
            ("bytes=0-1,3-4", Range::All),
            ("lines=0-1", Range::All),
        ] {
            assert_eq!(range(text, 10), expected, "{text}");
        }
    }

    #[test]
    fn challenges() {
        let found = challenge(
            r#"Bearer realm="https://auth.example/token?a=b",service=registry.example, scope="repository:a/b:pull,push", x="q\"q""#,
        );
        assert_eq!(found.scheme, "bearer");
        assert_eq!(found.get("realm"), Some("https://auth.example/token?a=b"));
        assert_eq!(found.get("service"), Some("registry.example"));
        assert_eq!(found.get("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(found.get("x"), Some("q\"q"));
        assert_eq!(challenge("Basic").scheme, "basic");
        assert_eq!(challenge("Basic realm=\"open").get("realm"), Some("open"));
    }
}
