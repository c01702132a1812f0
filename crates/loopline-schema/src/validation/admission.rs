//! Rules of webhooks and of admission policies; their expressions are compiled by the server.

use loopline_units::selector::check_key;

use super::check::{At, Checker};
use super::{meta, names};

const CONDITIONS: usize = 64;

/// Checks the webhooks of a configuration.
pub(super) fn webhooks(c: &mut Checker, at: &At<'_>, mutating: bool) {
    let mut seen: Vec<&str> = Vec::new();
    for hook in at.get("webhooks").items() {
        let name = hook.get("name");
        if seen.contains(&name.text()) && !name.text().is_empty() {
            c.duplicate(&name);
        }
        seen.push(hook.value["name"].as_str().unwrap_or_default());
    }
    for hook in at.get("webhooks").items() {
        webhook(c, &hook, mutating);
    }
}

fn webhook(c: &mut Checker, hook: &At<'_>, mutating: bool) {
    let name = hook.get("name");
    if name.text().is_empty() {
        c.required(&name, "");
    } else {
        let problems = names::subdomain(name.text(), false);
        if problems.is_empty() && name.text().split('.').count() < 3 {
            let detail = "should be a domain with at least three segments separated by dots";
            c.invalid(&name, detail);
        }
        c.problems(&name, problems);
    }
    for rule in hook.get("rules").items() {
        self::rule(c, &rule);
    }
    c.one_of(&hook.get("failurePolicy"), &["Fail", "Ignore"]);
    c.one_of(&hook.get("matchPolicy"), &["Equivalent", "Exact"]);
    let effects = hook.get("sideEffects");
    if effects.is_set() {
        c.one_of(&effects, &["None", "NoneOnDryRun"]);
    } else {
        c.required(&effects, "must specify one of None, NoneOnDryRun");
    }
    let timeout = hook.get("timeoutSeconds");
    if timeout.is_set() && !(1..=30).contains(&timeout.number()) {
        c.invalid(&timeout, "the timeout value must be between 1 and 30 seconds");
    }
    meta::selector(c, &hook.get("namespaceSelector"));
    meta::selector(c, &hook.get("objectSelector"));
    client(c, &hook.get("clientConfig"), "exactly one of url or service is required");
    let versions = hook.get("admissionReviewVersions");
    review_versions(c, &versions, "must specify one of v1, v1beta1");
    conditions(c, &hook.get("matchConditions"));
    if mutating {
        c.one_of(&hook.get("reinvocationPolicy"), &["IfNeeded", "Never"]);
    }
}

