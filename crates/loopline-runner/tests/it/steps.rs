//! Steps of one job: what runs, what is said, how it ends.

use expect_test::{Expect, expect};

use crate::support::Case;

#[track_caller]
fn check(steps: &str, expected: Expect) {
    expected.assert_eq(&Case::steps(steps).story());
}

#[test]
fn one_step() {
    check(
        "- run: echo hello",
        expect![[r#"
        1 Run echo hello: success
          hello
        job: success
        run: success
    "#]],
    );
}

#[test]
fn outputs_variables_paths_and_state_reach_later_steps() {
    check(
        r#"
- id: first
  run: |
    echo "greeting=hello there" >> "$GITHUB_OUTPUT"
    echo "WHO=world" >> "$GITHUB_ENV"
    echo "multi<<END" >> "$GITHUB_ENV"; printf 'a\nb\nEND\n' >> "$GITHUB_ENV"
    mkdir bin; printf '#!/bin/sh\necho tool ran\n' > bin/tool; chmod +x bin/tool
    echo "$PWD/bin" >> "$GITHUB_PATH"
    echo "Title" >> "$GITHUB_STEP_SUMMARY"
- run: |
    echo "${{ steps.first.outputs.greeting }}, $WHO and ${{ env.WHO }}"
    echo "$multi"
    tool
  env:
    WHO: step
- run: echo "$WHO $GREETING ${{ steps.first.outcome }} ${{ job.status }} $CI $GITHUB_ACTIONS"
"#,
        expect![[r#"
            1 summary "Title\n"
            1 Run echo "greeting=hello there" >> "$GITHUB_OUTPUT": success
            2 Run echo "hello there, $WHO and step": success
              hello there, step and step
              a
              b
              tool ran
            3 Run echo "$WHO $GREETING success success $CI $GITHUB_ACTIONS": success
              world  success success true true
            job: success
            run: success
        "#]],
    );
}

#[test]
fn conditions_and_continue_on_error() {
    check(
        r#"
- id: bad
  run: exit 3
  continue-on-error: true
- run: echo "${{ steps.bad.outcome }} ${{ steps.bad.conclusion }} ${{ job.status }}"
- run: exit 4
- run: echo not reached
- run: echo "always ${{ job.status }}"
  if: always()
- run: echo "failure"
  if: failure()
- run: echo "no"
  if: ${{ success() || cancelled() }}
- run: echo "not implicit"
  if: "'x' == 'x'"
"#,
        expect![[r#"
            1 Run exit 3: failure (success)
              ##[error]process completed with exit code 3
            2 Run echo "failure success success": success
              failure success success
            3 Run exit 4: failure
              ##[error]process completed with exit code 4
            4 Run echo not reached: skipped
            5 Run echo "always failure": success
              always failure
            6 Run echo "failure": success
              failure
            7 Run echo "no": skipped
            8 Run echo "not implicit": skipped
            job: failure
            run: failure
        "#]],
    );
}
