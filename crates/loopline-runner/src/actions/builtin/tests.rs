//! Built-in actions against real folders, with stores on disk.

use std::path::Path;
use std::sync::{Arc, Mutex};

use fs_err as fs;
use indexmap::IndexMap;
use loopline_clock::Clock;

use super::{CloneRequest, Cloned, Context, Extras, Failure, ProcessRun, Sources, find};
use crate::cancel::{Cancel, Level};
use crate::leash::Leash;
use crate::services::disk::Disk;
use crate::services::storage::{Artifacts as _, CacheScope};

struct World {
    folder: tempfile::TempDir,
    disk: Arc<Disk>,
    scope: CacheScope,
    confined: bool,
    lenient: bool,
    cloned: Arc<Mutex<Vec<String>>>,
    cancel: Cancel,
}

struct Fixed(Arc<Mutex<Vec<String>>>);

impl Sources for Fixed {
    fn copy_working_tree(
        &self,
        _extras: &Extras,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<(), Failure> {
        leash.check().map_err(|error| Failure(error.to_string()))?;
        fs::write(target.join("copied"), "").map_err(|error| Failure(error.to_string()))
    }

    fn clone_repository(
        &self,
        request: CloneRequest<'_>,
        target: &Path,
        _: &Leash<'_>,
    ) -> Result<Cloned, Failure> {
        let shown = format!("{} {} {}", request.server, request.repository, request.reference);
        self.0.lock().unwrap().push(shown);
        fs::write(target.join("cloned"), "").map_err(|error| Failure(error.to_string()))?;
        Ok(Cloned { commit: "c0ffee".to_owned(), reference: "refs/heads/x".to_owned() })
    }
}

#[derive(Debug, Default)]
struct Outcome {
    log: String,
    outputs: IndexMap<String, String>,
    state: IndexMap<String, String>,
    paths: Vec<String>,
    error: Option<String>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["work", "temp", "home", "tools"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let disk = Disk::new(folder.path().join("a"), folder.path().join("c"), Clock::real());
        let scope = CacheScope {
            repository: "o/r".to_owned(),
            write: "refs/heads/main".to_owned(),
            read: vec!["refs/heads/main".to_owned()],
        };
        Self {
            disk: Arc::new(disk),
            folder,
            scope,
            confined: true,
            lenient: false,
            cloned: Arc::default(),
            cancel: Cancel::new().unwrap(),
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(path)).ok()
    }

    fn run(&self, uses: &str, inputs: &[(&str, &str)]) -> Outcome {
        self.step(uses, inputs, None)
    }

