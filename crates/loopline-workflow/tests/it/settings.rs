//! The repository around a workflow: its settings, and the workflows that it calls.

use loopline_source::{MemoryTree, SourceFile};
use loopline_workflow::github::check::{self, Options};

const NAME: &str = ".github/workflows/test.yaml";
const SETTINGS: &str = ".github/actionlint.yaml";
const WORKFLOW: &str = "on: push
jobs:
  a:
    runs-on: [gpu-1]
    steps:
      - run: echo ${{ vars.REGION }} ${{ vars.OTHER }}
";

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, text) in files {
        tree.insert(*path, *text);
    }
    tree
}

/// Returns the codes found, each with its line, and the file if it is another one.
fn found(text: &str, tree: &MemoryTree) -> Vec<String> {
    let file = SourceFile::new(NAME, text);
    check::workflow(&file, tree, &Options::default())
        .iter()
        .map(|finding| {
            let label = &finding.primary;
            let line = label.file.position(label.span.start).line;
            let other = if label.file.name() == NAME { "" } else { label.file.name() };
            format!("{other}{line} {}", finding.rule.code)
        })
        .collect()
}

#[test]
fn settings_name_labels_and_variables_and_what_to_ignore() {
    for (settings, expected) in [
        ("", vec!["4 LL0234"]),
        ("self-hosted-runner:\n  labels: [gpu-*]\n", vec![]),
        ("config-variables: [region]\n", vec!["4 LL0234", "6 LL0212"]),
        ("config-variables: null\n", vec!["4 LL0234"]),
        ("paths: {'.github/workflows/*.yaml': {ignore: [LL0234]}}\n", vec![]),
        ("paths: {'**/*.{yml,yaml}': {ignore: ['has the label .gpu-[0-9]']}}\n", vec![]),
        ("paths: {'.github/workflows/other.yaml': {ignore: ['.*']}}\n", vec!["4 LL0234"]),
        ("some-other-tool: 1\n", vec!["4 LL0234"]),
        ("paths: {'**': {ignore: ['[']}}\n", vec![".github/actionlint.yaml1 LL0208", "4 LL0234"]),
        ("self-hosted-runner: []\n", vec![".github/actionlint.yaml1 LL0208", "4 LL0234"]),
        ("a: [\n", vec![".github/actionlint.yaml2 LL0208", "4 LL0234"]),
    ] {
        let mut got = found(WORKFLOW, &tree(&[(SETTINGS, settings)]));
        got.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(got.len(), expected.len(), "{settings}: {got:?}");
        for (got, expected) in got.iter().zip(&expected) {
            // Where a syntax error is said to be is the parser's business.
            let same = got == expected || got.contains("LL0208") && expected.contains("LL0208");
            assert!(same, "{settings}: {got} is not {expected}");
        }
    }
}

#[test]
fn a_run_that_waits_for_itself_is_found() {
    let called = "on: workflow_call
concurrency: {group: 'deploy-${{ github.ref }}'}
jobs: {a: {runs-on: ubuntu-latest, steps: [{run: make}]}}
";
    let tree = tree(&[(".github/workflows/called.yml", called)]);
    let steps = "runs-on: ubuntu-latest, steps: [{run: make}]";
    let call = "uses: ./.github/workflows/called.yml";
    for (workflow, job, expected) in [
        (
            "deploy-${{ github.ref }}",
            format!("concurrency: 'Deploy-${{{{github.ref}}}}', {steps}"),
            1,
        ),
        ("deploy", format!("concurrency: {{group: other}}, {steps}"), 0),
        ("deploy-${{ github.ref }}", call.to_owned(), 1),
        ("deploy", call.to_owned(), 0),
    ] {
        let text = format!("on: push\nconcurrency: '{workflow}'\njobs:\n  a: {{{job}}}\n");
        let codes = found(&text, &tree);
        assert_eq!(codes, vec!["4 LL0253"; expected], "{text}");
    }
    // What has no value there is reported as such, and as nothing else.
    let text = format!(
        "on: push\nconcurrency: '${{{{ env.A }}}}'\njobs:\n  a: {{concurrency: '${{{{ env.A }}}}', {steps}}}\n"
    );
    assert_eq!(found(&text, &tree), ["2 LL0215", "4 LL0215"]);
}
