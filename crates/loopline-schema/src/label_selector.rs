//! Label selectors as objects: `matchLabels` and `matchExpressions`.

use loopline_units::selector::{Operator, Requirement, Selector};
use serde_json::Value;

use crate::tree::{fields, list, text};

/// Returns the selector an object describes, or `None` where an operator is unknown. A selector
/// without conditions selects everything; one that is absent selects nothing, which its caller
/// must see to.
pub fn parse(object: &Value) -> Option<Selector> {
    let labels = fields(&object["matchLabels"]).map(|(key, value)| {
        Some(Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.as_str()?.to_owned()],
        })
    });
    let expressions = list(object, "matchExpressions").iter().map(|expression| {
        let operator = match text(expression, "operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return None,
        };
        let values =
            list(expression, "values").iter().map(|value| value.as_str().map(str::to_owned));
        let values = values.collect::<Option<_>>()?;
        Some(Requirement { key: text(expression, "key").to_owned(), operator, values })
    });
    let requirements = labels.chain(expressions).collect::<Option<_>>()?;
    Some(Selector { requirements })
}

/// Returns whether a map of labels is selected.
pub fn matches(selector: &Selector, labels: &Value) -> bool {
    selector.matches(|key| labels[key].as_str())
}

/// Returns the selector an object describes in the form of queries: `app=web,tier in (a,b)`.
pub fn query(object: &Value) -> String {
    let shown = show(object);
    if shown == "<none>" { String::new() } else { shown }
}

/// Returns a selector as tables show it; `<none>` where there are no conditions.
pub(crate) fn show(object: &Value) -> String {
    let labels = fields(&object["matchLabels"]).map(|(key, value)| {
        (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default()))
    });
    let expressions = list(object, "matchExpressions").iter().map(|expression| {
        let key = text(expression, "key");
        let mut values: Vec<_> =
            list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let shown = match text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => "<invalid>".to_owned(),
        };
        (key, shown)
    });
    let mut parts: Vec<_> = labels.chain(expressions).collect();
    parts.sort_by(|a, b| a.0.cmp(b.0));
    if parts.is_empty() {
        return "<none>".to_owned();
    }
    parts.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>().join(",")
}

/// Returns a map of labels as tables show it; `<none>` where it is empty.
pub(crate) fn show_labels(labels: &Value) -> String {
    let mut parts: Vec<_> = fields(labels)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    parts.sort();
    if parts.is_empty() { "<none>".to_owned() } else { parts.join(",") }
}
