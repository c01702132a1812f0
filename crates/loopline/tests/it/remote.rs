//! Actions and workflows of other repositories, fetched from a real git server over HTTP.
#![expect(clippy::disallowed_methods, reason = "a test serves git as a server would")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::repository::{Ran, Repository};

/// Serves the repositories below `root` with git's own HTTP backend, until the process ends.
fn serve(root: &Path) -> String {
    serve_as(root, true)
}

/// The same; without `any` as a server of old, which hands out only what references lead to.
fn serve_as(root: &Path, any: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let root = root.to_path_buf();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            std::thread::spawn(move || answer(stream, &root, any));
        }
    });
    address
}

/// Hands one request to `git http-backend`, a CGI program.
fn answer(mut stream: TcpStream, root: &PathBuf, any: bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "uploadpack.allowAnySHA1InWant")
        .env("GIT_CONFIG_VALUE_0", any.to_string())
        .env("GIT_CONFIG_KEY_1", "safe.directory")
        .env("GIT_CONFIG_VALUE_1", "*")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = value.parse().unwrap();
                backend.env("CONTENT_LENGTH", value);
            }
            "content-type" => {
                backend.env("CONTENT_TYPE", value);
            }
            "content-encoding" => {
                backend.env("HTTP_CONTENT_ENCODING", value);
            }
            "git-protocol" if any => {
                backend.env("GIT_PROTOCOL", value);
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut backend = backend.spawn().unwrap();
    backend.stdin.take().unwrap().write_all(&body).unwrap();
    let output = backend.wait_with_output().unwrap().stdout;
    let split = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len());
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let status =
        head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n\r\n");
    // A client that hangs up early does not want the rest.
    let _gone = stream.write_all(answer.as_bytes());
    let _gone = stream.write_all(output.get(split + 4..).unwrap_or_default());
}

