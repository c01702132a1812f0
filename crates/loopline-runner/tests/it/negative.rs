//! Workflows that must not end green: each ends red, or is refused, and says why.

use loopline_workflow::run::Conclusion;

use crate::support::Case;

/// Steps of one job, and words that must be in what the run says.
const STEPS: &[(&str, &str)] = &[
    ("- run: exit 1", "exit code 1"),
    ("- run: exit 255", "exit code 255"),
    ("- run: kill -9 $$", "exit code 137"),
    ("- run: kill -TERM $$", "exit code 143"),
    ("- run: |\n    false\n    echo not reached", "exit code 1"),
    ("- run: no-such-program-anywhere", "exit code 127"),
    ("- run: 'if then'", "exit code 2"),
    ("- run: |\n    false | true\n    exit 0\n  shell: bash", "exit code 1"),
    ("- run: echo $UNSET\n  shell: bash -eu {0}", "exit code 1"),
    ("- run: exit 7\n  shell: sh", "exit code 7"),
    ("- run: import sys; sys.exit(9)\n  shell: python", "exit code 9"),
    ("- run: echo hello\n  shell: fish", "invalid shell `fish`"),
    ("- run: echo hello\n  shell: bash -l", "invalid shell `bash -l`"),
    ("- run: echo hello\n  shell: no-such-shell {0}", "no-such-shell"),
    ("- run: echo hello\n  shell: cmd", "Windows only"),
    ("- run: echo hello\n  shell: /bin/false {0}", "exit code 1"),
    ("- run: echo hello\n  working-directory: missing", "missing"),
    ("- run: touch f\n- run: echo hello\n  working-directory: f", "working folder"),
    ("- run: echo hello\n  working-directory: ${{ fromJSON('') }}", "fromJSON"),
    ("- run: echo ${{ fromJSON('{') }}", "fromJSON('{')"),
    ("- run: echo ${{ fromJSON(steps.none.outputs.x) }}", "fromJSON"),
    ("- run: echo ${{ format('{0} {1}', 'a') }}", "format string"),
    ("- run: echo hello\n  env:\n    A: ${{ fromJSON('nope') }}", "fromJSON"),
    ("- run: echo hello\n  if: fromJSON('nope')", "fromJSON"),
    ("- run: echo hello\n  if: always() && fromJSON('nope')", "fromJSON"),
    ("- run: echo hello\n  timeout-minutes: ${{ fromJSON('\"x\"') }}", "expected a number"),
    ("- run: exit 1\n  continue-on-error: ${{ fromJSON('\"x\"') }}", "expected a boolean"),
    ("- run: exit 1\n  continue-on-error: ${{ fromJSON('nope') }}", "fromJSON"),
    ("- run: exit 1\n  continue-on-error: ${{ false }}", "exit code 1"),
    ("- run: sleep 20\n  timeout-minutes: 0.002", "timed out after 0.002 minutes"),
    ("- run: trap '' INT TERM; sleep 0.3; exit 0\n  timeout-minutes: 0.002", "timed out"),
    ("- run: echo 'no equals sign' >> $GITHUB_OUTPUT", "Invalid format"),
    ("- run: echo '=value' >> $GITHUB_OUTPUT", "Invalid format"),
    ("- run: printf 'a<<END\\nnever ended\\n' >> $GITHUB_ENV", "GITHUB_ENV"),
    ("- run: printf 'a<<END\\nnever ended\\n' >> $GITHUB_OUTPUT", "GITHUB_OUTPUT"),
    ("- run: printf 'a<<END\\nx\\n' >> $GITHUB_STATE", "GITHUB_STATE"),
    ("- run: rm $GITHUB_OUTPUT; ln -s /etc/passwd $GITHUB_OUTPUT", "regular file"),
    ("- run: rm $GITHUB_ENV; mkdir $GITHUB_ENV", "regular file"),
    ("- run: echo '::set-env name=A::b'", "set-env"),
    ("- run: echo '::add-path::/tmp'", "add-path"),
    ("- uses: ./missing", "action.yml"),
    ("- uses: ./../../outside", "outside"),
    ("- uses: nobody/nothing@v1", "the mirror has no nobody/nothing"),
    ("- run: |\n    mkdir a; echo 'runs: {' > a/action.yml\n- uses: ./a", "action.yml"),
    ("- run: |\n    mkdir a; echo 'name: a' > a/action.yml\n- uses: ./a", "action.yml"),
    (
        "- run: |\n    mkdir a; printf 'runs:\\n  using: cobol\\n  main: x' > a/action.yml\n- uses: ./a",
        "action.yml",
    ),
    ("- run: mkdir a; touch a/Dockerfile\n- uses: ./a", "Docker"),
    (
        "- run: |\n    mkdir a; printf 'runs:\\n  using: docker\\n  image: x' > a/action.yml\n- uses: ./a",
        "Docker",
    ),
    (
        "- run: |\n    mkdir a; printf 'runs:\\n  using: node20\\n  main: gone.js' > a/action.yml\n- uses: \
         ./a",
        "exit code 1",
    ),
    ("- id: one\n  run: exit 1\n  background: true\n- wait: one", "background step `one` failed"),
    ("- id: one\n  run: exit 1\n  background: true\n- wait-all:", "a background step failed"),
    ("- id: one\n  run: exit 1\n  background: true\n- run: echo hello", "exit code 1"),
    ("- parallel:\n    - run: echo one\n    - run: exit 5", "exit code 5"),
    ("- uses: docker://alpine:3", "image engine"),
];

