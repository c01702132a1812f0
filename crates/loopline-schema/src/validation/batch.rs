//! Rules of jobs and cron jobs.

use loopline_units::selector::check_key;

use super::check::{At, Checker, equal, put};
use super::{meta, names, pod, schedule};
use crate::label_selector;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const INDEXED: &str = "requires indexed completion mode";

/// Checks a job that is made.
pub(super) fn job(c: &mut Checker, at: &At<'_>) {
    meta::create(c, &at.get("metadata"), names::subdomain);
    let (spec, name) = (at.get("spec"), at.get("metadata.name"));
    job_spec(c, &spec);
    selector(c, &spec);
    let completions = spec.get("completions").number();
    if spec.get("completionMode").text() == "Indexed" && completions > 0 {
        let host = format!("{}-{}", name.text(), completions - 1);
        if !names::dns_label(&host).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {host}");
            c.invalid(&name, detail);
        }
    }
}

/// Checks a selector; without one the server makes it.
fn selector(c: &mut Checker, spec: &At<'_>) {
    let selector = spec.get("selector");
    if !selector.is_set() {
        if spec.get("manualSelector").is_true() {
            c.required(&selector, "");
        }
        return;
    }
    meta::selector(c, &selector);
    let labels = spec.get("template.metadata.labels");
    let matches = label_selector::parse(selector.value)
        .is_none_or(|parsed| label_selector::matches(&parsed, labels.value));
    if !matches {
        let shown =
            if labels.is_set() { labels.value.clone() } else { serde_json::Map::new().into() };
        c.invalid_as(&labels, shown, "`selector` does not match template `labels`");
    }
}

