//! The sandbox executor: what a job sees, what it must not reach, and how it ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use loopline_sandbox::{
    Bind, Bounds, Host, Kind, Machine, Network, Output, ProcessSpec, Sandbox, SandboxSpec, Signal,
    SpawnError, StartError, Stdin,
};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::support::{bash, block_on, is_alive, read_all, read_line};

/// How long the end of a process is waited for before it counts as stuck.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A sandbox with a work folder, or `None` said aloud where the kernel allows none.
pub(crate) fn start() -> Option<(tempfile::TempDir, Sandbox)> {
    let scratch = tempfile::tempdir().unwrap();
    fs_err::create_dir(scratch.path().join("work")).unwrap();
    let sandbox = start_in(scratch.path(), Network::None)?;
    Some((scratch, sandbox))
}

pub(crate) fn spec(scratch: &Path, network: Network) -> SandboxSpec {
    SandboxSpec {
        state: scratch.join("state"),
        pool: Some(scratch.join("pool")),
        home: home(),
        binds: vec![Bind {
            source: scratch.join("work"),
            target: "/build/work".into(),
            read_only: false,
        }],
        scaffolds: vec!["/build".into()],
        hostname: "box".to_owned(),
        network,
        bounds: Bounds::of_machine(),
    }
}

pub(crate) fn start_in(scratch: &Path, network: Network) -> Option<Sandbox> {
    start_as(&spec(scratch, network))
}

pub(crate) fn start_as(spec: &SandboxSpec) -> Option<Sandbox> {
    match Sandbox::start(spec) {
        Ok(sandbox) => Some(sandbox),
        Err(StartError::Refused { step, source })
            if step == "create the namespaces" || step == "mount /proc" =>
        {
            println!("SKIPPED: no sandboxes here: failed to {step}: {source}");
            None
        }
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            panic!("failed to {error}: {source:?}")
        }
    }
}

fn home() -> PathBuf {
    if rustix::process::geteuid().is_root() { "/root".into() } else { "/home/somebody".into() }
}

/// Runs a script to its end and returns what it printed.
pub(crate) fn run(machine: &dyn Machine, script: &str) -> String {
    let mut process = machine.spawn(&bash(script, Path::new("/build/work"))).unwrap();
    let text = read_all(process.take_output());
    block_on(process.wait()).unwrap();
    text
}

#[test]
fn a_job_runs_in_its_work_folder_as_the_same_user_with_its_own_names() {
    let Some((scratch, sandbox)) = start() else { return };
    assert_eq!(sandbox.kind(), Kind::Sandbox);
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(run(&sandbox, "hostname; id -u; pwd"), format!("box\n{user}\n/build/work\n"));
    run(&sandbox, "echo made > here");
    assert_eq!(fs_err::read_to_string(scratch.path().join("work/here")).unwrap(), "made\n");
    let mut process =
        sandbox.spawn(&bash("echo 1; echo 2 >&2; echo 3; exit 7", Path::new("/"))).unwrap();
    assert_eq!(read_all(process.take_output()), "1\n2\n3\n");
    assert_eq!(block_on(process.wait()).unwrap().code(), Some(7));
}

#[test]
fn what_cannot_be_started_in_a_sandbox_says_why() {
    let Some((_scratch, sandbox)) = start() else { return };
    let mut spec = bash("", Path::new("/"));
    spec.program = "no-such-program".into();
    let error = sandbox.spawn(&spec).unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }));
    assert!(error.to_string().contains("/usr/local/bin"), "{error}");
    let spec = bash("", Path::new("/no/such/folder"));
    assert!(matches!(sandbox.spawn(&spec).unwrap_err(), SpawnError::Directory { .. }));
    // Larger than one packet.
    let mut spec = bash("echo ${#BIG}", Path::new("/"));
    spec.env.push(("BIG".into(), "x".repeat(100_000).into()));
    let mut process = sandbox.spawn(&spec).unwrap();
    assert_eq!(read_all(process.take_output()), "100000\n");
    assert!(block_on(process.wait()).unwrap().success());
}

#[test]
fn the_hosts_private_files_are_out_of_sight() {
    let Some((scratch, sandbox)) = start() else { return };
    let secret = scratch.path().join("secret");
    fs_err::write(&secret, "secret").unwrap();
    let script = format!(
        "cat {} {}/.ssh/* {}/.bashrc /etc/shadow /etc/gshadow /etc/sudoers 2>/dev/null; ls -A /run /tmp /srv /mnt 2>/dev/null; ls -d /boot /media /work 2>/dev/null; true",
        secret.display(),
        home().display(),
        home().display(),
    );
    assert_eq!(run(&sandbox, &script), "/run:\n\n/tmp:\n");
    let script = "find /etc -type f ! -readable 2>/dev/null | grep -c shadow; \
                  chmod 777 /etc/shadow 2>/dev/null && echo opened; true";
    assert!(!run(&sandbox, script).contains("opened"));
}

