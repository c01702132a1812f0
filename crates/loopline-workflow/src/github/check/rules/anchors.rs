//! Anchors that nothing uses.

use std::collections::HashSet;

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::{Data, Node};

use crate::github::check::findings::Findings;

/// Complains about every anchor to which no alias leads.
pub(crate) fn check(root: &Node, findings: &mut Findings<'_>) {
    let (mut anchors, mut used) = (Vec::new(), HashSet::new());
    visit(root, &mut anchors, &mut used);
    for (start, node) in anchors {
        if let Some(anchor) = &node.anchor
            && !used.contains(&start)
        {
            let message = format!("no alias uses the anchor `{}`", anchor.name);
            findings.add_hint(
                &rules::YAML_ANCHOR,
                anchor.span,
                message,
                "remove the anchor, or refer to it with `*`",
            );
        }
    }
}

fn visit<'n>(node: &'n Node, anchors: &mut Vec<(u32, &'n Node)>, used: &mut HashSet<u32>) {
    let start = node.anchor.as_ref().map(|anchor| anchor.span.start);
    if node.alias.is_some() {
        // What is inside was visited where the anchor stands.
        used.extend(start);
        return;
    }
    if let Some(start) = start {
        anchors.push((start, node));
    }
    match &node.data {
        Data::Scalar(_) => {}
        Data::Sequence(items) => {
            for item in items.iter() {
                visit(item, anchors, used);
            }
        }
        Data::Mapping(entries) => {
            for entry in entries.iter() {
                visit(&entry.key, anchors, used);
                visit(&entry.value, anchors, used);
            }
        }
    }
}
