//! `loopline image import`.

use std::io::{self, BufReader, Read};

use fs_err as fs;
use loopline_image::archive::{ImportOptions, import};
use loopline_image::layer::Compression;
use loopline_image::platform::Platform;
use serde_json::{Map, Value, json};

use super::{epoch, names, platform, store};
use crate::arguments::{ImageImportArguments, LayerCompression};
use crate::commands::{Context, Outcome};
use crate::error::{CommandError, Status};

pub(super) fn run(context: &Context<'_>, arguments: &ImageImportArguments) -> Outcome {
    let store = store()?;
    let lease = store.lease()?;
    let name = names::name(&arguments.name)?;
    let created = epoch()?.unwrap_or_else(|| store.clock().now().as_second());
    let options = ImportOptions {
        platform: platform(arguments.platform.as_ref())?.unwrap_or_else(Platform::of_this_machine),
        compression: match arguments.compression {
            LayerCompression::Gzip => Compression::Gzip,
            LayerCompression::Zstd => Compression::Zstd,
            LayerCompression::None => Compression::None,
        },
        config: changes(&arguments.change)?,
        created,
        comment: arguments.message.clone(),
    };
    let shown = arguments.file.display().to_string();
    let input: Box<dyn Read + Send> = if shown == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(BufReader::new(fs::File::open(&arguments.file)?))
    };
    let descriptor = import(input, &shown, &options, &lease)?;
    store.set(&name, &descriptor, &lease)?;
    let digest = descriptor.digest().to_string();
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.image-import/v1",
            "name": name.familiar(),
            "digest": digest,
        }));
    } else {
        context.printer.out(&format!("{} {digest}", name.familiar()));
    }
    Ok(Status::Ok)
}

/// Makes the `config` of an image's configuration of Dockerfile instructions.
fn changes(instructions: &[String]) -> Result<Value, CommandError> {
    let mut config = Map::new();
    for instruction in instructions {
        let bad = |why: &str| {
            CommandError::usage(format!("`--change '{instruction}'`: {why}"))
                .hint("for example: --change 'CMD [\"/bin/sh\"]' --change 'ENV A=b'")
        };
        let trimmed = instruction.trim();
        let (keyword, rest) = trimmed.split_once([' ', '\t']).unwrap_or((trimmed, ""));
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(bad("it says nothing"));
        }
        let pair = || rest.split_once('=').filter(|(key, _)| !key.is_empty() && !key.contains(' '));
        let mut member = |key: &str, name: &str| {
            config.entry(key).or_insert_with(|| json!({}))[name] = json!({});
        };
        match keyword.to_uppercase().as_str() {
            "CMD" => drop(config.insert("Cmd".to_owned(), command(rest))),
            "ENTRYPOINT" => drop(config.insert("Entrypoint".to_owned(), command(rest))),
            "WORKDIR" => drop(config.insert("WorkingDir".to_owned(), json!(rest))),
            "USER" => drop(config.insert("User".to_owned(), json!(rest))),
            "STOPSIGNAL" => drop(config.insert("StopSignal".to_owned(), json!(rest))),
            "VOLUME" => member("Volumes", rest),
            "EXPOSE" => {
                let port = if rest.contains('/') { rest.to_owned() } else { format!("{rest}/tcp") };
                let number = port.split('/').next().unwrap_or_default();
                if number.parse::<u16>().is_err() {
                    return Err(bad("that is no port"));
                }
                member("ExposedPorts", &port);
            }
            "ENV" => {
                let (key, value) = pair().ok_or_else(|| bad("KEY=VALUE is wanted"))?;
                let line = json!(format!("{key}={}", value.trim_matches('"')));
                let list = config.entry("Env").or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(line);
                }
            }
            "LABEL" => {
                let (key, value) = pair().ok_or_else(|| bad("KEY=VALUE is wanted"))?;
                config.entry("Labels").or_insert_with(|| json!({}))[key] =
                    json!(value.trim_matches('"'));
            }
            _ => {
                return Err(bad("only CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, \
                                VOLUME and WORKDIR can be changed"));
            }
        }
    }
    Ok(Value::Object(config))
}

/// Reads a command: a JSON list, or a text for the shell.
fn command(text: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => json!(words),
        Err(_) => json!(["/bin/sh", "-c", text]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_instructions() {
        let all = [
            "CMD [\"/bin/sh\", \"-l\"]",
            "entrypoint echo hi",
            "ENV A=b c",
            "ENV D=\"e\"",
            "EXPOSE 80",
            "EXPOSE 53/udp",
            "LABEL k=v",
            "USER 1000:1000",
            "VOLUME /data",
            "WORKDIR /srv",
            "STOPSIGNAL SIGQUIT",
        ]
        .map(str::to_owned);
        assert_eq!(
            changes(&all).expect("changes"),
            json!({
                "Cmd": ["/bin/sh", "-l"],
                "Entrypoint": ["/bin/sh", "-c", "echo hi"],
                "Env": ["A=b c", "D=e"],
                "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
                "Labels": { "k": "v" },
                "User": "1000:1000",
                "Volumes": { "/data": {} },
                "WorkingDir": "/srv",
                "StopSignal": "SIGQUIT",
            })
        );
        for bad in ["RUN true", "CMD", "ENV A", "EXPOSE x", "LABEL =v"] {
            assert!(changes(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
