//! Pre and post steps: their order, what they see, and those of nested and local actions.

use expect_test::{Expect, expect};

use crate::support::Case;

#[track_caller]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn check(case: Case, expected: Expect) {
    if !case.has_node() {
        eprintln!("skipped: there is no Node.js on PATH");
        return;
    }
    expected.assert_eq(&case.story());
}

/// Adds `own/NAME`, a JavaScript action with the given keys beside `main`.
fn script(case: Case, name: &str, keys: &[&str]) -> Case {
    let mut text = format!(
        "name: {name}\ninputs:\n  who:\n    default: nobody\nruns:\n  using: node20\n  main: main.js\n"
    );
    let mut case = case;
    for key in keys {
        text.push_str(&format!("  {key}: {key}.js\n"));
    }
    for key in keys.iter().chain(&["main"]) {
        case = case.mirror(
            &format!("own/{name}/{key}.js"),
            &format!(
                "console.log('{name} {key}', process.env.INPUT_WHO, process.env.LATER, process.env.STATE_seen);\n\
                 require('fs').appendFileSync(process.env.GITHUB_STATE, 'seen={key}\\n');"
            ),
        );
    }
    case.mirror(&format!("own/{name}/action.yml"), &text)
}

fn composite(steps: &str) -> String {
    format!(
        "name: c\ninputs:\n  who:\n    default: inner\nruns:\n  using: composite\n  steps:\n{steps}"
    )
}