#[test]
fn a_job_has_no_privileges_and_cannot_get_any() {
    let Some((_scratch, sandbox)) = start() else { return };
    let text = run(&sandbox, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ulimit -c");
    let sets: Vec<_> = text.lines().map(|line| line.split('\t').next_back().unwrap()).collect();
    let none = "0000000000000000";
    assert_eq!(sets, [none, none, none, none, none, "1", "0"], "{text}");
    let script = "umount /proc 2>/dev/null && echo unmounted; \
                  mount -t tmpfs none /tmp 2>/dev/null && echo mounted; \
                  mknod /tmp/disk b 259 0 2>/dev/null && echo made; \
                  echo 1 2>/dev/null > /proc/sys/kernel/sysrq && echo set; \
                  readlink /proc/1/exe && echo traced; readlink /proc/1/fd/* && echo opened; \
                  kill -9 1; echo end";
    assert_eq!(run(&sandbox, script), "end\n");
    assert_eq!(run(&sandbox, "echo still here"), "still here\n");
}

#[test]
fn the_hosts_processes_are_out_of_sight() {
    let Some((_scratch, sandbox)) = start() else { return };
    let text = run(&sandbox, "ls /proc | grep -E '^[0-9]+$' | wc -l; echo $$");
    let mut numbers = text.lines().map(|line| line.parse::<u32>().unwrap());
    assert!(numbers.next().unwrap() < 8, "{text}");
    assert!(numbers.next().unwrap() < 20, "{text}");
}

#[test]
fn what_a_job_writes_to_system_folders_stays_in_its_layer() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root may write to system folders");
        return;
    }
    let Some((scratch, sandbox)) = start() else { return };
    assert_eq!(sandbox.notes(), [""; 0]);
    let script = "echo mine > /usr/loopline-test && echo mine >> /etc/passwd && rm /usr/bin/env && \
                  mkdir /usr/local/lib/loopline-test && tail -n1 /etc/passwd && cat /usr/loopline-test; \
                  test -e /usr/bin/env || echo gone";
    assert_eq!(run(&sandbox, script), "mine\nmine\ngone\n");
    assert!(!Path::new("/usr/loopline-test").exists());
    assert!(Path::new("/usr/bin/env").exists());
    assert!(!fs_err::read_to_string("/etc/passwd").unwrap().ends_with("mine\n"));
    sandbox.teardown().unwrap();

    // Started again over the same layers it is as it was left.
    let again = start_in(scratch.path(), Network::None).unwrap();
    assert_eq!(again.notes(), [""; 0]);
    assert_eq!(
        run(&again, "cat /usr/loopline-test; test -e /usr/bin/env || echo gone"),
        "mine\ngone\n"
    );
}

#[test]
fn home_and_temporary_folder_are_kept_for_a_second_look() {
    let Some((scratch, sandbox)) = start() else { return };
    run(
        &sandbox,
        &format!(
            "echo a > /tmp/a; echo b > {}/b; ln -s /etc {}/.cargo",
            home().display(),
            home().display()
        ),
    );
    sandbox.teardown().unwrap();
    let again = start_in(scratch.path(), Network::None).unwrap();
    let script = format!("cat /tmp/a {}/b", home().display());
    assert_eq!(run(&again, &script), "a\nb\n");
}

#[test]
fn what_a_sandbox_left_can_be_removed() {
    let Some((scratch, sandbox)) = start() else { return };
    run(&sandbox, "mkdir -p /tmp/closed/inner && chmod 0 /tmp/closed");
    sandbox.teardown().unwrap();
    let state = scratch.path().join("state");
    assert!(state.join("tmp/closed").exists());
    loopline_sandbox::remove_state(&state).unwrap();
    assert!(!state.exists());
}

