//! Plans: which stages are built, and what each step sees.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use loopline_formats::dockerfile::instruction;
use loopline_formats::dockerfile::plan::{
    Configuration, CopySource, Error, Facts, Plan, StepKind, plan,
};
use loopline_formats::dockerfile::platform::Platform;

use super::read;
use crate::folder;

/// Facts under which every image named here is known.
fn facts() -> Facts {
    let image = |name: &str| (name.to_owned(), Configuration::default());
    let mut images: BTreeMap<_, _> = ["a", "a:1", "b:1", "c:2"].map(image).into();
    images.insert(
        "rich:1".to_owned(),
        Configuration {
            environment: vec![("LANG".into(), "C".into()), ("PATH".into(), "/bin".into())],
            user: "app".to_owned(),
            working_directory: "/srv".to_owned(),
            shell: Some(vec!["/bin/bash".into(), "-c".into()]),
            command: Some(vec!["serve".into()]),
            on_build: vec!["COPY --from=tools /x $LANG/".into(), "RUN <<E\nbuild\nE".into()],
            ..Configuration::default()
        },
    );
    Facts { images, ..Facts::default() }
}

fn planned(text: &str, facts: &Facts) -> Result<Plan, Vec<Error>> {
    let parsed = read(text);
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let (build, problems) = instruction::read(&parsed.dockerfile);
    assert!(problems.is_empty(), "{problems:?}");
    plan(&parsed.dockerfile, &build, facts)
}