#[test]
fn what_nested_actions_do_first_and_last_belongs_to_the_outermost_step() {
    let mut case = Case::steps(
        r#"
- uses: own/post@v1
- uses: own/outer@v1
  with:
    who: you
- run: echo "LATER=yes" >> $GITHUB_ENV
- uses: own/post@v1
  if: failure()
"#,
    );
    for (name, keys) in [("both", &["pre", "post"][..]), ("post", &["post"]), ("pre", &["pre"])] {
        case = script(case, name, keys);
    }
    case = case
        .mirror(
            "own/outer/action.yml",
            &composite(
                "    - uses: own/post@v1\n    - uses: own/inner@v1\n      with:\n        who: \
                 ${{ inputs.who }}\n",
            ),
        )
        .mirror(
            "own/inner/action.yml",
            &composite(
                "    - uses: own/both@v1\n      with:\n        who: ${{ inputs.who }}!\n    - \
                 uses: own/pre@v1\n",
            ),
        );
    check(
        case,
        expect![[r#"
        1 Set up job: success
          own/post@v1: mirror (v1-commit)
          own/outer@v1: mirror (v1-commit)
          own/inner@v1: mirror (v1-commit)
          own/both@v1: mirror (v1-commit)
          own/pre@v1: mirror (v1-commit)
        2 Pre Run own/outer@v1: success
          Pre Run own/inner@v1
          Pre Run own/both@v1
          both pre you! undefined undefined
          Pre Run own/pre@v1
          pre pre nobody undefined undefined
        3 Run own/post@v1: success
          post main nobody undefined undefined
        4 Run own/outer@v1: success
          Run own/post@v1
          post main nobody undefined undefined
          Run own/inner@v1
          Run own/both@v1
          both main you! undefined pre
          Run own/pre@v1
          pre main nobody undefined pre
        5 Run echo "LATER=yes" >> $GITHUB_ENV: success
        6 Run own/post@v1: skipped
        7 Post Run own/post@v1: success
          post post nobody yes main
        8 Post Run own/outer@v1: success
          Post Run own/both@v1
          both post you! yes main
          Post Run own/post@v1
          post post nobody yes main
        job: success
        run: success
    "#]],
    );
}

#[test]
fn an_action_whose_pre_ran_cleans_up_after_itself_even_if_its_step_did_not_run() {
    let mut case = Case::steps(
        r#"
- run: exit 1
- uses: own/both@v1
- uses: own/post@v1
"#,
    );
    for (name, keys) in [("both", &["pre", "post"][..]), ("post", &["post"])] {
        case = script(case, name, keys);
    }
    check(
        case,
        expect![[r#"
        1 Set up job: success
          own/both@v1: mirror (v1-commit)
          own/post@v1: mirror (v1-commit)
        2 Pre Run own/both@v1: success
          both pre nobody undefined undefined
        3 Run exit 1: failure
          ##[error]process completed with exit code 1
        4 Run own/both@v1: skipped
        5 Run own/post@v1: skipped
        6 Post Run own/both@v1: success
          both post nobody undefined pre
        job: failure
        run: failure
    "#]],
    );
}

#[test]
fn post_steps_see_variables_and_inputs_as_they_are_in_the_end() {
    let case = Case::steps(
        r#"
- run: echo "LATER=before" >> $GITHUB_ENV
- uses: own/post@v1
  with:
    who: ${{ env.LATER }}
- run: echo "LATER=after" >> $GITHUB_ENV
"#,
    );
    check(
        script(case, "post", &["post"]),
        expect![[r#"
        1 Set up job: success
          own/post@v1: mirror (v1-commit)
        2 Run echo "LATER=before" >> $GITHUB_ENV: success
        3 Run own/post@v1: success
          post main before before undefined
        4 Run echo "LATER=after" >> $GITHUB_ENV: success
        5 Post Run own/post@v1: success
          post post after after main
        job: success
        run: success
    "#]],
    );
}

#[test]
fn the_pre_of_an_action_in_the_workspace_does_not_run_and_the_log_says_so() {
    let case = Case::steps(
        r#"
- run: |
    mkdir -p local nested
    printf 'name: l\nruns:\n  using: node20\n  pre: pre.js\n  main: main.js\n  post: post.js\n' > local/action.yml
    for part in pre main post; do echo "console.log('local $part')" > local/$part.js; done
    printf 'name: n\nruns:\n  using: composite\n  steps:\n    - uses: ./local\n    - uses: own/both@v1\n' > nested/action.yml
- uses: ./local
- uses: ./nested
"#,
    );
    check(
        script(case, "both", &["pre", "post"]),
        expect![[r#"
        1 Run mkdir -p local nested: success
        2 Run ./local: success
          ##[warning]`pre` execution is not supported for local action from './local'
          local main
        3 Run ./nested: success
          ##[warning]`pre` execution is not supported for local action from './nested'
          Run ./local
          ##[warning]`pre` execution is not supported for local action from './local'
          local main
          Run own/both@v1
          both main nobody undefined undefined
        4 Post Run ./nested: success
          Post Run own/both@v1
          both post nobody undefined main
          Post Run ./local
          local post
        5 Post Run ./local: success
          local post
        job: success
        run: success
    "#]],
    );
}

#[test]
fn variables_a_composite_action_changes_are_changed_inside_it_too() {
    check(
        Case::steps(
            r#"
- run: echo "SHARED=1" >> $GITHUB_ENV
- uses: own/change@v1
  env:
    OWN: step
"#,
        )
        .mirror(
            "own/change/action.yml",
            &composite(
                "    - shell: bash\n      run: printf 'SHARED=2\\nOWN=2\\n' >> $GITHUB_ENV\n    - \
                 shell: bash\n      run: echo \"$SHARED $OWN ${{ env.SHARED }} ${{ env.OWN }}\"\n",
            ),
        ),
        expect![[r#"
            1 Set up job: success
              own/change@v1: mirror (v1-commit)
            2 Run echo "SHARED=1" >> $GITHUB_ENV: success
            3 Run own/change@v1: success
              Run printf 'SHARED=2\nOWN=2\n' >> $GITHUB_ENV
              Run echo "$SHARED $OWN 2 step"
              2 step 2 step
            job: success
            run: success
        "#]],
    );
}

#[test]
fn a_docker_action_in_the_working_tree_is_refused_before_the_first_step() {
    let docker = "name: d\nruns:\n  using: docker\n  image: Dockerfile\n";
    let case = |checkout: &str| {
        Case::steps(&format!("- uses: actions/checkout@v4\n{checkout}- uses: ./outer\n"))
            .repository("outer/action.yml", &composite("    - uses: ./inner\n"))
            .repository("inner/action.yml", &composite("    - uses: ./docker\n"))
            .repository("docker/action.yml", docker)
            .mirror(
                "actions/checkout/action.yml",
                &composite("    - shell: sh\n      run: 'true'\n"),
            )
    };
    let refused = "##[error]`./docker` in `./inner` is a Docker action";
    let story = case("").story();
    assert!(story.contains(refused) && story.starts_with("1 Set up job: failure"), "{story}");
    // Another tree may hold another action.
    let story = case("  with:\n    ref: other\n").story();
    assert!(!story.contains(refused) && story.ends_with("run: failure\n"), "{story}");
}

#[test]
fn unsecure_commands_work_where_the_workflow_allows_them() {
    check(
        Case::steps(
            r#"
- run: |
    echo "::set-env name=A::1"
    echo "::add-path::/opt/own/bin"
  env:
    ACTIONS_ALLOW_UNSECURE_COMMANDS: True
- run: echo "$A ${PATH%%:*}"
- run: echo "::set-env name=A::2"
  continue-on-error: true
- run: echo "ACTIONS_ALLOW_UNSECURE_COMMANDS=true" >> $GITHUB_ENV
- run: |
    echo "::set-env name=A::3"
    echo "::set-env name=NODE_OPTIONS::x"
- run: echo "$A"
"#,
        ),
        expect![[r#"
            1 Run echo "::set-env name=A::1": success
            2 Run echo "$A ${PATH%%:*}": success
              1 /opt/own/bin
            3 Run echo "::set-env name=A::2": failure (success)
              ##[error]Unable to process command '::set-env name=A::2' successfully.
              ##[error]The `set-env` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`
              ##[error]The `set-env` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`
            4 Run echo "ACTIONS_ALLOW_UNSECURE_COMMANDS=true" >> $GITHUB_ENV: success
            5 Run echo "::set-env name=A::3": success
              ##[error]Can't update NODE_OPTIONS environment variable using ::set-env:: command.
            6 Run echo "$A": success
              3
            job: success
            run: success
        "#]],
    );
}
