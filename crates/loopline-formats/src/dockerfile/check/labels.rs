//! `LABEL`: names, and values where `.hadolint.yaml` has a schema.

use std::collections::BTreeMap;

use loopline_diagnostic::{Rule, rule_set as rules};
use loopline_units::version::Version;

use super::context::Checker;
use super::settings::LabelKind;
use crate::dockerfile::instruction::CommandKind;
use crate::dockerfile::tree::{Pair, Word};

pub(super) fn check(checker: &mut Checker<'_>) {
    for (index, stage) in checker.build.stages.iter().enumerate() {
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        for command in &stage.commands {
            let CommandKind::Label(pairs) = &command.kind else { continue };
            for pair in pairs {
                seen.insert(pair.key.text.trim_matches(['"', '\'']), ());
                key(checker, &pair.key);
                value(checker, pair);
            }
        }
        if index + 1 == checker.build.stages.len() {
            for (name, _) in &checker.settings.label_schema {
                if !seen.contains_key(name.as_str()) {
                    let message = format!("the label `{name}` is missing");
                    checker.add(&rules::DL3049, stage.base.span, message);
                }
            }
        }
    }
}

/// Namespaces that Docker keeps for itself.
const RESERVED: [&str; 3] = ["com.docker.", "io.docker.", "org.dockerproject."];

/// DL3048: the rules for names.
fn key(checker: &mut Checker<'_>, key: &Word) {
    let name = key.text.trim_matches(['"', '\'']);
    let why = if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
        "is in a namespace that is kept for Docker"
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "does not start with a lower case letter"
    } else if !name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        "does not end with a lower case letter or a digit"
    } else if name.contains("..") || name.contains("--") {
        "has two separators in a row"
    } else if name.contains(|c: char| {
        !c.is_ascii_lowercase() && !c.is_ascii_digit() && !matches!(c, '.' | '-' | '_' | '/')
    }) {
        "holds something else than lower case letters, digits, `.`, `-`, `_` and `/`"
    } else {
        return;
    };
    checker.add(&rules::DL3048, key.span, format!("the label `{name}` {why}"));
}

/// DL3050 to DL3058: the schema.
fn value(checker: &mut Checker<'_>, pair: &Pair) {
    let schema = &checker.settings.label_schema;
    if schema.is_empty() {
        return;
    }
    let name = pair.key.text.trim_matches(['"', '\'']);
    let Some((_, kind)) = schema.iter().find(|(known, _)| known == name) else {
        if checker.settings.strict_labels {
            let message = format!("the schema does not know the label `{name}`");
            checker.add(&rules::DL3050, pair.key.span, message);
        }
        return;
    };
    let text = pair.value.text.trim_matches(['"', '\'']);
    // What a variable holds is not known here.
    if text.contains('$') {
        return;
    }
    let (rule, valid, what): (&'static Rule, bool, &str) = match kind {
        LabelKind::Text => (&rules::DL3051, !text.is_empty(), "a text"),
        LabelKind::Url => (&rules::DL3052, is_url(text), "a URL"),
        LabelKind::Rfc3339 => (&rules::DL3053, is_time(text), "a time as in RFC 3339"),
        LabelKind::Spdx => (&rules::DL3054, is_spdx(text), "an SPDX licence"),
        LabelKind::Hash => (&rules::DL3055, is_hash(text), "a git hash"),
        LabelKind::Semver => (&rules::DL3056, is_semver(text), "a semantic version"),
        LabelKind::Email => (&rules::DL3058, is_email(text), "an e-mail address"),
    };
    if !valid {
        let message = format!("the label `{name}` is not {what}: `{text}`");
        checker.add(rule, pair.value.span, message);
    }
}

fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && !rest.is_empty()
            && !rest.contains(char::is_whitespace)
    })
}

fn is_hash(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or("");
    core.split('.').count() == 3 && Version::parse(text).is_some() && !text.starts_with('v')
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !text.contains(char::is_whitespace)
            && !host.contains('@')
    })
}

/// Returns whether `text` has the shape of RFC 3339, its fields in range.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    let separators = bytes.len() >= 20
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b't' | b' ')
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !separators {
        return false;
    }
    let in_range = number(0, 4).is_some()
        && number(5, 7).is_some_and(|month| (1..=12).contains(&month))
        && number(8, 10).is_some_and(|day| (1..=31).contains(&day))
        && number(11, 13).is_some_and(|hour| hour < 24)
        && number(14, 16).is_some_and(|minute| minute < 60)
        && number(17, 19).is_some_and(|second| second <= 60);
    let Some(mut zone) = text.get(19..) else { return false };
    if let Some(fraction) = zone.strip_prefix('.') {
        let digits =
            fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return false;
        }
        zone = &fraction[digits..];
    }
    let offset = |zone: &str| {
        let digits: Vec<u8> = zone.bytes().collect();
        digits.len() == 6
            && matches!(digits[0], b'+' | b'-')
            && digits[3] == b':'
            && [1, 2, 4, 5].iter().all(|at| digits[*at].is_ascii_digit())
    };
    in_range && (matches!(zone, "Z" | "z") || offset(zone))
}

/// The licences of the SPDX list that images name, and the shape of expressions over them.
fn is_spdx(text: &str) -> bool {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut licence = true;
    for word in &words {
        let operator = matches!(*word, "AND" | "OR" | "WITH");
        if operator == licence {
            return false;
        }
        if !operator && !known_licence(word) {
            return false;
        }
        licence = !licence;
    }
    !words.is_empty() && !licence
}

fn known_licence(word: &str) -> bool {
    let word = word.trim_end_matches('+');
    LICENCES.contains(&word) || word.starts_with("LicenseRef-")
}

const LICENCES: &[&str] = &[
    "0BSD",
    "AFL-3.0",
    "AGPL-1.0-only",
    "AGPL-1.0-or-later",
    "AGPL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "APSL-2.0",
    "Apache-1.0",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-1.0",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-4-Clause",
    "BSL-1.0",
    "BUSL-1.1",
    "Beerware",
    "BlueOak-1.0.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "CECILL-2.1",
    "CPL-1.0",
    "ECL-2.0",
    "EFL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "Elastic-2.0",
    "FTL",
    "GFDL-1.3",
    "GFDL-1.3-only",
    "GFDL-1.3-or-later",
    "GPL-1.0",
    "GPL-1.0-only",
    "GPL-1.0-or-later",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ICU",
    "IJG",
    "IPL-1.0",
    "ISC",
    "JSON",
    "LGPL-2.0",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "LPPL-1.3c",
    "MIT",
    "MIT-0",
    "MPL-1.0",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "MS-RL",
    "MulanPSL-2.0",
    "NCSA",
    "NPL-1.1",
    "ODC-By-1.0",
    "ODbL-1.0",
    "OFL-1.1",
    "OLDAP-2.8",
    "OSL-3.0",
    "OpenSSL",
    "PHP-3.01",
    "PSF-2.0",
    "PostgreSQL",
    "Python-2.0",
    "QPL-1.0",
    "Ruby",
    "SSPL-1.0",
    "Sleepycat",
    "SISSL",
    "UPL-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "Zend-2.0",
    "Zlib",
    "ZPL-2.1",
    "curl",
    "libpng-2.0",
    "Classpath-exception-2.0",
    "GCC-exception-3.1",
    "LLVM-exception",
    "Linux-syscall-note",
];
