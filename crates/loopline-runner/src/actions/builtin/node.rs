//! `actions/setup-node`: Node.js from the machine, the tool cache, or npm's own packages.

use std::path::PathBuf;

use fs_err as fs;
use loopline_units::version::Version;

use super::context::{Context, Failure};
use super::toolchain::{self, Installed};
use super::{files, packages};

/// The even majors with long-term support and their names, as `lts/NAME` has them.
const LTS: &[(&str, u64)] =
    &[("hydrogen", 18), ("iron", 20), ("jod", 22), ("krypton", 24), ("gallium", 16)];
/// The newest of them.
const NEWEST_LTS: u64 = 24;

pub(super) fn main(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(
        &[
            "node-version",
            "node-version-file",
            "architecture",
            "registry-url",
            "scope",
            "token",
            "cache",
            "cache-dependency-path",
            "always-auth",
            "package-manager-cache",
        ],
        &["mirror", "mirror-token", "check-latest"],
    )?;
    toolchain::check_architecture(context)?;
    let tool = &toolchain::NODE;
    let asked = toolchain::wanted(context, tool)?.remove(0);
    let wanted = plain(&asked)?;
    let mut folders = toolchain::in_tool_cache(context, "node");
    folders.extend(nvm(context));
    let found = toolchain::installed(context, &["node".to_owned()], &folders, &["--version"])?;
    let there = loopline_units::version::Range::parse(&wanted)
        .is_none_or(|range| found.iter().any(|one| range.contains(&one.version)));
    let chosen = if there || wanted == "*" {
        toolchain::choose(context, "node", &wanted, found)?
    } else {
        match install(context, &wanted) {
            Ok(installed) => installed,
            Err(error) => {
                context.log(&format!("node {wanted} cannot be had from npm: {error}"));
                toolchain::choose(context, "node", &wanted, found)?
            }
        }
    };
    context.paths.push(chosen.bin.to_string_lossy().into_owned());
    context.set("node-version", format!("v{}", chosen.version));
    registry(context)?;
    context.set("cache-hit", "false");
    match packages::named(context, packages::NODE)? {
        Some(manager) => packages::restore(context, manager, "node-cache", true),
        None => Ok(()),
    }
}

/// Turns what setup-node accepts beside ranges into a range.
fn plain(asked: &str) -> Result<String, Failure> {
    let asked = asked.trim();
    Ok(match asked.strip_prefix("lts/") {
        Some("*" | "-0") => NEWEST_LTS.to_string(),
        Some(name) => LTS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, major)| major.to_string())
            .ok_or_else(|| Failure(format!("node version `{asked}` is not known")))?,
        None => match asked {
            "latest" | "current" | "node" | "" => "*".to_owned(),
            other => other.to_owned(),
        },
    })
}

fn nvm(context: &Context<'_>) -> Vec<PathBuf> {
    let root = context.env.get("NVM_DIR").map(PathBuf::from);
    let root = root.unwrap_or_else(|| context.home.join(".nvm")).join("versions/node");
    let Ok(listing) = fs::read_dir(root) else { return Vec::new() };
    listing.flatten().map(|entry| entry.path().join("bin")).collect()
}

/// Takes a version from npm's package of Node's programs into the tool cache. No script of the
/// package runs.
fn install(context: &mut Context<'_>, wanted: &str) -> Result<Installed, Failure> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let package = format!("node-linux-{arch}@{wanted}");
    let aside = context.temp.join(format!("node-{}", context.clock.random_hex(4)));
    files::empty(context.temp, &aside)?;
    context.log(&format!("Fetching {package} with npm"));
    let prefix = aside.to_string_lossy().into_owned();
    let run = (context.start)(
        "npm",
        &[
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries=1",
            "--prefix",
            &prefix,
            &package,
        ],
    )?;
    if run.exit_code != Some(0) {
        let why = run.output.lines().find(|line| line.contains("ERR") || line.contains("error"));
        return Err(Failure(why.unwrap_or("npm failed").trim().to_owned()));
    }
    let program = aside.join(format!("node_modules/node-linux-{arch}/bin/node"));
    context.check_readable(&program)?;
    let answer = (context.start)(&program.to_string_lossy(), &["--version"])?;
    let version = Version::parse(answer.output.trim())
        .ok_or_else(|| Failure("the package's node tells no version".to_owned()))?;
    let home = context.tool_cache.join("node").join(version.to_string()).join(arch);
    let bin = home.join("bin");
    let failed = |error| Failure::of("move node into the tool cache", error);
    fs::create_dir_all(&bin).map_err(failed)?;
    let target = bin.join("node");
    let fresh = bin.join(format!(".node-{}", context.clock.random_hex(4)));
    fs::copy(&program, &fresh).map_err(failed)?;
    fs::rename(&fresh, &target).map_err(failed)?;
    // What cannot be removed goes with the job's temporary folder.
    let _gone = fs::remove_dir_all(&aside);
    context.log(&format!("Installed node {version} in {}", bin.display()));
    Ok(Installed { version, bin, program: target })
}

/// Writes the registry where npm reads it.
fn registry(context: &mut Context<'_>) -> Result<(), Failure> {
    let url = context.input("registry-url").trim_end_matches('/').to_owned();
    if url.is_empty() {
        return Ok(());
    }
    let Some((_, host)) = url.split_once("://") else {
        return Err(Failure(format!("input `registry-url` is `{url}`, which is no address")));
    };
    let scope = context.input("scope").trim_start_matches('@').to_ascii_lowercase();
    let scope = if scope.is_empty() { String::new() } else { format!("@{scope}:") };
    let text = format!("//{host}/:_authToken=${{NODE_AUTH_TOKEN}}\n{scope}registry={url}/\n");
    let file = context.temp.join(".npmrc");
    files::safe_parent(context.temp, &file)?;
    fs::write(&file, text).map_err(|error| Failure::of("write .npmrc", error))?;
    let path = file.to_string_lossy().into_owned();
    context.variables.push(("NPM_CONFIG_USERCONFIG".to_owned(), path));
    if !context.env.contains_key("NODE_AUTH_TOKEN") {
        let token = "XXXXX-XXXXX-XXXXX-XXXXX".to_owned();
        context.variables.push(("NODE_AUTH_TOKEN".to_owned(), token));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases() {
        for (asked, range) in
            [("lts/*", "24"), ("lts/Iron", "20"), ("latest", "*"), ("20.x", "20.x"), ("^18", "^18")]
        {
            assert_eq!(plain(asked).unwrap(), range);
        }
        assert!(plain("lts/unknown").is_err());
    }
}
