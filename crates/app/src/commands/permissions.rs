//! Whether the user of a configuration may do what roles and commands need, as far as brokers tell.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_io::acl::{Operation, Resource};
use kafka_io::admin::{Admin, AdminError};
use kafka_io::permissions::{Permitted, may_begin};

use super::topics::acls::{Duty, Right, rights};
use crate::config::Config;

/// How long brokers may take for the answer whether a transaction may be begun.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(20);
/// The instance under which that is tried: none is named so that works.
const NOBODY: &str = "sinyal-check";

/// What was found of one duty.
pub(super) type Finding = Result<String, String>;

/// Whether this user may do all that a duty needs; else what is missing.
pub(super) fn of_duty(admin: &Admin, config: &Config, duty: Duty) -> Finding {
    let rights = rights(duty, config, None);
    let name = duty.as_str();
    if rights.is_empty() {
        return Ok("nothing is needed as it is configured".to_owned());
    }
    let mut permitted =
        admin.permitted(rights.iter().map(|right| &right.resource)).map_err(|error| error.to_string())?;
    for right in rights.iter().filter(|right| right.prefixed) {
        // Brokers do not tell of transactional ids: it is tried.
        let id = format!("{}{NOBODY}", right.resource.name());
        let allowed = may_begin(config.connection(), &id, BEGIN_TIMEOUT).map_err(|error| error.to_string())?;
        let operations = if allowed { Permitted::Operations([right.operation].into()) } else { Permitted::Nothing };
        permitted.insert(right.resource.clone(), operations);
    }
    let is_hidden = |right: &&Right| permitted.get(&right.resource).is_some_and(|of| *of == Permitted::Nothing);
    let told: Vec<&Resource> = rights
        .iter()
        .filter(|right| right.operation == Operation::DescribeConfigs)
        .filter(is_hidden)
        .map(|right| &right.resource)
        // Brokers tell nothing of a topic without Describe, which this does not imply: it is tried.
        .filter(|resource| admin.config(resource.name()).is_ok())
        .collect();
    permitted
        .extend(told.into_iter().map(|of| (of.clone(), Permitted::Operations([Operation::DescribeConfigs].into()))));
    let (missing, untold) = sort(&rights, &permitted);
    if !missing.is_empty() {
        return Err(format!(
            "this user may not {}; `sinyal topics plan --acls --role {name}` lists all that it needs",
            missing.join(", ")
        ));
    }
    let told = rights.len() - untold.len();
    Ok(match untold.is_empty() {
        true => format!("all {told} are given"),
        false => format!("{told} are given; of {} brokers tell once they are there", untold.join(", ")),
    })
}

/// As which of the service's roles this user may work, without trying anything.
pub(super) fn in_short(admin: &Admin, config: &Config) -> Result<String, AdminError> {
    let duties = [Duty::Classify, Duty::Community, Duty::Notify];
    let of_each = duties.map(|duty| (duty, rights(duty, config, None)));
    let permitted = admin.permitted(of_each.iter().flat_map(|(_, rights)| rights).map(|right| &right.resource))?;
    let told = of_each.iter().filter(|(_, rights)| !rights.is_empty()).map(|(duty, rights)| {
        let (missing, _) = sort(rights, &permitted);
        let name = duty.as_str();
        if missing.is_empty() { format!("as {name}") } else { format!("not as {name} ({} missing)", missing.len()) }
    });
    Ok(format!("this user may work {}; `sinyal check --role ROLE` tells more", told.collect::<Vec<_>>().join(", ")))
}

/// What is not allowed, and what brokers do not tell of.
fn sort(rights: &[Right], permitted: &BTreeMap<Resource, Permitted>) -> (Vec<String>, Vec<String>) {
    let (mut missing, mut untold) = (Vec::new(), Vec::new());
    for Right { resource, operation, .. } in rights {
        match permitted.get(resource).and_then(|permitted| permitted.allows(*operation)) {
            Some(true) => {}
            Some(false) => missing.push(format!("{} {resource}", operation.as_str())),
            None => untold.push(resource.to_string()),
        }
    }
    (missing, untold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_not_told_are_kept_apart() {
        let topic = |name: &str| Resource::Topic(name.to_owned());
        let right = |name: &str, operation| Right { resource: topic(name), prefixed: false, operation };
        let rights = [
            right("a", Operation::Read),
            right("a", Operation::Write),
            right("b", Operation::Read),
            right("c", Operation::Read),
        ];
        let permitted = BTreeMap::from([
            (topic("a"), Permitted::Operations([Operation::Read, Operation::Describe].into())),
            (topic("b"), Permitted::Nothing),
            (topic("c"), Permitted::NotThere),
        ]);
        let (missing, untold) = sort(&rights, &permitted);
        assert_eq!(
            (missing, untold),
            (vec!["Write topic a".to_owned(), "Read topic b".to_owned()], vec!["topic c".to_owned()])
        );
    }
}
