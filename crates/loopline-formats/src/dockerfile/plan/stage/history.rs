//! The lines of an image's history, as the builder writes them.

use std::fmt::Write as _;

use loopline_units::GoDuration;

use super::super::{Copy, CopySource, Healthcheck};

pub(super) fn pairs(keyword: &str, pairs: &[(String, String)]) -> String {
    let mut text = keyword.to_owned();
    for (name, value) in pairs {
        let _infallible = write!(text, " {name}={value}");
    }
    text
}

/// Returns a list of words, each in quotes.
pub(super) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

/// Returns the line of a `RUN`: the arguments of the build that it may have used come first.
pub(super) fn run(
    arguments: &[String],
    declared: &[(String, Option<String>)],
    environment: &[(String, String)],
) -> String {
    let mut used: Vec<(&str, &str)> = Vec::new();
    for (name, value) in declared {
        let current = environment.iter().find(|(found, _)| found == name);
        let value = current.map(|(_, value)| value.as_str()).or(value.as_deref()).unwrap_or("");
        match used.iter_mut().find(|(found, _)| found == name) {
            Some(slot) => slot.1 = value,
            None => used.push((name, value)),
        }
    }
    let mut text = "RUN".to_owned();
    if !used.is_empty() {
        let _infallible = write!(text, " |{}", used.len());
        for (name, value) in used {
            let _infallible = write!(text, " {name}={value}");
        }
    }
    for argument in arguments {
        text.push(' ');
        text.push_str(argument);
    }
    text + " # buildkit"
}

pub(super) fn copy(copy: &Copy) -> String {
    let mut text = if copy.add { "ADD" } else { "COPY" }.to_owned();
    if copy.parents {
        text.push_str(" --parents");
    }
    if let Some(chown) = &copy.chown {
        let _infallible = write!(text, " --chown={chown}");
    }
    if let Some(chmod) = &copy.chmod {
        let _infallible = write!(text, " --chmod={chmod}");
    }
    for source in &copy.sources {
        let name = match source {
            CopySource::Path(name) | CopySource::Url(name) | CopySource::Git(name) => name.clone(),
            CopySource::Inline(inline) => format!("<<{}", inline.name),
        };
        let _infallible = write!(text, " {name}");
    }
    let _infallible = write!(text, " {} # buildkit", copy.destination);
    text
}

pub(super) fn healthcheck(check: &Healthcheck) -> String {
    let duration = |ns| GoDuration(ns).to_string();
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        check.test.join(" "),
        duration(check.interval_ns),
        duration(check.timeout_ns),
        duration(check.start_period_ns),
        duration(check.start_interval_ns),
        check.retries,
    )
}
