//! Actions: composite ones, JavaScript ones with their pre and post steps.

use expect_test::{Expect, expect};

use crate::support::Case;

#[track_caller]
fn check(case: Case, expected: Expect) {
    expected.assert_eq(&case.story());
}

const GREET: &str = r#"
name: Greet
inputs:
  who:
    default: nobody
  extra:
    required: true
outputs:
  said:
    value: ${{ steps.say.outputs.said }}
runs:
  using: composite
  steps:
    - id: say
      shell: bash
      run: |
        echo "hello ${{ inputs.who }} from $ACTION_ENV $OUTER in ${{ github.action_repository }}@$GITHUB_ACTION_REF"
        echo "said=hi ${{ inputs.who }}" >> $GITHUB_OUTPUT
        echo "LEFT=behind" >> $GITHUB_ENV
      env:
        ACTION_ENV: inside
    - shell: bash
      if: failure()
      run: echo never
    - shell: sh
      run: test -f "$GITHUB_ACTION_PATH/action.yml" && echo "${{ github.action_status }}"
"#;

#[test]
fn a_composite_action_has_a_scope_of_its_own() {
    check(
        Case::steps(
            r#"
- id: greet
  uses: own/greet@v2
  with:
    who: you
    other: thing
  env:
    OUTER: outside
- run: echo "${{ steps.greet.outputs.said }} $LEFT [${{ steps.say.outputs.said }}] [$OUTER]"
- uses: own/greet@v2
"#,
        )
        .mirror("own/greet/action.yml", GREET),
        expect![[r#"
            1 Set up job: success
              own/greet@v2: mirror (v2-commit)
            2 Run own/greet@v2: success
              ##[warning]unexpected input(s) 'other', valid inputs are ['who', 'extra']
              ##[warning]input 'extra' is required and was not supplied
              Run echo "hello you from $ACTION_ENV $OUTER in own/greet@$GITHUB_ACTION_REF"
              hello you from inside outside in own/greet@v2
              Run test -f "$GITHUB_ACTION_PATH/action.yml" && echo "success"
              success
            3 Run echo "hi you $LEFT [] [$OUTER]": success
              hi you behind [] []
            4 Run own/greet@v2: success
              ##[warning]input 'extra' is required and was not supplied
              Run echo "hello nobody from $ACTION_ENV $OUTER in own/greet@$GITHUB_ACTION_REF"
              hello nobody from inside  in own/greet@v2
              Run test -f "$GITHUB_ACTION_PATH/action.yml" && echo "success"
              success
            job: success
            run: success
        "#]],
    );
}

#[test]
fn a_failing_composite_action_runs_what_wants_to_run_and_fails() {
    check(
        Case::steps(
            r#"
- uses: own/fail@v1
  continue-on-error: true
- uses: own/fail@v1
- run: echo no
"#,
        )
        .mirror(
            "own/fail/action.yml",
            r#"
name: Fail
runs:
  using: composite
  steps:
    - shell: bash
      run: exit 3
    - shell: bash
      run: echo no
    - shell: bash
      if: failure()
      run: echo "yes ${{ job.status }}"
    - shell: bash
      if: always()
      run: exit 0
"#,
        ),
        expect![[r#"
            1 Set up job: success
              own/fail@v1: mirror (v1-commit)
            2 Run own/fail@v1: failure (success)
              Run exit 3
              ##[error]process completed with exit code 3
              Run echo "yes failure"
              yes failure
              Run exit 0
            3 Run own/fail@v1: failure
              Run exit 3
              ##[error]process completed with exit code 3
              Run echo "yes failure"
              yes failure
              Run exit 0
            4 Run echo no: skipped
            job: failure
            run: failure
        "#]],
    );
}

#[test]
fn javascript_actions_keep_state_and_clean_up_last_first() {
    let action = |name: &str| {
        format!(
            "name: {name}\ninputs:\n  Some Input:\n    default: '${{{{ github.event_name \
             }}}}'\nruns:\n  using: node20\n  pre: pre.js\n  main: main.js\n  post: post.js\n"
        )
    };
    let script = |text: &str| {
        format!(
            "const fs = require('fs'); const put = (f, t) => fs.appendFileSync(process.env[f], t + '\\n');\n{text}"
        )
    };
    let main = script(
        "console.log('main', process.env.INPUT_SOME_INPUT, process.env.STATE_pre); \
         put('GITHUB_STATE', 'main=kept'); put('GITHUB_OUTPUT', 'answer=42');",
    );
    let pre = script("console.log('pre'); put('GITHUB_STATE', 'pre=first');");
    let post = script("console.log('post', process.env.STATE_pre, process.env.STATE_main);");
    let mut case = Case::steps(
        r#"
- id: one
  uses: own/one@v1
- uses: own/two@v1
  with:
    some input: given
- run: exit ${{ steps.one.outputs.answer }}
"#,
    );
    for name in ["one", "two"] {
        case = case
            .mirror(&format!("own/{name}/action.yml"), &action(name))
            .mirror(&format!("own/{name}/main.js"), &main)
            .mirror(&format!("own/{name}/pre.js"), &pre)
            .mirror(&format!("own/{name}/post.js"), &post);
    }
    if !case.has_node() {
        eprintln!("skipped: there is no Node.js on PATH");
        return;
    }
    check(
        case,
        expect![[r#"
            1 Set up job: success
              own/one@v1: mirror (v1-commit)
              own/two@v1: mirror (v1-commit)
            2 Pre Run own/one@v1: success
              pre
            3 Pre Run own/two@v1: success
              pre
            4 Run own/one@v1: success
              main push first
            5 Run own/two@v1: success
              main given first
            6 Run exit 42: failure
              ##[error]process completed with exit code 42
            7 Post Run own/two@v1: success
              post first kept
            8 Post Run own/one@v1: success
              post first kept
            job: failure
            run: failure
        "#]],
    );
}

#[test]
fn nesting_has_a_bound() {
    let nested = |inner: &str| {
        format!("name: n\nruns:\n  using: composite\n  steps:\n    - uses: own/{inner}@v1\n")
    };
    let mut case = Case::steps("- uses: own/n0@v1");
    for depth in 0..12 {
        case =
            case.mirror(&format!("own/n{depth}/action.yml"), &nested(&format!("n{}", depth + 1)));
    }
    check(
        case,
        expect![[r#"
        1 Set up job: failure
          own/n0@v1: mirror (v1-commit)
          own/n1@v1: mirror (v1-commit)
          own/n2@v1: mirror (v1-commit)
          own/n3@v1: mirror (v1-commit)
          own/n4@v1: mirror (v1-commit)
          own/n5@v1: mirror (v1-commit)
          own/n6@v1: mirror (v1-commit)
          own/n7@v1: mirror (v1-commit)
          own/n8@v1: mirror (v1-commit)
          own/n9@v1: mirror (v1-commit)
          ##[error]`own/n9@v1`: composite actions nest deeper than 9 levels
        job: failure
        run: failure
    "#]],
    );
    let looping = Case::steps("- uses: own/n@v1").mirror("own/n/action.yml", &nested("n"));
    assert!(looping.story().contains("nest deeper than 9 levels"));
}
