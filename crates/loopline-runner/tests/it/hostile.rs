//! Hostile and subtly wrong steps: what GitHub's runner makes of each, red or green.

use crate::support::Case;

/// Steps, how the run ends, what the story must hold, and what it must not.
type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const STEPS: &[Row] = &[
    // Values and files.
    (
        "- id: s\n  run: printf 'a=1\\r\\n' >> $GITHUB_OUTPUT\n- run: printf %s '${{ steps.s.outputs.a }}' | wc -c",
        "success",
        &["\n  2\n"],
        &[],
    ),
    (
        "- id: s\n  run: printf 'a<<E\\r\\nx\\r\\nE\\r\\n' >> $GITHUB_OUTPUT\n- run: printf %s '${{ steps.s.outputs.a }}' | wc -c",
        "success",
        &["\n  2\n"],
        &[],
    ),
    (
        "- run: printf 'a<<E\\nx\\n E\\n' >> $GITHUB_OUTPUT",
        "failure",
        &["Matching delimiter not found 'E'"],
        &[],
    ),
    ("- run: printf 'a<<E\\nx\\nE' >> $GITHUB_OUTPUT", "success", &[], &["error"]),
    (
        "- id: s\n  run: printf 'a=\\377\\n' >> $GITHUB_OUTPUT\n- run: test -n '${{ steps.s.outputs.a }}' && echo kept",
        "success",
        &["  kept"],
        &[],
    ),
    (
        "- id: s\n  run: |\n    echo a=1 >> $GITHUB_OUTPUT\n    exit 1\n- run: echo 'a=${{ steps.s.outputs.a }}'\n  if: failure()",
        "failure",
        &["  a=1"],
        &[],
    ),
    (
        "- id: s\n  run: |\n    { printf 'a='; head -c 3000000 /dev/zero | tr '\\0' x; echo; } >> $GITHUB_OUTPUT\n- run: echo '${{ startsWith(steps.s.outputs.a, 'xxx') }}'",
        "success",
        &["  true"],
        &[],
    ),
    (
        "- run: head -c 1100000 /dev/zero | tr '\\0' x >> $GITHUB_STEP_SUMMARY\n- run: echo after",
        "success",
        &["##[error]$GITHUB_STEP_SUMMARY upload aborted", "  after"],
        &["summary \""],
    ),
    (
        "- run: echo 'no equals' >> $GITHUB_ENV\n- run: echo no",
        "failure",
        &["Invalid format 'no equals'"],
        &["  no\n"],
    ),
    (
        "- run: printf 'X=a\\0b\\n' >> $GITHUB_ENV\n- run: echo no",
        "failure",
        &["zero byte"],
        &["  no\n"],
    ),
    (
        "- run: rm $GITHUB_ENV; mkfifo $GITHUB_ENV\n- run: echo no",
        "failure",
        &["regular file"],
        &["  no\n"],
    ),
    ("- run: rm -rf $RUNNER_TEMP\n- run: echo no", "failure", &["No such file"], &["  no\n"]),
    ("- run: rm -rf $GITHUB_WORKSPACE\n- run: echo no", "failure", &["No such file"], &["  no\n"]),
    (
        "- run: echo GITHUB_JOB=forged >> $GITHUB_ENV\n- run: echo \"job is $GITHUB_JOB\"",
        "success",
        &["  job is job"],
        &[],
    ),
    (
        "- run: echo NODE_OPTIONS=--x >> $GITHUB_ENV\n- run: echo \"[$NODE_OPTIONS]\"",
        "success",
        &["##[error]cannot store NODE_OPTIONS", "  []"],
        &[],
    ),
    // Processes.
    ("- run: kill -9 $$\n- run: echo no", "failure", &["exit code 137"], &["  no\n"]),
    ("- run: kill -TERM 0; sleep 5\n- run: echo no", "failure", &["exit code 143"], &["  no\n"]),
    ("- run: sh -c 'kill -SEGV $$'\n- run: echo no", "failure", &["exit code 139"], &["  no\n"]),
    (
        "- run: exec >&- 2>&-; sleep 0.1; exit 3\n- run: echo no",
        "failure",
        &["exit code 3"],
        &["  no\n"],
    ),
    ("- run: (sleep 60) & echo bg\n- run: echo next", "success", &["  bg", "  next"], &[]),
    (
        "- run: setsid sleep 60 > /dev/null 2>&1 & echo bg\n- run: echo next",
        "success",
        &["  next"],
        &[],
    ),
    (
        "- run: false | true\n- run: false | true\n  shell: bash\n- run: echo no",
        "failure",
        &["2 Run false | true: failure"],
        &["  no\n"],
    ),
    (
        "- run: trap '' INT; echo armed; sleep 0.2; exit 0\n  timeout-minutes: 0.001\n- run: echo failed\n  if: failure()\n- run: echo no\n  if: cancelled()",
        "failure",
        &["timed out after 0.001 minutes", "  failed"],
        &["  no\n"],
    ),
    (
        "- id: t\n  run: sleep 30\n  timeout-minutes: 0.001\n  continue-on-error: true\n- run: echo '${{ steps.t.outcome }} ${{ steps.t.conclusion }}'",
        "success",
        &["  failure success"],
        &[],
    ),
    ("- run: echo ran\n  timeout-minutes: 0", "success", &["  ran"], &[]),
    (
        "- run: echo no\n  timeout-minutes: ${{ fromJSON('\"abc\"') }}",
        "failure",
        &["timeout-minutes"],
        &["  no\n"],
    ),
    ("- run: echo no\n  shell: nosuchshell {0}", "failure", &["nosuchshell"], &["  no\n"]),
    ("- run: echo no\n  shell: cat", "failure", &["cat"], &["  no\n"]),
    ("- run: trap 'exit 0' EXIT; false\n- run: echo on", "success", &["  on"], &[]),
    ("- run: exec false\n- run: echo no", "failure", &["exit code 1"], &["  no\n"]),
    ("- run: false & wait $!\n- run: echo no", "failure", &["exit code 1"], &["  no\n"]),
    (
        "- run: yes | head -1\n  shell: bash\n- run: echo no",
        "failure",
        &["exit code 141"],
        &["  no\n"],
    ),
    (
        "- id: s\n  run: (until test -f next; do sleep 0.01; done; echo late=1 >> $GITHUB_OUTPUT) &\n- run: touch next; echo 'late=[${{ steps.s.outputs.late }}]'",
        "success",
        &["  late=[]"],
        &[],
    ),
    (
        "- id: s\n  run: printf 'a<<E\\n1\\nE\\nA=2\\n' >> $GITHUB_OUTPUT\n- run: echo 'got ${{ steps.s.outputs.a }}'",
        "success",
        &["  got 2"],
        &[],
    ),
    // Conditions and tolerance.
    (
        "- run: exit 1\n  continue-on-error: ${{ fromJSON('true') }}\n- run: echo on",
        "success",
        &["  on"],
        &[],
    ),
    (
        "- run: exit 1\n  env:\n    SOFT: 'true'\n  continue-on-error: ${{ env.SOFT == 'true' }}\n- run: echo on",
        "success",
        &["  on"],
        &[],
    ),
    (
        "- run: exit 1\n  continue-on-error: ${{ fromJSON('\"true\"') }}\n- run: echo no",
        "failure",
        &["expected a boolean"],
        &["  no\n"],
    ),
    ("- run: echo trap\n  if: \"${{ false }} \"", "success", &["  trap"], &[]),
    (
        "- run: echo no\n  if: fromJSON('{') == 1\n- run: echo no",
        "failure",
        &["cannot be evaluated"],
        &["  no\n"],
    ),
    // Commands.
    (
        "- run: |\n    echo '::stop-commands::abcdef123'\n    echo '::add-mask::shown'\n    echo shown\n    echo '::abcdef123::'\n    echo '::add-mask::hidden'\n    echo hidden",
        "success",
        &["  shown", "  ***\n"],
        &["  hidden\n"],
    ),
    (
        "- run: echo '::stop-commands::pause-logging'\n- run: echo no",
        "failure",
        &["endToken"],
        &["  no\n"],
    ),
    (
        "- run: echo '::add-matcher::nope.json'\n- run: echo no",
        "failure",
        &["nope.json"],
        &["  no\n"],
    ),
    (
        "- run: echo '::set-output::x'\n- run: echo no",
        "failure",
        &["'name' is missing"],
        &["  no\n"],
    ),
    // Background steps.
    (
        "- id: b\n  run: exit 4\n  background: true\n- run: echo on",
        "failure",
        &["exit code 4", "  on"],
        &[],
    ),
    (
        "- id: b\n  run: exit 4\n  background: true\n- wait: b\n  continue-on-error: true\n- run: echo \"on ${{ job.status }}\"",
        "failure",
        &["  on success"],
        &[],
    ),
    (
        "- id: b\n  run: exit 4\n  background: true\n- wait: b\n- run: echo no",
        "failure",
        &["background step `b` failed"],
        &["  no\n"],
    ),
    (
        "- id: b\n  run: exit 4\n  background: true\n  continue-on-error: true\n- wait-all:\n- run: echo '${{ steps.b.outcome }} ${{ steps.b.conclusion }}'",
        "success",
        &["  failure success"],
        &[],
    ),
    (
        "- id: b\n  run: touch failed; exit 4\n  background: true\n- run: until test -f failed; do sleep 0.01; done; sleep 0.2\n- cancel: b\n- run: echo \"on ${{ job.status }}\"",
        "failure",
        &["  on success", "exit code 4"],
        &[],
    ),
    (
        "- id: b\n  run: exit 4\n  background: true\n- wait: b\n  continue-on-error: true\n- wait-all:\n- run: echo on",
        "failure",
        &["Wait for all: success", "  on"],
        &[],
    ),
    (
        "- id: b\n  run: sleep 30\n  background: true\n  timeout-minutes: 0.001\n- wait: b\n- run: echo no",
        "failure",
        &["timed out"],
        &["  no\n"],
    ),
    (
        "- parallel:\n    - run: exit 1\n    - run: echo ok\n- run: echo no",
        "failure",
        &["  ok"],
        &["  no\n"],
    ),
];