    fn step(
        &self,
        uses: &str,
        inputs: &[(&str, &str)],
        state: Option<IndexMap<String, String>>,
    ) -> Outcome {
        let (name, reference) = uses.split_once('@').unwrap();
        let mut parts = name.splitn(3, '/');
        let (owner, repository) = (parts.next().unwrap(), parts.next().unwrap());
        let equivalent =
            find(owner, repository, parts.next().unwrap_or(""), reference).expect("an equivalent");
        let inputs: IndexMap<String, String> =
            inputs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let env: IndexMap<String, String> = [
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_SHA", "abc123"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("PATH", "/nowhere"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        let root = self.folder.path();
        let mut outcome =
            Outcome { state: state.clone().unwrap_or_default(), ..Outcome::default() };
        let mut log = String::new();
        let mut context = Context {
            uses,
            inputs: &inputs,
            env: &env,
            workspace: &root.join("work"),
            temp: &root.join("temp"),
            home: &root.join("home"),
            tool_cache: &root.join("tools"),
            confined: self.confined,
            lenient_tools: self.lenient,
            run: "7",
            job: "build",
            scope: &self.scope,
            artifacts: self.disk.clone(),
            caches: self.disk.clone(),
            on_stored: Arc::new(|_| {}),
            sources: Arc::new(Fixed(Arc::clone(&self.cloned))),
            clock: Clock::real(),
            leash: &Leash::new(Clock::real(), None, &self.cancel, Level::None, None),
            log: &mut |line| {
                log.push_str(line);
                log.push('\n');
            },
            start: &mut |program, _| {
                // `tools/TOOL/VERSION/ARCHITECTURE/bin/PROGRAM` says its version as the tool does.
                let mut parts = program.split("/tools/").nth(1).unwrap_or_default().split('/');
                let output = match (parts.next(), parts.next()) {
                    (Some("node"), Some(version)) => format!("v{version}\n"),
                    (Some("Python"), Some(version)) => format!("Python {version}\n"),
                    (Some("go"), Some(version)) => format!("go version go{version} linux/amd64\n"),
                    _ => return Err(Failure(format!("{program} is not there"))),
                };
                Ok(ProcessRun { exit_code: Some(0), output })
            },
            outputs: &mut outcome.outputs,
            state: &mut outcome.state,
            variables: &mut Vec::new(),
            paths: &mut outcome.paths,
        };
        let result = match state {
            None => equivalent.main(&mut context),
            Some(_) => equivalent.post(&mut context),
        };
        outcome.error = result.err().map(|error| error.0);
        outcome.log = log;
        outcome
    }
}

#[test]
fn references() {
    let shown = |path: &str, reference: &str| {
        let mut parts = path.splitn(3, '/');
        let (owner, repository) = (parts.next().unwrap(), parts.next().unwrap());
        find(owner, repository, parts.next().unwrap_or(""), reference).map(|e| e.title())
    };
    let v4 = "Loopline's built-in equivalent of actions/cache/restore, version 4";
    assert_eq!(shown("actions/cache/restore", "v4.2.0").as_deref(), Some(v4));
    assert!(shown("Actions/Checkout", "main").unwrap().contains("version 6 (assumed"));
    assert!(shown("actions/checkout", "11bd71901bbe5b1630ceea73d27597364c9af683").is_some());
    for (path, reference) in [
        ("actions/checkout", "v99"),
        ("actions/upload-artifact", "v3"),
        ("other/checkout", "v4"),
        ("actions/checkout/sub", "v4"),
    ] {
        assert_eq!(shown(path, reference), None, "{path}");
    }
}

#[test]
fn checks_out() {
    let world = World::new();
    world.write("work/kept", "x");
    let outcome = world.run("actions/checkout@v4", &[("fetch-depth", "0"), ("lfs", "false")]);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.outputs["commit"], "abc123");
    // As on GitHub, what lay in the way is gone and the tree is there.
    assert!(world.read("work/kept").is_none());
    assert!(world.read("work/copied").is_some());
    assert_eq!(world.run("actions/checkout@v4", &[("path", "sub")]).error, None);
    assert!(world.read("work/sub/copied").is_some());
    let other = world.run("actions/checkout@v4", &[("repository", "o/x"), ("path", "x")]);
    assert_eq!(other.outputs["commit"], "c0ffee");
    assert_eq!(*world.cloned.lock().unwrap(), ["https://github.com o/x "]);
    assert!(
        world.run("actions/checkout@v4", &[("path", "../x")]).error.unwrap().contains("out of")
    );
    let other = ("repository", "o/x");
    for (inputs, reason) in [
        (&[("ssh-key", "k")][..], "does not support the input `ssh-key`"),
        (&[("clean", "false")], "`clean: false` keeps what is in"),
        (&[("submodules", "maybe")], "must be `true`, `false` or `recursive`"),
        (&[("show-progress", "1")], "`show-progress` is `1`"),
        (&[("fetch-depth", "all")], "`fetch-depth` is `all`"),
        (&[("repository", "https://u:p@h/x")], "is no repository"),
        (&[other, ("token", "t"), ("persist-credentials", "true")], "`persist-credentials: true`"),
    ] {
        let error = world.run("actions/checkout@v4", inputs).error.unwrap();
        assert!(error.contains(reason), "{error}");
    }
    let odd = world.run("actions/checkout@v4", &[("speling", "1")]);
    assert!(odd.log.contains("::warning::Unexpected input(s) 'speling'"), "{}", odd.log);
}

#[test]
fn caches() {
    let mut world = World::new();
    world.write("work/deps/a", "A");
    world.write("home/.tool/b", "B");
    let inputs = [("path", "deps\n~/.tool"), ("key", "k-1"), ("restore-keys", "k-\n")];
    let first = world.run("actions/cache@v4", &inputs);
    assert_eq!((first.error, first.outputs["cache-hit"].as_str()), (None, ""));
    let saved = world.step("actions/cache@v4", &inputs, Some(first.state));
    assert!(saved.log.contains("Cache saved with key: k-1"), "{}", saved.log);
    for folder in ["work", "home"] {
        fs::remove_dir_all(world.folder.path().join(folder)).unwrap();
        fs::create_dir_all(world.folder.path().join(folder)).unwrap();
    }
    let hit = world.run("actions/cache@v4", &inputs);
    assert_eq!(hit.outputs["cache-hit"], "true");
    assert_eq!(world.read("work/deps/a").as_deref(), Some("A"));
    assert_eq!(world.read("home/.tool/b").as_deref(), Some("B"));
    let again = world.step("actions/cache@v4", &inputs, Some(hit.state));
    assert!(again.log.contains("not saving cache"), "{}", again.log);
    let near = [("path", "deps\n~/.tool"), ("key", "k-2"), ("restore-keys", "k-")];
    let near = world.run("actions/cache/restore@v4", &near);
    assert_eq!(near.outputs["cache-hit"], "false");
    assert_eq!(near.outputs["cache-matched-key"], "k-1");
    let miss = [("path", "x"), ("key", "z"), ("fail-on-cache-miss", "true")];
    assert!(world.run("actions/cache@v4", &miss).error.unwrap().contains("fail-on-cache-miss"));
    // A job that is kept from the machine saves nothing of the machine's.
    world.write("machine/secret", "s");
    let outside = world.folder.path().join("machine").to_string_lossy().into_owned();
    let steal = [("path", outside.as_str()), ("key", "steal")];
    let refused = world.run("actions/cache/save@v4", &steal);
    assert!(refused.log.contains("outside the job's folders"), "{}", refused.log);
    world.confined = false;
    assert!(world.run("actions/cache/save@v4", &steal).log.contains("Cache saved"));
    world.confined = true;
    let stolen = world.run("actions/cache/restore@v4", &steal).error.unwrap();
    assert!(stolen.contains("in none of the job's folders"), "{stolen}");
}

#[test]
fn restoring_follows_no_link() {
    let world = World::new();
    world.write("work/deps/a", "A");
    let inputs = [("path", "deps"), ("key", "k")];
    world.run("actions/cache/save@v4", &inputs);
    fs::remove_dir_all(world.folder.path().join("work/deps")).unwrap();
    world.write("machine/a", "original");
    let (link, target) =
        (world.folder.path().join("work/deps"), world.folder.path().join("machine"));
    rustix::fs::symlink(&target, &link).unwrap();
    // The archive's own folder replaces the link; nothing is written through it.
    let outcome = world.run("actions/cache/restore@v4", &inputs);
    assert_eq!(world.read("machine/a").as_deref(), Some("original"), "{outcome:?}");
}

#[test]
fn artifacts() {
    let world = World::new();
    world.write("work/dist/index.html", "<p>");
    world.write("work/dist/js/app.js", "1");
    world.write("work/dist/.hidden", "h");
    world.write("work/dist/js/app.map", "m");
    world.write("work/report.txt", "r");
    let up = |inputs: &[(&str, &str)]| world.run("actions/upload-artifact@v4", inputs);
    let site = up(&[("name", "site"), ("path", "dist\n!dist/**/*.map")]);
    assert_eq!(site.error, None);
    assert!(site.log.contains("2 files"), "{}", site.log);
    assert!(site.outputs["artifact-url"].starts_with("https://github.com/o/r/actions/runs/7/"));
    assert!(up(&[("name", "site"), ("path", "dist")]).error.unwrap().contains("already exists"));
    let one = up(&[("name", "report"), ("path", "report.txt"), ("retention-days", "5")]);
    assert_eq!(one.error, None);
    assert!(up(&[("name", "a/b"), ("path", "dist")]).error.unwrap().contains("as a name"));
    assert!(up(&[("path", "none")]).log.contains("::warning::No files were found"));
    assert!(up(&[("path", "none"), ("if-no-files-found", "error")]).error.is_some());
    assert!(up(&[("path", "dist"), ("retention-days", "91")]).error.is_some());

    let down = |inputs: &[(&str, &str)]| world.run("actions/download-artifact@v4", inputs);
    assert_eq!(down(&[("name", "site"), ("path", "got")]).error, None);
    assert_eq!(world.read("work/got/js/app.js").as_deref(), Some("1"));
    assert_eq!(world.read("work/got/.hidden"), None);
    assert_eq!(world.read("work/got/js/app.map"), None);
    assert_eq!(down(&[("path", "all")]).error, None);
    assert_eq!(world.read("work/all/report/report.txt").as_deref(), Some("r"));
    assert_eq!(world.read("work/all/site/index.html").as_deref(), Some("<p>"));
    let merged = [("pattern", "*"), ("merge-multiple", "true"), ("path", "merged")];
    assert_eq!(down(&merged).error, None);
    assert_eq!(world.read("work/merged/report.txt").as_deref(), Some("r"));
    assert!(down(&[("name", "none")]).error.unwrap().contains("Artifact not found for name: none"));
    assert!(down(&[("path", "../out")]).error.is_some());
    assert!(down(&[("run-id", "6")]).error.is_some());

    world.write("machine/key", "secret");
    rustix::fs::symlink(
        world.folder.path().join("machine/key"),
        world.folder.path().join("work/l"),
    )
    .unwrap();
    assert!(up(&[("name", "l"), ("path", "l")]).error.unwrap().contains("outside the job's"));
}

#[test]
fn hostile_archives_stay_inside() {
    use std::io::Write as _;
    for name in ["../escaped", "/etc/escaped", "a/../../escaped"] {
        let world = World::new();
        let file = world.folder.path().join("evil.zip");
        let mut archive = zip::ZipWriter::new(fs::File::create(&file).unwrap());
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"x").unwrap();
        archive.finish().unwrap();
        let new = crate::services::storage::NewArtifact {
            run: "7",
            job: "j",
            name: "evil",
            mime_type: "application/zip",
            expires: None,
            overwrite: false,
        };
        crate::services::storage::Artifacts::put(&*world.disk, new, &file).unwrap();
        let outcome = world.run("actions/download-artifact@v4", &[("name", "evil")]);
        let inside = world.read("work/escaped").or_else(|| world.read("work/etc/escaped"));
        assert!(outcome.error.is_some() || inside.is_some(), "{name}: {outcome:?}");
        assert!(world.read("escaped").is_none() && !Path::new("/etc/escaped").exists());
    }
}