/// Checks the versions of reviews that a webhook understands.
pub(super) fn review_versions(c: &mut Checker, versions: &At<'_>, missing: &str) {
    const KNOWN: &str = "v1, v1beta1";
    if versions.len() == 0 {
        c.required(versions, missing);
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    let mut known = false;
    for version in versions.items() {
        let text = version.value.as_str().unwrap_or_default();
        if seen.contains(&text) {
            c.invalid(&version, "duplicate version");
            continue;
        }
        seen.push(text);
        c.problems(&version, names::service(text, false));
        known |= matches!(text, "v1" | "v1beta1");
    }
    if !known {
        c.invalid(versions, format!("must include at least one of {KNOWN}"));
    }
}

/// Checks where a webhook is called.
pub(super) fn client(c: &mut Checker, at: &At<'_>, one: &str) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (url, service) = (at.get("url"), at.get("service"));
    if url.is_set() == service.is_set() {
        c.required(at, one);
        return;
    }
    if url.is_set() {
        let (scheme, rest) = url.text().split_once("://").unwrap_or(("", url.text()));
        if scheme != "https" {
            c.invalid_as(&url, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, tail) = rest.split_at(end);
        if host.is_empty() {
            c.invalid_as(&url, "", format!("host must be specified{FORM}"));
        }
        if let Some((user, _)) = host.split_once('@') {
            c.invalid_as(&url, user, "user information is not permitted in the URL");
        }
        if let Some((_, fragment)) = tail.split_once('#') {
            c.invalid_as(&url, fragment, "fragments are not permitted in the URL");
        }
        let query = tail.split('#').next().and_then(|tail| tail.split_once('?'));
        if let Some((_, query)) = query.filter(|(_, query)| !query.is_empty()) {
            c.invalid_as(&url, query, "query parameters are not permitted in the URL");
        }
        return;
    }
    for (key, detail) in
        [("name", "service name is required"), ("namespace", "service namespace is required")]
    {
        if service.get(key).text().is_empty() {
            c.required(&service.get(key), detail);
        }
    }
    let (port, path) = (service.get("port"), service.get("path"));
    if port.is_set() {
        for problem in names::port_number(port.number()) {
            c.invalid(&port, format!("port is not valid: {problem}"));
        }
    }
    if path.is_set() && path.text() != "/" {
        if !path.text().starts_with('/') {
            c.invalid(&path, "must start with a '/'");
        }
        let steps: Vec<&str> = path.text().trim_start_matches('/').split('/').collect();
        for (index, step) in steps.iter().enumerate() {
            if step.is_empty() && index + 1 < steps.len() {
                c.invalid(&path, format!("segment[{index}] may not be empty"));
            }
        }
    }
}

fn rule(c: &mut Checker, rule: &At<'_>) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    let operations = rule.get("operations");
    let alone = |c: &mut Checker, list: &At<'_>, what: &str| {
        if list.len() == 0 {
            c.required(list, "");
        } else if list.len() > 1 && list.items().any(|one| one.text() == "*") {
            let detail = format!("if '*' is present, must not specify other {what}");
            c.invalid(list, detail);
        }
    };
    alone(c, &operations, "operations");
    operations.items().for_each(|one| c.one_of(&one, &OPERATIONS));
    alone(c, &rule.get("apiGroups"), "API groups");
    let versions = rule.get("apiVersions");
    alone(c, &versions, "API versions");
    for version in versions.items().filter(|version| version.text().is_empty()) {
        c.required(&version, "");
    }
    resources(c, &rule.get("resources"));
    c.one_of(&rule.get("scope").or_empty(), &["*", "Cluster", "Namespaced"]);
}

fn resources(c: &mut Checker, resources: &At<'_>) {
    if resources.len() == 0 {
        c.required(resources, "");
    }
    let (mut whole, mut parts): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut plain = false;
    for (index, resource) in resources.items().enumerate() {
        let text = resources.value[index].as_str().unwrap_or_default();
        if text.is_empty() {
            c.required(&resource, "");
            continue;
        }
        let Some((name, part)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if whole.contains(&name) {
            let detail = format!("if '{name}/*' is present, must not specify {text}");
            c.invalid(&resource, detail);
        }
        if parts.contains(&part) {
            let detail = format!("if '*/{part}' is present, must not specify {text}");
            c.invalid(&resource, detail);
        }
        if part == "*" {
            whole.push(name);
        }
        if name == "*" {
            parts.push(part);
        }
    }
    let has = |wanted| resources.items().any(|one| one.text() == wanted);
    if resources.len() > 1 && has("*/*") {
        c.invalid(resources, "if '*/*' is present, must not specify other resources");
    }
    if has("*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        c.invalid(resources, detail);
    }
}

fn conditions(c: &mut Checker, conditions: &At<'_>) {
    if conditions.len() > CONDITIONS {
        c.too_many(conditions, CONDITIONS);
    }
    let mut seen: Vec<&str> = Vec::new();
    for condition in conditions.items() {
        let (name, expression) = (condition.get("name"), condition.get("expression"));
        if expression.text().trim().is_empty() {
            c.required(&expression, "");
        }
        if name.text().is_empty() {
            c.required(&name, "");
        } else {
            c.problems(&name, check_key(name.text()));
            if seen.contains(&name.text()) {
                c.duplicate(&name);
            }
        }
        seen.push(condition.value["name"].as_str().unwrap_or_default());
    }
}

fn matched(c: &mut Checker, at: &At<'_>, required: bool) {
    let rules = at.get("resourceRules");
    if required && rules.len() == 0 {
        c.required(&rules, "");
    }
    c.one_of(&at.get("matchPolicy"), &["Equivalent", "Exact"]);
    meta::selector(c, &at.get("namespaceSelector"));
    meta::selector(c, &at.get("objectSelector"));
    for list in ["resourceRules", "excludeResourceRules"] {
        at.get(list).items().for_each(|one| rule(c, &one));
    }
}

/// Checks a validating or mutating policy.
pub(super) fn policy(c: &mut Checker, at: &At<'_>, mutating: bool) {
    let spec = at.get("spec");
    c.required_one_of(&spec.get("failurePolicy"), &["Fail", "Ignore"]);
    let kind = spec.get("paramKind");
    if kind.is_set() {
        c.required_text(&kind.get("apiVersion"));
        c.required_text(&kind.get("kind"));
    }
    let constraints = spec.get("matchConstraints");
    if constraints.is_set() {
        matched(c, &constraints, true);
    } else {
        c.required(&constraints, "");
    }
    conditions(c, &spec.get("matchConditions"));
    let mut seen: Vec<&str> = Vec::new();
    for variable in spec.get("variables").items() {
        let (name, expression) = (variable.get("name"), variable.get("expression"));
        if name.text().trim().is_empty() {
            c.required(&name, "name is not specified");
        } else {
            let identifier = name.text().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.text().as_bytes()[0].is_ascii_digit();
            if !identifier {
                c.invalid(&name, "name is not a valid CEL identifier");
            }
            if seen.contains(&name.text()) {
                c.duplicate(&name);
            }
        }
        seen.push(variable.value["name"].as_str().unwrap_or_default());
        if expression.text().trim().is_empty() {
            c.required(&expression, "expression is not specified");
        }
    }
    if mutating {
        let mutations = spec.get("mutations");
        if mutations.len() == 0 {
            c.required(&mutations, "mutations must contain at least one item");
        }
        for mutation in mutations.items() {
            let kind = mutation.get("patchType");
            c.required_one_of(&kind, &["ApplyConfiguration", "JSONPatch"]);
        }
        c.required_one_of(&spec.get("reinvocationPolicy"), &["IfNeeded", "Never"]);
        return;
    }
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.len() + annotations.len() == 0 {
        let detail = "validations or auditAnnotations must be specified";
        c.required(&validations, detail);
        c.required(&annotations, detail);
    }
    for validation in validations.items() {
        let (expression, message) = (validation.get("expression"), validation.get("message"));
        if expression.text().trim().is_empty() {
            c.required(&expression, "expression is not specified");
        }
        if message.is_set() && message.text().trim().is_empty() {
            c.invalid(&message, "message must be non-empty if specified");
        } else if message.text().contains('\n') {
            c.invalid(&message, "message must not contain line breaks");
        }
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
        c.one_of(&validation.get("reason"), &reasons);
    }
    for annotation in annotations.items() {
        let (key, value) = (annotation.get("key"), annotation.get("valueExpression"));
        if key.text().is_empty() {
            c.required(&key, "key is not specified");
        } else {
            c.problems(&key, check_key(key.text()));
        }
        if value.text().trim().is_empty() {
            c.required(&value, "valueExpression is not specified");
        }
    }
}

/// Checks a binding of a policy.
pub(super) fn binding(c: &mut Checker, at: &At<'_>, mutating: bool) {
    let spec = at.get("spec");
    let name = spec.get("policyName");
    if name.text().is_empty() {
        c.required(&name, "");
    } else {
        c.problems(&name, names::subdomain(name.text(), false));
    }
    let parameters = spec.get("paramRef");
    if parameters.is_set() {
        let (name, selector) = (parameters.get("name"), parameters.get("selector"));
        match (!name.text().is_empty(), selector.is_set()) {
            (true, true) => c.forbidden(&name, "name and selector are mutually exclusive"),
            (false, false) => c.required(&parameters, "one of name or selector must be specified"),
            (true, false) => c.problems(&name, names::path_segment(name.text(), false)),
            (false, true) => meta::selector(c, &selector),
        }
        c.required_one_of(&parameters.get("parameterNotFoundAction"), &["Allow", "Deny"]);
    }
    let resources = spec.get("matchResources");
    if resources.is_set() {
        matched(c, &resources, false);
    }
    if mutating {
        return;
    }
    let actions = spec.get("validationActions");
    if actions.len() == 0 {
        c.required(&actions, "");
    }
    let mut seen: Vec<&str> = Vec::new();
    for action in actions.items() {
        c.one_of(&action, &["Audit", "Deny", "Warn"]);
        if seen.contains(&action.text()) {
            c.duplicate(&action);
        }
        seen.push(action.value.as_str().unwrap_or_default());
    }
    if ["Deny", "Warn"].iter().all(|one| seen.contains(one)) {
        c.invalid(&actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)");
    }
}
