//! Rules of single texts: names, keys, ports, paths, addresses. Each returns what is wrong.

use std::net::IpAddr;

use loopline_units::selector::{check_subdomain, is_dns_label, pattern};

/// How a kind's names are checked; the flag says that more will be appended.
pub(crate) type NameRule = fn(&str, bool) -> Vec<String>;

/// Stands in for what generation appends to a name that ends in a dash.
fn masked(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => format!("{rest}a"),
        _ => name.to_owned(),
    }
}

/// Names that are DNS subdomains.
pub(crate) fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    check_subdomain(&masked(name, prefix))
}

/// Names that are DNS labels.
pub(crate) fn label(name: &str, prefix: bool) -> Vec<String> {
    dns_label(&masked(name, prefix))
}

/// Names that are DNS labels which begin with a letter.
pub(crate) fn service(name: &str, prefix: bool) -> Vec<String> {
    let name = masked(name, prefix);
    let mut problems = Vec::new();
    if name.len() > 63 {
        problems.push(at_most(63));
    }
    if !is_dns_label(&name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    problems
}

/// Names that are one segment of a URL's path.
pub(crate) fn path_segment(name: &str, _prefix: bool) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ['/', '%']
        .into_iter()
        .filter(|c| name.contains(*c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// Says how long a text may be.
pub(crate) fn at_most(bytes: usize) -> String {
    format!("must be no more than {bytes} bytes")
}

/// Says between which numbers a number must be.
pub(crate) fn between(least: i64, most: i64) -> String {
    format!("must be between {least} and {most}, inclusive")
}

/// A DNS label.
pub(crate) fn dns_label(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > 63 {
        problems.push(at_most(63));
    }
    if !is_dns_label(text) {
        problems.push(pattern(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "123-abc"],
        ));
    }
    problems
}

/// A DNS subdomain whose labels may have underscores.
pub(crate) fn underscored_subdomain(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > 253 {
        problems.push(at_most(253));
    }
    let fits = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |byte: Option<&u8>, wide: bool| {
            byte.is_some_and(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || wide && *byte == b'_'
            })
        };
        edge(bytes.first(), true)
            && edge(bytes.last(), false)
            && bytes.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte)
            })
    };
    if !text.split('.').all(fits) {
        problems.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            r"[a-z0-9_]([-_a-z0-9]*[a-z0-9])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    problems
}

/// A host with `*` for its first label.
pub(crate) fn wildcard(text: &str) -> Vec<String> {
    let fits = text.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(is_dns_label));
    let mut problems = Vec::new();
    if text.len() > 253 {
        problems.push(at_most(253));
    }
    if !fits {
        problems.push(pattern(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            &["*.example.com"],
        ));
    }
    problems
}

/// A key of a config map or a secret.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > 253 {
        problems.push(at_most(253));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        problems.push(pattern(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match text {
        "." | ".." => problems.push(format!("must not be '{text}'")),
        text if text.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    problems
}

/// The name of an environment variable.
pub(crate) fn variable(text: &str) -> Vec<String> {
    if text.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// The name of a port.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > 15 {
        problems.push(at_most(15));
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(fits) {
        problems.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        problems.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        problems.push("must not begin or end with a hyphen".to_owned());
    }
    problems
}

/// The number of a port.
pub(crate) fn port_number(number: i64) -> Vec<String> {
    if (1..=65_535).contains(&number) { Vec::new() } else { vec![between(1, 65_535)] }
}

/// The number of a user or a group.
pub(crate) fn user(number: i64) -> Vec<String> {
    let most = i64::from(i32::MAX);
    if (0..=most).contains(&number) { Vec::new() } else { vec![between(0, most)] }
}

/// The name of an HTTP header.
pub(crate) fn header(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![pattern(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// An IP address.
pub(crate) fn address(text: &str) -> Vec<String> {
    if parse_address(text).is_some() {
        return Vec::new();
    }
    vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
}

/// Reads an address; leading zeros are tolerated as they always were.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let parts: Vec<u8> = text
        .split('.')
        .map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        })
        .collect::<Option<_>>()?;
    <[u8; 4]>::try_from(parts).ok().map(IpAddr::from)
}

/// A range of addresses.
pub(crate) fn range(text: &str) -> Vec<String> {
    if parse_range(text).is_some() {
        return Vec::new();
    }
    vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()]
}

/// Reads a range: its first address as a number of 128 bits, its length, and whether it is IPv6.
pub(crate) fn parse_range(text: &str) -> Option<(u128, u32, bool)> {
    let (address, length) = text.split_once('/')?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = digits.then(|| length.parse().ok()).flatten()?;
    let (bits, size, six) = match parse_address(address)? {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32, false),
        IpAddr::V6(address) => (u128::from(address), 128, true),
    };
    (length <= size).then(|| {
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
        (bits & mask, length, six)
    })
}

/// An address that a client may be sent to.
pub(crate) fn ordinary_address(text: &str) -> Vec<String> {
    let Some(address) = parse_address(text) else {
        return vec!["must be a valid IP address".to_owned()];
    };
    let mut problems = Vec::new();
    if address.is_unspecified() {
        problems.push(format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        problems.push("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned());
    }
    let (link, multicast) = match address {
        IpAddr::V4(four) => (four.is_link_local(), four.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(six) => (six.is_unicast_link_local(), six.segments()[0] & 0xff0f == 0xff02),
    };
    if link {
        problems.push("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned());
    }
    if multicast {
        problems.push(
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        );
    }
    problems
}

/// A path below some folder.
pub(crate) fn descending_path(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.starts_with('/') {
        problems.push("must be a relative path".to_owned());
    }
    problems.extend(no_backsteps(text));
    problems
}

/// A path below some folder that does not look like the kubelet's own.
pub(crate) fn unreserved_path(text: &str) -> Vec<String> {
    let mut problems = descending_path(text);
    if text.starts_with("..") && !text.starts_with("../") {
        problems.push("must not start with '..'".to_owned());
    }
    problems
}

/// A path that does not go up.
pub(crate) fn no_backsteps(text: &str) -> Vec<String> {
    if text.split('/').any(|part| part == "..") {
        return vec!["must not contain '..'".to_owned()];
    }
    Vec::new()
}

/// A path that begins with a domain: `example.com/controller`.
pub(crate) fn domain_prefixed(text: &str) -> Vec<String> {
    let shape = "must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned();
    let Some((domain, path)) = text.split_once('/') else { return vec![shape] };
    if domain.is_empty() || path.is_empty() {
        return vec![shape];
    }
    let mut problems = check_subdomain(domain);
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    if !path.chars().all(fits) {
        problems.push("must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned());
    }
    problems
}
