//! `loopline get`: shows objects.

use serde_json::{Value, json};

use super::output::{Form, without_managed_fields};
use super::report::{Report, block_on, connect, list};
use super::select::{Selection, Wanted, items, pages, resolve};
use crate::arguments::GetArguments;
use crate::cluster::{Ask, Cluster, JSON, Kind};
use crate::commands::{Context, Outcome};
use crate::error::{CommandError, Status};
use crate::show::table;

/// How tables are asked for.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub(crate) fn run(context: &Context<'_>, arguments: &GetArguments) -> Outcome {
    block_on(get(context, arguments))
}

async fn get(context: &Context<'_>, arguments: &GetArguments) -> Outcome {
    let form = Form::parse(arguments.output.as_deref())?;
    let cluster = connect(&arguments.cluster).await?;
    let (files, objects) = (&arguments.files, &arguments.objects);
    let wanted = Wanted {
        field_selector: &arguments.field_selector,
        ..Wanted::new(files, objects, &arguments.selector, arguments.all_namespaces)
    };
    let selection = resolve(&cluster, &wanted).await?;
    let mut report = Report::new(context, "loopline.get/v1");
    let tables = matches!(form, Form::Table | Form::Wide) && !context.printer.json;
    let accept = if tables { TABLE } else { JSON };
    // One object that was named is printed as itself, everything else as a list.
    let single = matches!(&selection, Selection::Named(named) if named.len() == 1);
    let mut groups: Vec<(Kind, Vec<Value>)> = Vec::new();
    match selection {
        Selection::Listed(kinds) => {
            for kind in kinds {
                match pages(&cluster, &kind, &wanted, Some(accept)).await {
                    Ok(pages) if tables => groups.push((kind, pages)),
                    Ok(pages) => {
                        let items = items(&kind, pages);
                        groups.push((kind, items));
                    }
                    Err(failure) => report.failed("", failure),
                }
            }
        }
        Selection::Named(named) => {
            for (target, place) in named {
                match cluster.ask(Ask::new("GET", target.path()).accept(accept)).await {
                    Ok(answer) => match groups.last_mut() {
                        Some((kind, found)) if kind.plural_name() == target.kind.plural_name() => {
                            found.push(answer.body);
                        }
                        _ => groups.push((target.kind, vec![answer.body])),
                    },
                    Err(failure) if failure.is_not_found() && arguments.ignore_not_found => {}
                    Err(failure) => report.failed(&place, failure),
                }
            }
        }
    }
    if tables {
        print_tables(context, arguments, &cluster, &groups, &report);
        return Ok(report.end());
    }
    let mut objects: Vec<Value> = groups.into_iter().flat_map(|(_, found)| found).collect();
    if !arguments.show_managed_fields {
        objects.iter_mut().for_each(without_managed_fields);
    }
    print_objects(context, &form, objects, single)?;
    Ok(report.end())
}

fn print_objects(
    context: &Context<'_>,
    form: &Form,
    mut objects: Vec<Value>,
    single: bool,
) -> Result<Status, CommandError> {
    if context.printer.json && !form.is_whole() {
        context.printer.json(&json!({"schema": "loopline.get/v1", "items": objects}));
        return Ok(Status::Ok);
    }
    if matches!(form, Form::Name) {
        for object in &objects {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let version = text(&object["apiVersion"]);
            let mut kind = text(&object["kind"]).to_lowercase();
            if let Some((group, _)) = version.rsplit_once('/') {
                kind = format!("{kind}.{group}");
            }
            context.printer.out(&format!("{kind}/{}", text(&object["metadata"]["name"])));
        }
        return Ok(Status::Ok);
    }
    let whole = if single { objects.pop() } else { Some(list(objects)) };
    if let Some(text) = whole.and_then(|object| form.whole(&object)) {
        context.printer.out_raw(text.as_bytes());
    }
    Ok(Status::Ok)
}

fn print_tables(
    context: &Context<'_>,
    arguments: &GetArguments,
    cluster: &Cluster,
    groups: &[(Kind, Vec<Value>)],
    report: &Report<'_>,
) {
    let rows = |tables: &[Value]| {
        tables.iter().any(|table| table["rows"].as_array().is_some_and(|rows| !rows.is_empty()))
    };
    let several = groups.len() > 1;
    let shown: Vec<&(Kind, Vec<Value>)> = groups.iter().filter(|group| rows(&group.1)).collect();
    for (index, (kind, tables)) in shown.iter().enumerate() {
        if index > 0 {
            context.printer.out("");
        }
        let prefix = kind.singular_name();
        let form = table::Form {
            wide: arguments.output.as_deref() == Some("wide"),
            namespaces: arguments.all_namespaces && kind.namespaced,
            labels: arguments.show_labels,
            prefix: several.then_some(prefix.as_str()),
            no_headers: arguments.no_headers,
        };
        table::lines(tables, form).iter().for_each(|line| context.printer.out(line));
    }
    let listed = groups.iter().any(|(_, tables)| !tables.is_empty());
    if shown.is_empty() && listed && !report.has_failed() && !arguments.ignore_not_found {
        let namespaced = groups.iter().any(|(kind, _)| kind.namespaced);
        context.printer.err(&if namespaced && !arguments.all_namespaces {
            format!("No resources found in {} namespace.", cluster.namespace())
        } else {
            "No resources found".to_owned()
        });
    }
}
