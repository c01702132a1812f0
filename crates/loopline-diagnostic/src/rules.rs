//! Every rule, with its code and its page.

use crate::Severity;

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable code: `LL` and four digits, or the code of the incumbent whose rule it is
    /// (`DL3008` of hadolint, `StageNameCasing` of BuildKit).
    pub code: &'static str,
    /// A short name in kebab-case.
    pub name: &'static str,
    /// How much it matters unless a finding says otherwise.
    pub severity: Severity,
    /// The page: Markdown that says what is wrong, shows it, and shows what to write instead.
    pub page: &'static str,
}

/// Declares rules whose pages are `pages/FOLDER/CODE.md`.
macro_rules! rules {
    ($($folder:literal: $($constant:ident = $code:ident $name:literal $severity:ident,)*)*) => {
        $($(
            #[doc = concat!("`", $name, "`: see `loopline explain ", stringify!($code), "`.")]
            pub static $constant: Rule = Rule {
                code: stringify!($code),
                name: $name,
                severity: Severity::$severity,
                page: include_str!(concat!("../pages/", $folder, stringify!($code), ".md")),
            };
        )*)*
        /// All rules, by code.
        pub static RULES: &[&Rule] = &[$($(&$constant),*),*];
    };
}

rules! {
    "":
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
    "dockerfile/":
    DOCKERFILE_SYNTAX = LL0401 "dockerfile-syntax" Error,
    DOCKERFILE_ROOT = LL0402 "dockerfile-root-user" Note,
    DOCKERFILE_PACKAGE_CACHE = LL0403 "dockerfile-package-cache" Note,
    DOCKERFILE_SECRET_VALUE = LL0404 "dockerfile-secret-value" Warning,
    DOCKERFILE_CONFIGURATION = LL0405 "dockerfile-configuration" Error,
    DL1001 = DL1001 "no-ignore-pragma" Note,
    DL3000 = DL3000 "workdir-absolute" Error,
    DL3001 = DL3001 "pointless-command" Note,
    DL3002 = DL3002 "last-user-root" Warning,
    DL3003 = DL3003 "use-workdir" Warning,
    DL3004 = DL3004 "no-sudo" Error,
    DL3006 = DL3006 "image-tag-missing" Warning,
    DL3007 = DL3007 "image-latest" Warning,
    DL3008 = DL3008 "apt-version" Warning,
    DL3009 = DL3009 "apt-lists" Note,
    DL3010 = DL3010 "add-archive" Note,
    DL3011 = DL3011 "port-range" Error,
    DL3012 = DL3012 "healthcheck-twice" Error,
    DL3013 = DL3013 "pip-version" Warning,
    DL3014 = DL3014 "apt-yes" Warning,
    DL3015 = DL3015 "apt-recommends" Note,
    DL3016 = DL3016 "npm-version" Warning,
    DL3018 = DL3018 "apk-version" Warning,
    DL3019 = DL3019 "apk-no-cache" Note,
    DL3020 = DL3020 "copy-not-add" Error,
    DL3021 = DL3021 "copy-many-folder" Error,
    DL3022 = DL3022 "copy-from-unknown" Warning,
    DL3023 = DL3023 "copy-from-itself" Error,
    DL3024 = DL3024 "stage-name-twice" Error,
    DL3025 = DL3025 "exec-form" Warning,
    DL3026 = DL3026 "registry-trusted" Error,
    DL3027 = DL3027 "apt-interactive" Warning,
    DL3028 = DL3028 "gem-version" Warning,
    DL3029 = DL3029 "from-platform" Warning,
    DL3030 = DL3030 "yum-yes" Warning,
    DL3032 = DL3032 "yum-clean" Warning,
    DL3033 = DL3033 "yum-version" Warning,
    DL3038 = DL3038 "dnf-yes" Warning,
    DL3040 = DL3040 "dnf-clean" Warning,
    DL3041 = DL3041 "dnf-version" Warning,
    DL3034 = DL3034 "zypper-yes" Warning,
    DL3035 = DL3035 "zypper-upgrade" Warning,
    DL3036 = DL3036 "zypper-clean" Warning,
    DL3037 = DL3037 "zypper-version" Warning,
    DL3042 = DL3042 "pip-cache" Warning,
    DL3043 = DL3043 "onbuild-trigger" Error,
    DL3044 = DL3044 "env-self" Error,
    DL3045 = DL3045 "copy-relative" Warning,
    DL3046 = DL3046 "useradd-sparse" Warning,
    DL3047 = DL3047 "wget-progress" Note,
    DL3048 = DL3048 "label-key" Note,
    DL3049 = DL3049 "label-missing" Note,
    DL3050 = DL3050 "label-superfluous" Note,
    DL3051 = DL3051 "label-empty" Warning,
    DL3052 = DL3052 "label-url" Warning,
    DL3053 = DL3053 "label-time" Warning,
    DL3054 = DL3054 "label-spdx" Warning,
    DL3055 = DL3055 "label-hash" Warning,
    DL3056 = DL3056 "label-version" Warning,
    DL3057 = DL3057 "healthcheck-missing" Note,
    DL3058 = DL3058 "label-email" Warning,
    DL3059 = DL3059 "run-consecutive" Note,
    DL3060 = DL3060 "yarn-cache" Note,
    DL3061 = DL3061 "first-instruction" Error,
    DL3062 = DL3062 "go-version" Warning,
    DL3063 = DL3063 "stage-name-reserved" Warning,
    DL3064 = DL3064 "secret-variable" Warning,
    DL3065 = DL3065 "target-platform" Warning,
    DL3066 = DL3066 "user-number" Note,
    DL3067 = DL3067 "copy-everything" Warning,
    DL4000 = DL4000 "maintainer" Error,
    DL4001 = DL4001 "wget-and-curl" Warning,
    DL4003 = DL4003 "cmd-twice" Warning,
    DL4004 = DL4004 "entrypoint-twice" Error,
    DL4005 = DL4005 "shell-link" Warning,
    DL4006 = DL4006 "pipefail" Warning,
    STAGE_NAME_CASING = StageNameCasing "stage-name-casing" Warning,
    FROM_AS_CASING = FromAsCasing "from-as-casing" Warning,
    NO_EMPTY_CONTINUATION = NoEmptyContinuation "no-empty-continuation" Warning,
    CONSISTENT_INSTRUCTION_CASING = ConsistentInstructionCasing "consistent-instruction-casing" Warning,
    DUPLICATE_STAGE_NAME = DuplicateStageName "duplicate-stage-name" Warning,
    RESERVED_STAGE_NAME = ReservedStageName "reserved-stage-name" Warning,
    JSON_ARGS_RECOMMENDED = JSONArgsRecommended "json-args-recommended" Warning,
    MAINTAINER_DEPRECATED = MaintainerDeprecated "maintainer-deprecated" Warning,
    UNDEFINED_ARG_IN_FROM = UndefinedArgInFrom "undefined-arg-in-from" Warning,
    WORKDIR_RELATIVE_PATH = WorkdirRelativePath "workdir-relative-path" Warning,
    UNDEFINED_VAR = UndefinedVar "undefined-var" Warning,
    MULTIPLE_INSTRUCTIONS_DISALLOWED = MultipleInstructionsDisallowed "multiple-instructions-disallowed" Warning,
    LEGACY_KEY_VALUE_FORMAT = LegacyKeyValueFormat "legacy-key-value-format" Warning,
    REDUNDANT_TARGET_PLATFORM = RedundantTargetPlatform "redundant-target-platform" Warning,
    SECRETS_USED_IN_ARG_OR_ENV = SecretsUsedInArgOrEnv "secrets-used-in-arg-or-env" Warning,
    INVALID_DEFAULT_ARG_IN_FROM = InvalidDefaultArgInFrom "invalid-default-arg-in-from" Warning,
    FROM_PLATFORM_FLAG_CONST_DISALLOWED = FromPlatformFlagConstDisallowed "from-platform-flag-const-disallowed" Warning,
    COPY_IGNORED_FILE = CopyIgnoredFile "copy-ignored-file" Warning,
    INVALID_DEFINITION_DESCRIPTION = InvalidDefinitionDescription "invalid-definition-description" Warning,
    EXPOSE_PROTO_CASING = ExposeProtoCasing "expose-proto-casing" Warning,
    EXPOSE_INVALID_FORMAT = ExposeInvalidFormat "expose-invalid-format" Warning,
}

/// Returns the rule with `code`, in any case.
pub fn find_rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code.eq_ignore_ascii_case(code))
}
