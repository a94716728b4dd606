//! The Helm chart's topics are those of `sinyal topics plan`, and the rights that it gives those of `--acls`: `cargo xtask deploy`
//! keeps in `ci/expected` what the chart makes of `ci/strimzi.yaml`. It refuses the secret properties that the program refuses.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::acl_forms::{Form, Lists};
use super::acls::{Duty, rights};
use super::plan::desired;
use crate::config::{Config, OWN_KEYS, OWN_PROPERTIES, SECRETS};

/// Where the chart mounts configurations and secrets.
const MOUNTED: &str = "/etc/sinyal/";
/// Long enough for every secret, and of the form of a webhook's.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// What the service does, without jobs.
const SERVICE: [Duty; 3] = [Duty::Classify, Duty::Community, Duty::Notify];

fn expected(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/sinyal/ci/expected");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The configuration that the chart makes, with something at each place where it mounts a secret.
fn config() -> Config {
    let folder = tempfile::tempdir().unwrap();
    let here = format!("{}/", folder.path().display());
    let text = expected("sinyal.toml").replace(MOUNTED, &here);
    for path in text.split('"').filter_map(|text| text.strip_prefix(&here)) {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, SECRET).unwrap();
    }
    let file = folder.path().join("sinyal.toml");
    std::fs::write(&file, text).unwrap();
    let secret = folder.path().join("pseudonym");
    std::fs::write(&secret, SECRET).unwrap();
    let secret = ("SINYAL__PSEUDONYM__SECRET_FILE".to_owned(), secret.display().to_string());
    Config::load(Some(&file), [secret]).unwrap()
}

#[test]
fn the_chart_asks_for_the_same_topics() {
    let config = config();
    assert_eq!(config.generation, "g2", "the example is one in which names are hard to make");
    let mut ours: Vec<String> = desired(&config)
        .into_iter()
        .map(|desired| {
            let spec = desired.spec;
            let settings = spec.config.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
            format!("{} {} {}{settings}\n", spec.name, spec.partitions, spec.replication)
        })
        .collect();
    ours.sort();
    assert_eq!(ours.concat(), expected("topics.txt"));
}

#[test]
fn the_charts_user_may_do_what_the_service_needs_and_no_more() {
    let config = config();
    let mut lists = Lists::default();
    for duty in SERVICE {
        lists.add("User:sinyal", duty, rights(duty, &config, None));
    }
    let ours: Value = serde_json::from_str(&lists.form(Form::Json, "", "")).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let ours: BTreeSet<[String; 4]> = ours
        .as_array()
        .unwrap()
        .iter()
        .map(|right| ["resource", "name", "pattern", "operation"].map(|key| word(&right[key])))
        .collect();
    let charts: Value = serde_json::from_str(&expected("acls.json")).unwrap();
    let mut theirs = BTreeSet::new();
    for right in charts["sinyal"].as_array().unwrap() {
        let resource = &right["resource"];
        let kind = word(&resource["type"]).replace("transactionalId", "transactional-id");
        let pattern = word(&resource["patternType"]).replace("prefix", "prefixed");
        for operation in right["operations"].as_array().unwrap() {
            theirs.insert([kind.clone(), word(&resource["name"]), pattern.clone(), word(operation)]);
        }
    }
    assert_eq!(theirs, ours, "`sinyal topics plan --acls --format strimzi` prints what belongs into ci/strimzi.yaml");
}

#[test]
fn the_chart_keeps_the_same_properties_out_of_its_config_map() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/sinyal/templates/_config.tpl");
    let template = std::fs::read_to_string(template).unwrap();
    let listed = |name: &str| -> BTreeSet<&str> {
        let (_, list) = template.split_once(&format!("define \"sinyal.{name}\" -}}}}\n")).unwrap();
        let (list, _) = list.split_once("{{- end").unwrap();
        list.lines().map(|line| line.strip_prefix("- ").unwrap()).collect()
    };
    assert_eq!(listed("secretProperties"), BTreeSet::from(SECRETS));
    let own = OWN_PROPERTIES.into_iter().chain(OWN_KEYS.map(|(name, _)| name));
    assert_eq!(listed("ownProperties"), own.collect());
}
