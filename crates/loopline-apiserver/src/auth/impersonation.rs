//! Acting as somebody else: the `Impersonate-` headers, for those who may.

use http::HeaderMap;

use super::{AUTHENTICATED, Action, UNAUTHENTICATED, User};
use crate::Server;
use crate::status::{Result, Status};

/// The most values of impersonation headers in one request.
const MAX_VALUES: usize = 1024;

/// What the header of something extra begins with.
const EXTRA: &str = "impersonate-extra-";

impl Server {
    /// Returns as whom a request acts: its user, or whom its headers name. Nothing where they
    /// name nobody.
    ///
    /// # Errors
    /// 403 for those who may not; 400 for headers that make no sense.
    pub async fn impersonated(&self, headers: &HeaderMap, user: &User) -> Result<Option<User>> {
        let Some(mut wanted) = parse(headers)? else { return Ok(None) };
        let check =
            |group: &str, resource: &str, namespace: &str, name: &str, subresource: &str| {
                let action = Action {
                    verb: "impersonate".to_owned(),
                    group: group.to_owned(),
                    version: "v1".to_owned(),
                    resource: resource.to_owned(),
                    subresource: subresource.to_owned(),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    path: String::new(),
                };
                async move {
                    self.authorize(user, &action).await.map_err(|why| {
                        let resource = loopline_schema::Resource {
                            group: action.group.clone().into(),
                            plural: action.resource.clone().into(),
                            ..loopline_schema::Resource::default()
                        };
                        Status::forbidden(&resource, &action.name, why)
                    })
                }
            };
        let account = wanted
            .name
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        match account {
            Some((namespace, name)) => check("", "serviceaccounts", namespace, name, "").await?,
            None => check("", "users", "", &wanted.name, "").await?,
        }
        for group in &wanted.groups {
            check("", "groups", "", group, "").await?;
        }
        if !wanted.uid.is_empty() {
            check("authentication.k8s.io", "uids", "", &wanted.uid, "").await?;
        }
        for (key, values) in &wanted.extra {
            for value in values {
                check("authentication.k8s.io", "userextras", "", value, key).await?;
            }
        }
        if wanted.groups.is_empty()
            && let Some((namespace, name)) = account
        {
            wanted.groups = User::service_account(namespace, name).groups;
        }
        let group = if wanted.name == User::anonymous().name && wanted.groups.is_empty() {
            UNAUTHENTICATED
        } else {
            AUTHENTICATED
        };
        if !wanted.is_in(AUTHENTICATED) && !wanted.is_in(UNAUTHENTICATED) {
            wanted.groups.push(group.to_owned());
        }
        Ok(Some(wanted))
    }
}

/// Reads the headers; nothing where there are none.
fn parse(headers: &HeaderMap) -> Result<Option<User>> {
    let mut wanted = User::default();
    let mut found = 0_usize;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("impersonate-") {
            continue;
        }
        found += 1;
        if found > MAX_VALUES {
            return Err(Status::bad_request(format!(
                "more than {MAX_VALUES} values of impersonation headers"
            )));
        }
        let value = value
            .to_str()
            .map_err(|_| Status::bad_request(format!("the header {name} is no text")))?
            .to_owned();
        match name {
            "impersonate-user" => wanted.name = value,
            "impersonate-group" => wanted.groups.push(value),
            "impersonate-uid" => wanted.uid = value,
            _ => match name.strip_prefix(EXTRA) {
                Some(key) => add_extra(&mut wanted, key, value),
                None => found -= 1,
            },
        }
    }
    if found == 0 {
        return Ok(None);
    }
    if wanted.name.is_empty() {
        return Err(Status::bad_request(
            "impersonation headers ask for groups, an identifier or something extra without \
             Impersonate-User",
        ));
    }
    Ok(Some(wanted))
}

fn add_extra(user: &mut User, key: &str, value: String) {
    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().to_lowercase();
    match user.extra.iter_mut().find(|(known, _)| *known == key) {
        Some((_, values)) => values.push(value),
        None => user.extra.push((key, vec![value])),
    }
}
