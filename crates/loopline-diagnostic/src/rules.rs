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
    WORKFLOW_UNKNOWN_KEY = LL0201 "workflow-unknown-key" Error,
    WORKFLOW_MISSING_KEY = LL0202 "workflow-missing-key" Error,
    WORKFLOW_WRONG_TYPE = LL0203 "workflow-wrong-type" Error,
    WORKFLOW_EMPTY_VALUE = LL0204 "workflow-empty-value" Error,
    WORKFLOW_DUPLICATE_KEY = LL0205 "workflow-duplicate-key" Error,
    YAML_ANCHOR = LL0206 "yaml-anchor" Error,
    WORKFLOW_INVALID_VALUE = LL0207 "workflow-invalid-value" Error,
    CHECK_CONFIGURATION = LL0208 "check-configuration" Error,
    EXPRESSION_SYNTAX = LL0211 "expression-syntax" Error,
    EXPRESSION_UNDEFINED = LL0212 "expression-undefined" Error,
    EXPRESSION_TYPE = LL0213 "expression-type" Error,
    EXPRESSION_ARGUMENTS = LL0214 "expression-arguments" Error,
    CONTEXT_AVAILABILITY = LL0215 "context-availability" Error,
    UNTRUSTED_INPUT = LL0216 "untrusted-input" Error,
    CONSTANT_CONDITION = LL0217 "constant-condition" Error,
    STEP_OUTPUT_UNDEFINED = LL0218 "step-output-undefined" Error,
    WORKFLOW_EVENT = LL0221 "workflow-event" Error,
    GLOB_PATTERN = LL0222 "glob-pattern" Error,
    SCHEDULE = LL0223 "schedule" Error,
    JOB_NEEDS = LL0231 "job-needs" Error,
    IDENTIFIER = LL0232 "identifier" Error,
    MATRIX = LL0233 "matrix" Error,
    RUNNER_LABEL = LL0234 "runner-label" Error,
    SHELL_NAME = LL0235 "shell-name" Error,
    PERMISSIONS = LL0236 "permissions" Error,
    ENVIRONMENT_NAME = LL0237 "environment-name" Error,
    CREDENTIALS = LL0238 "credentials" Error,
    ACTION_REFERENCE = LL0241 "action-reference" Error,
    ACTION_INPUTS = LL0242 "action-inputs" Error,
    ACTION_OUTDATED = LL0243 "action-outdated" Warning,
    REUSABLE_WORKFLOW = LL0244 "reusable-workflow" Error,
    ACTION_METADATA = LL0245 "action-metadata" Error,
    DEPRECATED_COMMAND = LL0251 "deprecated-command" Error,
    PARALLEL_STEPS = LL0252 "parallel-steps" Error,
    CONCURRENCY = LL0253 "concurrency" Warning,
    WORKFLOW_INPUT = LL0301 "workflow-input" Error,
    IMAGE_ENGINE = LL0302 "image-engine" Error,
    UNSUPPORTED_KEY = LL0303 "unsupported-key" Error,
    RUNNER_UNAVAILABLE = LL0304 "runner-unavailable" Error,
    PLAN_EXPRESSION = LL0305 "plan-expression" Error,
}

/// Returns the rule with `code`, in any case.
pub fn find_rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code.eq_ignore_ascii_case(code))
}
