//! Every rule, with its code and its page.

use crate::Severity;

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable code: `LL` and four digits.
    pub code: &'static str,
    /// A short name in kebab-case.
    pub name: &'static str,
    /// How much it matters unless a finding says otherwise.
    pub severity: Severity,
    /// The page: Markdown that says what is wrong, shows it, and shows what to write instead.
    pub page: &'static str,
}

/// Declares a rule whose page is `pages/CODE.md`.
macro_rules! rules {
    ($($constant:ident = $code:ident $name:literal $severity:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", $name, "`: see `loopline explain ", stringify!($code), "`.")]
            pub static $constant: Rule = Rule {
                code: stringify!($code),
                name: $name,
                severity: Severity::$severity,
                page: include_str!(concat!("../pages/", stringify!($code), ".md")),
            };
        )*
        /// All rules, by code.
        pub static RULES: &[&Rule] = &[$(&$constant),*];
    };
}

rules! {
    YAML_SYNTAX = LL0101 "yaml-syntax" Error,
}

/// Returns the rule with `code`, in any case.
pub fn find_rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code.eq_ignore_ascii_case(code))
}
