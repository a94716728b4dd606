//! The Helm chart's topics are those of `sinyal topics plan`: `cargo xtask deploy` keeps in `ci/expected` what the chart makes.

use std::path::Path;

use super::plan::desired;
use crate::config::Config;

/// Where the chart mounts configurations and secrets.
const MOUNTED: &str = "/etc/sinyal/";

fn expected(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/sinyal/ci/expected");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_chart_asks_for_the_same_topics() {
    let folder = tempfile::tempdir().unwrap();
    let here = format!("{}/", folder.path().display());
    let text = expected("sinyal.toml").replace(MOUNTED, &here);
    // The chart mounts a secret at each of these.
    std::fs::create_dir_all(folder.path().join("secrets")).unwrap();
    for path in text.split('"').filter_map(|text| text.strip_prefix(&here)) {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "a secret of some length").unwrap();
    }
    let file = folder.path().join("sinyal.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), []).unwrap();
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