/// Names everything below a folder.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        // The kernel's own folders are closed.
        let Ok(entries) = fs_err::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            found.push(path.display().to_string());
            if path.is_dir() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn layers_serve_the_next_job_and_show_it_nothing_of_the_last() {
    let Some((scratch, sandbox)) = start() else { return };
    let home = home().display().to_string();
    let see = format!(
        "find /tmp /var /opt {home} -newer /etc/hostname -type f; ls -A /tmp /dev/shm; \
                       stat -c %a /tmp /var /var/tmp {home}; getfattr -dR /tmp /var {home} 2>/dev/null"
    );
    let pristine = run(&sandbox, &see);
    let script = format!(
        "echo a > /tmp/a; mkdir -p /var/lib/x/y {home}/z; ln -s / {home}/root; chmod 1777 /tmp; \
         echo b > /var/tmp/b; chmod 0 /var/cache; touch /usr/loopline-test /etc/loopline-test; \
         echo changed > /etc/hosts; mkdir -m 0 /var/closed; rm -rf /etc/opt; \
         setfattr -n user.mark -v 1 /var/log; true"
    );
    run(&sandbox, &script);
    sandbox.teardown().unwrap();
    sandbox.discard();
    let state = scratch.path().join("state");
    assert!(!state.exists());
    let kept = tree(&scratch.path().join("pool"));
    assert!(kept.iter().any(|path| path.ends_with("/0/home")), "{kept:?}");
    assert!(!kept.iter().any(|path| path.ends_with("loopline-test") || path.ends_with("/z")));

    let next = start_in(scratch.path(), Network::None).unwrap();
    assert_eq!(next.notes(), [""; 0]);
    assert_eq!(run(&next, &see), pristine);
    let script = "ls -d /usr/loopline-test /etc/loopline-test /var/closed /var/lib/x 2>/dev/null; \
                  grep -c localhost /etc/hosts; test -d /etc/opt && echo back; ls /var";
    assert_eq!(run(&next, script), "2\nback\ncache\nlib\nlog\ntmp\n");
    assert!(!scratch.path().join("pool/0").exists());
    // A sandbox that still runs keeps its layers.
    next.discard();
    assert!(state.join("home").exists());
}

#[test]
fn the_usual_devices_work() {
    let Some((_scratch, sandbox)) = start() else { return };
    let script = "echo x > /dev/null; head -c4 /dev/zero | wc -c; head -c4 /dev/urandom | wc -c; \
                  echo s > /dev/shm/s; cat /dev/shm/s; cat <(echo fd); ls /dev | sort | xargs";
    assert_eq!(
        run(&sandbox, script),
        "4\n4\ns\nfd\nfd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n"
    );
}

#[test]
fn a_shell_in_a_sandbox_has_a_terminal() {
    let Some((_scratch, sandbox)) = start() else { return };
    let script = "test -t 0 && test -t 2 && tty && echo yes > /dev/tty";
    let spec = ProcessSpec { output: Output::Pty, ..bash(script, Path::new("/")) };
    let mut process = sandbox.spawn(&spec).unwrap();
    let text = read_all(process.take_output());
    assert_eq!(text, "/dev/pts/0\r\nyes\r\n");
    assert!(block_on(process.wait()).unwrap().success());
}

#[test]
fn neither_the_hosts_loopback_nor_another_sandbox_is_reachable() {
    let Some((_scratch, sandbox)) = start() else { return };
    let Some((_other_scratch, other)) = start() else { return };
    let on_host = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_other = other.listen().unwrap();
    for listener in [&on_host, &in_other] {
        let address = listener.local_addr().unwrap();
        let script = format!(
            "(exec 3<>/dev/tcp/127.0.0.1/{}) 2>&1 | grep -q refused && echo refused",
            address.port()
        );
        assert_eq!(run(&sandbox, &script), "refused\n");
    }
    run(&other, "echo other > /tmp/seen");
    assert_eq!(run(&sandbox, "ls /tmp"), "");
}

#[test]
fn a_listener_opened_for_the_job_is_reachable_from_inside() {
    let Some((_scratch, sandbox)) = start() else { return };
    let listener = sandbox.listen().unwrap();
    let address = listener.local_addr().unwrap();
    assert!(address.ip().is_loopback());
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; echo hello >&3; cat <&3", address.port());
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut line = [0; 6];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"hello\n");
    stream.write_all(b"welcome").unwrap();
    drop(stream);
    assert_eq!(read_all(process.take_output()), "welcome");
}

