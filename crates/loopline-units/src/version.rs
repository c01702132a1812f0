//! Versions and the ranges that tool set-up actions accept (npm's `semver` ranges).

use std::cmp::Ordering;
use std::fmt;

/// A version of up to three numbers and an optional pre-release tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Major, minor, patch.
    pub numbers: [u64; 3],
    /// What follows `-`, if anything.
    pub pre: Option<String>,
}

impl Version {
    /// Parses `1`, `1.2`, `v1.2.3`, `1.2.3-rc.1+build`; numbers that are missing are 0.
    pub fn parse(text: &str) -> Option<Self> {
        let (partial, pre) = Partial::parse(text)?;
        Some(Self { numbers: partial.0.map(|number| number.unwrap_or(0)), pre })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.pre.as_ref().map_or(Ok(()), |pre| write!(f, "-{pre}"))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => compare_pre(a, b),
        })
    }
}

/// Orders pre-release tags as SemVer 2.0.0 (11.4) does.
fn compare_pre(a: &str, b: &str) -> Ordering {
    let mut left = a.split('.');
    let mut right = b.split('.');
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// A version some of whose numbers are open (`18`, `18.x`, `*`).
struct Partial([Option<u64>; 3]);

impl Partial {
    fn parse(text: &str) -> Option<(Self, Option<String>)> {
        let text = text.trim().trim_start_matches(['v', '=']).trim_start();
        let text = text.split('+').next().unwrap_or(text);
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre.to_owned())),
            None => (text, None),
        };
        let mut numbers = [None; 3];
        let mut open = false;
        for (index, part) in core.split('.').enumerate() {
            let slot = numbers.get_mut(index)?;
            if matches!(part, "x" | "X" | "*") || core.is_empty() {
                open = true;
            } else {
                let number = part.parse().ok()?;
                if !open {
                    *slot = Some(number);
                }
            }
        }
        Some((Self(numbers), pre))
    }

    /// Returns the least version it stands for, and the first one past it.
    fn bounds(&self, pre: Option<String>) -> (Version, Option<Version>) {
        let low = Version { numbers: self.0.map(|number| number.unwrap_or(0)), pre };
        let next = |numbers| Some(Version { numbers, pre: Some("0".to_owned()) });
        let high = match self.0 {
            [None, ..] => None,
            [Some(major), None, _] => next([major + 1, 0, 0]),
            [Some(major), Some(minor), None] => next([major, minor + 1, 0]),
            [Some(major), Some(minor), Some(patch)] => {
                if low.pre.is_some() {
                    Some(Version { numbers: [major, minor, patch], pre: None })
                } else {
                    next([major, minor, patch + 1])
                }
            }
        };
        (low, high)
    }
}

/// A range of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Any of these, each a set of limits that all hold.
    any: Vec<Vec<(Limit, Version)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    AtLeast,
    MoreThan,
    AtMost,
    LessThan,
    Exactly,
}

impl Range {
    /// Parses npm's range syntax: `18`, `18.x`, `^1.2`, `~1.2.3`, `>=1 <2`, `1 - 3`, `1 || 2`.
    pub fn parse(text: &str) -> Option<Self> {
        let any = text.split("||").map(parse_all).collect::<Option<_>>()?;
        Some(Self { any })
    }

    /// Returns whether `version` is in the range. Pre-releases are only where the range names
    /// one of the same three numbers, as npm has it.
    pub fn contains(&self, version: &Version) -> bool {
        self.any.iter().any(|all| {
            let fits = all.iter().all(|(limit, bound)| match limit {
                Limit::AtLeast => version >= bound,
                Limit::MoreThan => version > bound,
                Limit::AtMost => version <= bound,
                Limit::LessThan => version < bound,
                Limit::Exactly => version == bound,
            });
            fits && (version.pre.is_none()
                || all.iter().any(|(limit, bound)| {
                    *limit != Limit::LessThan
                        && bound.pre.is_some()
                        && bound.numbers == version.numbers
                }))
        })
    }

    /// Returns the newest of `versions` in the range.
    pub fn newest<'a>(
        &self,
        versions: impl IntoIterator<Item = &'a Version>,
    ) -> Option<&'a Version> {
        versions.into_iter().filter(|version| self.contains(version)).max()
    }
}

