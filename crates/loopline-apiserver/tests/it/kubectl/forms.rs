//! Which forms of commands there are: a verb, with its object or with the option that makes it
//! ask the server something else.

/// The verbs with verbs of their own below them.
const NESTED: &[&str] =
    &["apply", "auth", "certificate", "cluster-info", "create", "rollout", "set", "top"];

/// Options that make other requests, and so another form of their verb.
const TELLING: &[&str] = &[
    "--all",
    "--all-namespaces",
    "--cascade",
    "--chunk-size",
    "--current-replicas",
    "--dry-run=client",
    "--dry-run=server",
    "--field-selector",
    "--for",
    "--for=condition",
    "--for=create",
    "--for=delete",
    "--for=jsonpath",
    "--force",
    "--force-conflicts",
    "--grace-period",
    "--ignore-not-found",
    "--list",
    "--now",
    "--overwrite",
    "--prune",
    "--raw",
    "--recursive",
    "--revision",
    "--server-side",
    "--show-labels",
    "--sort-by",
    "--subresource=scale",
    "--subresource=status",
    "--to-revision",
    "--type=json",
    "--type=merge",
    "--watch",
    "-R",
    "-f",
    "-k",
    "-l",
    "-o",
];

/// The forms that no session may lose.
pub(super) const EXPECTED: &[&str] = &[
    "annotate",
    "api-resources",
    "api-versions",
    "apply --dry-run=server -f",
    "apply --force-conflicts --server-side -f",
    "apply --prune -f -l",
    "apply --server-side -f",
    "apply -f",
    "apply -k",
    "apply set-last-applied -f",
    "apply view-last-applied -o",
    "autoscale",
    "certificate approve",
    "cluster-info",
    "cordon",
    "create -f",
    "create clusterrole",
    "create clusterrolebinding",
    "create configmap",
    "create cronjob",
    "create deployment",
    "create ingress",
    "create job",
    "create namespace",
    "create poddisruptionbudget",
    "create priorityclass",
    "create quota",
    "create role",
    "create rolebinding",
    "create secret",
    "create service",
    "create serviceaccount",
    "delete --all",
    "delete --dry-run=server",
    "delete --now",
    "delete --ignore-not-found -f",
    "delete -l",
    "delete",
    "describe",
    "diff --force-conflicts --server-side -f",
    "diff -f",
    "edit",
    "events",
    "explain --recursive",
    "explain",
    "expose",
    "get --chunk-size",
    "get --field-selector",
    "get --raw",
    "get --sort-by",
    "get --watch",
    "get -l",
    "get -o",
    "get",
    "kustomize",
    "label",
    "patch --type=json",
    "patch --type=merge",
    "patch",
    "replace --force -f",
    "replace -f",
    "rollout history",
    "rollout pause",
    "rollout restart",
    "rollout resume",
    "rollout status",
    "rollout undo",
    "rollout undo --to-revision",
    "run",
    "scale --current-replicas",
    "scale",
    "set env",
    "set image",
    "set resources",
    "set selector",
    "set serviceaccount",
    "set subject",
    "taint",
    "uncordon",
    "version -o",
    "wait --for=condition",
    "wait --for=create",
    "wait --for=delete",
    "wait --for=jsonpath",
];

/// Returns the forms of the kubectl commands of a line.
pub(super) fn of(line: &str) -> Vec<String> {
    line.split(['|', ';', '&']).filter_map(form).collect()
}

fn form(command: &str) -> Option<String> {
    let mut words = command.split_whitespace().skip_while(|word| *word != "kubectl").skip(1);
    let verb = words.next()?;
    let mut form = verb.to_owned();
    let words: Vec<&str> = words.take_while(|word| *word != "--").collect();
    if NESTED.contains(&verb)
        && let Some(below) = words.first().filter(|word| !word.starts_with('-'))
    {
        form.push(' ');
        form.push_str(below);
    }
    let mut options: Vec<&str> = Vec::new();
    for word in words {
        let bare = word.split('=').next().unwrap_or(word);
        // The longest: `--for=delete` before `--for`.
        let telling = TELLING.iter().rev().find(|one| {
            **one == bare
                || word.strip_prefix(**one).is_some_and(|rest| {
                    one.contains('=') && (rest.is_empty() || rest.starts_with('='))
                })
        });
        options.extend(telling.filter(|one| !options.contains(one)));
    }
    options.sort_unstable();
    for option in options {
        form.push(' ');
        form.push_str(option);
    }
    Some(form)
}

#[test]
fn forms_are_a_verb_and_its_telling_options() {
    let forms = of("sed s/a/b/ x | kubectl apply --server-side -f - --field-manager=x");
    assert_eq!(forms, ["apply --server-side -f"]);
    assert_eq!(of("kubectl wait --for=jsonpath={.a}=b pod/x"), ["wait --for=jsonpath"]);
    assert_eq!(of("kubectl create job x --image=y -- kubectl"), ["create job"]);
}
