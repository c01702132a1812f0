//! `uses` of steps: the form of the reference, versions that are gone, and the inputs.

use loopline_diagnostic::{Fix, rule_set as rules};
use loopline_source::FileTree;
use loopline_source::SourceFile;
use loopline_source::yaml::{self, Limits, Node};

use super::action_table::{self, Input, Interface};
use crate::github::check::findings::Findings;
use crate::github::check::model::{Action, Named, Step, Workflow};
use crate::github::check::text::Text;

pub(super) fn check(workflow: &Workflow, tree: &dyn FileTree, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        steps(&job.steps, tree, findings);
    }
}

pub(super) fn steps(steps: &[Step], tree: &dyn FileTree, findings: &mut Findings<'_>) {
    for step in steps {
        match &step.action {
            Action::Uses { uses, inputs, expression, .. } => {
                let inputs = expression.is_none().then_some(inputs.as_slice());
                one(uses, inputs, tree, findings);
            }
            Action::Parallel { steps: inner, .. } => self::steps(inner, tree, findings),
            _ => {}
        }
    }
}

fn one(
    uses: &Text,
    inputs: Option<&[Named<Text>]>,
    tree: &dyn FileTree,
    findings: &mut Findings<'_>,
) {
    let value = &*uses.value;
    if uses.is_empty() || uses.has_expression() {
        return;
    }
    if let Some(image) = value.strip_prefix("docker://") {
        if image.ends_with(':') {
            let message = format!("the tag of the image `{image}` is empty");
            findings.add(&rules::ACTION_REFERENCE, uses.span, message);
        }
        return;
    }
    if value.starts_with("./") {
        if let Some(interface) = local(value, tree)
            && let Some(inputs) = inputs
        {
            check_inputs(uses, inputs, &interface, findings);
        }
        super::metadata::check_local(uses, tree, findings);
        return;
    }
    if let Some(what) = malformed(value) {
        findings.add_hint(
            &rules::ACTION_REFERENCE,
            uses.span,
            format!("`{value}` is not an action: {what}"),
            "write `owner/repository@ref`, `owner/repository/path@ref` or `./path`",
        );
        return;
    }
    if action_table::is_outdated(value) {
        let message =
            format!("`{value}` was built for a runtime or service that GitHub has retired");
        let file = findings.file;
        if let Some(found) = findings.add(&rules::ACTION_OUTDATED, uses.span, message) {
            let name = value.split('@').next().unwrap_or_default();
            match action_table::first_current(name) {
                Some(version) => {
                    found.hints.push(format!("`{version}` is its first version that runs"));
                    let at = name.len() + 1;
                    let span = uses.place(file, at, value.len());
                    found.fix = Some(Fix { span, replacement: version });
                }
                None => found.hints.push("use a later version, or another action".to_owned()),
            }
        }
        return;
    }
    if let Some((interface, inputs)) = action_table::interface(value).zip(inputs) {
        check_inputs(uses, inputs, interface, findings);
    }
}

fn malformed(value: &str) -> Option<&'static str> {
    let Some((path, reference)) = value.rsplit_once('@') else {
        return Some("a version after `@` is missing");
    };
    let Some((owner, rest)) = path.split_once('/') else {
        return Some("the owner before `/` is missing");
    };
    let repository = rest.split('/').next().unwrap_or_default();
    (owner.is_empty() || repository.is_empty() || reference.is_empty())
        .then_some("owner, repository and version must not be empty")
}

fn check_inputs(
    uses: &Text,
    inputs: &[Named<Text>],
    interface: &Interface,
    findings: &mut Findings<'_>,
) {
    let rule = &rules::ACTION_INPUTS;
    for input in &interface.inputs {
        let given = |given: &Named<Text>| given.name.value.eq_ignore_ascii_case(&input.name);
        if input.required && !inputs.iter().any(given) {
            let message = format!("`{}` requires the input `{}`", uses.value, input.name);
            findings.add(rule, uses.span, message);
        }
    }
    for input in inputs {
        let name = &input.name;
        let known =
            interface.inputs.iter().find(|known| known.name.eq_ignore_ascii_case(&name.value));
        match known {
            Some(known) if known.deprecated => {
                let message =
                    format!("the input `{}` of `{}` is deprecated", name.value, uses.value);
                let file = findings.file;
                let other = name.value.replace('_', "-");
                let renamed = other != *name.value
                    && interface.inputs.iter().any(|input| input.name == other);
                let given = inputs.iter().any(|input| *input.name.value == *other);
                if let Some(found) = findings.add(rule, name.span, message)
                    && renamed
                {
                    found.hints.push(format!("use `{other}`"));
                    found.fix = (!given && file.slice(name.span) == &*name.value)
                        .then_some(Fix { span: name.span, replacement: other });
                }
            }
            Some(_) => {}
            None => {
                let message = format!("`{}` has no input `{}`", uses.value, name.value);
                let known = interface.inputs.iter().map(|input| &*input.name);
                findings.add_unknown(rule, name.span, message, &name.value, known);
            }
        }
    }
}

/// Returns the path and text of a local action's metadata.
pub(super) fn local_metadata(uses: &str, tree: &dyn FileTree) -> Option<SourceFile> {
    let folder = uses.trim_start_matches("./").trim_end_matches('/');
    ["action.yml", "action.yaml"].into_iter().find_map(|name| {
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        tree.read(&path).ok().map(|text| SourceFile::new(path, text))
    })
}

/// Returns what a local action takes and gives, if it is there.
pub(super) fn local(uses: &str, tree: &dyn FileTree) -> Option<Interface> {
    let file = local_metadata(uses, tree)?;
    let parsed = yaml::parse(&file, &Limits::default());
    let root = &parsed.documents.first()?.root;
    let names = |key: &str| root.get(key).and_then(Node::as_mapping).unwrap_or(&[]);
    let inputs = names("inputs")
        .iter()
        .filter_map(|entry| {
            let text = |key: &str| entry.value.get(key).and_then(Node::as_str);
            let required = text("required").is_some_and(|text| text.eq_ignore_ascii_case("true"));
            Some(Input {
                name: entry.key.as_str()?.to_owned(),
                required: required && entry.value.get("default").is_none(),
                deprecated: entry.value.get("deprecationMessage").is_some(),
            })
        })
        .collect();
    let outputs =
        names("outputs").iter().filter_map(|entry| entry.key.as_str().map(str::to_owned)).collect();
    Some(Interface { inputs, outputs: Some(outputs) })
}
