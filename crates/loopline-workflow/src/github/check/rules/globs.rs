//! Filter patterns: their syntax, and what they can match.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::Findings;
use crate::github::check::model::{Event, Workflow};
use crate::github::check::text::Text;

/// What a pattern is matched against.
#[derive(Clone, Copy, PartialEq)]
enum Subject {
    Reference,
    Path,
    Version,
}

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for event in &workflow.events {
        match event {
            Event::Webhook(webhook) => {
                for filter in &webhook.filters {
                    let path = filter.name.value.starts_with("paths");
                    let subject = if path { Subject::Path } else { Subject::Reference };
                    for pattern in &filter.value {
                        one(pattern, subject, findings);
                    }
                }
            }
            Event::ImageVersion { versions, names } => {
                for pattern in versions.iter().chain(names) {
                    one(pattern, Subject::Version, findings);
                }
            }
            Event::Schedule(_)
            | Event::Dispatch { .. }
            | Event::RepositoryDispatch
            | Event::Call(_) => {}
        }
    }
    for job in &workflow.jobs {
        let version = job.snapshot.as_ref().and_then(|snapshot| snapshot.version.as_ref());
        if let Some(version) = version.filter(|version| !version.has_expression()) {
            one(version, Subject::Version, findings);
        }
    }
}

fn one(pattern: &Text, subject: Subject, findings: &mut Findings<'_>) {
    let value = &*pattern.value;
    if value.is_empty() {
        return;
    }
    if subject == Subject::Path {
        let inner = value.strip_prefix('!').unwrap_or(value);
        if value.trim() != value {
            at_start(pattern, "blanks around a path never match", findings);
            return;
        }
        let dots =
            matches!(inner, "." | "..") || inner.starts_with("./") || inner.starts_with("../");
        if dots {
            at_start(
                pattern,
                "paths start at the repository's root: `.` and `..` never match",
                findings,
            );
            return;
        }
    }
    for (at, message) in problems(value, subject) {
        let end = value[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        let place = pattern.place(findings.file, at, end);
        findings.add(&rules::GLOB_PATTERN, place, message);
    }
}

fn at_start(pattern: &Text, message: &str, findings: &mut Findings<'_>) {
    let block = pattern.value.ends_with('\n');
    let place = if block { pattern.span } else { pattern.place(findings.file, 0, 1) };
    findings.add(&rules::GLOB_PATTERN, place, message);
}

/// Returns what is wrong with `pattern`, by byte.
fn problems(pattern: &str, subject: Subject) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let characters: Vec<(usize, char)> = pattern.char_indices().collect();
    let last = characters.last().map_or(0, |(at, _)| *at);
    let reference = subject == Subject::Reference;
    let negated = pattern.starts_with('!');
    let mut index = 0;
    if negated {
        if characters.len() == 1 {
            return vec![(0, "`!` needs a pattern after it".to_owned())];
        }
        index = 1;
    }
    // Whether the character before can be repeated.
    let mut repeatable = false;
    while let Some((at, character)) = characters.get(index).copied() {
        let next = characters.get(index + 1).map(|(_, c)| *c);
        index += 1;
        match character {
            '\\' => match next {
                Some('[' | '?' | '*') if reference => {
                    let at = characters[index].0;
                    found.push((at, "git refuses this character in a name".to_owned()));
                    index += 1;
                }
                Some('[' | '?' | '+' | '*' | '\\' | '!') => index += 1,
                _ if reference => {
                    let what = "`\\` stands only before one of `[ ? + * \\ !`";
                    found.push((at, what.to_owned()));
                }
                _ => {}
            },
            '?' | '+' => {
                if !repeatable {
                    let what =
                        format!("`{character}` repeats the character before it: there is none");
                    found.push((at, what));
                }
                repeatable = false;
                continue;
            }
            '*' => {
                repeatable = false;
                continue;
            }
            '[' => match class(&characters, &mut index) {
                Ok(()) => {}
                Err((at, what, ends)) => {
                    found.push((at.unwrap_or(last), what.to_owned()));
                    if ends {
                        break;
                    }
                }
            },
            ' ' | '\t' | '\n' | '\r' | '~' | '^' | ':' if reference => {
                let what =
                    format!("git refuses {character:?} in a name; this is no regular expression");
                found.push((at, what));
            }
            '/' if reference && (at == 0 || (at == last && at > 0)) => {
                let what = "the name of a branch or tag neither starts nor ends with `/`";
                found.push((at, what.to_owned()));
            }
            '.' if reference && at == last => {
                found.push((at, "the name of a branch or tag does not end with `.`".to_owned()));
            }
            _ => {}
        }
        repeatable = true;
    }
    found
}

type ClassProblem = (Option<usize>, &'static str, bool);

/// Reads `[...]` from after its bracket.
fn class(characters: &[(usize, char)], index: &mut usize) -> Result<(), ClassProblem> {
    let mut count = 0;
    let mut problem: Result<(), ClassProblem> = Ok(());
    loop {
        let Some((at, character)) = characters.get(*index).copied() else {
            return Err((None, "`[` is not closed with `]`", true));
        };
        *index += 1;
        if character == ']' {
            return match (problem, count) {
                (Err(problem), _) => Err(problem),
                (Ok(()), 0) => Err((Some(at), "`[]` holds no character", false)),
                (Ok(()), 1) => Err((Some(at), "one character needs no `[ ]` around it", false)),
                (Ok(()), _) => Ok(()),
            };
        }
        if character == '\\' && characters.get(*index).is_some() {
            *index += 1;
            count += 2;
            continue;
        }
        count += 1;
        let dash = characters.get(*index).is_some_and(|(_, c)| *c == '-');
        if !dash {
            continue;
        }
        *index += 1;
        count += 1;
        match characters.get(*index).copied() {
            None => return Err((None, "`[` is not closed with `]`", true)),
            Some((at, ']')) => {
                if problem.is_ok() {
                    problem = Err((Some(at), "the range after `-` has no end", false));
                }
            }
            Some((at, end)) => {
                *index += 1;
                if character > end && problem.is_ok() {
                    problem = Err((Some(at), "the range ends before it starts", false));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_stand_at_their_character() {
        for (pattern, reference, path) in [
            ("a+b", None, None),
            ("+a", Some(0), Some(0)),
            ("a*+", Some(2), Some(2)),
            ("[a-z]+", None, None),
            ("[a-]", Some(3), Some(3)),
            ("[-a]", None, None),
            ("v[0-", Some(3), Some(3)),
            ("[a]", Some(2), Some(2)),
            ("[a\\]b]", None, None),
            ("a\\b", Some(1), None),
            ("a\\*", Some(2), None),
            ("/a", Some(0), None),
            ("!/a", None, None),
            ("a.", Some(1), None),
            ("[9-0]", Some(3), Some(3)),
            ("\\", Some(0), None),
        ] {
            let first = |subject| problems(pattern, subject).first().map(|(at, _)| *at);
            assert_eq!(first(Subject::Reference), reference, "{pattern}");
            assert_eq!(first(Subject::Path), path, "{pattern}");
        }
    }
}