fn check(text: &str, facts: &Facts, expected: &Expect) {
    let shown = match planned(text, facts) {
        Ok(plan) => show(&plan),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    expected.assert_eq(&shown);
}

fn show(plan: &Plan) -> String {
    let mut out = String::new();
    for stage in &plan.stages {
        let name = stage.name.as_deref().unwrap_or("-");
        let target = if stage.index == plan.target { " target" } else { "" };
        let _infallible = writeln!(
            out,
            "stage {} {name} on {:?} for {} needs {:?}{target}",
            stage.index, stage.base, stage.platform, stage.needs
        );
        for step in &stage.steps {
            let variables: Vec<String> = step
                .environment
                .iter()
                .filter(|(name, _)| name != "PATH")
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let trigger = if step.trigger { " trigger" } else { "" };
            let user = if step.user.is_empty() { "root" } else { &step.user };
            let _infallible = write!(
                out,
                "  {}{trigger} [{}] {user}:{} ",
                step.line,
                variables.join(" "),
                step.working_directory
            );
            let _infallible = match &step.kind {
                StepKind::Run(run) => {
                    let mounts: Vec<String> = run
                        .mounts
                        .iter()
                        .map(|mount| {
                            let target = mount.mount.target.as_deref().unwrap_or("-");
                            let id = mount.mount.id.as_deref().unwrap_or("-");
                            format!("{} {target} {id} {:?}", mount.mount.kind.name(), mount.from)
                        })
                        .collect();
                    writeln!(out, "run {:?} {mounts:?} {:?}", run.arguments, run.script)
                }
                StepKind::Copy(copy) => {
                    let sources: Vec<String> = copy
                        .sources
                        .iter()
                        .map(|source| match source {
                            CopySource::Inline(inline) => {
                                format!("{}={:?}", inline.name, inline.content)
                            }
                            other => format!("{other:?}"),
                        })
                        .collect();
                    writeln!(
                        out,
                        "copy from {:?} {} to {} {:?} {:?}",
                        copy.from,
                        sources.join(" "),
                        copy.destination,
                        copy.chown,
                        copy.exclude
                    )
                }
                StepKind::Folder(path) => writeln!(out, "folder {path}"),
                StepKind::Configure => writeln!(out, "{}", step.created_by),
            };
        }
    }
    out
}

#[test]
fn only_what_the_target_needs_is_built() {
    let text = "FROM a:1 AS base\n\
        FROM base AS unused\n\
        FROM b:1 AS tools\n\
        FROM base AS app\n\
        RUN --mount=from=tools,target=/t x\n\
        FROM scratch\n\
        COPY --from=app /x /y\n\
        COPY --from=1 /z /\n";
    let facts = facts();
    let stages = |target: Option<&str>| -> Vec<usize> {
        let facts = Facts { target: target.map(str::to_owned), ..facts.clone() };
        let plan = planned(text, &facts).expect("a plan");
        plan.stages.iter().map(|stage| stage.index).collect()
    };
    assert_eq!(stages(None), [0, 1, 2, 3, 4]);
    assert_eq!(stages(Some("app")), [0, 2, 3]);
    assert_eq!(stages(Some("TOOLS")), [2]);
    let missing = Facts { target: Some("ap".to_owned()), ..facts.clone() };
    check(
        text,
        &missing,
        &expect![[r#"
        line 6: target stage "ap" could not be found (did you mean app?)
    "#]],
    );
}

#[test]
fn variables_have_their_scopes() {
    let mut facts = facts();
    facts.build_arguments =
        [("GIVEN", "given"), ("TAG", "1"), ("HTTP_PROXY", "http://p"), ("NOBODY", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let text = "ARG TAG=9 OTHER=${TAG}x\n\
        FROM --platform=$BUILDPLATFORM a:$TAG AS x\n\
        ARG GIVEN=default UNSET OTHER INNER=$GIVEN-$OTHER TARGETARCH\n\
        RUN echo $GIVEN\n\
        ENV GIVEN=env A=1 B=$A-$GIVEN\n\
        ENV B=$A-$GIVEN \"C D\"='$A' E=a\\ b\n\
        RUN echo\n\
        FROM x\n\
        RUN [\"echo\", \"$A\"]\n\
        FROM b:1\n\
        COPY --from=1 --chown=$A --exclude=*.$A $A/b ./\n";
    check(
        text,
        &facts,
        &expect![[r#"
        stage 0 x on Image("a:1") for linux/amd64 needs {}
          3 [] root:/ ARG GIVEN=given UNSET OTHER=1x INNER=given-1x TARGETARCH=amd64
          4 [GIVEN=given OTHER=1x INNER=given-1x TARGETARCH=amd64] root:/ run ["/bin/sh", "-c", "echo $GIVEN"] [] None
          5 [GIVEN=given OTHER=1x INNER=given-1x TARGETARCH=amd64] root:/ ENV GIVEN=env A=1 B=-given
          6 [GIVEN=env OTHER=1x INNER=given-1x TARGETARCH=amd64 A=1 B=-given] root:/ ENV B=1-env C D=$A E=a b
          7 [GIVEN=env OTHER=1x INNER=given-1x TARGETARCH=amd64 A=1 B=1-env C D=$A E=a b] root:/ run ["/bin/sh", "-c", "echo"] [] None
        stage 1 - on Stage(0) for linux/amd64 needs {0}
          9 [GIVEN=env OTHER=1x INNER=given-1x TARGETARCH=amd64 A=1 B=1-env C D=$A E=a b] root:/ run ["echo", "$A"] [] None
        stage 2 - on Image("b:1") for linux/amd64 needs {1} target
          11 [] root:/ copy from Stage(1) Path("/b") to / Some("") ["*."]
    "#]],
    );
    let plan = planned(text, &facts).expect("a plan");
    assert_eq!(plan.unused_build_arguments, ["NOBODY"]);
    assert_eq!(plan.proxies, [("HTTP_PROXY".to_owned(), "http://p".to_owned())]);
    let history: Vec<_> =
        plan.stages[0].steps.iter().map(|step| step.created_by.as_str()).collect();
    expect![[r#"
        ARG GIVEN=given UNSET OTHER=1x INNER=given-1x TARGETARCH=amd64
        RUN |5 GIVEN=given UNSET= OTHER=1x INNER=given-1x TARGETARCH=amd64 /bin/sh -c echo $GIVEN # buildkit
        ENV GIVEN=env A=1 B=-given
        ENV B=1-env C D=$A E=a b
        RUN |5 GIVEN=env UNSET= OTHER=1x INNER=given-1x TARGETARCH=amd64 /bin/sh -c echo # buildkit"#]].assert_eq(&history.join("\n"));
}

#[test]
fn base_images_bring_their_configuration_and_triggers() {
    let text = "FROM b:1 AS tools\nFROM rich:1 AS app\nWORKDIR sub/../dir\nUSER $LANG\nRUN x\n\
        ENTRYPOINT [\"e\"]\nONBUILD RUN again $LANG\nFROM app\nCOPY a .\nCMD serve $LANG\n\
        ENTRYPOINT f\n";
    let facts = facts();
    check(
        text,
        &facts,
        &expect![[r#"
        stage 0 tools on Image("b:1") for linux/amd64 needs {}
        stage 1 app on Image("rich:1") for linux/amd64 needs {0}
          2 trigger [LANG=C] app:/srv copy from Stage(0) Path("/x") to /srv/C/ None []
          2 trigger [LANG=C] app:/srv run ["/bin/bash", "-c", "build\n"] [] None
          3 [LANG=C] app:/srv folder /srv/dir
          4 [LANG=C] app:/srv/dir USER C
          5 [LANG=C] C:/srv/dir run ["/bin/bash", "-c", "x"] [] None
          6 [LANG=C] C:/srv/dir ENTRYPOINT ["e"]
          7 [LANG=C] C:/srv/dir ONBUILD RUN again $LANG
        stage 2 - on Stage(1) for linux/amd64 needs {1} target
          7 trigger [LANG=C] C:/srv/dir run ["/bin/bash", "-c", "again $LANG"] [] None
          9 [LANG=C] C:/srv/dir copy from Context Path("a") to /srv/dir/ None []
          10 [LANG=C] C:/srv/dir CMD ["/bin/bash" "-c" "serve $LANG"]
          11 [LANG=C] C:/srv/dir ENTRYPOINT ["/bin/bash" "-c" "f"]
    "#]],
    );
    let plan = planned(text, &facts).expect("a plan");
    let app = &plan.stages[1].configuration;
    assert_eq!(app.command, None, "a new ENTRYPOINT drops the base's CMD");
    assert_eq!(app.on_build, ["RUN again $LANG"]);
    let last = &plan.target().configuration;
    assert_eq!(last.command.as_deref().expect("CMD").last().expect("a line"), "serve $LANG");
    assert!(last.on_build.is_empty());
}

#[test]
fn steps_are_ready_to_be_done() {
    let text = "FROM a\n\
        WORKDIR /w\n\
        RUN <<E\nline $x\nE\n\
        RUN <<-E\n\t#!/bin/x\n\tE\n\
        RUN cat <<E | b\nc\nE\n\
        RUN --mount=type=cache,target=cache --mount=type=secret,id=a/b --mount=type=ssh \
        --mount=type=bind,source=x,target=/y/ --network=none --security=insecure z\n\
        COPY <<A <<'B' /etc/\n$HOME \"q\"\nA\n$HOME\nB\n\
        ADD https://x/y git@z:a/b.git https://z/a.git#main c.tar d/\n\
        COPY . .\n\
        COPY a /\n\
        COPY a b/../c\n\
        EXPOSE 80 8000-8002/UDP $NOTHING\n\
        VOLUME [\"/a\", \"/b\"]\n\
        LABEL a=$PATH \"b c\"=d\n\
        STOPSIGNAL SIGTERM\n\
        HEALTHCHECK --interval=90s --retries=2 CMD curl x\n\
        SHELL [\"/bin/zsh\", \"-c\"]\n\
        CMD x\n\
        MAINTAINER me\n";
    check(
        text,
        &facts(),
        &expect![[r##"
        stage 0 - on Image("a") for linux/amd64 needs {} target
          2 [] root:/ folder /w
          3 [] root:/w run ["/bin/sh", "-c", "line $x\n"] [] None
          6 [] root:/w run ["/bin/sh", "-c", "/dev/pipes/E"] [] Some(Inline { name: "E", content: "#!/bin/x\n" })
          9 [] root:/w run ["/bin/sh", "-c", "cat <<E | b\nc\nE"] [] None
          12 [] root:/w run ["/bin/sh", "-c", "z"] ["cache /w/cache /w/cache None", "secret /run/secrets/b a/b None", "ssh - default None", "bind /y - Some(Context)"] None
          13 [] root:/w copy from Context A=" \"q\"\n" B="$HOME\n" to /etc/ None []
          18 [] root:/w copy from Context Url("https://x/y") Git("git@z:a/b.git") Git("https://z/a.git#main") Path("c.tar") to /w/d/ None []
          19 [] root:/w copy from Context Path(".") to /w/ None []
          20 [] root:/w copy from Context Path("a") to / None []
          21 [] root:/w copy from Context Path("a") to /w/c None []
          22 [] root:/w EXPOSE [80/tcp 8000/udp 8001/udp 8002/udp]
          23 [] root:/w VOLUME [/a /b]
          24 [] root:/w LABEL a=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin b c=d
          25 [] root:/w STOPSIGNAL SIGTERM
          26 [] root:/w HEALTHCHECK {Test:[CMD-SHELL curl x] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2}
          27 [] root:/w SHELL [/bin/zsh -c]
          28 [] root:/w CMD ["/bin/zsh" "-c" "x"]
          29 [] root:/w MAINTAINER me
    "##]],
    );
}

#[test]
fn what_cannot_be_planned_is_said_with_its_line() {
    let facts = facts();
    for (text, message) in [
        ("FROM $x", "line 1: base name ($x) should not be blank"),
        ("FROM A:1", "line 1: failed to parse stage name \"A:1\": invalid reference format"),
        ("FROM z:1\nFROM y:1", "line 2: the configuration of the base image `y:1` is not known"),
        ("FROM --platform=$x a", "line 1: empty platform value from expression $x"),
        (
            "FROM --platform=windows/amd64 a",
            "line 1: `windows/amd64`: only images for Linux are built here",
        ),
        ("FROM a AS x\nCOPY --from=y b c\nFROM b:1 AS y\nFROM b:1", ""),
        (
            "FROM a AS x\nCOPY --from=y b c\nFROM x AS y\nFROM x",
            "line 2: circular dependency detected on stage: x",
        ),
        ("FROM a AS x\nCOPY --from=x b c", "line 2: circular dependency detected on stage: x"),
        (
            "FROM a AS x\nRUN --mount=from=y,target=/z b\nFROM a AS y\nFROM x",
            "line 2: cannot copy from stage \"y\", it needs to be defined before current stage \"x\"",
        ),
        ("FROM a\nCOPY --from=7 b c", "line 2: invalid stage index 7"),
        ("FROM a\nCOPY --from=$x b c", "line 2: variable expansion is not supported for --from"),
        ("FROM a\nENV x=${y", "line 2: failed to process"),
        ("FROM a\nRUN --mount=type=cache,target=/ x", "line 2: invalid mount target \"/\""),
        ("FROM a\nRUN --mount=type=$x,target=/y x", "line 2: unsupported mount type \"\""),
        ("FROM a\nEXPOSE 99999", "line 2: invalid containerPort: 99999"),
        ("FROM a\nEXPOSE 1/icmp", "line 2: invalid proto: icmp"),
        ("FROM a\nCOPY --exclude=[ a b", "line 2: --exclude: line 1: syntax error in pattern"),
        ("FROM a\nRUN --device=x y", "line 2: `--device` needs"),
    ] {
        let found = planned(text, &facts).map_or_else(
            |errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            |_| String::new(),
        );
        assert!(
            found.starts_with(message) && found.is_empty() == message.is_empty(),
            "{text}: {found}"
        );
    }
    let all = planned("FROM z:1 AS x\nFROM y:1\nCOPY --from=x a b", &facts).expect_err("no images");
    assert_eq!(all.len(), 2, "every image that is missing is named: {all:?}");
    let bad = Facts {
        images: [(
            "a".to_owned(),
            Configuration { on_build: vec!["FROM x".into()], ..Configuration::default() },
        )]
        .into(),
        ..facts
    };
    check(
        "FROM a\n",
        &bad,
        &expect![[r#"
        line 1: the trigger `FROM x` of the base image: FROM requires either one or three arguments
    "#]],
    );
}

#[test]
fn the_guides_files_are_planned() {
    let Some(folder) = folder("LOOPLINE_GUIDE") else { return };
    let mut steps = 0;
    for (name, stages) in
        [("docker/hardened", 4), ("docker/java", 2), ("docker/node", 2), ("docker2", 2)]
    {
        let text = fs_err::read_to_string(folder.join(name).join("Dockerfile")).expect("a file");
        let mut facts = Facts { platform: Platform::linux_amd64(), ..Facts::default() };
        // Who builds learns the images' names from the plan, and plans again.
        let missing = planned(&text, &facts).expect_err("no image is known yet");
        for error in missing {
            let loopline_formats::dockerfile::plan::ErrorKind::MissingImage(image) = error.kind
            else {
                panic!("{error}");
            };
            facts.images.insert(image, Configuration::default());
        }
        let plan = planned(&text, &facts).expect("a plan");
        assert_eq!(plan.stages.len(), stages, "{name}");
        steps += plan.stages.iter().map(|stage| stage.steps.len()).sum::<usize>();
    }
    println!("steps in the guide's files: {steps}");
    assert!(steps > 50);
}
