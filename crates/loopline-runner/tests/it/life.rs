//! Cancellation, background steps, secrets, and what processes leave behind.

use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::{Expect, expect};

use crate::support::Case;

#[track_caller]
fn check(case: Case, expected: Expect) {
    expected.assert_eq(&case.story());
}

/// Cancels `case` once its log says `ready`, and again (by force) once it says `again`.
fn cancelling(case: Case) -> Case {
    let cancel = case.cancel.clone();
    *case.record.on_log.lock().unwrap() = Some(Box::new(move |text| {
        if text.contains("ready") {
            cancel.ask("the test cancels");
        }
        if text.contains("again") {
            cancel.force("the test insists");
        }
    }));
    case
}

#[test]
fn a_cancelled_step_is_interrupted_and_what_is_wanted_still_runs() {
    check(
        cancelling(Case::steps(
            r#"
- run: |
    trap 'echo interrupted; exit 1' INT
    echo ready
    sleep 30 & wait
- run: echo no
- run: echo "always ${{ job.status }}"
  if: always()
- run: echo cancelled
  if: cancelled()
- run: echo no
  if: failure()
"#,
        )),
        expect![[r#"
            1 Run trap 'echo interrupted; exit 1' INT: cancelled
              ready
              interrupted
            2 Run echo no: skipped
            3 Run echo "always cancelled": success
              always cancelled
            4 Run echo cancelled: success
              cancelled
            5 Run echo no: skipped
            job: cancelled
            run: cancelled
        "#]],
    );
}

#[test]
fn a_step_that_runs_always_is_not_interrupted() {
    check(
        cancelling(Case::steps(
            r#"
- run: echo ready; sleep 0.2; echo finished
  if: always()
- run: echo no
"#,
        )),
        expect![[r#"
            1 Run echo ready; sleep 0.2; echo finished: success
              ready
              finished
            2 Run echo no: skipped
            job: cancelled
            run: cancelled
        "#]],
    );
}

#[test]
fn force_ends_everything_at_once() {
    check(
        cancelling(Case::steps(
            r#"
- run: |
    trap '' INT TERM
    echo ready
    sleep 0.1
    echo again
    sleep 30
  if: always()
- run: echo no
  if: always()
"#,
        )),
        expect![[r#"
            1 Run trap '' INT TERM: cancelled
              ready
              again
            2 Run echo no: skipped
            job: cancelled
            run: cancelled
        "#]],
    );
}

#[test]
fn actions_loopline_brings_along_end_with_their_time_and_with_their_job() {
    check(
        Case::steps(
            r#"
- uses: builtin/endless@v1
  timeout-minutes: 0.001
- run: echo failed
  if: failure()
"#,
        ),
        expect![[r#"
            1 Run builtin/endless@v1: failure
              ready
              ##[error]`Run builtin/endless@v1` timed out after 0.001 minutes
            2 Run echo failed: success
              failed
            job: failure
            run: failure
        "#]],
    );
    check(
        cancelling(Case::steps(
            r#"
- uses: builtin/endless@v1
- run: echo cancelled
  if: cancelled()
"#,
        )),
        expect![[r#"
            1 Run builtin/endless@v1: cancelled
              ready
            2 Run echo cancelled: success
              cancelled
            job: cancelled
            run: cancelled
        "#]],
    );
    // Whether it began before it was cancelled is a matter of luck; how it ends is not.
    let story = Case::steps(
        r#"
- id: b
  uses: builtin/endless@v1
  background: true
- cancel: b
- run: echo "${{ steps.b.outcome }} ${{ job.status }}"
"#,
    )
    .story();
    assert!(story.starts_with("1 Run builtin/endless@v1: cancelled\n"), "{story}");
    assert!(
        story.contains("  cancelled success\n") && story.ends_with("run: success\n"),
        "{story}"
    );
}

#[test]
fn background_steps_hand_over_what_they_changed_when_waited_for() {
    check(
        Case::steps(
            r#"
- id: one
  run: |
    until test -f go; do sleep 0.01; done
    echo "x=1" >> $GITHUB_OUTPUT
    echo "SHARED=yes" >> $GITHUB_ENV
  background: true
- run: echo "before [${{ steps.one.outputs.x }}] [$SHARED]"; touch go
- wait: one
- run: echo "after [${{ steps.one.outputs.x }}] [$SHARED] ${{ steps.one.conclusion }}"
- id: server
  run: sleep 30
  background: true
- cancel: server
- run: echo "${{ job.status }} ${{ steps.server.outcome }}"
"#,
        ),
        expect![[r#"
            1 Run until test -f go; do sleep 0.01; done: success
            2 Run echo "before [] [$SHARED]"; touch go: success
              before [] []
            3 Wait: success
            4 Run echo "after [1] [$SHARED] success": success
              after [1] [yes] success
            5 Run sleep 30: cancelled
            6 Cancel: success
            7 Run echo "success cancelled": success
              success cancelled
            job: success
            run: success
        "#]],
    );
}

#[test]
fn parallel_steps_run_side_by_side() {
    let story = Case::steps(
        r#"
- parallel:
    - run: touch a; until test -f b; do sleep 0.01; done; echo one
    - run: touch b; until test -f a; do sleep 0.01; done; echo two
- run: echo after
"#,
    )
    .story();
    assert!(story.ends_with("run: success\n") && story.contains("one") && story.contains("two"));
}

#[test]
fn secrets_are_hidden_everywhere() {
    check(
        Case::new(
            r#"
on: push
jobs:
  job:
    runs-on: ubuntu-latest
    outputs:
      safe: ${{ steps.a.outputs.safe }}
      leak: ${{ steps.a.outputs.leak }}
    steps:
      - id: a
        name: with ${{ secrets.TOKEN }}
        run: |
          printf 'hunter'; sleep 0.05; printf '2-secret\n'
          printf 'hunter2-secret' | base64
          echo "leak=hunter2-secret" >> $GITHUB_OUTPUT
          echo "safe=value" >> $GITHUB_OUTPUT
          echo "say hunter2-secret" >> $GITHUB_STEP_SUMMARY
          echo "::error file=a.c,line=3::hunter2-secret is wrong"
      - run: echo '::add-mask::later' && echo later
      - run: exit 1
        working-directory: hunter2-secret
"#,
        )
        .secret("TOKEN", "hunter2-secret"),
        expect![[r#"
            warning: job job: output `leak` was left out: it may hold a secret
            1 summary "say ***\n"
            1 with ***: success
              ***
              ***
              ##[error]*** is wrong
            2 Run echo '::add-mask::later' && echo later: success
              ***
            3 Run exit 1: failure
              ##[error]enter the working folder `$ROOT/run/job/work/***`: No such file or directory (os error 2)
            job: failure safe="value"
            run: failure
        "#]],
    );
}

#[test]
fn a_server_in_the_background_of_a_shell_lives_until_the_job_ends() {
    let case = Case::steps(
        r#"
- run: |
    (trap '' HUP; while :; do echo tick >> ticks; echo tick; sleep 0.01; done) &
    echo $! > pid
- run: |
    ticks() { wc -l < ticks; }
    before=$(ticks); until [ $(ticks) -gt $((before + 200)) ]; do sleep 0.02; done
    kill -0 $(cat pid) && cat pid > "$RUNNER_TOOL_CACHE.pid" && echo alive
"#,
    );
    let story = case.story();
    assert!(story.ends_with("run: success\n") && story.contains("alive"), "{story}");
    // What it wrote after its step ended is still that step's log.
    assert!(story.matches("  tick\n").count() > 200, "{story}");
    let pid = fs_err::read_to_string(case.folder.path().join("tools.pid")).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "{pid} outlived its job");
}

#[test]
fn what_is_written_after_a_step_is_kept_to_its_last_unended_line() {
    let case = Case::new(
        r"
on: push
jobs:
  job:
    runs-on: ubuntu-latest
    steps:
      - run: (while ! test -e go; do sleep 0.01; done; printf 'last words'; touch gone) &
      - run: touch go; while ! test -e gone; do sleep 0.01; done
",
    );
    case.run();
    let story = case.story();
    assert!(story.contains("last words\n"), "{story}");
}

#[test]
fn output_without_end_takes_no_memory_and_is_not_lost() {
    static BYTES: AtomicUsize = AtomicUsize::new(0);
    let case = Case::steps("- run: head -c 50000000 /dev/zero | tr '\\0' 'x' | fold -w 99");
    *case.record.on_log.lock().unwrap() = Some(Box::new(|text| {
        BYTES.fetch_add(text.bytes().filter(|byte| *byte == b'x').count(), Ordering::Relaxed);
    }));
    case.run();
    assert_eq!(BYTES.load(Ordering::Relaxed), 50_000_000);
}

#[test]
fn a_matrix_and_needs_run_through() {
    check(
        Case::new(
            r#"
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    outputs:
      list: ${{ steps.l.outputs.list }}
    steps:
      - id: l
        run: echo 'list=["x"]' >> $GITHUB_OUTPUT
  b:
    needs: a
    runs-on: ubuntu-latest
    strategy:
      matrix:
        v: ${{ fromJSON(needs.a.outputs.list) }}
    steps:
      - run: echo "${{ matrix.v }} ${{ needs.a.result }} ${{ vars.COLOUR }} ${{ strategy.job-total }} $GITHUB_JOB $RUNNER_OS ${{ runner.os }} $GITHUB_EVENT_NAME"
      - run: test -s "$GITHUB_EVENT_PATH" && test "$PWD" = "$GITHUB_WORKSPACE" && test -d "$RUNNER_TEMP"
"#,
        ),
        expect![[r#"
            1 Run echo 'list=["x"]' >> $GITHUB_OUTPUT: success
            a: success list="[\"x\"]"
            1 Run echo "x success green 1 $GITHUB_JOB $RUNNER_OS Linux $GITHUB_EVENT_NAME": success
              x success green 1 b Linux Linux push
            2 Run test -s "$GITHUB_EVENT_PATH" && test "$PWD" = "$GITHUB_WORKSPACE" && test -d "$RUNNER_TEMP": success
            b.0: success
            run: success
        "#]],
    );
}

#[test]
fn environments_need_consent_where_they_are_protected() {
    check(
        Case::new(
            r#"
on: push
jobs:
  yes:
    runs-on: ubuntu-latest
    environment:
      name: production-yes
      url: https://${{ steps.a.outputs.host }}/
    steps:
      - id: a
        run: echo "host=example.org" >> $GITHUB_OUTPUT
  free:
    needs: yes
    runs-on: ubuntu-latest
    environment: staging
    concurrency: group
    steps:
      - run: echo free
  no:
    needs: free
    runs-on: ubuntu-latest
    environment: production-no
    steps:
      - run: echo not reached
  after:
    needs: [yes, no, free]
    if: always()
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ needs.yes.result }} ${{ needs.no.result }} ${{ needs.free.result }}"
"#,
        ),
        expect![[r#"
            1 Run echo "host=example.org" >> $GITHUB_OUTPUT: success
            yes: success
            1 Run echo free: success
              free
            free: success
            1 Set up job: failure
              ##[error]a test did not approve the job's environment
            no: failure
            1 Run echo "success failure success": success
              success failure success
            after: success
            run: failure
        "#]],
    );
}