#[test]
fn none_is_green_and_each_says_why() {
    let mut wrong = Vec::new();
    for (steps, reason) in STEPS {
        let story = Case::steps(steps).story();
        let red = story.ends_with("run: failure\n") || story.starts_with("refused: ");
        if !red || !story.to_lowercase().contains(&reason.to_lowercase()) {
            wrong.push(format!("{steps}\n--- wanted {reason:?}, got\n{story}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), STEPS.len(), wrong.join("\n=====\n"));
}

/// Whole workflows.
const WORKFLOWS: &[(&str, &str)] = &[
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env:\n      A: ${{ fromJSON('x') \
         }}\n    steps:\n      - run: echo hello\n",
        "fromJSON",
    ),
    (
        "on: push\nenv:\n  A: ${{ fromJSON('x') }}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    \
         steps:\n      - run: echo hello\n",
        "fromJSON",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    outputs:\n      x: ${{ \
         fromJSON(steps.a.outputs.x) }}\n    steps:\n      - id: a\n        run: echo hello\n",
        "output `x`",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: exit 1\n  \
         b:\n    needs: a\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo hello\n",
        "b: skipped",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: windows-latest\n    steps:\n      - run: echo hello\n",
        "refused",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    defaults:\n      run:\n        \
         shell: nothing\n    steps:\n      - run: echo hello\n",
        "invalid shell",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    defaults:\n      run:\n        \
         working-directory: nowhere\n    steps:\n      - run: echo hello\n",
        "nowhere",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix:\n        \
         n: [1, 2]\n    steps:\n      - run: exit ${{ matrix.n }}\n",
        "failure",
    ),
    (
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: 0.002\n    \
         steps:\n      - run: sleep 20\n",
        "maximum execution time",
    ),
];

#[test]
fn no_workflow_is_green() {
    let mut wrong = Vec::new();
    for (workflow, reason) in WORKFLOWS {
        let case = Case::new(workflow);
        let story = case.story();
        let red = !story.ends_with("run: success\n");
        if !red || !story.contains(reason) {
            wrong.push(format!("{workflow}\n--- wanted {reason:?}, got\n{story}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), WORKFLOWS.len(), wrong.join("\n===\n"));
}

#[test]
fn a_docker_action_inside_a_composite_one_stops_the_job_before_its_first_step() {
    let case = Case::steps("- run: echo first\n- uses: own/outer@v1")
        .mirror(
            "own/outer/action.yml",
            "name: o\nruns:\n  using: composite\n  steps:\n    - uses: own/inner@v1\n",
        )
        .mirror("own/inner/action.yml", "name: i\nruns:\n  using: docker\n  image: Dockerfile\n");
    let story = case.story();
    assert!(story.contains("Set up job: failure") && story.contains("Docker"), "{story}");
    assert!(!story.contains("echo first"), "{story}");
    assert_eq!(Case::steps("- run: 'true'").try_run(), Ok(Conclusion::Success));
}