#[test]
fn signals_reach_a_process_group_in_a_sandbox() {
    let Some((_scratch, sandbox)) = start() else { return };
    let script = "trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.01; done";
    let mut process = sandbox.spawn(&bash(script, Path::new("/"))).unwrap();
    let mut output = File::from(process.take_output().unwrap());
    assert_eq!(read_line(&mut output), "up");
    process.signal(Signal::Interrupt).unwrap();
    assert_eq!(read_line(&mut output), "caught");
    assert_eq!(block_on(process.wait()).unwrap().code(), Some(3));

    let mut process = sandbox.spawn(&bash("sleep 1000", Path::new("/"))).unwrap();
    sandbox.kill_all(Signal::Kill).unwrap();
    let status = block_on(process.wait()).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[test]
fn nothing_survives_a_teardown() {
    let Some((_scratch, sandbox)) = start() else { return };
    let script = "for i in $(seq 20); do (setsid env -i sh -c 'echo up; exec sleep 1000' &); done";
    let mut process = sandbox.spawn(&bash(script, Path::new("/"))).unwrap();
    let mut output = File::from(process.take_output().unwrap());
    for _ in 0..20 {
        assert_eq!(read_line(&mut output), "up");
    }
    assert!(block_on(process.wait()).unwrap().success());
    assert_eq!(sandbox.teardown().unwrap().orphans_killed, 20);
    // The pipe has ended, so all who held it have.
    assert_eq!(read_line(&mut output), "");
    assert!(matches!(
        sandbox.spawn(&bash("", Path::new("/"))).unwrap_err(),
        SpawnError::TornDown { .. }
    ));
}

#[test]
fn dropping_a_process_kills_it() {
    let Some((_scratch, sandbox)) = start() else { return };
    let mut process = sandbox.spawn(&bash("echo up; exec sleep 1000", Path::new("/"))).unwrap();
    let mut output = File::from(process.take_output().unwrap());
    assert_eq!(read_line(&mut output), "up");
    drop(process);
    assert_eq!(read_line(&mut output), "");
}

/// The owner that [`the_end_of_the_owner_ends_everything`] starts; does nothing by itself.
#[test]
fn owner() {
    let Some(_) = std::env::args().find(|argument| argument == "--exact") else { return };
    let Some((_scratch, sandbox)) = start() else { return };
    let script = "setsid sh -c 'echo UP; exec sleep 1000' & read -r";
    let spec = ProcessSpec {
        stdin: Stdin::Inherit,
        output: Output::Inherit,
        ..bash(script, Path::new("/"))
    };
    let mut process = sandbox.spawn(&spec).unwrap();
    block_on(process.wait()).unwrap();
}

/// Finds the fork servers that a process has started.
fn fork_servers(owner: Pid) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc").unwrap().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        let Ok(command) = fs_err::read(entry.path().join("cmdline")) else { continue };
        let Ok(stat) = fs_err::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap();
        if command.ends_with(b"\0__sandbox-init\0") && parent == owner.as_raw_nonzero().to_string()
        {
            found.push(pidfd_open(pid, PidfdFlags::empty()).unwrap());
        }
    }
    found
}

#[test]
fn the_end_of_the_owner_ends_everything() {
    let Some(_) = start() else { return };
    for is_killed in [true, false] {
        let host = Host::new("owner");
        let mut spec = bash("", Path::new("/"));
        spec.program = std::env::current_exe().unwrap().into();
        spec.args =
            ["--exact", "sandbox::owner", "--nocapture"].into_iter().map(Into::into).collect();
        let (input, held) = std::io::pipe().unwrap();
        spec.stdin = Stdin::Fd(input.into());
        let mut process = host.spawn(&spec).unwrap();
        let mut output = File::from(process.take_output().unwrap());
        while !read_line(&mut output).contains("UP") {}
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        let servers = fork_servers(pid);
        assert_eq!(servers.len(), 1);
        if is_killed {
            // Only the owner itself, not its group.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        } else {
            drop(held);
        }
        // Everything inside holds the pipe; that it ends proves that they have.
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        assert_eq!(block_on(process.wait()).unwrap().code(), (!is_killed).then_some(0));
        assert!(!is_alive(&process.id().to_string()));
        for server in servers {
            // Readable once it has ended.
            let mut ended = [PollFd::new(&server, PollFlags::IN)];
            assert_eq!(rustix::event::poll(&mut ended, Some(&PATIENCE)).unwrap(), 1);
        }
    }
}

#[test]
fn unprivileged_users_get_sandboxes_too() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: this is an unprivileged user already");
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(scratch.path(), readable).unwrap();
    let copy = scratch.path().join("it");
    fs_err::copy(binary, &copy).unwrap();
    let host = Host::new("nobody");
    let mut spec = bash("", Path::new("/"));
    spec.program = "setpriv".into();
    let args = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    spec.args = args.into_iter().map(Into::into).collect();
    spec.args.push(copy.into());
    let which = ["sandbox::", "confinement::", "network::", "--nocapture"];
    spec.args.extend(which.map(Into::into));
    let mut process = match host.spawn(&spec) {
        Err(SpawnError::NotFound { .. }) => {
            println!("SKIPPED: setpriv is not installed");
            return;
        }
        process => process.unwrap(),
    };
    let text = read_all(process.take_output());
    println!("{text}");
    assert!(block_on(process.wait()).unwrap().success(), "{text}");
}