fn job_spec(c: &mut Checker, spec: &At<'_>) {
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        c.not_negative(&spec.get(key));
    }
    let per_index = spec.get("backoffLimitPerIndex");
    let failed = spec.get("maxFailedIndexes");
    if failed.is_set() && !per_index.is_set() {
        c.required(&per_index, "when maxFailedIndexes is specified");
    }
    let manager = spec.get("managedBy");
    if manager.is_set() {
        c.problems(&manager, names::domain_prefixed(manager.text()));
        if manager.text().len() > 63 {
            c.too_long(&manager, 63);
        }
    }
    let mode = spec.get("completionMode");
    c.one_of(&mode, &["NonIndexed", "Indexed"]);
    if mode.text() == "Indexed" {
        indexed(c, spec);
    } else if matches!(mode.text(), "" | "NonIndexed") {
        for limit in [&per_index, &failed] {
            if limit.is_set() {
                c.invalid(limit, INDEXED);
            }
        }
    }
    let policy = spec.get("podFailurePolicy");
    if policy.is_set() {
        failure_policy(c, spec, &policy);
    }
    let success = spec.get("successPolicy");
    if success.is_set() {
        if mode.text() == "Indexed" {
            success_policy(c, spec, &success);
        } else {
            c.invalid(&success, INDEXED);
        }
    }
    let replacement = spec.get("podReplacementPolicy");
    if policy.is_set() {
        c.one_of(&replacement, &["Failed"]);
    } else {
        c.one_of(&replacement, &["Failed", "TerminatingOrFailed"]);
    }
    pod::template(c, &spec.get("template"));
    let restart = spec.get("template.spec.restartPolicy");
    match restart.text() {
        "" | "Always" => c.required(&restart, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if policy.is_set() => {
            c.invalid(&restart, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        _ => c.unsupported(&restart, &["OnFailure", "Never"]),
    }
}

fn indexed(c: &mut Checker, spec: &At<'_>) {
    const PODS: i64 = 100_000;
    const HIGH_PODS: i64 = 10_000;
    let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
    let failed = spec.get("maxFailedIndexes");
    if !completions.is_set() {
        c.required(&completions, "when completion mode is Indexed");
    }
    if parallelism.number() > PODS {
        let detail =
            format!("must be less than or equal to {PODS} when completion mode is Indexed");
        c.invalid(&parallelism, detail);
    }
    if completions.is_set() && failed.number() > completions.number() {
        c.invalid(&failed, "must be less than or equal to completions");
    }
    if failed.number() > PODS {
        c.invalid(&failed, format!("must be less than or equal to {PODS}"));
    }
    if completions.number() > PODS && spec.get("backoffLimitPerIndex").is_set() {
        if !failed.is_set() {
            let detail = format!("must be specified when completions is above {PODS}");
            c.required(&failed, detail);
        }
        for limit in [&parallelism, &failed] {
            if limit.number() > HIGH_PODS {
                c.invalid(limit, format!("must be less than or equal to {HIGH_PODS} when completions are above {PODS} and used with backoff limit per index"));
            }
        }
    }
}

fn failure_policy(c: &mut Checker, spec: &At<'_>, policy: &At<'_>) {
    const RULES: usize = 20;
    const PATTERNS: usize = 20;
    const CODES: usize = 255;
    let rules = policy.get("rules");
    if rules.len() > RULES {
        c.too_many(&rules, RULES);
    }
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|kind| {
            let list = spec.get("template.spec").get(kind);
            list.items().map(|one| one.get("name").text()).collect::<Vec<_>>()
        })
        .collect();
    for rule in rules.items() {
        let action = rule.get("action");
        match action.text() {
            "" => {
                let detail = "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]";
                c.required(&action, detail);
            }
            "FailIndex" => {
                if !spec.get("backoffLimitPerIndex").is_set() {
                    c.invalid(&action, "requires the backoffLimitPerIndex to be set");
                }
            }
            _ => c.one_of(&action, &ACTIONS),
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() {
            let operator = codes.get("operator");
            match operator.text() {
                "" => c.required(&operator, "valid values: [\"In\" \"NotIn\"]"),
                _ => c.one_of(&operator, &["In", "NotIn"]),
            }
            let name = codes.get("containerName");
            if name.is_set() && !containers.contains(&name.text()) {
                c.invalid(
                    &name,
                    "must be one of the container or initContainer names in the pod template",
                );
            }
            let values = codes.get("values");
            if values.len() == 0 {
                c.invalid_as(&values, serde_json::json!([]), "at least one value is required");
            } else if values.len() > CODES {
                c.too_many(&values, CODES);
            }
            let mut seen = Vec::new();
            for value in values.items() {
                if operator.text() == "In" && value.number() == 0 {
                    c.invalid(&value, "must not be 0 for the In operator");
                }
                if seen.contains(&value.number()) {
                    c.duplicate(&value);
                }
                seen.push(value.number());
            }
            if !seen.is_sorted() {
                c.invalid(&values, "must be ordered");
            }
        }
        if conditions.len() > PATTERNS {
            c.too_many(&conditions, PATTERNS);
        }
        for pattern in conditions.items() {
            let kind = pattern.get("type").or_empty();
            c.problems(&kind, check_key(kind.text()));
            let status = pattern.get("status");
            match status.text() {
                "" => c.required(&status, "valid values: [\"False\" \"True\" \"Unknown\"]"),
                _ => c.one_of(&status, &["False", "True", "Unknown"]),
            }
        }
        let what = match (codes.is_set(), conditions.len() > 0) {
            (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        c.invalid(&rule, what);
    }
}

fn success_policy(c: &mut Checker, spec: &At<'_>, policy: &At<'_>) {
    const RULES: usize = 20;
    const INDEXES: usize = 64 * 1024;
    let rules = policy.get("rules");
    if rules.len() == 0 {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        c.required(&rules, detail);
    }
    if rules.len() > RULES {
        c.too_many(&rules, RULES);
    }
    let completions = spec.get("completions").number();
    for rule in rules.items() {
        let (count, indexes) = (rule.get("succeededCount"), rule.get("succeededIndexes"));
        if !count.is_set() && !indexes.is_set() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            c.required(&rule, detail);
        }
        let mut total = 0;
        if indexes.is_set() {
            if indexes.text().len() > INDEXES {
                c.too_long(&indexes, INDEXES);
            }
            match parse_indexes(indexes.text(), completions) {
                Ok(found) => total = found,
                Err(error) => {
                    c.invalid(&indexes, format!("error parsing succeededIndexes: {error}"));
                }
            }
        }
        if count.is_set() {
            c.not_negative(&count);
            if count.number() > completions {
                c.invalid(&count, format!("must be less than or equal to {completions} (the number of specified completions)"));
            }
            if indexes.is_set() && count.number() > total {
                c.invalid(&count, format!("must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"));
            }
        }
    }
}

/// Counts indexes such as `0,2-5`.
fn parse_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let number = |text: &str| {
        let found: i64 = text
            .parse()
            .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if found >= completions { Err(format!("too large index: {text:?}")) } else { Ok(found) }
    };
    let (mut total, mut last) = (0, None);
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let limits: Vec<&str> = part.split('-').collect();
        let (from, to) = match limits.as_slice() {
            [one] => (number(one)?, None),
            [from, to] => (number(from)?, Some(number(to)?)),
            _ => {
                return Err(format!(
                    "the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'"
                ));
            }
        };
        if let Some(to) = to
            && from >= to
        {
            return Err(format!("non-increasing order, previous: {from}, current: {to}"));
        }
        if let Some(last) = last.filter(|last| *last >= from) {
            return Err(format!("non-increasing order, previous: {last}, current: {from}"));
        }
        let to = to.unwrap_or(from);
        total += to - from + 1;
        last = Some(to);
    }
    Ok(total)
}

/// Checks a job that is changed.
pub(super) fn job_update(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let (spec, before) = (new.get("spec"), old.get("spec"));
    job_spec(c, &spec);
    selector(c, &spec);
    let (completions, were) = (spec.get("completions"), before.get("completions"));
    let elastic = spec.get("completionMode").text() == "Indexed";
    if !elastic {
        c.immutable(&completions, &were);
    } else if completions.is_set()
        && completions.number() != were.number()
        && completions.number() != spec.get("parallelism").number()
    {
        c.invalid(&completions, "can only be modified in tandem with spec.parallelism");
    }
    c.immutable(&spec.get("selector"), &before.get("selector"));
    let template = spec.get("template");
    if !equal(
        &kept(&template, &before, old),
        before.value.get("template").unwrap_or(&serde_json::Value::Null),
    ) {
        c.invalid(&template, "field is immutable");
    }
    for key in
        ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        c.immutable(&spec.get(key), &before.get(key));
    }
}

