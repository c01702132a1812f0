//! Containers made of a root file system with nothing but busybox, the static one of Debian's
//! `busybox-static`.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopline_sandbox::{
    Container, ContainerError, ContainerNetwork, ContainerSpec, DEFAULT_CAPABILITIES, Event,
    Health, HealthStatus, Limits, Mount, MountSource, Port, ProcessConfig, Restart, Root, Status,
    Supervision, log_files,
};
use tempfile::TempDir;

/// A container's folder and layers.
struct Place {
    scratch: TempDir,
    base: PathBuf,
}

/// Returns a place with a base layer, or nothing, aloud, where there is no static busybox.
fn place() -> Option<Place> {
    let busybox =
        ["/usr/bin/busybox", "/bin/busybox"].map(Path::new).into_iter().find(|it| it.exists());
    let Some(busybox) = busybox else {
        println!("skipped: no busybox (apt-get install busybox-static)");
        return None;
    };
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path().join("base");
    for folder in ["bin", "etc", "tmp", "root"] {
        fs_err::create_dir_all(base.join(folder)).unwrap();
    }
    fs_err::copy(busybox, base.join("bin/busybox")).unwrap();
    for name in [
        "sh", "ls", "cat", "id", "true", "sleep", "echo", "mount", "touch", "stat", "kill",
        "hostname", "readlink", "head", "grep", "dd", "ps", "tty", "pwd", "env", "mknod", "wc",
    ] {
        fs_err::os::unix::fs::symlink("busybox", base.join("bin").join(name)).unwrap();
    }
    fs_err::write(
        base.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    fs_err::write(base.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\n").unwrap();
    Some(Place { scratch, base })
}

fn spec(place: &Place, id: &str, args: &[&str]) -> ContainerSpec {
    let own = place.scratch.path().join(id);
    fs_err::create_dir_all(&own).unwrap();
    ContainerSpec {
        id: id.to_owned(),
        hostname: "box".to_owned(),
        root: Root::Layers {
            lower: vec![place.base.clone()],
            upper: own.join("upper"),
            work: own.join("work"),
        },
        read_only: false,
        mounts: Vec::new(),
        process: ProcessConfig {
            args: args.iter().map(|it| (*it).to_owned()).collect(),
            env: vec!["PATH=/bin".to_owned()],
            cwd: "/".into(),
            user: String::new(),
            groups: Vec::new(),
            capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
            no_new_privileges: false,
            filtered: true,
            rlimits: BTreeMap::new(),
            oom_score_adj: None,
        },
        limits: Limits::default(),
        network: ContainerNetwork::None,
        ports: Vec::new(),
        sysctls: BTreeMap::new(),
        init: false,
        privileged: false,
    }
}

fn supervision() -> Supervision {
    Supervision {
        detached: false,
        terminal: false,
        open_input: false,
        restart: Restart::No,
        health: None,
        stop_signal: 15,
        stop_timeout: Duration::from_secs(10),
    }
}

/// Stops a detached container however the test ends.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if let Ok(container) = Container::connect(self.0) {
            let _ = container.stop(Some(Duration::ZERO));
        }
    }
}

/// Runs a container to its end and returns its code and what it printed.
fn run(spec: &ContainerSpec) -> (u8, String) {
    let mut file = tempfile::tempfile().unwrap();
    let null: OwnedFd = fs_err::File::open("/dev/null").unwrap().into_parts().0.into();
    let streams = [null.as_fd(), file.as_fd(), file.as_fd()];
    let container = Container::start(spec, &supervision(), None, Some(streams)).unwrap();
    let ended = container.wait().unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    (ended.code, text)
}

