//! What instructions mean, and what the builder says of those that make no sense.

use expect_test::expect;
use loopline_formats::dockerfile::instruction::{self, Build, CommandKind, Healthcheck, Source};
use loopline_source::SourceFile;

use super::{SEEDS, read};
use crate::folder;

fn instructions(text: &str) -> (Build, Vec<String>) {
    let parsed = read(text);
    let (build, problems) = instruction::read(&parsed.dockerfile);
    let show = |problem: &instruction::Problem| format!("{}: {problem}", problem.line);
    (build, problems.iter().map(show).collect())
}

#[test]
fn seeds_have_meaning() {
    let (build, problems) = instructions(SEEDS[0]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((build.globals.len(), build.stages.len()), (2, 3));
    let names: Vec<_> =
        build.stages.iter().map(|stage| stage.name.clone().map(|name| name.text)).collect();
    assert_eq!(names, [Some("base".into()), Some("build".into()), Some("final".into())]);
    let copies: Vec<_> = build
        .stages
        .iter()
        .flat_map(|stage| &stage.commands)
        .filter_map(|command| match &command.kind {
            CommandKind::Copy(copy) => Some(copy),
            _ => None,
        })
        .collect();
    assert!(copies[0].link && copies[0].chown.is_some() && copies[0].chmod.is_some());
    assert!(copies[1].parents && copies[1].exclude.len() == 1);
    assert_eq!(copies[2].sources, [Source::Heredoc(0), Source::Heredoc(1)]);
    let triggers: Vec<_> = build
        .stages
        .iter()
        .flat_map(|stage| &stage.commands)
        .filter_map(|command| match &command.kind {
            CommandKind::Onbuild(trigger) => Some(trigger.expression.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(triggers, ["RUN <<EOF\necho trigger\nEOF", "COPY [ \"x\", \"/y\" ]"]);
    let health = build.stages[2].commands.iter().find_map(|command| match &command.kind {
        CommandKind::Healthcheck(Healthcheck::Command { interval, retries, .. }) => {
            Some((interval.0, *retries))
        }
        _ => None,
    });
    assert_eq!(health, Some((30_000_000_000, 3)));
    let (windows, problems) = instructions(SEEDS[1]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(windows.stages[0].commands.len(), 7);
}

#[test]
fn mistakes_have_the_builders_words() {
    let text = "RUN early\n\
        FROM\n\
        FROM a b\n\
        FROM a AS 1x\n\
        FROM --plattform=x a\n\
        FROM a AS Ok\n\
        COPY a\n\
        COPY --from a b\n\
        COPY --from=x --from=y a b\n\
        COPY --link=maybe a b\n\
        COPY --link= a b\n\
        COPY a <<E\n\
        x\n\
        E\n\
        ADD --parents a b\n\
        RUNN x\n\
        ENV =x\n\
        ENV\n\
        ARG\n\
        ARG =x\n\
        EXPOSE\n\
        USER\n\
        WORKDIR\n\
        VOLUME [\" \"]\n\
        SHELL bash\n\
        SHELL []\n\
        ONBUILD\n\
        ONBUILD ONBUILD RUN x\n\
        ONBUILD FROM x\n\
        HEALTHCHECK\n\
        HEALTHCHECK NONE x\n\
        HEALTHCHECK CMD\n\
        HEALTHCHECK RUN x\n\
        HEALTHCHECK --interval=1us CMD x\n\
        HEALTHCHECK --interval=1 CMD x\n\
        HEALTHCHECK --retries=-1 CMD x\n\
        HEALTHCHECK --retries=x CMD x\n\
        RUN --network=bridge x\n\
        RUN --security=none x\n\
        RUN --mount=type=cach,target=/x x\n\
        RUN --mount=from=$x,target=/x x\n\
        RUN --mount=type=$x,id=$y x\n";
    expect![[r#"
        1: no build stage in current context
        2: FROM requires either one or three arguments
        3: FROM requires either one or three arguments
        4: invalid name for build stage: "1x", name can't start with a number or contain symbols
        5: unknown flag: plattform (did you mean platform?)
        7: COPY requires at least two arguments, but only one was provided. Destination could not be determined
        8: missing a value on flag: from
        9: duplicate flag specified: from
        10: expecting boolean value for flag link, not: maybe
        11: missing a value on flag: link
        12: COPY cannot accept a heredoc as a destination
        15: unknown flag: parents
        16: unknown instruction: RUNN (did you mean RUN?)
        17: ENV names can not be blank
        18: ENV requires at least one argument
        19: ARG requires at least one argument
        20: ARG names can not be blank
        21: EXPOSE requires at least one argument
        22: USER requires exactly one argument
        23: WORKDIR requires exactly one argument
        24: VOLUME specified can not be an empty string
        25: SHELL requires the arguments to be in JSON form
        26: SHELL requires at least one argument
        27: ONBUILD requires at least one argument
        28: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed
        29: FROM isn't allowed as an ONBUILD trigger
        30: HEALTHCHECK requires at least one argument
        31: HEALTHCHECK NONE takes no arguments
        32: Missing command after HEALTHCHECK CMD
        33: Unknown type "RUN" in HEALTHCHECK (try CMD)
        34: Interval "interval" cannot be less than 1ms
        35: time: missing unit in duration "1"
        36: --retries cannot be negative (-1)
        37: strconv.ParseInt: parsing "x": invalid syntax
        38: invalid network mode "bridge"
        39: security "none" is not valid
        40: unsupported mount type "cach" (did you mean cache?)
        41: 'from' doesn't support variable expansion, define alias stage instead"#]]
    .assert_eq(&instructions(text).1.join("\n"));
    assert_eq!(instructions("ARG a").1, ["1: dockerfile contains no stages to build"]);
}

#[test]
fn the_guides_files_have_no_problems() {
    let Some(folder) = folder("LOOPLINE_GUIDE") else { return };
    let mut found = 0;
    let mut open = vec![folder];
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(&folder).expect("the folder can be listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name == "Dockerfile") {
                let text = fs_err::read_to_string(&path).expect("a Dockerfile");
                let file = SourceFile::new(path.display().to_string(), text.as_str());
                assert_eq!(read(file.text()).problems, [], "{}", path.display());
                let (build, problems) = instructions(&text);
                assert_eq!(problems, Vec::<String>::new(), "{}", path.display());
                assert!(build.stages.len() >= 2, "{}", path.display());
                found += 1;
            }
        }
    }
    println!("Dockerfiles of the guide: {found}");
    assert_eq!(found, 4);
}