/// Returns the new template with what a suspended job that never ran may change put back.
fn kept(template: &At<'_>, before: &At<'_>, old: &At<'_>) -> serde_json::Value {
    let mut value = template.value.clone();
    let idle = old.get("spec.suspend").is_true() && !old.get("status.startTime").is_set();
    if !idle || !value.is_object() {
        return value;
    }
    let was = before.value["template"].clone();
    for (part, keys) in [
        ("metadata", &["labels", "annotations"][..]),
        ("spec", &["nodeSelector", "tolerations", "schedulingGates"]),
    ] {
        let mut holder = value[part].clone();
        for key in keys {
            put(&mut holder, key, was[part][key].clone());
        }
        let affinity = "affinity";
        if part == "spec" && (holder[affinity].is_object() || was[part][affinity].is_object()) {
            let mut found = holder[affinity].clone();
            put(&mut found, "nodeAffinity", was[part][affinity]["nodeAffinity"].clone());
            put(&mut holder, affinity, found);
        }
        put(&mut value, part, holder);
    }
    value
}

/// Checks a cron job, new or changed.
pub(super) fn cron_job(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    const NAME: usize = 52;
    match old {
        None => meta::create(c, &at.get("metadata"), names::subdomain),
        Some(old) => meta::update(c, &at.get("metadata"), &old.get("metadata")),
    }
    let spec = at.get("spec");
    let (due, zone) = (spec.get("schedule"), spec.get("timeZone"));
    if due.text().is_empty() {
        c.required(&due, "");
    } else {
        if let Some(problem) = schedule::problem(due.text()) {
            c.invalid(&due, problem);
        }
        let tolerated = old.is_some_and(|old| old.get("spec.schedule").text().contains("TZ"));
        match (due.text().contains("TZ"), tolerated) {
            (true, true) if zone.is_set() => {
                let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
                c.invalid(&due, detail);
            }
            (true, false) => {
                c.invalid(&due, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
            }
            _ => {}
        }
    }
    c.not_negative(&spec.get("startingDeadlineSeconds"));
    let same = old.is_some_and(|old| old.get("spec.timeZone").value == zone.value);
    if zone.is_set() && !same {
        schedule::zone(c, &zone);
    }
    c.required_one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
    let job = spec.get("jobTemplate.spec");
    job_spec(c, &job);
    if job.get("selector").is_set() {
        c.invalid(&job.get("selector"), "`selector` will be auto-generated");
    }
    if job.get("manualSelector").is_true() {
        c.unsupported(&job.get("manualSelector"), &["nil", "false"]);
    }
    for key in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        c.not_negative(&spec.get(key));
    }
    let name = at.get("metadata.name");
    if old.is_none() && name.text().len() > NAME {
        c.invalid(&name, format!("must be no more than {NAME} characters"));
    }
}

/// Checks a new status of a job.
pub(super) fn job_status(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    meta::update(c, &new.get("metadata"), &old.get("metadata"));
    let status = new.get("status");
    for key in ["active", "succeeded", "failed", "ready", "terminating"] {
        c.not_negative(&status.get(key));
    }
    let has = |at: &At<'_>, kind: &str| {
        at.get("status.conditions").items().any(|condition| {
            condition.get("type").text() == kind && condition.get("status").text() == "True"
        })
    };
    let complete = has(new, "Complete");
    let conditions = status.get("conditions");
    if complete && has(new, "Failed") {
        c.invalid(&conditions, "cannot set Complete=True and Failed=true conditions");
    }
    if complete && has(new, "FailureTarget") {
        c.invalid(&conditions, "cannot set Complete=True and FailureTarget=true conditions");
    }
    let ended = status.get("completionTime");
    if ended.is_set() && !complete {
        c.invalid(&ended, "cannot set completionTime when there is no Complete=True condition");
    }
    if complete && !ended.is_set() {
        c.required(&ended, "completionTime is required for Complete jobs");
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if has(old, kind) && !has(new, kind) {
            c.invalid(&conditions, format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    for key in ["failed", "succeeded"] {
        let count = status.get(key);
        if count.number() < old.get("status").get(key).number() {
            let detail = format!("cannot decrease the {key} counter");
            c.invalid_as(&count, count.number(), detail);
        }
    }
}