#[test]
fn finds_node() {
    let mut world = World::new();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    for version in ["18.19.0", "20.11.1"] {
        world.write(&format!("tools/node/{version}/{arch}/bin/node"), version);
    }
    let chosen = world.run("actions/setup-node@v4", &[("node-version", "18")]);
    assert_eq!(chosen.error, None, "{}", chosen.log);
    assert_eq!(chosen.outputs["node-version"], "v18.19.0");
    assert!(chosen.paths[0].ends_with(&format!("18.19.0/{arch}/bin")));
    let newest = world.run("actions/setup-node@v4", &[]);
    assert_eq!(newest.outputs["node-version"], "v20.11.1");
    let missing = world.run("actions/setup-node@v4", &[("node-version", "16")]).error.unwrap();
    assert!(missing.contains("there is: 18.19.0") && missing.contains("20.11.1"), "{missing}");
    world.lenient = true;
    let lenient = world.run("actions/setup-node@v4", &[("node-version", "16")]);
    assert_eq!(lenient.outputs["node-version"], "v20.11.1");
    assert!(lenient.log.contains("::warning::node 16 is not on this machine"));
    let java = world.run("actions/setup-java@v4", &[("java-version", "17")]);
    assert!(java.error.unwrap().contains("`distribution` is needed"));
}

