//! User-mode networking: the owner's side of a sandbox's tunnel. A TCP/IP stack in this process
//! terminates the job's connections and opens ones of the host's own for them, as any program of
//! the user could. What may be reached is decided here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fs_err as fs;
use ipstack::{
    IpStack, IpStackConfig, IpStackStream, IpStackTcpStream, IpStackUdpStream, TcpConfig,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::interfaces::{RESOLVER, TUNNEL_PACKET_BYTES};
use crate::descriptor::Descriptor;

/// The most connections and datagram flows of one sandbox at a time; more are refused.
const FLOWS: usize = 512;
/// How long a connection of the host's own may take to open.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a connection may be silent, in both directions.
const IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// How often, and at what distance, the end of a connection is announced to the job.
const FAREWELLS: u32 = 3000;
const FAREWELL: Duration = Duration::from_millis(10);
/// How long a datagram flow may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest datagram.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// The port of name servers.
const DOMAIN: u16 = 53;

/// The running network of one sandbox; dropping it ends all its connections.
#[derive(Debug)]
pub(super) struct Uplink(AbortHandle);

impl Drop for Uplink {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Uplink {
    /// Starts carrying what comes out of the tunnel.
    pub(super) fn start(tunnel: OwnedFd) -> io::Result<Self> {
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let device = Tunnel(Descriptor::watched(tunnel)?);
        let mut config = IpStackConfig::default();
        let mut tcp = TcpConfig::default();
        tcp.timeout = IDLE;
        config.mtu_unchecked(TUNNEL_PACKET_BYTES).udp_timeout(SILENCE).with_tcp_config(tcp);
        let stack = IpStack::new(config, device);
        Ok(Self(runtime.spawn(carry(stack)).abort_handle()))
    }
}

/// Returns the runtime of all uplinks, started by the first: the stack blocks the thread that
/// drops one of its streams, which must not be one that also runs jobs.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("loopline-uplink")
        .enable_all()
        .build()?;
    if let Err(unneeded) = RUNTIME.set(runtime) {
        // Another thread was first.
        unneeded.shutdown_background();
    }
    RUNTIME.get().ok_or_else(|| io::ErrorKind::NotFound.into())
}

async fn carry(mut stack: IpStack) {
    let flows = Arc::new(Semaphore::new(FLOWS));
    // Dropped with this task, which ends the flows with it.
    let mut tasks = JoinSet::new();
    while let Ok(stream) = stack.accept().await {
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&flows).try_acquire_owned() else { continue };
        match stream {
            IpStackStream::Tcp(stream) => {
                tasks.spawn(async move {
                    let _permit = permit;
                    // The job sees its connection end; the owner has nothing to do about it.
                    let _ = relay_stream(stream).await;
                });
            }
            IpStackStream::Udp(stream) => {
                tasks.spawn(async move {
                    let _permit = permit;
                    let _ = relay_datagrams(stream).await;
                });
            }
            // Pings and other protocols are not carried.
            IpStackStream::UnknownTransport(_) | IpStackStream::UnknownNetwork(_) => {}
        }
    }
}

/// Returns where a flow to `wanted` really goes, or nothing if it must not.
fn destination(wanted: SocketAddr) -> Option<SocketAddr> {
    let IpAddr::V4(address) = wanted.ip() else { return None };
    if address == RESOLVER {
        return (wanted.port() == DOMAIN).then(|| SocketAddr::new(host_resolver(), DOMAIN));
    }
    let [first, second, ..] = address.octets();
    let forbidden = address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || first >= 240
        || (first == 198 && matches!(second, 18 | 19));
    (!forbidden).then_some(wanted)
}

/// Reads the host's first name server; one on the host's loopback is fine, since it is asked from
/// the host and only for names.
fn host_resolver() -> IpAddr {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .next()
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

async fn relay_stream(mut inside: IpStackTcpStream) -> io::Result<()> {
    let Some(destination) = destination(inside.peer_addr()) else {
        return farewell(&mut inside).await;
    };
    let outside = tokio::time::timeout(CONNECT, TcpStream::connect(destination)).await;
    match outside {
        Ok(Ok(outside)) => {
            outside.set_nodelay(true)?;
            both_ways(inside, outside).await
        }
        Ok(Err(_)) | Err(_) => farewell(&mut inside).await,
    }
}

/// Ends the job's side of a connection. The stack says goodbye only when the connection is fully
/// open and nothing is in flight, and does not look again by itself; asked again it does.
async fn farewell(inside: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    for _ in 0..FAREWELLS {
        if let Ok(result) = tokio::time::timeout(FAREWELL, inside.shutdown()).await {
            return result;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

async fn both_ways(inside: IpStackTcpStream, mut outside: TcpStream) -> io::Result<()> {
    let (mut from_job, mut to_job) = tokio::io::split(inside);
    let (mut from_net, mut to_net) = outside.split();
    let up = async {
        tokio::io::copy(&mut from_job, &mut to_net).await?;
        to_net.shutdown().await
    };
    let down = async {
        tokio::io::copy(&mut from_net, &mut to_job).await?;
        farewell(&mut to_job).await
    };
    tokio::try_join!(up, down)?;
    Ok(())
}

async fn relay_datagrams(mut inside: IpStackUdpStream) -> io::Result<()> {
    let Some(destination) = destination(inside.peer_addr()) else { return Ok(()) };
    let local: SocketAddr = match destination {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let outside = UdpSocket::bind(local).await?;
    outside.connect(destination).await?;
    let mut request = vec![0; DATAGRAM_BYTES];
    let mut answer = vec![0; DATAGRAM_BYTES];
    loop {
        tokio::select! {
            count = inside.read(&mut request) => match count? {
                0 => return Ok(()),
                count => { outside.send(&request[..count]).await?; }
            },
            count = outside.recv(&mut answer) => {
                let count = count?;
                inside.write_all(&answer[..count]).await?;
            }
            () = tokio::time::sleep(SILENCE) => return Ok(()),
        }
    }
}

/// The tunnel as a stream of packets: one read or write, one packet.
struct Tunnel(tokio::io::unix::AsyncFd<OwnedFd>);

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let read = guard.try_io(|tunnel| {
                Ok(rustix::io::read(tunnel.get_ref(), buffer.initialize_unfilled())?)
            });
            if let Ok(result) = read {
                return Poll::Ready(result.map(|count| buffer.advance(count)));
            }
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        packet: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            if let Ok(result) =
                guard.try_io(|tunnel| Ok(rustix::io::write(tunnel.get_ref(), packet)?))
            {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
