//! Rules of `metadata`, of labels and of label selectors.

use super::check::{At, Checker};
use super::names::{self, NameRule};
use loopline_units::selector::{check_key, check_value};

/// The most that annotations may add up to, in bytes.
const ANNOTATIONS: usize = 256 * 1024;

/// Checks the metadata of an object that is made.
pub(super) fn create(c: &mut Checker, meta: &At<'_>, rule: NameRule) {
    let (name, generate) = (meta.get("name"), meta.get("generateName"));
    if !generate.text().is_empty() {
        c.problems(&generate, rule(generate.text(), true));
    }
    if !name.text().is_empty() {
        c.problems(&name, rule(name.text(), false));
    } else if generate.text().is_empty() {
        c.required(&name, "name or generateName is required");
    }
    common(c, meta);
}

/// Checks the metadata of an object that is changed.
pub(super) fn update(c: &mut Checker, new: &At<'_>, old: &At<'_>) {
    for key in ["name", "namespace", "uid", "creationTimestamp"] {
        let (new, old) = (new.get(key), old.get(key));
        if new.is_set() && old.is_set() {
            c.immutable(&new, &old);
        }
    }
    if old.get("deletionTimestamp").is_set() {
        let before = old.get("finalizers");
        let added: Vec<_> = new
            .get("finalizers")
            .items()
            .filter(|one| !before.items().any(|old| old.value == one.value))
            .map(|one| format!("{:?}", one.text()))
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            c.forbidden(&new.get("finalizers"), detail);
        }
    }
    common(c, new);
}

fn common(c: &mut Checker, meta: &At<'_>) {
    let namespace = meta.get("namespace");
    if !namespace.text().is_empty() {
        c.problems(&namespace, names::label(namespace.text(), false));
    }
    c.not_negative(&meta.get("generation"));
    labels(c, &meta.get("labels"));
    annotations(c, &meta.get("annotations"));
    owners(c, &meta.get("ownerReferences"));
    let finalizers = meta.get("finalizers");
    for one in finalizers.items() {
        let name = one.text();
        for problem in check_key(name) {
            c.invalid_as(&finalizers, name, problem);
        }
        finalizer_name(c, &one);
    }
    let has = |name: &str| finalizers.items().any(|one| one.text() == name);
    if has("orphan") && has("foregroundDeletion") {
        c.invalid(&finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
    }
}

/// Checks that a finalizer is one of Kubernetes' own or has a domain.
pub(super) fn finalizer_name(c: &mut Checker, at: &At<'_>) {
    let name = at.text();
    if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
        c.invalid(at, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/// Checks a map of labels.
pub(super) fn labels(c: &mut Checker, labels: &At<'_>) {
    for (key, value) in labels.entries() {
        for problem in check_key(key) {
            c.invalid_as(labels, key, problem);
        }
        for problem in check_value(value.text()) {
            c.invalid_as(labels, value.text(), problem);
        }
    }
}

/// Checks the name of a label.
pub(super) fn label_name(c: &mut Checker, at: &At<'_>) {
    c.problems(at, check_key(at.text()));
}

/// Checks a map of annotations.
pub(super) fn annotations(c: &mut Checker, annotations: &At<'_>) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        for problem in check_key(&key.to_lowercase()) {
            c.invalid_as(annotations, key, problem);
        }
        size += key.len() + value.text().len();
    }
    if size > ANNOTATIONS {
        c.too_long(annotations, ANNOTATIONS);
    }
}

fn owners(c: &mut Checker, owners: &At<'_>) {
    let mut controller: Option<&str> = None;
    for owner in owners.items() {
        let version = owner.get("apiVersion");
        let (group, number) = version.text().split_once('/').unwrap_or(("", version.text()));
        if number.is_empty() {
            c.invalid(&version, "version must not be empty");
        }
        for key in ["kind", "name", "uid"] {
            let part = owner.get(key);
            if part.text().is_empty() {
                c.invalid_as(&part, part.text(), "must not be empty");
            }
        }
        if group.is_empty() && owner.get("kind").text() == "Event" {
            c.invalid(&owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.get("controller").is_true() {
            let name = owner.value["name"].as_str().unwrap_or_default();
            match controller {
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    );
                    c.invalid(owners, detail);
                }
                None => controller = Some(name),
            }
        }
    }
}

/// Checks a label selector.
pub(super) fn selector(c: &mut Checker, selector: &At<'_>) {
    labels(c, &selector.get("matchLabels"));
    for expression in selector.get("matchExpressions").items() {
        let values = expression.get("values");
        let operator = expression.get("operator");
        match operator.text() {
            "In" | "NotIn" => {
                if values.len() == 0 {
                    c.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
                }
            }
            "Exists" | "DoesNotExist" => {
                if values.len() > 0 {
                    let detail =
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    c.forbidden(&values, detail);
                }
            }
            _ => c.invalid_as(&operator, operator.text(), "not a valid selector operator"),
        }
        label_name(c, &expression.get("key").or_empty());
        for value in values.items() {
            c.problems(&value, check_value(value.text()));
        }
    }
}
