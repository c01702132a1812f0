//! `loopline` without a command: what this repository holds, and what to do next.
//!
//! Files are known by their names first and by their first lines where a name says nothing
//! (`apiVersion:` makes a Kubernetes object of any YAML file).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, Outcome};
use crate::error::Status;
use crate::printer::Tone;

/// How many files are looked at.
const MAX_FILES: usize = 200_000;
/// How much of a file is read to know its kind, in bytes.
const HEAD_BYTES: u64 = 16 * 1024;
/// How many paths of a kind are shown.
const SHOWN: usize = 4;
/// Folders that hold other people's files or products.
const SKIPPED: &[&str] = &[".git", "node_modules", "target", ".terraform", ".venv", "vendor"];

pub(crate) fn run(context: &Context<'_>) -> Outcome {
    let printer = context.printer;
    let root = std::env::current_dir()?;
    let found = survey(&root)?;
    if printer.json {
        printer.json(&json!({ "schema": "loopline.inventory/v1", "root": root, "found": found }));
        return Ok(Status::Ok);
    }
    if found.is_empty() {
        printer.err("nothing here that Loopline knows: no pipeline, image, chart or manifest");
        printer.err("hint: go to a repository with a .github/workflows folder and try again");
        return Ok(Status::Ok);
    }
    for (kind, paths) in &found {
        let more = paths.len().saturating_sub(SHOWN);
        let shown = paths.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        printer.out(&format!(
            "{:>4}  {}  {}",
            paths.len(),
            printer.tone_out(Tone::Strong, &format!("{kind:<24}")),
            printer.tone_out(Tone::Quiet, &format!("{shown}{more}")),
        ));
    }
    printer.out("");
    if found.contains_key("GitHub workflow") {
        printer.out("next: loopline run --plan   what would run on a push, and why");
        printer.out("      loopline run          run it on this machine");
        printer.out("      loopline check        mistakes in the workflows");
    } else {
        printer.out("next: loopline doctor       what this machine can do");
        printer.out("      loopline explain      every code, with its page");
        printer.out("      loopline run          needs a workflow in .github/workflows");
    }
    Ok(Status::Ok)
}

/// Returns the files below `root` that Loopline knows, by kind.
fn survey(root: &Path) -> std::io::Result<BTreeMap<&'static str, Vec<String>>> {
    let mut found: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![root.to_path_buf()];
    let mut looked_at = 0;
    while let Some(folder) = open.pop() {
        let entries = match fs_err::read_dir(&folder) {
            Ok(entries) => entries,
            // A folder that we may not read holds nothing for us; the root must be readable.
            Err(error) if folder == root => return Err(error),
            Err(_) => continue,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !SKIPPED.iter().any(|skipped| name == *skipped) {
                    open.push(entry.path());
                }
                continue;
            }
            looked_at += 1;
            if !kind.is_file() || looked_at > MAX_FILES {
                continue;
            }
            let path = entry.path();
            let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) else {
                continue;
            };
            if let Some(kind) = kind_of(relative, || head(&path)) {
                found.entry(kind).or_default().push(relative.to_owned());
            }
        }
    }
    found.values_mut().for_each(|paths| paths.sort());
    Ok(found)
}

fn head(path: &Path) -> String {
    let mut bytes = Vec::new();
    // A file that cannot be read is of no kind.
    let _unreadable =
        fs_err::File::open(path).map(|file| file.take(HEAD_BYTES).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn kind_of(path: &str, head: impl Fn() -> String) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = path.strip_suffix(name).unwrap_or("");
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let yaml = matches!(extension, "yml" | "yaml");
    Some(match name {
        _ if yaml && folder.ends_with(".github/workflows/") => "GitHub workflow",
        "action.yml" | "action.yaml" => "GitHub action",
        ".gitlab-ci.yml" => "GitLab pipeline",
        "Jenkinsfile" => "Jenkins pipeline",
        "Dockerfile" | "Containerfile" => "Dockerfile",
        _ if name.starts_with("Dockerfile.") || extension == "dockerfile" => "Dockerfile",
        "Chart.yaml" => "Helm chart",
        "kustomization.yaml" | "kustomization.yml" => "Kustomization",
        _ if yaml && (name.starts_with("docker-compose") || name.starts_with("compose.")) => {
            "Compose file"
        }
        _ if extension == "tf" => "Terraform file",
        _ if extension == "rego" => "Rego policy",
        _ if yaml && folder.contains("templates/") => return None,
        _ if yaml => return kind_of_yaml(&head()),
        _ => return None,
    })
}

fn kind_of_yaml(head: &str) -> Option<&'static str> {
    let has = |key: &str| head.lines().any(|line| line.starts_with(key));
    if has("apiVersion:") && has("kind:") {
        return Some("Kubernetes object");
    }
    if has("- hosts:") || has("- name:") && head.contains("\n  hosts:") {
        return Some("Ansible playbook");
    }
    if has("scrape_configs:") {
        return Some("Prometheus configuration");
    }
    if has("groups:") && head.contains("expr:") {
        return Some("Prometheus rules");
    }
    if has("route:") && has("receivers:") {
        return Some("Alertmanager configuration");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_name_and_by_content() {
        let kind = |path: &str, text: &str| kind_of(path, || text.to_owned());
        assert_eq!(kind("a/.github/workflows/ci.yml", ""), Some("GitHub workflow"));
        assert_eq!(kind("x/Dockerfile.prod", ""), Some("Dockerfile"));
        assert_eq!(kind("k/web.yaml", "apiVersion: v1\nkind: Pod\n"), Some("Kubernetes object"));
        assert_eq!(kind("chart/templates/web.yaml", "apiVersion: v1\nkind: Pod\n"), None);
        assert_eq!(kind("p.yml", "- name: web\n  hosts: all\n"), Some("Ansible playbook"));
        assert_eq!(kind("notes.yml", "a: 1"), None);
    }
}
