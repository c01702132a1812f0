//! Which names a definition gets, and the conditions that say so.

use serde_json::{Value, json};

/// The names that a definition asks for, or has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) categories: Vec<String>,
}

impl Names {
    /// Reads `spec.names` or `status.acceptedNames`.
    pub(super) fn read(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| {
            let list = value[key].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        };
        Self {
            plural: text("plural"),
            singular: text("singular"),
            short_names: list("shortNames"),
            kind: text("kind"),
            list_kind: text("listKind"),
            categories: list("categories"),
        }
    }

    /// Returns them as `status.acceptedNames` has them.
    pub(super) fn to_value(&self) -> Value {
        let mut value = json!({"plural": self.plural, "kind": self.kind});
        for (key, text) in [("singular", &self.singular), ("listKind", &self.list_kind)] {
            if !text.is_empty() {
                value[key] = json!(text);
            }
        }
        for (key, list) in [("shortNames", &self.short_names), ("categories", &self.categories)] {
            if !list.is_empty() {
                value[key] = json!(list);
            }
        }
        value
    }

    /// Returns whether a name of a resource is one of these.
    fn has_resource(&self, name: &str) -> bool {
        self.plural == name
            || self.singular == name
            || self.short_names.iter().any(|short| short == name)
    }

    fn has_kind(&self, name: &str) -> bool {
        self.kind == name || self.list_kind == name
    }
}

/// Decides which of the names that are asked for are free; `had` are those that the definition
/// has already, `others` those of the other definitions of its group. Returns the names that it
/// has from now on and the first conflict: its reason and message.
pub(super) fn accept<'a>(
    asked: &Names,
    had: &Names,
    others: impl Iterator<Item = &'a Names> + Clone,
) -> (Names, Option<(&'static str, String)>) {
    let mut names = had.clone();
    let mut conflict = None;
    let mut collide = |taken: bool, reason: &'static str, name: &str| {
        if taken && conflict.is_none() {
            conflict = Some((reason, format!("{name:?} is already in use")));
        }
        !taken
    };
    let resource = |name: &str| others.clone().any(|other| other.has_resource(name));
    let kind = |name: &str| others.clone().any(|other| other.has_kind(name));
    if collide(
        asked.plural != had.plural && resource(&asked.plural),
        "PluralConflict",
        &asked.plural,
    ) {
        names.plural.clone_from(&asked.plural);
    }
    let taken = asked.singular != had.singular && resource(&asked.singular);
    if collide(taken, "SingularConflict", &asked.singular) {
        names.singular.clone_from(&asked.singular);
    }
    let mut free = true;
    for short in &asked.short_names {
        let taken = !had.short_names.contains(short) && resource(short);
        free &= collide(taken, "ShortNamesConflict", short);
    }
    if free {
        names.short_names.clone_from(&asked.short_names);
    }
    if collide(asked.kind != had.kind && kind(&asked.kind), "KindConflict", &asked.kind) {
        names.kind.clone_from(&asked.kind);
    }
    let taken = asked.list_kind != had.list_kind && kind(&asked.list_kind);
    if collide(taken, "ListKindConflict", &asked.list_kind) {
        names.list_kind.clone_from(&asked.list_kind);
    }
    names.categories.clone_from(&asked.categories);
    (names, conflict)
}

/// Returns the status that follows from what was accepted; `now` is the time of transitions.
pub(super) fn status(
    old: &Value,
    names: &Names,
    conflict: Option<&(&'static str, String)>,
    broken: Option<&str>,
    now: &str,
) -> Value {
    let mut status = if old.is_object() { old.clone() } else { json!({}) };
    status["acceptedNames"] = names.to_value();
    let accepted = match conflict {
        Some((reason, message)) => ("False", *reason, message.as_str()),
        None => ("True", "NoConflicts", "no conflicts found"),
    };
    set_condition(&mut status, "NamesAccepted", accepted, now);
    let established = condition(&status, "Established").is_some_and(|one| one["status"] == "True");
    if let Some(why) = broken {
        set_condition(&mut status, "NonStructuralSchema", ("True", "Violations", why), now);
    }
    let state = match (established, accepted.0) {
        _ if broken.is_some() => ("False", "NonStructuralSchema", "the schema is refused"),
        (true, _) | (_, "True") => {
            ("True", "InitialNamesAccepted", "the initial names have been accepted")
        }
        _ => ("False", "NotAccepted", "not all names are accepted"),
    };
    set_condition(&mut status, "Established", state, now);
    status
}

/// Returns a condition of a status.
pub(super) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}

/// Sets a condition; the time of its transition stays while its status does.
pub(super) fn set_condition(
    status: &mut Value,
    kind: &str,
    (state, reason, message): (&str, &str, &str),
    now: &str,
) {
    let since = condition(status, kind)
        .filter(|old| old["status"] == state)
        .map_or_else(|| json!(now), |old| old["lastTransitionTime"].clone());
    let condition = json!({
        "type": kind,
        "status": state,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    });
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(conditions) = status["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|one| one["type"] == kind) {
        Some(slot) => *slot = condition,
        None => conditions.push(condition),
    }
}
