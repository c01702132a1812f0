//! `loopline image build`: an image from a Dockerfile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loopline_clock::Clock;
use loopline_image::reference::Reference;
use loopline_node::{BuildError, BuildRequest, Builder, Progress};
use serde_json::json;

use super::{epoch, fetch, names, store};
use crate::arguments::ImageBuildArguments;
use crate::commands::{Context, Outcome, open};
use crate::environment;
use crate::error::{Class, CommandError, Status, chain};
use crate::printer::{Printer, Tone};

/// How many base images one build fetches at most.
const FETCHES: usize = 64;

pub(super) fn run(context: &Context<'_>, arguments: &ImageBuildArguments) -> Outcome {
    let request = request(arguments)?;
    let data = open::data_folder()?;
    let builder = Builder::open(data.root(), store()?, Clock::real());
    let told = Told { printer: context.printer, quiet: arguments.quiet };
    let mut fetched = 0;
    let built = loop {
        match builder.build(&request, &told) {
            Ok(built) => break built,
            Err(BuildError::Base { line, image, .. })
                if !arguments.offline && fetched < FETCHES =>
            {
                fetched += 1;
                let reference: Reference = image.parse()?;
                fetch(context, &reference, &arguments.access)
                    .map_err(|error| base(&request.file, line, &image, Some(&error)))?;
            }
            Err(BuildError::Base { line, image, .. }) => {
                return Err(base(&request.file, line, &image, None));
            }
            Err(error) => return Err(failed(&request.file, &error)),
        }
    };
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.image-build/v1",
            "id": built.id,
            "digest": built.manifest,
            "names": request.tags.iter().map(Reference::familiar).collect::<Vec<_>>(),
            "steps": built.steps,
            "cached": built.cached,
        }));
    } else if arguments.quiet {
        context.printer.out(built.id.as_str());
    } else {
        let names: Vec<_> = request.tags.iter().map(Reference::familiar).collect();
        let name = if names.is_empty() { built.id.short().to_owned() } else { names.join(", ") };
        context.printer.out(&format!(
            "built {name} ({}), {} of {} steps cached",
            built.id.short(),
            built.cached,
            built.steps
        ));
    }
    Ok(Status::Ok)
}

/// Tells how a build goes: steps and what programs print go to the error output.
struct Told<'a> {
    printer: &'a Printer,
    quiet: bool,
}

impl Progress for Told<'_> {
    fn step(&self, number: usize, count: usize, stage: &str, shown: &str) {
        if !self.quiet {
            let place = self.printer.tone(Tone::Strong, &format!("[{stage} {number}/{count}]"));
            self.printer.err(&format!("{place} {shown}"));
        }
    }

    fn cached(&self) {
        if !self.quiet {
            self.printer.err(&self.printer.tone(Tone::Quiet, "cached"));
        }
    }

    fn output(&self, text: &[u8]) {
        if !self.quiet {
            self.printer.err_raw(text);
        }
    }
}

fn request(arguments: &ImageBuildArguments) -> Result<BuildRequest, CommandError> {
    let context = &arguments.context;
    if !context.is_dir() {
        return Err(CommandError::usage(format!("the context {} is no folder", context.display()))
            .hint("`loopline image build FOLDER -f FILE` names both"));
    }
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => ["Dockerfile", "Containerfile"]
            .map(|name| context.join(name))
            .into_iter()
            .find(|file| file.exists())
            .ok_or_else(|| {
                CommandError::usage(format!("{} has no Dockerfile", context.display()))
                    .hint("`--file FILE` names another one")
            })?,
    };
    let mut args = BTreeMap::new();
    for text in &arguments.build_arg {
        match text.split_once('=') {
            Some((name, value)) => drop(args.insert(name.to_owned(), value.to_owned())),
            None => {
                if let Some(value) = environment::of_name(text) {
                    args.insert(text.clone(), value);
                }
            }
        }
    }
    let mut labels = BTreeMap::new();
    for text in &arguments.label {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        labels.insert(name.to_owned(), value.to_owned());
    }
    let secrets = arguments.secret.iter().map(|text| secret(text)).collect::<Result<_, _>>()?;
    let ssh = match environment::SSH_AUTH_SOCK.get_os() {
        _ if !arguments.ssh => None,
        Some(socket) => Some(PathBuf::from(socket)),
        None => {
            return Err(CommandError::usage("--ssh: there is no agent (SSH_AUTH_SOCK is not set)"));
        }
    };
    Ok(BuildRequest {
        context: context.clone(),
        file,
        tags: arguments.tag.iter().map(|tag| names::name(tag)).collect::<Result<_, _>>()?,
        args,
        target: arguments.target.clone(),
        labels,
        secrets,
        ssh,
        no_cache: arguments.no_cache,
        offline: arguments.offline || environment::OFFLINE.is_on(),
        epoch: epoch()?,
    })
}

/// Reads `id=NAME[,src=FILE|,env=VARIABLE]`.
fn secret(text: &str) -> Result<(String, Vec<u8>), CommandError> {
    let bad = |why: &str| CommandError::usage(format!("--secret `{text}`: {why}"));
    let (mut id, mut file, mut variable) = (None, None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => file = Some(PathBuf::from(value)),
            Some(("env", value)) => variable = Some(value.to_owned()),
            Some(("type", "file" | "env")) => {}
            _ => return Err(bad("it is id=NAME[,src=FILE|,env=VARIABLE]")),
        }
    }
    let id = id.ok_or_else(|| bad("it has no id"))?;
    let value = match (file, variable) {
        (Some(file), None) => fs_err::read(&file).map_err(|error| bad(&error.to_string()))?,
        (None, variable) => {
            let name = variable.unwrap_or_else(|| id.clone());
            environment::of_name(&name)
                .ok_or_else(|| bad(&format!("the variable {name} is not set")))?
                .into_bytes()
        }
        (Some(_), Some(_)) => return Err(bad("a secret is in a file or in a variable")),
    };
    Ok((id, value))
}

/// Says that a base is missing, and how to provide it.
fn base(file: &Path, line: u32, image: &str, why: Option<&CommandError>) -> CommandError {
    let place = format!("{}:{line}", file.display());
    let why = why.map(|error| format!(", and fetching it failed: {error}")).unwrap_or_default();
    CommandError::new(Class::Failed, format!("{place}: the base image `{image}` is not here{why}"))
        .hint(format!("`loopline image pull {image}` fetches it"))
        .hint("`loopline image load FILE` and `import FILE NAME` take archives")
        .hint(format!("`loopline image alias {image} OTHER` lets an image that is here stand in"))
}

fn failed(file: &Path, error: &BuildError) -> CommandError {
    let mut message = chain(error);
    if let Some(line) = error.line() {
        message = format!("{}:{line}: {message}", file.display());
    }
    match error {
        BuildError::Step { .. } => CommandError::usage(message),
        _ => CommandError::new(Class::Failed, message),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_secret_is_in_a_file_or_a_variable() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("token");
        let mut file = fs_err::File::create(&path).unwrap();
        file.write_all(b"value").unwrap();
        let read = secret(&format!("id=t,src={}", path.display())).unwrap();
        assert_eq!(read, ("t".to_owned(), b"value".to_vec()));
        for wrong in
            ["src=x", "id=t,src=/none", "id=t,src=x,env=y", "id=t,what=x", "id=NOT_SET_XYZ"]
        {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }
}