fn parse_all(text: &str) -> Option<Vec<(Limit, Version)>> {
    let text = text.trim();
    if let Some((from, to)) = text.split_once(" - ") {
        let (low, _) = bounds(from)?;
        let (partial, pre) = Partial::parse(to)?;
        let full = partial.0[2].is_some();
        let (exact, high) = partial.bounds(pre);
        let mut limits = vec![(Limit::AtLeast, low)];
        if full {
            limits.push((Limit::AtMost, exact));
        } else if let Some(high) = high {
            limits.push((Limit::LessThan, high));
        }
        return Some(limits);
    }
    // An operator may stand apart from its version.
    let mut joined = text.to_owned();
    for operator in [">= ", "<= ", "> ", "< ", "^ ", "~ ", "= "] {
        while joined.contains(operator) {
            joined = joined.replace(operator, operator.trim_end());
        }
    }
    let mut limits = Vec::new();
    for part in joined.split_whitespace() {
        parse_one(part, &mut limits)?;
    }
    Some(limits)
}

fn bounds(text: &str) -> Option<(Version, Option<Version>)> {
    let (partial, pre) = Partial::parse(text)?;
    Some(partial.bounds(pre))
}

fn parse_one(part: &str, limits: &mut Vec<(Limit, Version)>) -> Option<()> {
    let operators = [">=", "<=", ">", "<", "^", "~>", "~", "="];
    let operator = operators.into_iter().find(|operator| part.starts_with(operator));
    let rest = part.strip_prefix(operator.unwrap_or(""))?;
    let (partial, pre) = Partial::parse(rest)?;
    let numbers = partial.0;
    let (low, high) = partial.bounds(pre);
    let before = |numbers| Version { numbers, pre: Some("0".to_owned()) };
    match operator {
        Some(">=") => limits.push((Limit::AtLeast, low)),
        Some("<") => limits.push((Limit::LessThan, low)),
        Some(">") => match (numbers[2], high) {
            (Some(_), _) => limits.push((Limit::MoreThan, low)),
            (None, Some(high)) => {
                limits.push((Limit::AtLeast, Version { pre: None, ..high }));
            }
            (None, None) => limits.push((Limit::LessThan, before([0, 0, 0]))),
        },
        Some("<=") => match (numbers[2], high) {
            (Some(_), _) => limits.push((Limit::AtMost, low)),
            (None, Some(high)) => limits.push((Limit::LessThan, high)),
            (None, None) => {}
        },
        Some("^") => {
            let high = match numbers {
                [None, ..] => None,
                [Some(0), Some(0), Some(patch)] => Some(before([0, 0, patch + 1])),
                [Some(0), Some(minor), _] => Some(before([0, minor + 1, 0])),
                [Some(major), ..] => Some(before([major + 1, 0, 0])),
            };
            limits.push((Limit::AtLeast, low));
            limits.extend(high.map(|high| (Limit::LessThan, high)));
        }
        Some("~" | "~>") => {
            let high = match numbers {
                [None, ..] => None,
                [Some(major), None, _] => Some(before([major + 1, 0, 0])),
                [Some(major), Some(minor), _] => Some(before([major, minor + 1, 0])),
            };
            limits.push((Limit::AtLeast, low));
            limits.extend(high.map(|high| (Limit::LessThan, high)));
        }
        _ if numbers[2].is_some() => limits.push((Limit::Exactly, low)),
        _ => {
            limits.push((Limit::AtLeast, low));
            limits.extend(high.map(|high| (Limit::LessThan, high)));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_npm_says_they_hold() {
        for (range, inside, outside) in [
            ("18", "18.0.0 18.20.1", "17.9.9 19.0.0 18.0.0-rc.1"),
            ("18.x", "18.3.0", "19.0.0"),
            ("*", "1.2.3", "1.2.3-a"),
            ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-a"),
            ("^0.2.3", "0.2.9", "0.3.0"),
            ("~1.2", "1.2.0 1.2.9", "1.3.0"),
            (">=16 <19", "16.0.0 18.9.9", "15.9.9 19.0.0"),
            (">= 16", "16.0.0", "15.0.0"),
            (">18", "19.0.0", "18.1.0"),
            ("<=18", "18.9.0", "19.0.0"),
            ("16 - 18", "16.0.0 18.9.0", "19.0.0"),
            ("14 || 16", "14.1.0 16.1.0", "15.0.0"),
            ("1.2.3-rc.1", "1.2.3-rc.1", "1.2.3"),
            (">=1.2.3-rc.1", "1.2.3-rc.2 1.2.3", "1.2.4-rc.1"),
        ] {
            let parsed = Range::parse(range).expect(range);
            let has = |text: &str| parsed.contains(&Version::parse(text).expect("a version"));
            assert!(inside.split(' ').all(has), "{range} holds {inside}");
            assert!(!outside.split(' ').any(has), "{range} does not hold {outside}");
        }
        assert_eq!(Range::parse("lts/*"), None);
    }
}
