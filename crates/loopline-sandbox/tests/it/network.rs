//! The user-mode network of a sandbox: what a job reaches, and that it sees of every connection
//! what it would see outside.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;

use loopline_sandbox::{Machine as _, Network, Process, Sandbox};

use crate::sandbox::{run, start_in};
use crate::support::{bash, read_all, read_line};

/// The address other hosts would know this one by; nothing is sent to find it out.
fn own_address(elsewhere: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match elsewhere {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let route = UdpSocket::bind((any, 0)).ok()?;
    route.connect((elsewhere, 9)).ok()?;
    Some(route.local_addr().unwrap().ip())
}

fn own_v6() -> Option<IpAddr> {
    own_address("2001:db8::1".parse().unwrap())
}

/// Starts a sandbox with a network, and tells the host's own address; says aloud where it cannot.
fn start() -> Option<(tempfile::TempDir, Sandbox, IpAddr)> {
    let Some(address) = own_address("192.0.2.1".parse().unwrap()) else {
        println!("SKIPPED: this host has no network");
        return None;
    };
    let scratch = tempfile::tempdir().unwrap();
    fs_err::create_dir(scratch.path().join("work")).unwrap();
    let sandbox = start_in(scratch.path(), Network::User)?;
    if let Some(note) = sandbox.notes().iter().find(|note| note.starts_with("no network")) {
        println!("SKIPPED: {note}");
        return None;
    }
    Some((scratch, sandbox, address))
}

/// Lets a job say hello to a listener on this host's `address` and count what it gets for it.
fn exchange(sandbox: &Sandbox, address: IpAddr, answer_bytes: usize) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/{address}/{port}; echo hello >&3; wc -c <&3");
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let mut stream = accept(&listener, &mut process);
    let mut line = [0; 6];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"hello\n");
    stream.write_all(&vec![b'x'; answer_bytes]).unwrap();
    drop(stream);
    assert_eq!(read_all(process.take_output()), format!("{answer_bytes}\n"));
}

/// Waits for a job's connection; a job that ends without one fails the test with what it said.
fn accept(listener: &TcpListener, process: &mut Process) -> TcpStream {
    let tick = rustix::time::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    loop {
        let mut ready = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
        if rustix::event::poll(&mut ready, Some(&tick)).unwrap() > 0 {
            return listener.accept().unwrap().0;
        }
        if let Some(status) = process.try_wait().unwrap() {
            panic!("the job ended without a connection: {status:?}");
        }
    }
}

/// Asserts that a job is refused at ports of this host's `address` that nobody listens on.
fn assert_refused(sandbox: &Sandbox, address: IpAddr) {
    let closed = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
    let text = run(sandbox, &format!("exec 3<>/dev/tcp/{address}/{closed}; head -c1 <&3"));
    assert!(text.contains("Connection refused"), "{text}");
    // The datagram is answered with a report, which ends the read.
    let closed = UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap().port();
    let text = run(sandbox, &format!("exec 3<>/dev/udp/{address}/{closed}; echo a >&3; cat <&3"));
    assert!(text.contains("Connection refused"), "{text}");
}

fn has_perl(sandbox: &Sandbox) -> bool {
    let found = !run(sandbox, "command -v perl").is_empty();
    if !found {
        println!("SKIPPED: perl is not installed");
    }
    found
}

