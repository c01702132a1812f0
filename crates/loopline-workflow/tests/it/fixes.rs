//! Automatic fixes: applied, they leave a workflow with nothing to find.

use loopline_source::{MemoryTree, SourceFile};
use loopline_workflow::github::check::{self, Options};

/// The most fixes that one workflow here can need.
const MAX_ROUNDS: usize = 8;

const JOB: &str = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n";

fn findings(text: &str) -> Vec<loopline_diagnostic::Diagnostic> {
    let file = SourceFile::new("test.yaml", text);
    check::workflow(&file, &MemoryTree::new(), &Options::default())
}

/// Applies one fix after the other until none is offered.
fn fixed(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let Some(fix) = findings(&text).into_iter().find_map(|finding| finding.fix) else {
            return text;
        };
        text.replace_range(fix.span.start as usize..fix.span.end as usize, &fix.replacement);
    }
    panic!("the fixes do not end:\n{text}");
}

#[test]
fn fixes_settle_what_they_are_offered_for() {
    for (wrong, right) in [
        ("- rnu: make\n", "- run: make\n"),
        ("- run: make\n  shel: bash\n", "- run: make\n  shell: bash\n"),
        ("- run: make\n  shell: bsh\n", "- run: make\n  shell: bash\n"),
        (
            "- run: echo \"::set-output name=sum::$SUM\"\n",
            "- run: echo \"sum=$SUM\" >> \"$GITHUB_OUTPUT\"\n",
        ),
        (
            "- run: |\n    make\n    echo ::set-env name=A::b\n    echo ::add-path::/x/bin\n",
            "- run: |\n    make\n    echo \"A=b\" >> \"$GITHUB_ENV\"\n    \
             echo \"/x/bin\" >> \"$GITHUB_PATH\"\n",
        ),
        ("- uses: actions/checkout@v2\n", "- uses: actions/checkout@v4\n"),
        (
            "- uses: actions/checkout@v4\n  with: {fetch_depth: 0}\n",
            "- uses: actions/checkout@v4\n  with: {fetch-depth: 0}\n",
        ),
        (
            "- run: make\n  if: github.event_name == \"push\"\n",
            "- run: make\n  if: github.event_name == 'push'\n",
        ),
        (
            "- run: make\n  if: ${{ github.ref }} == 'refs/heads/main'\n",
            "- run: make\n  if: ${{ github.ref == 'refs/heads/main' }}\n",
        ),
        ("- run: echo ${{ github.evnt_name }}\n", "- run: echo ${{ github.event_name }}\n"),
        ("- run: echo ${{ contians('a', 'b') }}\n", "- run: echo ${{ contains('a', 'b') }}\n"),
        (
            "- id: one\n  run: make\n- run: echo ${{ steps.noe.outcome }}\n",
            "- id: one\n  run: make\n- run: echo ${{ steps.one.outcome }}\n",
        ),
    ] {
        let whole = |steps: &str| {
            steps.lines().fold(JOB.to_owned(), |text, line| format!("{text}      {line}\n"))
        };
        let result = fixed(&whole(wrong));
        assert_eq!(result, whole(right), "{wrong}");
        assert!(findings(&result).is_empty(), "{result}");
    }
}

#[test]
fn fixes_reach_events_schedules_permissions_and_needs() {
    let steps = "runs-on: ubuntu-latest, steps: [{run: make}]";
    for (wrong, right) in [
        (format!("on: psuh\njobs: {{a: {{{steps}}}}}\n"), "on: push\n"),
        (format!("on: {{push: {{branchs: main}}}}\njobs: {{a: {{{steps}}}}}\n"), "branches: main"),
        (
            format!("on:\n  schedule:\n    - cron: */15 * * * *\njobs: {{a: {{{steps}}}}}\n"),
            "cron: '*/15 * * * *'",
        ),
        (
            format!("on: push\npermissions: {{contens: read}}\njobs: {{a: {{{steps}}}}}\n"),
            "{contents: read}",
        ),
        (
            format!("on: push\njobs:\n  build: {{{steps}}}\n  test: {{needs: biuld, {steps}}}\n"),
            "needs: build,",
        ),
    ] {
        let result = fixed(&wrong);
        assert!(result.contains(right), "{result}");
        assert!(findings(&result).is_empty(), "{result}: {:?}", findings(&result));
    }
}

#[test]
fn nothing_is_changed_that_could_mean_something_else() {
    for steps in [
        // Another version of a runner is another machine.
        "- run: \"echo ::set-output name=a::b\"\n",
        "- run: echo ::set-output name=a::b | tee log\n",
        "- run: echo ::set-output name=a::b\n  shell: pwsh\n",
        "- uses: unknown/action@v1\n  if: text ${{ github.ref }}\n",
    ] {
        let whole =
            steps.lines().fold(JOB.to_owned(), |text, line| format!("{text}      {line}\n"));
        assert!(!findings(&whole).is_empty(), "{whole}");
        assert_eq!(fixed(&whole), whole);
    }
    let old = "on: push\njobs: {a: {runs-on: ubuntu-18.04, steps: [{run: make}]}}\n";
    assert!(!findings(old).is_empty());
    assert_eq!(fixed(old), old);
}
