//! An action's metadata: `action.yml`, checked by itself or where a step uses it.

use loopline_diagnostic::rule_set as rules;
use loopline_source::yaml::{self, Limits, Node};
use loopline_source::{FileTree, Span};

use super::{actions, commands, conditions, environment_names, expressions, jobs, shells};
use crate::github::check::checker::Options;
use crate::github::check::findings::{Findings, nearest};
use crate::github::check::read::{Reader, steps};
use crate::github::check::text::Text;

const COLORS: &[&str] =
    &["white", "black", "yellow", "blue", "green", "orange", "red", "purple", "gray-dark"];
/// Runtimes that GitHub still runs.
const NODE: &[&str] = &["node20", "node24"];
const ROOT_KEYS: &[&str] =
    &["name", "author", "description", "inputs", "outputs", "runs", "branding"];

/// The keys of `runs` by the kind of action.
const COMPOSITE: &[&str] = &["using", "steps"];
const DOCKER: &[&str] = &[
    "using",
    "image",
    "env",
    "entrypoint",
    "pre-entrypoint",
    "pre-if",
    "post-entrypoint",
    "post-if",
    "args",
];
const SCRIPT: &[&str] = &["using", "main", "pre", "pre-if", "post", "post-if"];

fn place(node: &Node) -> Span {
    Span::new(node.start(), node.span.end)
}

/// Something wrong, where it is in the metadata.
struct Problem {
    span: Span,
    message: String,
    hint: Option<String>,
}

/// Checks the metadata in its own file.
pub(crate) fn check(
    root: &Node,
    tree: &dyn FileTree,
    _options: &Options,
    findings: &mut Findings<'_>,
) {
    let folder = findings.file.name().rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    for problem in problems(root, &folder, tree) {
        if let Some(found) = findings.add(&rules::ACTION_METADATA, problem.span, problem.message) {
            found.hints.extend(problem.hint);
        }
    }
    let Some(node) = root.get("runs").and_then(|runs| runs.get("steps")) else { return };
    let steps = steps(&mut Reader { findings }, node);
    jobs::step_ids(&steps, findings);
    shells::steps(&steps, None, findings);
    commands::steps(&steps, None, findings);
    conditions::steps(&steps, findings);
    environment_names::steps(&steps, findings);
    actions::steps(&steps, tree, findings);
    let entries = |key: &str| root.get(key).and_then(Node::as_mapping).unwrap_or(&[]);
    let inputs: Vec<String> =
        entries("inputs").iter().filter_map(|e| e.key.as_str().map(str::to_owned)).collect();
    let outputs: Vec<Text> = entries("outputs")
        .iter()
        .filter_map(|entry| entry.value.get("value"))
        .map(|value| Reader { findings }.string(value, "`value`"))
        .collect();
    expressions::composite(&inputs, &steps, &outputs, tree, findings);
}

/// Reports at a step what is wrong with the metadata of the local action it uses.
pub(super) fn check_local(uses: &Text, tree: &dyn FileTree, findings: &mut Findings<'_>) {
    let Some(file) = actions::local_metadata(&uses.value, tree) else { return };
    let parsed = yaml::parse(&file, &Limits::default());
    let folder = file.name().rsplit_once('/').map_or("", |(folder, _)| folder);
    if let Some(error) = parsed.error {
        let message = format!("`{}` is not YAML: {}", file.name(), error.kind);
        findings.add(&rules::ACTION_METADATA, uses.span, message);
        return;
    }
    let Some(document) = parsed.documents.first() else {
        findings.add(&rules::ACTION_METADATA, uses.span, format!("`{}` is empty", file.name()));
        return;
    };
    for problem in problems(&document.root, folder, tree) {
        if let Some(found) =
            findings.add(&rules::ACTION_METADATA, uses.span, problem.message.clone())
        {
            *found = found.clone().also(&file, problem.span, problem.message);
            found.hints.extend(problem.hint);
        }
    }
}

