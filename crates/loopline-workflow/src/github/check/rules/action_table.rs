//! What is known of widely used actions: their inputs and outputs, and the versions that no
//! longer run. Actions that are not in the tables are not judged, nor are versions: a new one may
//! take what no old one took.
//!
//! `scripts/popular-actions.mjs` writes the tables from the actions' own metadata. Which actions
//! are in them follows actionlint's list of popular actions ((c) rhysd, MIT licence).

use std::collections::HashMap;
use std::sync::LazyLock;

/// `owner/action versions | inputs | outputs`, a line each; `!` marks an input that is required,
/// `~` one that is deprecated, and `*` stands for outputs that are not fixed.
const INPUTS: &str = include_str!("action_inputs.txt");
/// `owner/action versions`, a line each.
const OUTDATED: &str = include_str!("action_outdated.txt");

/// One input of an action.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) deprecated: bool,
}

/// What an action takes and gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    pub(super) inputs: Vec<Input>,
    /// `None` where the outputs are not fixed.
    pub(super) outputs: Option<Vec<String>>,
}

static TABLE: LazyLock<HashMap<String, Interface>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for line in INPUTS.lines() {
        let mut parts = line.split('|');
        let mut head = parts.next().unwrap_or_default().split_whitespace();
        let (Some(action), Some(versions)) = (head.next(), head.next()) else { continue };
        let inputs = parts.next().unwrap_or_default().split_whitespace().map(input).collect();
        let outputs = parts.next().unwrap_or_default().trim();
        let outputs =
            (outputs != "*").then(|| outputs.split_whitespace().map(str::to_owned).collect());
        let interface = Interface { inputs, outputs };
        for version in versions.split(',') {
            table.insert(format!("{action}@{version}").to_lowercase(), interface.clone());
        }
    }
    table
});

static OLD: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut old = Vec::new();
    for line in OUTDATED.lines() {
        let mut parts = line.split_whitespace();
        let (Some(action), Some(versions)) = (parts.next(), parts.next()) else { continue };
        old.extend(versions.split(',').map(|version| format!("{action}@{version}").to_lowercase()));
    }
    old.sort();
    old
});

fn input(word: &str) -> Input {
    Input {
        name: word.trim_end_matches(['!', '~']).to_owned(),
        required: word.ends_with('!'),
        deprecated: word.ends_with('~'),
    }
}

/// Returns what is known of the action `owner/name@version`.
pub(super) fn interface(uses: &str) -> Option<&'static Interface> {
    TABLE.get(&uses.to_lowercase())
}

/// Returns the first version of the action `owner/name` that still runs.
pub(super) fn first_current(action: &str) -> Option<String> {
    let wanted = format!("{}@", action.to_lowercase());
    let major = |version: &str| version.strip_prefix('v').and_then(|v| v.parse::<u32>().ok());
    TABLE
        .keys()
        .filter_map(|known| known.strip_prefix(&wanted))
        .filter(|version| !is_outdated(&format!("{wanted}{version}")))
        .filter_map(major)
        .min()
        .map(|major| format!("v{major}"))
}

/// Returns whether this version of the action is known not to run any more.
pub(super) fn is_outdated(uses: &str) -> bool {
    OLD.binary_search(&uses.to_lowercase()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_read_whole() {
        assert!(INPUTS.lines().all(|line| line.split('|').count() == 3));
        let upload = interface("actions/upload-artifact@v4").expect("it is in the table");
        assert!(upload.inputs.iter().any(|input| input.name == "path" && input.required));
        assert!(is_outdated("actions/Checkout@v2") && !is_outdated("actions/checkout@v4"));
    }
}