const JOBS: &[Row] = &[
    (
        "  a:\n    runs-on: ubuntu-latest\n    strategy: {matrix: {v: [1, 2]}}\n    outputs:\n      o1: ${{ steps.s.outputs.o1 }}\n      o2: ${{ steps.s.outputs.o2 }}\n    steps:\n      - id: s\n        run: echo o${{ matrix.v }}=x${{ matrix.v }} >> $GITHUB_OUTPUT\n  b:\n    needs: a\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ needs.a.outputs.o1 }}${{ needs.a.outputs.o2 }}'}]",
        "success",
        &["  x1x2"],
        &[],
    ),
    (
        "  a:\n    runs-on: ubuntu-latest\n    strategy: {max-parallel: 1, matrix: {v: [1, 2, 3]}}\n    steps: [{run: 'echo leg${{ matrix.v }}; exit ${{ matrix.v == 1 && 1 || 0 }}'}]",
        "failure",
        &["  leg1"],
        &["  leg2", "  leg3"],
    ),
    (
        "  a:\n    runs-on: ubuntu-latest\n    strategy: {matrix: {v: [1, 2]}}\n    steps:\n      - run: if [ ${{ matrix.v }} = 1 ]; then until test -f ../../up; do sleep 0.01; done; exit 1; fi; touch ../../up; sleep 60\n      - run: echo ended${{ matrix.v }}\n        if: cancelled()\n  b:\n    needs: a\n    if: always()\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ needs.a.result }}'}]",
        "failure",
        &["  ended2", "a.1: cancelled", "  failure"],
        &["  ended1"],
    ),
    (
        "  a:\n    runs-on: ubuntu-latest\n    steps: [{run: exit 1}]\n  b:\n    needs: a\n    if: ${{ !failure() }}\n    runs-on: ubuntu-latest\n    steps: [{run: echo no}]\n  c:\n    needs: b\n    if: ${{ !cancelled() }}\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ran ${{ needs.b.result }}'}]",
        "failure",
        &["  ran skipped"],
        &["  no\n"],
    ),
    (
        "  a:\n    runs-on: ubuntu-latest\n    continue-on-error: ${{ matrix.v == 2 }}\n    strategy: {fail-fast: false, matrix: {v: [1, 2]}}\n    steps: [{run: 'exit ${{ matrix.v == 1 && 1 || 0 }}'}]",
        "failure",
        &["a.0: failure", "a.1: success"],
        &[],
    ),
    (
        "  a:\n    runs-on: ubuntu-latest\n    outputs: {x: \"${{ fromJSON(steps.s.outputs.x) }}\"}\n    steps: [{id: s, run: 'echo x={ >> $GITHUB_OUTPUT'}]\n  b:\n    needs: a\n    runs-on: ubuntu-latest\n    steps: [{run: echo no}]",
        "failure",
        &["output `x`"],
        &["  no\n"],
    ),
    (
        "  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: 0.002\n    steps:\n      - run: sleep 30\n      - run: echo ended\n        if: cancelled()\n      - run: echo no\n        if: failure()",
        "cancelled",
        &["  ended"],
        &["  no\n"],
    ),
    (
        "  a:\n    concurrency: {group: g, queue: max, cancel-in-progress: true}\n    runs-on: ubuntu-latest\n    steps: [{run: echo no}]",
        "refused",
        &["exclude each other"],
        &[],
    ),
    (
        "  a:\n    concurrency: {group: g, queue: max, cancel-in-progress: \"${{ github.event_name == 'push' }}\"}\n    runs-on: ubuntu-latest\n    steps: [{run: echo no}]",
        "failure",
        &["exclude each other"],
        &["  no\n"],
    ),
    (
        "  a:\n    concurrency: {group: g, queue: max}\n    runs-on: ubuntu-latest\n    steps: [{run: echo yes}]",
        "success",
        &["  yes"],
        &[],
    ),
];

#[track_caller]
fn check(rows: &[Row], case: impl Fn(&str) -> Case + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    let work = || {
        while let Some((text, end, wanted, unwanted)) =
            rows.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            let story = case(text).story();
            let ended = match *end {
                "refused" => story.starts_with("refused: "),
                end => story.ends_with(&format!("run: {end}\n")),
            };
            let right = ended
                && wanted.iter().all(|part| story.contains(part))
                && !unwanted.iter().any(|part| story.contains(part));
            if !right {
                let problem = format!(
                    "{text}\n--- wanted {end} {wanted:?} without {unwanted:?}, got\n{story}"
                );
                wrong.lock().unwrap().push(problem);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n===\n"));
}

#[test]
fn steps_end_as_on_github() {
    check(STEPS, Case::steps);
}

#[test]
fn jobs_end_as_on_github() {
    check(JOBS, |jobs| Case::new(&format!("on: push\njobs:\n{jobs}\n")));
}
