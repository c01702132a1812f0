//! Amounts of resources: what containers and whole pods ask for and may use.

use std::collections::BTreeMap;

use loopline_units::quantity::Quantity;
use serde_json::Value;

/// Amounts by the name of the resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// Reads a map of quantities; what is none was refused by validation.
pub(crate) fn read(map: &Value) -> Amounts {
    map.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((name.clone(), Quantity::parse(&text).ok()?))
        })
        .collect()
}

/// Adds amounts.
pub(crate) fn add(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let sum = to.get(name).map_or(*amount, |found| found.plus(*amount));
        to.insert(name.clone(), sum);
    }
}

/// Takes the larger amount of each resource.
fn largest(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let most = to.get(name).map_or(*amount, |found| (*found).max(*amount));
        to.insert(name.clone(), most);
    }
}

/// Returns `a=1,b=2`.
pub(crate) fn show(amounts: &Amounts) -> String {
    let parts: Vec<String> =
        amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    parts.join(",")
}

/// Returns what a whole pod asks for (`requests`) or may use (`limits`): its containers at the
/// same time, or the largest of those that run before them, and what its runtime takes.
pub(crate) fn of_pod(pod: &Value, kind: &str) -> Amounts {
    let spec = &pod["spec"];
    let of = |container: &Value| read(&container["resources"][kind]);
    let list = |key: &str| spec[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut sum = Amounts::new();
    for container in list("containers") {
        add(&mut sum, &of(container));
    }
    let mut beside = Amounts::new();
    let mut first = Amounts::new();
    for container in list("initContainers") {
        let own = of(container);
        if container["restartPolicy"] == "Always" {
            // It keeps running beside all that follow.
            add(&mut sum, &own);
            add(&mut beside, &own);
            largest(&mut first, &beside);
        } else {
            let mut together = beside.clone();
            add(&mut together, &own);
            largest(&mut first, &together);
        }
    }
    largest(&mut sum, &first);
    for (name, amount) in read(&spec["overhead"]) {
        match sum.get(&name) {
            Some(found) => {
                let found = found.plus(amount);
                sum.insert(name, found);
            }
            None if kind == "requests" => {
                sum.insert(name, amount);
            }
            None => {}
        }
    }
    sum
}