struct Silent;

impl loopline_workflow::run::Recorder for Silent {
    fn event(&self, _: &loopline_workflow::run::Event) {}

    fn log(&self, _: &loopline_workflow::run::JobKey, _: u32, _: &[u8]) {}
}

/// Runs `actions/setup-node` as a job does, with processes of the machine.
fn set_up_node(version: &str) -> (Result<(), String>, String, IndexMap<String, String>) {
    use crate::actions::{Builtins as _, Call};
    let world = World::new();
    let clock = Clock::real();
    let local = super::Local::new(super::Settings {
        run: "7".to_owned(),
        scope: world.scope.clone(),
        artifacts: world.disk.clone(),
        caches: world.disk.clone(),
        sources: Arc::new(Fixed(Arc::default())),
        recorder: Arc::new(Silent),
        clock,
        lenient_tools: false,
    });
    let action = local.find("actions", "setup-node", "", "v4").unwrap();
    let root = world.folder.path().to_path_buf();
    let mut folders = crate::host::Folders::new(root.join("job"), root.join("tools"));
    folders.workspace = root.join("work");
    folders.temp = root.join("temp");
    let machine = loopline_sandbox::Host::new("setup-node");
    #[expect(clippy::disallowed_methods, reason = "tests run with the developer's environment")]
    let env: IndexMap<String, String> = ["PATH", "HOME", "NODE_EXTRA_CA_CERTS"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    let inputs: IndexMap<String, String> = [("node-version".to_owned(), version.to_owned())].into();
    let (mut log, mut outputs) = (String::new(), IndexMap::new());
    let (mut variables, mut paths) = (Vec::new(), Vec::new());
    let result = action.main(&mut Call {
        job: &loopline_workflow::run::JobKey("job".to_owned()),
        uses: "actions/setup-node@v4",
        inputs: &inputs,
        env: &env,
        folders: &folders,
        machine: &machine,
        leash: &Leash::free(Clock::real()),
        log: &mut |line| {
            log.push_str(line);
            log.push('\n');
        },
        outputs: &mut outputs,
        state: &mut IndexMap::new(),
        variables: &mut variables,
        paths: &mut paths,
    });
    (result.map_err(|error| error.message), log, outputs)
}

#[test]
fn asks_the_machine_for_its_node() {
    let (result, log, outputs) = set_up_node("*");
    match result {
        Ok(()) => assert!(outputs["node-version"].starts_with('v'), "{log}"),
        Err(reason) => {
            println!("SKIPPED: this machine has no Node.js: {reason}");
            assert!(reason.contains("there is: none"), "{reason}");
        }
    }
}

#[test]
fn what_must_end_ends_between_files() {
    let world = World::new();
    world.write("work/deep/file", "text");
    let stored = world.run("actions/upload-artifact@v4", &[("path", "deep")]);
    assert_eq!(stored.error, None);
    let saved = world.run("actions/cache/save@v4", &[("path", "deep"), ("key", "k")]);
    assert_eq!(saved.error, None);
    world.cancel.ask("the test");
    for (uses, inputs) in [
        ("actions/upload-artifact@v4", &[("path", "deep"), ("name", "other")][..]),
        ("actions/download-artifact@v4", &[("name", "artifact")]),
        ("actions/cache/restore@v4", &[("path", "deep"), ("key", "k")]),
        ("actions/checkout@v4", &[]),
    ] {
        let error = world.run(uses, inputs).error.unwrap_or_default();
        assert!(error.contains("the step was cancelled"), "{uses}: {error}");
    }
    world.write("work/deep/file", "text");
    // The original only warns where it cannot save; the step is ended by whoever called it.
    let saved = world.run("actions/cache/save@v4", &[("path", "deep"), ("key", "l")]);
    assert!(saved.log.contains("the step was cancelled"), "{}", saved.log);
    assert!(fs::read_dir(world.folder.path().join("c")).unwrap().count() <= 2);
}

#[test]
fn single_files_hidden_files_and_changed_artifacts() {
    let world = World::new();
    world.write("work/plain.txt", "text");
    world.write("work/.hidden/seen", "s");
    world.write("work/.hidden/.unseen", "u");
    let up = |inputs: &[(&str, &str)]| world.run("actions/upload-artifact@v7", inputs);
    let down = |version: &str, inputs: &[(&str, &str)]| {
        world.run(&format!("actions/download-artifact@{version}"), inputs)
    };
    let whole = up(&[("path", "plain.txt"), ("archive", "false"), ("name", "ignored")]);
    assert_eq!(whole.error, None);
    assert_eq!(down("v8", &[("name", "plain.txt"), ("path", "got")]).error, None);
    assert_eq!(world.read("work/got/plain.txt").as_deref(), Some("text"));
    let both = up(&[("path", "plain.txt\n.hidden/seen"), ("archive", "false")]);
    assert!(both.error.unwrap().contains("names 2"));
    // A pattern that leads into a hidden folder finds what is not hidden there.
    let into = up(&[("path", ".hidden/*"), ("name", "into")]);
    assert!(into.log.contains("No files were found"), "{}", into.log);
    assert_eq!(up(&[("path", ".hidden/seen"), ("name", "one")]).error, None);
    let wrong = up(&[("path", "plain.txt"), ("name", "w"), ("if-no-files-found", "fail")]);
    assert!(wrong.error.unwrap().contains("if-no-files-found"));
    // An id leads to a folder of its own before version 5.
    let id = up(&[("path", "plain.txt"), ("name", "byid")]).outputs["artifact-id"].clone();
    assert_eq!(down("v4", &[("artifact-ids", &id), ("path", "four")]).error, None);
    assert_eq!(down("v5", &[("artifact-ids", &id), ("path", "five")]).error, None);
    assert!(world.read("work/four/byid/plain.txt").is_some());
    assert!(world.read("work/five/plain.txt").is_some());
    assert!(down("v8", &[("skip-decompress", "true")]).error.unwrap().contains("does not support"));
    // Somebody changed what was stored.
    let stored = world.disk.list("7").unwrap().into_iter().find(|one| one.name == "plain.txt");
    fs::write(crate::services::storage::Artifacts::file(&*world.disk, &stored.unwrap()), "forged")
        .unwrap();
    let forged = [("name", "plain.txt"), ("path", "forged")];
    assert!(down("v8", &forged).error.unwrap().contains("not as it was stored"));
    let warned = down("v7", &forged);
    assert!(warned.error.is_none() && warned.log.contains("::warning::the artifact"));
}

fn with_toolchains() -> World {
    let world = World::new();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    for (tool, version, program) in [
        ("Python", "3.11.9", "python3"),
        ("Python", "3.12.4", "python3"),
        ("go", "1.22.3", "go"),
        ("node", "20.1.0", "node"),
    ] {
        world.write(&format!("tools/{tool}/{version}/{arch}/bin/{program}"), version);
    }
    world
}

#[test]
fn several_pythons_and_files_that_name_versions() {
    let world = with_toolchains();
    let both = world.run("actions/setup-python@v5", &[("python-version", "3.12\n3.11")]);
    assert_eq!(both.error, None);
    assert_eq!(both.outputs["python-version"], "3.11.9", "the last one is the one that is used");
    assert_eq!(both.paths.len(), 2);
    world.write("work/.tool-versions", "python 3.12\nnodejs 20\ngolang 1.22\n");
    for (uses, input, output, version) in [
        ("actions/setup-python@v5", "python-version-file", "python-version", "3.12.4"),
        ("actions/setup-node@v4", "node-version-file", "node-version", "v20.1.0"),
        ("actions/setup-go@v5", "go-version-file", "go-version", "1.22.3"),
    ] {
        let chosen = world.run(uses, &[(input, ".tool-versions")]);
        assert_eq!(chosen.outputs.get(output).map(String::as_str), Some(version), "{uses}");
    }
    world.write("work/empty", "\n");
    let empty = world.run("actions/setup-python@v5", &[("python-version-file", "empty")]);
    assert!(empty.error.unwrap().contains("names no python version"));
}

#[test]
fn what_setup_actions_do_not_honour_is_refused() {
    let world = with_toolchains();
    for (uses, input, value, reason) in [
        ("actions/setup-python@v5", "check-latest", "true", "does not support"),
        ("actions/setup-node@v4", "check-latest", "true", "does not support"),
        ("actions/setup-go@v5", "check-latest", "true", "does not support"),
        ("actions/setup-python@v5", "pip-version", "24", "does not support"),
        ("actions/setup-python@v5", "architecture", "x86", "input `architecture` is `x86`"),
        ("actions/setup-node@v4", "architecture", "ppc64", "input `architecture` is `ppc64`"),
        ("actions/setup-python@v5", "cache", "conda", "Caching for 'conda' is not supported"),
        ("actions/setup-java@v4", "cache", "ant", "Caching for 'ant' is not supported"),
        ("actions/setup-node@v4", "cache", "bun", "Caching for 'bun' is not supported"),
        ("actions/setup-python@v5", "cache", "pip", "Dependencies lock file is not found"),
        ("actions/setup-python@v5", "python-version", "pypy3.10", "only CPython"),
    ] {
        let error = world.run(uses, &[(input, value)]).error.unwrap_or_default();
        assert!(error.contains(reason), "{uses} {input}={value}: {error}");
    }
    let idle = world.run("actions/setup-python@v5", &[("check-latest", "false")]);
    assert_eq!(idle.error, None);
}

#[test]
fn setup_actions_keep_what_package_managers_download() {
    let world = with_toolchains();
    world.write("work/deep/requirements.txt", "one==1\n");
    world.write("work/go.sum", "sum");
    for (uses, inputs, kept) in [
        ("actions/setup-python@v5", &[("cache", "pip")][..], "home/.cache/pip/wheel"),
        ("actions/setup-go@v5", &[], "home/go/pkg/mod/module"),
    ] {
        let first = world.run(uses, inputs);
        assert_eq!(first.error, None, "{uses}");
        assert_eq!(first.outputs["cache-hit"], "false");
        world.write(kept, "downloaded");
        let post = world.step(uses, inputs, Some(first.state));
        assert!(post.error.is_none() && post.log.contains("Cache saved"), "{uses}: {}", post.log);
        fs::remove_file(world.folder.path().join(kept)).unwrap();
        let second = world.run(uses, inputs);
        assert_eq!(second.outputs["cache-hit"], "true", "{uses}: {}", second.log);
        assert_eq!(world.read(kept).as_deref(), Some("downloaded"));
    }
    // Another lock file's downloads are better than none to pip, and are no hit.
    world.write("work/deep/requirements.txt", "two==2\n");
    let other = world.run("actions/setup-python@v5", &[("cache", "pip")]);
    assert_eq!(other.outputs["cache-hit"], "false");
    assert!(other.log.contains("Cache restored"), "{}", other.log);
    // Go's cache is on by itself, so that nothing to key it with is no mistake.
    fs::remove_file(world.folder.path().join("work/go.sum")).unwrap();
    let without = world.run("actions/setup-go@v5", &[]);
    assert!(without.error.is_none() && without.log.contains("::warning::Restore cache failed"));
}