/// Makes a bare repository `owner/name` below `root` with `files`, tagged `v1`; returns its
/// commit.
fn publish(root: &Path, slug: &str, files: &[(&str, &str)]) -> String {
    let source = Repository::new(files.iter().copied());
    source.git(&["tag", "v1"]);
    let target = root.join(slug);
    fs_err::create_dir_all(target.parent().unwrap()).unwrap();
    source.git(&["clone", "-q", "--bare", ".", &target.display().to_string()]);
    source.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

/// Runs a repository's workflows with actions from `address`.
fn run_with(repository: &Repository, address: &str, arguments: &[&str]) -> Ran {
    let mut command = repository.command(&["run"]);
    command.args(arguments).env("LOOPLINE_ACTIONS_URL", address);
    Ran::of(&command.output().unwrap())
}

const HELLO: &[(&str, &str)] = &[
    (
        "action.yml",
        "name: Hello\ndescription: d\ninputs: {who: {description: d, default: world}}\n\
         outputs: {said: {description: d}}\nruns: {using: node20, main: dist/main.js}\n",
    ),
    (
        "dist/main.js",
        "const text = `hello ${process.env.INPUT_WHO}`;\nconsole.log(text);\n\
         require('fs').appendFileSync(process.env.GITHUB_OUTPUT, `said=${text}\\n`);\n",
    ),
    (
        "sub/action.yml",
        "name: Sub\ndescription: d\nruns:\n  using: composite\n  steps:\n    \
         - {run: 'echo sub in ${{ github.action_repository }}', shell: bash}\n",
    ),
    (
        ".github/workflows/shared.yml",
        "on: {workflow_call: {inputs: {name: {type: string, required: true}}}}\njobs:\n  \
         greet:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - run: echo shared for ${{ inputs.name }}\n",
    ),
];

#[test]
fn actions_and_workflows_come_from_a_git_server_and_then_from_the_cache() {
    let server = tempfile::tempdir().unwrap();
    let commit = publish(server.path(), "acme/tools", HELLO);
    let address = serve(server.path());
    let workflow = format!(
        "on: push\njobs:\n  use:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - id: tag\n        uses: acme/tools@v1\n        with: {{who: tag}}\n      \
         - uses: acme/tools@{commit}\n        with: {{who: commit}}\n      \
         - uses: acme/tools/sub@main\n      \
         - run: echo \"output ${{{{ steps.tag.outputs.said }}}}\"\n  \
         shared:\n    uses: acme/tools/.github/workflows/shared.yml@v1\n    \
         with: {{name: everybody}}\n"
    );
    let repository = Repository::new([(".github/workflows/ci.yml", workflow.as_str())]);
    let ran = run_with(&repository, &address, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    for line in [
        "hello tag",
        "hello commit",
        "sub in acme/tools",
        "output hello tag",
        "shared for everybody",
    ] {
        assert!(ran.out.contains(line), "`{line}` is missing:\n{}", ran.all());
    }
    // Without the server, what was fetched is still there.
    let offline = repository.loopline(&["run", "--offline"]);
    assert_eq!(offline.code, Some(0), "{}", offline.all());
    assert!(offline.out.contains("hello commit"), "{}", offline.all());
}

#[test]
fn an_action_that_is_not_there_or_leads_out_is_refused() {
    let server = tempfile::tempdir().unwrap();
    publish(server.path(), "acme/tools", HELLO);
    let evil = Repository::new([("action.yml", "name: e\nruns: {using: node20, main: m.js}\n")]);
    std::os::unix::fs::symlink("/etc/passwd", evil.path().join("m.js")).unwrap();
    evil.commit("a link out");
    evil.git(&["tag", "v1"]);
    let target = server.path().join("acme/evil");
    evil.git(&["clone", "-q", "--bare", ".", &target.display().to_string()]);
    // Judged by its text, each of these links stays inside.
    let chain = Repository::new([("README", "the action.yml is outside\n")]);
    std::os::unix::fs::symlink(".", chain.path().join("here")).unwrap();
    std::os::unix::fs::symlink("here/../../..", chain.path().join("up")).unwrap();
    std::os::unix::fs::symlink("up/planted.yml", chain.path().join("action.yml")).unwrap();
    chain.commit("a chain of links out");
    chain.git(&["tag", "v1"]);
    let target = server.path().join("acme/chain");
    chain.git(&["clone", "-q", "--bare", ".", &target.display().to_string()]);
    let address = serve(server.path());
    for (uses, reason) in [
        ("acme/chain@v1", "a link that leads out of it: "),
        ("acme/tools@v9", "acme/tools@v9"),
        ("acme/none@v1", "acme/none@v1"),
        ("acme/evil@v1", "a link that leads out of it: m.js"),
    ] {
        let workflow = format!(
            "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
             - run: echo not reached\n      - uses: {uses}\n"
        );
        let repository = Repository::new([(".github/workflows/ci.yml", workflow.as_str())]);
        let ran = run_with(&repository, &address, &[]);
        assert_eq!(ran.code, Some(1), "{}", ran.all());
        assert!(ran.all().contains(reason), "`{reason}` is missing:\n{}", ran.all());
        assert!(!ran.out.contains("| not reached"), "{}", ran.all());
    }
}

#[test]
fn a_local_action_is_not_read_through_links_out_of_the_workspace() {
    let workflow = "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
                    - uses: actions/checkout@v4\n      - uses: ./tool\n";
    let repository = Repository::new([(".github/workflows/ci.yml", workflow)]);
    let outside = repository.scratch().join("outside");
    fs_err::create_dir(&outside).unwrap();
    let action = "name: o\nruns: {using: composite, steps: [{run: echo leaked, shell: sh}]}\n";
    fs_err::write(outside.join("action.yml"), action).unwrap();
    std::os::unix::fs::symlink(&outside, repository.path().join("tool")).unwrap();
    let ran = repository.loopline(&["run", "--executor", "host"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    assert!(ran.all().contains("`./tool` leads out of its repository"), "{}", ran.all());
    assert!(!ran.out.contains("leaked"), "{}", ran.all());
}

#[test]
fn a_shallow_clone_runs_and_says_what_is_not_known() {
    let repository = Repository::new([
        (
            ".github/workflows/ci.yml",
            "on:\n  push:\n    paths: [never]\njobs:\n  j:\n    runs-on: ubuntu-latest\n    \
             steps:\n      - uses: actions/checkout@v4\n      \
             - run: echo \"history $(git log --oneline | wc -l)\"\n",
        ),
        ("file", "one"),
    ]);
    repository.write("file", "two");
    repository.commit("second");
    let clone = repository.scratch().join("clone");
    let url = format!("file://{}", repository.path().display());
    repository.git(&["clone", "-q", "--depth=1", &url, &clone.display().to_string()]);
    let output = repository.command(&["run"]).current_dir(&clone).output().unwrap();
    let ran = Ran::of(&output);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("history 1"), "{}", ran.all());
    assert!(ran.all().contains("this clone is shallow"), "{}", ran.all());
}

#[test]
fn repositories_whose_name_begins_with_a_dot_have_actions_and_workflows() {
    let server = tempfile::tempdir().unwrap();
    publish(server.path(), "acme/.github", HELLO);
    let address = serve(server.path());
    let workflow = "on: push\njobs:\n  use:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - uses: acme/.github@v1\n      - uses: acme/.github/sub@v1\n  \
         shared:\n    uses: acme/.github/.github/workflows/shared.yml@v1\n    \
         with: {name: all}\n";
    let repository = Repository::new([(".github/workflows/ci.yml", workflow)]);
    let ran = run_with(&repository, &address, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    for line in ["hello world", "sub in acme/.github", "shared for all"] {
        assert!(ran.out.contains(line), "`{line}` is missing:\n{}", ran.all());
    }
    let check = repository.loopline(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.all());
    for uses in ["acme/..@v1", ".acme/tools@v1"] {
        let workflow = format!(
            "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps: [{{uses: {uses}}}]\n"
        );
        let repository = Repository::new([(".github/workflows/ci.yml", workflow.as_str())]);
        let ran = run_with(&repository, &address, &[]);
        assert_ne!(ran.code, Some(0), "{}", ran.all());
    }
}

#[test]
fn a_mirror_folder_comes_first() {
    let mirror = tempfile::tempdir().unwrap();
    for (path, text) in HELLO {
        let path = mirror.path().join("acme/tools").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let workflow = "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
                    - uses: acme/tools@v1\n";
    let repository = Repository::new([(".github/workflows/ci.yml", workflow)]);
    let folder = mirror.path().display().to_string();
    let ran = repository.loopline(&["run", "--offline", "--actions", &folder]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("hello world"), "{}", ran.all());
    let without = repository.loopline(&["run", "--offline"]);
    assert_eq!(without.code, Some(1), "{}", without.all());
    assert!(without.all().contains("--actions DIR"), "{}", without.all());
}

#[test]
fn checkout_takes_another_commit_of_the_own_repository() {
    let repository = Repository::new([
        ("value", "one"),
        (
            ".github/workflows/ci.yml",
            "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
             - uses: actions/checkout@v4\n        with: {ref: old, path: before}\n      \
             - uses: actions/checkout@v4\n        with: {path: now}\n      \
             - run: echo \"before $(cat before/value), now $(cat now/value)\"\n",
        ),
    ]);
    repository.git(&["branch", "old"]);
    repository.write("value", "two");
    repository.commit("second");
    repository.write("value", "dirty");
    let ran = repository.loopline(&["run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("before one, now dirty"), "{}", ran.all());
}

/// Runs one job of these checkout inputs and scripts.
fn check_out(repository: &Repository, address: &str, steps: &str) -> Ran {
    let workflow = format!(
        "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n{}\n",
        steps.replace("SERVER", address)
    );
    repository.write(".github/workflows/ci.yml", &workflow);
    run_with(repository, address, &[])
}

/// Publishes `acme/lib` with branches and tags whose names end alike, and returns the commits of
/// `main` and `feature/main`.
fn publish_branches(root: &Path) -> (String, String) {
    let source = Repository::new([("name", "main"), ("docs/text", "d"), ("src/deep/code", "c")]);
    source.git(&["tag", "v1"]);
    let main = source.git(&["rev-parse", "HEAD"]).trim().to_owned();
    source.write("name", "feature/main");
    source.git(&["checkout", "-q", "-b", "feature/main"]);
    source.commit("the branch");
    source.git(&["tag", "x/v1"]);
    let feature = source.git(&["rev-parse", "HEAD"]).trim().to_owned();
    // Of this commit the server knows, but no reference names it.
    source.commit("the newest");
    source.git(&["branch", "-q", "a/main"]);
    source.git(&["checkout", "-q", "main"]);
    let target = root.join("acme/lib");
    fs_err::create_dir_all(target.parent().unwrap()).unwrap();
    source.git(&["clone", "-q", "--bare", ".", &target.display().to_string()]);
    (main, feature)
}

#[test]
fn checkout_takes_exactly_the_reference_that_was_named() {
    let server = tempfile::tempdir().unwrap();
    let (main, feature) = publish_branches(server.path());
    for any in [true, false] {
        let address = serve_as(server.path(), any);
        let repository = Repository::new([("own", "x")]);
        let mut steps = String::new();
        let references = ["", "main", "v1", "x/v1", "feature/main", &feature, "refs/heads/main"];
        for (number, reference) in references.iter().enumerate() {
            steps.push_str(&format!(
                "      - id: s{number}\n        uses: actions/checkout@v4\n        with:\n          \
                 repository: acme/lib\n          github-server-url: SERVER\n          \
                 path: p{number}\n          ref: '{reference}'\n          \
                 fetch-depth: {depth}\n      - run: echo \"{number} $(cat p{number}/name) \
                 $(git -C p{number} rev-parse HEAD) $(git -C p{number} branch --show-current) \
                 [${{{{ steps.s{number}.outputs.ref }}}}] \
                 $(git -C p{number} log --oneline | wc -l)\"\n",
                depth = if *reference == "feature/main" { 0 } else { 1 }
            ));
        }
        let ran = check_out(&repository, &address, &steps);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        for line in [
            format!("0 main {main} main [refs/heads/main] 1"),
            format!("1 main {main} main [main] 1"),
            format!("2 main {main}  [v1] 1"),
            format!("3 feature/main {feature}  [x/v1] 1"),
            format!("6 main {main} main [refs/heads/main] 1"),
        ] {
            assert!(ran.out.contains(&line), "`{line}` is missing:\n{}", ran.all());
        }
        assert!(ran.out.contains("4 feature/main"), "{}", ran.all());
        assert!(ran.out.contains(&format!("5 feature/main {feature}  [] ")), "{}", ran.all());
        for (reference, reason) in [
            (&feature[..8], "a commit must be given with its whole id"),
            ("lib", "there is no branch or tag `lib`"),
            ("refs/heads/*", "is no name of a branch"),
        ] {
            let ran = check_out(
                &repository,
                &address,
                &format!(
                    "      - uses: actions/checkout@v4\n        with: {{repository: acme/lib, \
                     github-server-url: SERVER, ref: '{reference}'}}"
                ),
            );
            assert_eq!(ran.code, Some(1), "{}", ran.all());
            assert!(ran.all().contains(reason), "`{reason}` is missing:\n{}", ran.all());
        }
    }
}

#[test]
fn checkout_honours_sparse_patterns_tags_and_filters() {
    let server = tempfile::tempdir().unwrap();
    publish_branches(server.path());
    let address = serve(server.path());
    let repository = Repository::new([("own/a", "x"), ("other/b", "y"), ("top", "z")]);
    let other = "repository: acme/lib, github-server-url: SERVER";
    let steps = format!(
        "      - uses: actions/checkout@v4\n        with: {{{other}, path: a, sparse-checkout: docs}}\n      \
         - uses: actions/checkout@v4\n        with: {{{other}, path: b, sparse-checkout: '/src/**/code', \
         sparse-checkout-cone-mode: false, fetch-tags: true, filter: 'blob:none'}}\n      \
         - uses: actions/checkout@v4\n        with: {{path: c, sparse-checkout: own}}\n      \
         - run: |\n          for p in a b c; do echo \"$p: $(cd $p; find . -type f -not -path './.git/*' | \
         sort | xargs)\"; done\n          echo \"tags $(git -C b tag | xargs), $(git -C a tag | xargs)\"\n"
    );
    let ran = check_out(&repository, &address, &steps);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    for line in ["a: ./docs/text ./name", "b: ./src/deep/code", "tags v1 x/v1, "] {
        assert!(ran.out.contains(line), "`{line}` is missing:\n{}", ran.all());
    }
    assert!(ran.out.contains("c: ./.github/workflows/ci.yml ./own/a ./top\n"), "{}", ran.all());
}

#[test]
fn checkout_brings_submodules_of_other_and_own_repositories() {
    let server = tempfile::tempdir().unwrap();
    publish(server.path(), "acme/inner", &[("inner", "i")]);
    let address = serve(server.path());
    let add = |repository: &Repository, url: &str, path: &str| {
        repository.git(&["-c", "protocol.file.allow=always", "submodule", "-q", "add", url, path]);
        repository.commit("a submodule");
    };
    let middle = Repository::new([("middle", "m")]);
    middle.git(&["remote", "add", "origin", &format!("{address}/acme/middle")]);
    add(&middle, "../inner", "inner");
    let target = server.path().join("acme/middle").display().to_string();
    middle.git(&["clone", "-q", "--bare", ".", &target]);
    let outer = Repository::new([("outer", "o")]);
    outer.git(&["remote", "add", "origin", &format!("{address}/acme/outer")]);
    add(&outer, "../middle", "middle");
    let target = server.path().join("acme/outer").display().to_string();
    outer.git(&["clone", "-q", "--bare", ".", &target]);
    let other = "repository: acme/outer, github-server-url: SERVER";
    let steps = format!(
        "      - uses: actions/checkout@v4\n        with: {{{other}, path: a}}\n      \
         - uses: actions/checkout@v4\n        with: {{{other}, path: b, submodules: true}}\n      \
         - uses: actions/checkout@v4\n        with: {{{other}, path: c, submodules: recursive}}\n      \
         - run: for p in a b c; do echo \"$p=$(find $p -name inner -type f -o -name middle -type f | \
         wc -l)\"; done\n"
    );
    let plain = Repository::new([("x", "x")]);
    let ran = check_out(&plain, &address, &steps);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    for line in ["a=0", "b=1", "c=2"] {
        assert!(ran.out.contains(line), "`{line}` is missing:\n{}", ran.all());
    }
    // A fresh clone of the own repository, its submodules not there yet.
    let clone = plain.scratch().join("clone");
    plain.git(&["clone", "-q", &format!("{address}/acme/outer"), &clone.display().to_string()]);
    fs_err::create_dir_all(clone.join(".github/workflows")).unwrap();
    fs_err::write(
        clone.join(".github/workflows/ci.yml"),
        "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - uses: actions/checkout@v4\n        with: {submodules: recursive}\n      \
         - run: cat outer middle/middle middle/inner/inner\n",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        Ran::of(&plain.command(arguments).current_dir(&clone).output().unwrap())
    };
    let ran = run(&["run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("omi"), "{}", ran.all());
    let offline = run(&["run", "--offline"]);
    assert_eq!(offline.code, Some(1), "{}", offline.all());
    assert!(
        offline.all().contains("the submodule middle is not in this clone"),
        "{}",
        offline.all()
    );
}

#[test]
fn a_fresh_clone_has_the_branches_of_its_origin() {
    let server = tempfile::tempdir().unwrap();
    let (_, feature) = publish_branches(server.path());
    let address = serve(server.path());
    let scratch = Repository::new([("x", "x")]);
    let clone = scratch.scratch().join("clone");
    scratch.git(&["clone", "-q", &format!("{address}/acme/lib"), &clone.display().to_string()]);
    fs_err::create_dir_all(clone.join(".github/workflows")).unwrap();
    fs_err::write(
        clone.join(".github/workflows/ci.yml"),
        "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - uses: actions/checkout@v4\n        with: {ref: feature/main}\n      \
         - run: echo \"$(cat name) $(git status --porcelain | wc -l) $(git branch --show-current)\"\n",
    )
    .unwrap();
    assert!(!feature.is_empty());
    let run = |arguments: &[&str]| {
        Ran::of(&scratch.command(arguments).current_dir(&clone).output().unwrap())
    };
    for arguments in [&["run"][..], &["run", "--offline"]] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        assert!(ran.out.contains("feature/main 0 feature/main"), "{}", ran.all());
    }
}

#[test]
fn passwords_and_tokens_stay_out_of_messages_and_plain_http() {
    let repository = Repository::new([("x", "x")]);
    let steps = "      - uses: acme/tools@v1\n";
    for (address, reason) in [
        ("https://ada:hunter2hunter2@127.0.0.1:1", "holds a user name or a password"),
        ("http://git.example.com", "plain http"),
    ] {
        let ran = check_out(&repository, address, steps);
        assert_eq!(ran.code, Some(2), "{}", ran.all());
        assert!(ran.all().contains(reason), "{}", ran.all());
        assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    }
    for (server, reason) in [
        ("http://git.example.com", "plain http"),
        ("http://127.0.0.1:1", "must be https"),
        ("file:///etc", "must be https"),
        ("https://ada:hunter2hunter2@git.example.com", "holds a user name or a password"),
    ] {
        let steps = format!(
            "      - uses: actions/checkout@v4\n        with: {{repository: acme/x, \
             github-server-url: '{server}', token: secretsecret}}\n"
        );
        let ran = check_out(&repository, "https://127.0.0.1:2", &steps);
        assert_eq!(ran.code, Some(1), "{}", ran.all());
        assert!(ran.all().contains(reason), "`{reason}` is missing:\n{}", ran.all());
    }
}

#[test]
fn repositories_of_other_users_are_read() {
    let server = tempfile::tempdir().unwrap();
    publish(server.path(), "acme/tools", HELLO);
    let folder = server.path().join("acme/tools");
    let other = std::os::unix::fs::chown(&folder, Some(12345), None).is_ok();
    if !other {
        eprintln!("skipped: only root can give a folder to another user");
        return;
    }
    let workflow = "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
                    - uses: acme/tools@v1\n";
    let repository = Repository::new([(".github/workflows/ci.yml", workflow)]);
    let mirror = server.path().display().to_string();
    let ran = repository.loopline(&["run", "--actions", &mirror]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.out.contains("hello world"), "{}", ran.all());
}