fn problems(root: &Node, folder: &str, tree: &dyn FileTree) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |span: Span, message: String, hint: Option<String>| {
        found.push(Problem { span, message, hint });
    };
    let Some(entries) = root.as_mapping() else {
        add(place(root), "an action's metadata is a mapping".to_owned(), None);
        return found;
    };
    for entry in entries {
        let key = entry.key.as_str().unwrap_or_default();
        if !ROOT_KEYS.contains(&key) {
            let hint = nearest(key, ROOT_KEYS).map(|near| format!("did you mean `{near}`?"));
            add(place(&entry.key), format!("unknown key `{key}` in an action"), hint);
        }
    }
    for key in ["name", "description", "runs"] {
        if root.get(key).is_none_or(Node::is_null) {
            add(Span::at(root.start()), format!("an action needs `{key}`"), None);
        }
    }
    for key in ["inputs", "outputs", "branding"] {
        if let Some(value) = root.get(key)
            && value.as_mapping().is_none()
            && !value.is_null()
        {
            add(place(value), format!("`{key}` of an action is a mapping"), None);
        }
    }
    if let Some(color) = root.get("branding").and_then(|branding| branding.get("color"))
        && let Some(value) = color.as_str()
        && !COLORS.contains(&value)
    {
        let hint = Some(format!("one of {}", COLORS.join(", ")));
        add(place(color), format!("there is no branding color `{value}`"), hint);
    }
    let Some(runs) = root.get("runs").filter(|runs| !runs.is_null()) else { return found };
    let Some(using) = runs.get("using") else {
        add(place(runs), "`runs` needs `using`".to_owned(), None);
        return found;
    };
    let value = using.as_str().unwrap_or_default();
    let (known, required, kind) = match value {
        "composite" => (COMPOSITE, "steps", "a composite action"),
        "docker" => (DOCKER, "image", "a container action"),
        _ if value.starts_with("node") => (SCRIPT, "main", "a JavaScript action"),
        _ => {
            let hint = "one of `composite`, `docker`, `node20` and `node24`".to_owned();
            add(place(using), format!("`using` cannot be `{value}`"), Some(hint));
            return found;
        }
    };
    if value.starts_with("node") && !NODE.contains(&value) {
        let hint = "use `node24`".to_owned();
        add(place(using), format!("the runtime `{value}` is gone"), Some(hint));
    }
    if runs.get(required).is_none() {
        add(place(runs), format!("{kind} needs `{required}`"), None);
    }
    for (condition, stage) in [("pre-if", "pre"), ("post-if", "post")] {
        let stage =
            if value == "docker" { format!("{stage}-entrypoint") } else { stage.to_owned() };
        if let Some(entry) =
            runs.as_mapping().unwrap_or(&[]).iter().find(|e| e.key.as_str() == Some(condition))
            && known.contains(&condition)
            && runs.get(&stage).is_none()
        {
            add(
                place(&entry.key),
                format!("`{condition}` decides about `{stage}`, which is missing"),
                None,
            );
        }
    }
    for entry in runs.as_mapping().unwrap_or(&[]) {
        let key = entry.key.as_str().unwrap_or_default();
        if !known.contains(&key) {
            add(place(&entry.key), format!("`{key}` is not a key of {kind}"), None);
        }
        let file = match (kind, key) {
            // What a container starts is in its image, not beside the metadata.
            ("a JavaScript action", "main" | "pre" | "post") => entry.value.as_str(),
            ("a container action", "image") => {
                entry.value.as_str().filter(|image| !image.starts_with("docker://"))
            }
            _ => None,
        };
        if let Some(file) = file.filter(|file| !file.is_empty() && !file.starts_with('/')) {
            let file = file.trim_start_matches("./");
            let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
            if !tree.is_file(&path) {
                add(place(&entry.value), format!("there is no file `{path}`"), None);
            }
        }
    }
    found
}
