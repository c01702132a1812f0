//! Options of `loopline image` and `loopline registry`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Options of `loopline image`.
#[derive(Debug, Args)]
pub struct ImageArguments {
    /// What to do
    #[command(subcommand)]
    pub command: ImageCommand,
}

/// The commands about images.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image from a Dockerfile
    Build(Box<ImageBuildArguments>),
    /// List images
    Ls(ImageListArguments),
    /// Show everything that is known of images, as JSON
    Inspect(ImageInspectArguments),
    /// Show how an image came about
    History(ImageHistoryArguments),
    /// Give an image one more name
    Tag(ImageTagArguments),
    /// Let a name mean what another name means, whatever that is at the time
    #[command(after_help = "An alias stands in for an image that is not at hand: with \
        `loopline image alias node:22-alpine my-base`, a Dockerfile's `FROM node:22-alpine` \
        builds on my-base. Without names, the aliases are listed.")]
    Alias(ImageAliasArguments),
    /// Fetch an image from a registry
    Pull(ImagePullArguments),
    /// Send an image to a registry
    Push(ImagePushArguments),
    /// Write images to an archive
    Save(ImageSaveArguments),
    /// Take in the images of an archive (`docker save`, OCI) or OCI layout folder
    Load(ImageLoadArguments),
    /// Make an image of an archive of a root file system
    Import(ImageImportArguments),
    /// Remove names, and what nothing leads to any more
    Rm(ImageRmArguments),
    /// Remove what no name leads to and nobody uses
    Prune(ImagePruneArguments),
}

/// Options of `loopline image build`.
#[derive(Debug, Args)]
pub struct ImageBuildArguments {
    /// The folder that COPY takes files from
    #[arg(default_value = ".")]
    pub context: PathBuf,
    /// The Dockerfile [default: Dockerfile or Containerfile in the context]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A name for the image (may be repeated)
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// A value for an ARG; without one it is taken from the variable of that name
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Build this stage and what it needs
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// A label for the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// A secret for `RUN --mount=type=secret`: id=NAME[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// Pass the SSH agent on to `RUN --mount=type=ssh`
    #[arg(long)]
    pub ssh: bool,
    /// Carry out every step anew
    #[arg(long)]
    pub no_cache: bool,
    /// Fetch no base images, and give steps no network
    #[arg(long)]
    pub offline: bool,
    /// Print the image's identifier only
    #[arg(short, long)]
    pub quiet: bool,
    /// How registries are reached
    #[command(flatten)]
    pub access: RegistryAccess,
}

/// Options of `loopline image ls`.
#[derive(Debug, Args)]
pub struct ImageListArguments {
    /// Only names that contain TEXT
    #[arg(value_name = "TEXT")]
    pub filter: Option<String>,
}

/// Options of `loopline image inspect`.
#[derive(Debug, Args)]
pub struct ImageInspectArguments {
    /// Names, or the beginnings of identifiers
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// The image for this platform, where there are several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

/// Options of `loopline image history`.
#[derive(Debug, Args)]
pub struct ImageHistoryArguments {
    /// A name, or the beginning of an identifier
    pub image: String,
    /// The image for this platform, where there are several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Do not shorten commands
    #[arg(long)]
    pub no_trunc: bool,
}

/// Options of `loopline image tag`.
#[derive(Debug, Args)]
pub struct ImageTagArguments {
    /// A name, or the beginning of an identifier
    pub image: String,
    /// The other name
    pub name: String,
}

/// Options of `loopline image alias`.
#[derive(Debug, Args)]
pub struct ImageAliasArguments {
    /// The name that is looked for
    pub name: Option<String>,
    /// The name that it means
    #[arg(requires = "name")]
    pub image: Option<String>,
}

/// How registries are reached.
#[derive(Clone, Debug, Args)]
pub struct RegistryAccess {
    /// Ask the registry at URL first for what REGISTRY has (may be repeated)
    #[arg(long, value_name = "REGISTRY=URL")]
    pub mirror: Vec<String>,
    /// Reach HOST[:PORT] without encryption (may be repeated); this machine always may be
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// Believe also the authorities in FILE (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// Options of `loopline image pull`.
#[derive(Debug, Args)]
pub struct ImagePullArguments {
    /// What to fetch: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    pub image: String,
    /// The image for this platform, where there are several [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", conflicts_with = "all_platforms")]
    pub platform: Option<String>,
    /// The images for all platforms
    #[arg(long)]
    pub all_platforms: bool,
    /// How the registry is reached
    #[command(flatten)]
    pub access: RegistryAccess,
}

/// Options of `loopline image push`.
#[derive(Debug, Args)]
pub struct ImagePushArguments {
    /// A name, or the beginning of an identifier
    pub image: String,
    /// Where to [default: where its name says]
    pub target: Option<String>,
    /// How the registry is reached
    #[command(flatten)]
    pub access: RegistryAccess,
}

/// What an archive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SaveFormat {
    /// For `docker load` and readers of OCI archives
    #[default]
    Docker,
    /// An OCI archive
    Oci,
    /// An OCI layout folder
    OciDir,
}

/// Options of `loopline image save`.
#[derive(Debug, Args)]
pub struct ImageSaveArguments {
    /// Names, or the beginnings of identifiers
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// The file or folder to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    pub format: SaveFormat,
    /// Only the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

/// Options of `loopline image load`.
#[derive(Debug, Args)]
pub struct ImageLoadArguments {
    /// The archive, compressed or not, or a layout folder
    pub file: PathBuf,
    /// The name of its image, where the archive says none
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LayerCompression {
    /// Everything reads it
    #[default]
    Gzip,
    /// Faster and smaller
    Zstd,
    /// Not at all
    None,
}

/// Options of `loopline image import`.
#[derive(Debug, Args)]
pub struct ImageImportArguments {
    /// The archive, compressed or not; `-` for standard input
    pub file: PathBuf,
    /// What the image is called
    pub name: String,
    /// Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER,
    /// VOLUME or WORKDIR (may be repeated)
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// What the image is for [default: this machine's platform]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// How its layer is compressed, where the archive is not
    #[arg(long, value_enum, default_value_t)]
    pub compression: LayerCompression,
    /// What its history says
    #[arg(short, long, value_name = "TEXT", default_value = "imported")]
    pub message: String,
}

/// Options of `loopline image rm`.
#[derive(Debug, Args)]
pub struct ImageRmArguments {
    /// Names, or the beginnings of identifiers
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// Options of `loopline image prune`.
#[derive(Debug, Args)]
pub struct ImagePruneArguments {
    /// Forget all names first; what containers use stays
    #[arg(long)]
    pub all: bool,
    /// Forget what builds have made first; the next one carries every step out
    #[arg(long)]
    pub builds: bool,
}

/// Options of `loopline registry`.
#[derive(Clone, Debug, Args)]
pub struct RegistryArguments {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,

    /// Keep images in DIR instead of the data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Add a user, or give one another password, which is read from standard input; then end
    #[arg(long, value_name = "NAME")]
    pub add_user: Option<String>,

    /// Let everybody pull; only users push
    #[arg(long)]
    pub anonymous_pull: bool,

    /// The certificate of the server, with those that vouch for it (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,

    /// Hand on the images of REGISTRY and keep them; nothing can be pushed then
    #[arg(long, value_name = "REGISTRY")]
    pub upstream: Option<String>,

    /// How often what nothing leads to is removed, in minutes; 0 for never
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub collect_every: u64,

    /// How the upstream registry is reached
    #[command(flatten)]
    pub access: RegistryAccess,
}