#[test]
fn a_program_runs_as_the_first_process_in_its_own_world() {
    let Some(place) = place() else { return };
    let script = "echo pid $$; hostname; id; ls /; cat /proc/1/comm; ls /proc/sys/kernel/hostname; \
                  touch /new; ls -d /new /dev/null /dev/pts/ptmx; exit 7";
    let (code, text) = run(&spec(&place, "first", &["sh", "-c", script]));
    assert_eq!(code, 7, "{text}");
    assert_eq!(
        text,
        "pid 1\nbox\nuid=0(root) gid=0(root)\nbin\ndev\netc\nproc\nroot\nsys\ntmp\nsh\n\
         /proc/sys/kernel/hostname\n/dev/null\n/dev/pts/ptmx\n/new\n"
    );
    // What was written is in the upper layer alone, with no trace of how the root was built.
    let upper = place.scratch.path().join("first/upper");
    let mut found: Vec<_> =
        fs_err::read_dir(&upper).unwrap().map(|it| it.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, ["dev", "new", "proc", "sys"]);
    assert!(!place.base.join("new").exists());
}

#[test]
fn root_inside_has_dockers_capabilities_and_users_have_none() {
    let Some(place) = place() else { return };
    let script = "grep -E 'Cap(Eff|Bnd|Inh|Amb)|NoNewPrivs|Seccomp:' /proc/self/status; id";
    let mut spec = spec(&place, "caps", &["sh", "-c", script]);
    let (code, text) = run(&spec);
    assert_eq!(code, 0, "{text}");
    // The mask that Docker's default is known by.
    assert!(text.contains("CapEff:\t00000000a80425fb"), "{text}");
    assert!(text.contains("CapBnd:\t00000000a80425fb"), "{text}");
    assert!(text.contains("Seccomp:\t2"), "{text}");
    if !rustix::process::geteuid().is_root() {
        println!("skipped: other users, which need a range in /etc/subuid");
        return;
    }
    spec.process.user = "app".to_owned();
    spec.process.no_new_privileges = true;
    let (code, text) = run(&spec);
    assert_eq!(code, 0, "{text}");
    for line in [
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "uid=1000(app) gid=1000(app) groups=2000(extra)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    spec.process.user = "ghost".to_owned();
    let error = Container::start(&spec, &supervision(), None, None).unwrap_err();
    assert_eq!(error.to_string(), "no user `ghost` in the container's /etc/passwd");
}

#[test]
fn programs_that_cannot_be_run_end_as_dockers_do() {
    let Some(place) = place() else { return };
    fs_err::write(place.base.join("plain"), "text").unwrap();
    let script = place.base.join("script");
    fs_err::write(&script, "#!/no/such\n").unwrap();
    let words = place.base.join("words");
    fs_err::write(&words, "echo").unwrap();
    for file in [&script, &words] {
        fs_err::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let cases = [
        ("nothing", 127, "find `nothing` in PATH (/bin)"),
        ("/plain", 126, "run `/plain`: permission denied"),
        ("/script", 127, "run `/script`: its interpreter `/no/such` is missing"),
        ("/words", 126, "run `/words`: exec format error: neither a binary nor a script with `#!`"),
        ("/bin", 126, "run `/bin`: permission denied"),
    ];
    for (program, expected, said) in cases {
        let error = Container::start(&spec(&place, "not", &[program]), &supervision(), None, None);
        match error.unwrap_err() {
            ContainerError::Refused { code, message } => {
                assert_eq!((code, message.as_str()), (expected, said));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn nobody_inside_gets_hold_of_our_own_binary() {
    let Some(place) = place() else { return };
    fs_err::write(place.base.join("self"), "#!/proc/self/exe\n").unwrap();
    fs_err::set_permissions(place.base.join("self"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    for (program, what) in [("/proc/self/exe", "it is"), ("/self", "its interpreter is")] {
        let spec = spec(&place, "own", &[program, "--version"]);
        let error = Container::start(&spec, &supervision(), None, None).unwrap_err();
        assert_eq!(error.to_string(), format!("run `{program}`: {what} Loopline's own binary"));
    }
    // By a way that nobody looks at: what then stands behind the name is not ours either.
    fs_err::write(place.base.join("around"), "#!/self\n").unwrap();
    fs_err::set_permissions(place.base.join("around"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    let container =
        Container::start(&spec(&place, "own", &["/around"]), &supervision(), None, None).unwrap();
    assert_ne!(container.stop(Some(Duration::ZERO)).unwrap().code, 0);
    // An init of ours is there for as long as the container, and shows nothing of itself.
    let mut spec = spec(
        &place,
        "init",
        &["sh", "-c", "readlink /proc/1/exe; cat /proc/1/exe | wc -c; echo $$"],
    );
    spec.init = true;
    let (_, text) = run(&spec);
    assert!(text.ends_with("0\n2\n"), "{text}");
}

#[test]
fn mounts_are_there_and_links_in_an_image_lead_nowhere_else() {
    let Some(place) = place() else { return };
    let host = place.scratch.path().join("host");
    fs_err::create_dir(&host).unwrap();
    fs_err::write(host.join("file"), "from the host").unwrap();
    // A link that would lead out of the container if anybody followed it outside.
    fs_err::os::unix::fs::symlink(&host, place.base.join("link")).unwrap();
    let mut spec = spec(
        &place,
        "mounts",
        &[
            "sh",
            "-c",
            "cat /data/file; echo; touch /data/x; cat /one; echo; touch /mem/y && echo ok; \
           ls /link/ro; touch /link/ro/z; touch /z",
        ],
    );
    let bind = |target: &str, source: PathBuf, read_only| Mount {
        target: target.into(),
        source: MountSource::Bind(source),
        read_only,
        filled: false,
    };
    spec.mounts = vec![
        bind("/data", host.clone(), true),
        bind("/one", host.join("file"), false),
        Mount {
            target: "/mem".into(),
            source: MountSource::Memory { size_bytes: Some(4096), mode: 0o1777, executable: false },
            read_only: false,
            filled: false,
        },
        bind("/link/ro", host.clone(), false),
    ];
    spec.read_only = true;
    let (_, text) = run(&spec);
    for line in
        ["from the host\n", "touch: /data/x: Read-only file system", "ok\n", "touch: /z: Read-only"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    // The link leads to a folder of the container's own, made for what is mounted there.
    assert!(host.join("z").exists(), "{text}");
    assert!(!host.join("ro").exists());
}

#[test]
fn a_detached_container_is_reached_by_its_folder_logs_and_stops() {
    let Some(place) = place() else { return };
    let folder = place.scratch.path().join("folder");
    fs_err::create_dir(&folder).unwrap();
    let script = "echo started; echo wrong >&2; trap 'echo asked; exit 3' TERM; \
                  while :; do sleep 0.01; done";
    let spec = spec(&place, "detached", &["sh", "-c", script]);
    let supervision = Supervision { detached: true, ..supervision() };
    let _stopped = Stopped(&folder);
    drop(Container::start(&spec, &supervision, Some(&folder), None).unwrap());
    let container = Container::connect(&folder).unwrap();
    let state = container.state().unwrap();
    assert_eq!(state.status, Status::Running);
    assert!(Path::new(&format!("/proc/{}", state.pid)).exists());
    // A second process in it.
    let mut file = tempfile::tempfile().unwrap();
    let null = fs_err::File::open("/dev/null").unwrap();
    let mut process = spec.process.clone();
    process.args = ["sh", "-c", "id -u; cat /proc/1/comm; exit 5"].map(str::to_owned).to_vec();
    let user = if rustix::process::geteuid().is_root() { "app" } else { "root" };
    process.user = user.to_owned();
    let executing = Container::connect(&folder).unwrap();
    executing.execute(&process, Some([null.as_fd(), file.as_fd(), file.as_fd()])).unwrap();
    match executing.next().unwrap() {
        Event::Ended(ended) => assert_eq!(ended.code, 5),
        other => panic!("{other:?}"),
    }
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("{}\nsh\n", if user == "app" { 1000 } else { 0 }));
    process.args = vec!["nothing".to_owned()];
    let error = executing.execute(&process, None).unwrap_err();
    assert_eq!(error.to_string(), "find `nothing` in PATH (/bin)");
    let ended = container.stop(None).unwrap();
    assert_eq!(ended.code, 3);
    assert!(Container::connect(&folder).is_err());
    let log: String =
        log_files(&folder).iter().map(|it| fs_err::read_to_string(it).unwrap()).collect();
    let lines: Vec<loopline_sandbox::LogLine> =
        log.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let mut said: Vec<_> = lines.iter().map(|it| format!("{} {}", it.stream, it.log)).collect();
    said.sort();
    assert_eq!(said, ["stderr wrong\n", "stdout asked\n", "stdout started\n"]);
}

#[test]
fn a_container_that_ignores_requests_is_killed_and_one_whose_owner_ends_too() {
    let Some(place) = place() else { return };
    let spec = spec(&place, "deaf", &["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
    let container = Container::start(&spec, &supervision(), None, None).unwrap();
    let ended = container.stop(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(ended.code, 137);
    let container = Container::start(&spec, &supervision(), None, None).unwrap();
    let pid = container.state().unwrap().pid;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    assert!(proc.exists());
    let end = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::PidfdFlags::empty(),
    )
    .unwrap();
    drop(container);
    let mut watched = [rustix::event::PollFd::new(&end, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut watched, None).unwrap();
}

#[test]
fn a_container_that_prints_without_end_is_stopped_all_the_same() {
    let Some(place) = place() else { return };
    let folder = place.scratch.path().join("folder");
    fs_err::create_dir(&folder).unwrap();
    let spec = spec(&place, "chatty", &["busybox", "yes"]);
    let container = Container::start(&spec, &supervision(), Some(&folder), None).unwrap();
    assert_eq!(container.state().unwrap().status, Status::Running);
    let ended = container.stop(Some(Duration::from_millis(50))).unwrap();
    assert!(matches!(ended.code, 137 | 143), "{}", ended.code);
}

#[test]
fn a_failing_container_is_started_again_as_often_as_it_may() {
    let Some(place) = place() else { return };
    let folder = place.scratch.path().join("folder");
    fs_err::create_dir(&folder).unwrap();
    let spec = spec(&place, "again", &["sh", "-c", "echo x >> /count; exit 1"]);
    let supervision = Supervision { restart: Restart::OnFailure(Some(2)), ..supervision() };
    let container = Container::start(&spec, &supervision, Some(&folder), None).unwrap();
    assert_eq!(container.wait().unwrap().code, 1);
    let state: loopline_sandbox::State =
        serde_json::from_slice(&fs_err::read(folder.join("state.json")).unwrap()).unwrap();
    assert_eq!((state.status, state.restarts), (Status::Exited, 2));
    let count = fs_err::read_to_string(place.scratch.path().join("again/upper/count")).unwrap();
    assert_eq!(count, "x\nx\nx\n");
}

#[test]
fn health_is_learnt_by_a_program_inside() {
    let Some(place) = place() else { return };
    let spec = spec(&place, "health", &["sh", "-c", "while :; do sleep 1; done"]);
    let tick = Duration::from_millis(20);
    let health = Health {
        test: ["sh", "-c", "echo checked; test -e /well"].map(str::to_owned).to_vec(),
        interval: tick,
        timeout: Duration::from_secs(20),
        retries: 2,
        start_period: Duration::ZERO,
        start_interval: tick,
    };
    let supervision = Supervision { health: Some(health), ..supervision() };
    let container = Container::start(&spec, &supervision, None, None).unwrap();
    assert_eq!(container.state().unwrap().health, Some(HealthStatus::Starting));
    let wait_for = |wanted| {
        loop {
            let state = container.state().unwrap();
            if state.health == Some(wanted) {
                return state;
            }
        }
    };
    let state = wait_for(HealthStatus::Unhealthy);
    assert_eq!(state.health_output.as_deref(), Some("checked\n"));
    let null = fs_err::File::open("/dev/null").unwrap();
    let mut process = spec.process.clone();
    process.args = ["touch", "/well"].map(str::to_owned).to_vec();
    container.execute(&process, Some([null.as_fd(), null.as_fd(), null.as_fd()])).unwrap();
    wait_for(HealthStatus::Healthy);
}

#[test]
fn a_terminal_is_the_containers_own() {
    let Some(place) = place() else { return };
    let spec = spec(&place, "terminal", &["sh", "-c", "read x; echo got $x; tty"]);
    let supervision = Supervision { terminal: true, ..supervision() };
    let container = Container::start(&spec, &supervision, None, None).unwrap();
    container.follow(true).unwrap();
    container.input(b"hello\n").unwrap();
    let mut text = String::new();
    loop {
        match container.next().unwrap() {
            Event::Output(_, bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Event::Ended(ended) => break assert_eq!(ended.code, 0),
            other => panic!("{other:?}"),
        }
    }
    assert!(text.contains("got hello\r\n"), "{text}");
    assert!(text.contains("/dev/pts/0\r\n"), "{text}");
}

#[test]
fn memory_and_processes_are_limited_where_this_machine_can() {
    let Some(place) = place() else { return };
    let mut spec =
        spec(&place, "limits", &["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"]);
    spec.limits.memory_bytes = Some(32 * 1024 * 1024);
    let container = Container::start(&spec, &supervision(), None, None).unwrap();
    let notes = container.state().map(|it| it.notes).unwrap_or_default();
    let ended = container.wait().unwrap();
    if !notes.is_empty() {
        println!("skipped: {}", notes.join("; "));
        return;
    }
    assert_eq!((ended.code, ended.oom_killed), (137, true));
    spec.process.args = ["sh", "-c", "sleep 5 & sleep 5 & sleep 5 & sleep 5 & echo done"]
        .map(str::to_owned)
        .to_vec();
    spec.limits = Limits { processes: Some(3), ..Limits::default() };
    let (_, text) = run(&spec);
    assert!(text.contains("can't fork"), "{text}");
}

#[test]
fn an_end_that_comes_while_something_else_is_asked_is_not_lost() {
    let Some(place) = place() else { return };
    for round in 0..30 {
        let spec = spec(&place, &format!("short{round}"), &["true"]);
        let container = Container::start(&spec, &supervision(), None, None).unwrap();
        // The answer may be the end of the connection.
        let _ = container.state();
        let _ = container.usage();
        assert_eq!(container.wait().unwrap().code, 0);
    }
}

#[test]
fn a_published_port_is_reached_from_outside() {
    let Some(place) = place() else { return };
    fs_err::os::unix::fs::symlink("busybox", place.base.join("bin/nc")).unwrap();
    let mut spec = spec(&place, "ports", &["sh", "-c", "echo hello | nc -l -p 80"]);
    spec.network = ContainerNetwork::User;
    spec.ports = vec![Port { host: "127.0.0.1:0".parse().unwrap(), container: 80 }];
    let container = Container::start(&spec, &supervision(), None, None).unwrap();
    let state = container.state().unwrap();
    if !state.notes.is_empty() {
        println!("skipped: {}", state.notes.join("; "));
        return;
    }
    // Until the program inside listens, connections are closed at once.
    let text = loop {
        let mut text = String::new();
        let stream = std::net::TcpStream::connect(state.ports[0].host);
        if stream.and_then(|mut stream| stream.read_to_string(&mut text)).is_ok()
            && !text.is_empty()
        {
            break text;
        }
    };
    assert_eq!(text, "hello\n");
    // The address is taken as long as the container runs, which an error says.
    let mut second = spec.clone();
    second.id = "second".to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    second.ports[0].host = taken.local_addr().unwrap();
    let error = Container::start(&second, &supervision(), None, None).unwrap_err();
    assert!(error.to_string().contains("for port 80: Address already in use"), "{error}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test's own program, run anew")]
fn all_of_it_works_for_somebody_who_is_not_root() {
    const NOBODY: &str = "65534";
    if !rustix::process::geteuid().is_root() {
        println!("skipped: the other tests are run by somebody who is not root already");
        return;
    }
    let scratch = tempfile::tempdir_in("/tmp").unwrap();
    fs_err::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let copy = scratch.path().join("tests");
    fs_err::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs_err::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
        .arg(&copy)
        .args(["containers::", "--skip", "not_root"])
        .env("TMPDIR", scratch.path())
        .current_dir(scratch.path())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("skipped: setpriv: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("create the container's namespaces") {
        println!("skipped: user namespaces are root's alone here");
        return;
    }
    assert!(output.status.success(), "{text}");
}