/// A perl program with an open connection `S`; the address is of the host.
fn perl(address: SocketAddr, then: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); \
         connect(S, pack_sockaddr_in({port}, inet_aton(\"{ip}\"))) or die $!; {then}'"
    )
}

#[test]
fn other_hosts_are_reachable_but_not_loopback() {
    let Some((_scratch, sandbox, address)) = start() else { return };
    exchange(&sandbox, address, 3_000_000);

    let on_loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    on_loopback.set_nonblocking(true).unwrap();
    let port = on_loopback.local_addr().unwrap().port();
    let script = format!(
        "for host in 127.0.0.1 127.1.2.3 169.254.169.254 198.18.0.3 198.18.0.1 0.0.0.0 \
         ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1; do \
         (exec 3<>/dev/tcp/$host/{port}; echo hello >&3; head -c1 <&3) 2>/dev/null; done; \
         cat /etc/resolv.conf"
    );
    assert_eq!(run(&sandbox, &script), "nameserver 198.18.0.3\n");
    let error = on_loopback.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_refused_connection_is_refused_in_a_sandbox_too() {
    let Some((_scratch, sandbox, address)) = start() else { return };
    assert_refused(&sandbox, address);
    for target in ["198.18.0.3/80", "169.254.169.254/80"] {
        let text = run(&sandbox, &format!("exec 3<>/dev/tcp/{target}; head -c1 <&3"));
        assert!(text.contains("Connection refused"), "{target}: {text}");
    }
}

#[test]
fn what_one_side_closes_stays_open_the_other_way() {
    let Some((_scratch, sandbox, address)) = start() else { return };
    if !has_perl(&sandbox) {
        return;
    }
    let listener = TcpListener::bind((address, 0)).unwrap();
    let local = listener.local_addr().unwrap();
    let script = perl(local, "syswrite S, \"question\"; shutdown S, 1; print while <S>");
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut question = String::new();
    // To its end, which the job has announced while it waits for the answer.
    stream.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    stream.write_all(b"answer\n").unwrap();
    drop(stream);
    assert_eq!(read_all(process.take_output()), "answer\n");

    // The other way round, with more than fits into all the buffers between.
    let script = perl(local, "print while <S>; $x = \"x\" x 1000000; syswrite S, $x for 1..8");
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"question\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 8_000_000);
    assert_eq!(read_all(process.take_output()), "question\n");
}

#[test]
fn what_one_side_breaks_off_is_broken_off_on_the_other() {
    let Some((_scratch, sandbox, address)) = start() else { return };
    if !has_perl(&sandbox) {
        return;
    }
    let listener = TcpListener::bind((address, 0)).unwrap();
    let local = listener.local_addr().unwrap();
    let linger = rustix::net::sockopt::set_socket_linger::<&TcpStream>;
    let script = perl(local, "syswrite S, 1; print \"ended $!\\n\" unless sysread S, $x, 1");
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0]).unwrap();
    linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(read_all(process.take_output()), "ended Connection reset by peer\n");

    let script = perl(local, "setsockopt S, SOL_SOCKET, SO_LINGER, pack(\"ii\", 1, 0); close S");
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    read_all(process.take_output());
}

#[test]
fn ipv6_is_there_where_the_host_has_it_and_unreachable_elsewhere() {
    let Some((_scratch, sandbox, _)) = start() else { return };
    let Some(address) = own_v6() else {
        let text = run(&sandbox, "exec 3<>/dev/tcp/2001:db8::1/80");
        assert!(text.contains("Network is unreachable"), "{text}");
        return;
    };
    let notes = sandbox.notes();
    assert!(!notes.iter().any(|note| note.starts_with("no IPv6")), "{notes:?}");
    exchange(&sandbox, address, 300_000);
    assert_refused(&sandbox, address);
}

#[test]
fn datagrams_come_and_go_up_to_the_largest() {
    let Some((_scratch, sandbox, address)) = start() else { return };
    if !has_perl(&sandbox) {
        return;
    }
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let script = format!(
        "perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); \
         connect(S, pack_sockaddr_in({port}, inet_aton(\"{address}\"))) or die $!; \
         for $n (1, 1400, 60000) {{ syswrite(S, \"x\" x $n) or die $!; \
         print length($y), \"\\n\" if sysread S, $y, 70000 }}'"
    );
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let mut buffer = vec![0; 70_000];
    for _ in 0..3 {
        let (count, peer) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..count], peer).unwrap();
    }
    assert_eq!(read_all(process.take_output()), "1\n1400\n60000\n");
}

#[test]
fn a_thousand_connections_at_once_are_carried() {
    const COUNT: usize = 1000;
    let Some((_scratch, sandbox, address)) = start() else { return };
    if !has_perl(&sandbox) {
        return;
    }
    // Each connection is two descriptors here and one in the job.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if files.current.is_some_and(|current| current < 3 * COUNT as u64) {
        println!("SKIPPED: the limit of open files is {:?}", files.current);
        return;
    }
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "ulimit -n $(ulimit -H -n); perl -MSocket -e 'for $i (1..{COUNT}) {{ \
         socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!; \
         connect($s, pack_sockaddr_in({port}, inet_aton(\"{address}\"))) or die $!; \
         syswrite $s, sprintf(\"%04d\", $i); push @all, $s }} \
         for (@all) {{ sysread $_, $x, 4; $sum += $x }} print \"$sum\\n\"'"
    );
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let mut open = Vec::new();
    for _ in 0..COUNT {
        let (mut stream, _) = listener.accept().unwrap();
        let mut number = [0; 4];
        stream.read_exact(&mut number).unwrap();
        open.push((stream, number));
    }
    for (stream, number) in &mut open {
        stream.write_all(number).unwrap();
    }
    assert_eq!(read_all(process.take_output()), "500500\n");
}

#[test]
fn the_end_of_a_sandbox_is_the_end_of_its_connections() {
    let Some((_scratch, sandbox, address)) = start() else { return };
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/{address}/{port}; echo up; exec sleep 1000");
    let mut process = sandbox.spawn(&bash(&script, Path::new("/"))).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(read_line(&mut File::from(process.take_output().unwrap())), "up");
    sandbox.teardown().unwrap();
    // Closed or broken off, but not left open.
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}
