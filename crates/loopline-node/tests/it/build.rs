//! Images built from Dockerfiles on a base of busybox.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loopline_clock::Clock;
use loopline_node::{BuildError, BuildRequest, Builder, Built, Options, Progress};
use serde_json::json;
use tempfile::TempDir;

use crate::containers::{Machine, machine, shell};

/// A context, and the machine that builds it.
pub(crate) struct Yard {
    pub(crate) machine: Machine,
    context: TempDir,
}

#[derive(Default)]
struct Told(RefCell<String>);

impl Progress for Told {
    fn step(&self, _: usize, _: usize, _: &str, _: &str) {}

    fn cached(&self) {}

    fn output(&self, text: &[u8]) {
        self.0.borrow_mut().push_str(&String::from_utf8_lossy(text));
    }
}

impl Yard {
    pub(crate) fn new() -> Option<Self> {
        let machine = machine(&json!({"Env": ["BASE=1"], "Cmd": ["sh"]}))?;
        Some(Self { machine, context: tempfile::tempdir().unwrap() })
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.context.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn request(&self, dockerfile: &str) -> BuildRequest {
        self.file("Dockerfile", dockerfile);
        BuildRequest {
            context: self.context.path().to_owned(),
            file: self.context.path().join("Dockerfile"),
            tags: vec!["made:1".parse().unwrap()],
            args: BTreeMap::new(),
            target: None,
            labels: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ssh: None,
            no_cache: false,
            offline: true,
            epoch: Some(1_700_000_000),
        }
    }

    pub(crate) fn build(&self, request: &BuildRequest) -> Result<(Built, String), BuildError> {
        let store = self.machine.containers.store().clone();
        let builder = Builder::open(&self.machine.data, store, Clock::real());
        let told = Told::default();
        let built = builder.build(request, &told)?;
        Ok((built, told.0.take()))
    }

    /// Builds a file and returns what its programs printed.
    fn made(&self, dockerfile: &str) -> String {
        self.build(&self.request(dockerfile)).unwrap().1
    }

    /// Returns what a shell says in the image.
    fn ask(&self, script: &str) -> String {
        let (code, text) = self.machine.run_image("made:1", &shell(script)).unwrap();
        assert_eq!(code, 0, "{text}");
        text
    }
}

#[test]
fn files_programs_and_settings_make_an_image() {
    let Some(yard) = Yard::new() else { return };
    yard.file("app/main", "hello");
    yard.file("app/deep/er", "x");
    let said = yard.made(
        r#"ARG FROM=box
FROM $FROM:1
ARG WHO=world
ENV GREETING="hi $WHO" BOTH=$BASE$WHO
WORKDIR /srv/app
COPY app .
COPY app/main renamed
RUN echo "$GREETING from $(pwd)" > said && cat said
RUN <<EOF
set -e
echo one > lines
echo two >> lines
EOF
COPY <<-"END" /etc/note
	kept $WHO
	END
USER app
EXPOSE 80
LABEL a=b
CMD ["cat", "said"]
"#,
    );
    assert_eq!(said, "hi world from /srv/app\n");
    let (_, text) = yard.machine.run_image("made:1", &Options::default()).unwrap();
    assert_eq!(text, "hi world from /srv/app\n");
    let text = yard.ask("cat main deep/er renamed lines /etc/note; echo $BOTH; id -u; ls /");
    assert_eq!(
        text,
        "helloxhelloone\ntwo\nkept $WHO\n1world\n10\nbin\ndata\ndev\netc\nproc\nsrv\nsys\n"
    );
}

#[test]
fn a_second_build_carries_nothing_out_and_one_elsewhere_makes_the_same() {
    const TEXT: &str =
        "FROM box:1\nCOPY in /in\nRUN cat /in > /out\nENV A=b\nRUN echo $A >> /out\n";
    let Some(yard) = Yard::new() else { return };
    yard.file("in", "1");
    let request = yard.request(TEXT);
    let (first, said) = yard.build(&request).unwrap();
    assert_eq!((first.cached, said.as_str()), (0, ""));
    let (second, _) = yard.build(&request).unwrap();
    assert_eq!((second.cached, &second.id), (3, &first.id));
    // Without a time that is said, it is the time at which a step was carried out that is kept.
    let timeless = BuildRequest { epoch: None, ..yard.request("FROM box:1\nRUN echo x > /x\n") };
    let (one, _) = yard.build(&timeless).unwrap();
    assert_eq!(yard.build(&timeless).unwrap().0.manifest, one.manifest);
    yard.request(TEXT);
    // Times of files are not their contents.
    yard.file("in", "1");
    assert_eq!(yard.build(&request).unwrap().0.cached, 3);
    yard.file("in", "2");
    let (third, _) = yard.build(&request).unwrap();
    assert_eq!(third.cached, 0);
    assert_ne!(third.id, first.id);
    assert_eq!(yard.ask("cat /out"), "2b\n");
    let other = Yard::new().unwrap();
    other.file("in", "2");
    let (again, _) = other.build(&other.request(TEXT)).unwrap();
    assert_eq!((again.id, again.manifest), (third.id, third.manifest));
}

#[test]
fn stages_are_built_as_far_as_they_are_needed() {
    const TEXT: &str = "FROM box:1 AS unused\nRUN echo never; exit 1
FROM box:1 AS tools
RUN mkdir /t && echo tool > /t/one && ln -s one /t/two
FROM scratch AS files
COPY --from=tools /t /from/
FROM tools AS last
COPY --from=files /from/two /from/one /copied/
COPY --from=box:1 /etc/passwd /copied/
RUN --mount=type=bind,from=files,source=/from,target=/m ls /m; rm -r /t
";
    let Some(yard) = Yard::new() else { return };
    assert_eq!(yard.made(TEXT), "one\ntwo\n");
    let text = yard.ask("ls /copied; cat /copied/two; ls /");
    // What was mounted has left no trace, and what was removed is gone.
    assert_eq!(text, "one\npasswd\ntwo\ntool\nbin\ncopied\ndata\ndev\netc\nproc\nsys\n");
    let request = BuildRequest { target: Some("unused".to_owned()), ..yard.request(TEXT) };
    match yard.build(&request) {
        Err(BuildError::Failed { line: 2, code: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_and_caches_are_there_for_a_step_and_not_in_the_image() {
    const TEXT: &str = "FROM box:1
RUN --mount=type=secret,id=token --mount=type=cache,target=/cache \
  cat /run/secrets/token; echo x >> /cache/count; grep -c x /cache/count
";
    let Some(yard) = Yard::new() else { return };
    let mut request = yard.request(TEXT);
    request.secrets.insert("token".to_owned(), b"s3cret\n".to_vec());
    assert_eq!(yard.build(&request).unwrap().1, "s3cret\n1\n");
    request.no_cache = true;
    assert_eq!(yard.build(&request).unwrap().1, "s3cret\n2\n");
    assert_eq!(
        yard.ask("ls /; grep -r s3cret /etc /data; true"),
        "bin\ndata\ndev\netc\nproc\nsys\n"
    );
    let request = yard.request("FROM box:1\nRUN --mount=type=secret,id=t,required=true true\n");
    match yard.build(&request) {
        Err(BuildError::Step { line: 2, message }) => {
            assert!(message.starts_with("secret t: not found"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_step_sees_of_the_context_is_part_of_what_it_makes() {
    const TEXT: &str = "FROM box:1\nRUN --mount=type=bind,target=/c cat /c/in > /out\n";
    let Some(yard) = Yard::new() else { return };
    yard.file("in", "1\n");
    yard.made(TEXT);
    assert_eq!(yard.build(&yard.request(TEXT)).unwrap().0.cached, 1);
    yard.file("in", "2\n");
    yard.made(TEXT);
    assert_eq!(yard.ask("cat /out"), "2\n");
}

#[test]
fn what_cannot_be_built_says_the_line() {
    let Some(yard) = Yard::new() else { return };
    yard.file(".dockerignore", "hidden\n");
    for name in ["hidden", "a", "b"] {
        yard.file(name, "x");
    }
    for (text, line, expected) in [
        ("FROM nowhere:9\n", 1, "the base image `nowhere:9` is not here"),
        ("FROM box:1\nCOPY missing /x\n", 2, "\"/missing\": not found in the context"),
        ("FROM box:1\nCOPY hidden /x\n", 2, "\"/hidden\" is left out of the context by .docker"),
        ("FROM box:1\n\nCOPY a b /x\n", 3, "When using COPY with more than one source file"),
        ("FROM box:1\nCOPY --chown=ghost a /x\n", 2, "no user `ghost`"),
        ("FROM box:1\nRUN --security=insecure true\n", 2, "--security=insecure"),
        ("FROM box:1\nADD https://example.com/x /x\n", 2, "ADD https://example.com/x"),
        ("FROM box:1\nRUNN true\n", 2, "unknown instruction: RUNN"),
        ("FROM box:1 AS a\nCOPY --from=a /x /y\n", 2, "circular dependency"),
        ("FROM box:1\nRUN [\"nothing-of-this-name\"]\n", 2, "ended with code 127"),
    ] {
        let error = yard.build(&yard.request(text)).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert_eq!(error.line(), Some(line), "{text}: {error}");
    }
    // What a build has left that was killed, here one of a process that cannot be, is removed.
    let killed = yard.machine.data.join("builds/scratch/99999999-0/upper-1");
    fs_err::create_dir_all(&killed).unwrap();
    yard.made("FROM box:1\nCOPY a /x\n");
    let left: Vec<PathBuf> = fs_err::read_dir(yard.machine.data.join("builds/scratch"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn nothing_outside_the_context_is_copied() {
    let Some(yard) = Yard::new() else { return };
    let outside = tempfile::tempdir().unwrap();
    fs_err::write(outside.path().join("secret"), "outside").unwrap();
    fs_err::os::unix::fs::symlink(outside.path(), yard.context.path().join("link")).unwrap();
    let absolute = format!("{}/secret", outside.path().display());
    for source in ["link/secret", "../secret", &absolute] {
        let error = yard.build(&yard.request(&format!("FROM box:1\nCOPY {source} /x\n")));
        assert!(error.is_err(), "{source}");
    }
    // A link below a folder stays a link.
    yard.file("folder/x", "x");
    let link = yard.context.path().join("folder/link");
    fs_err::os::unix::fs::symlink(Path::new("/etc/passwd"), link).unwrap();
    yard.made("FROM box:1\nCOPY folder /folder\n");
    assert!(yard.ask("ls -l /folder/link").contains("-> /etc/passwd"));
}
