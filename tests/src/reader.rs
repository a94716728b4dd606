//! A reader that shares no code with the product: confluent-kafka and fastavro in Python.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{FETCH, cache, need, run, workspace};

/// Reads topics, committed records only, decoded by the schemas of the repository.
#[derive(Debug)]
pub struct Reader {
    python: PathBuf,
    bootstrap: String,
}

impl Reader {
    /// Sets up Python's packages if they are not there yet.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub fn new(bootstrap: &str) -> Result<Reader> {
        let _one = FETCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        need("python3", "python3-venv")?;
        let home = cache()?.join("python");
        let python = home.join("bin/python");
        if !home.join("complete").exists() {
            eprintln!("setting up Python's confluent-kafka and fastavro");
            run(Command::new("python3").args(["-m", "venv"]).arg(&home))
                .context("python3 -m venv; on Debian: apt-get install -y python3-venv")?;
            run(Command::new(&python)
                .args(["-m", "pip", "install", "-q", "confluent-kafka==2.6.1", "fastavro==1.9.7"])
                .stdin(Stdio::null()))?;
            std::fs::write(home.join("complete"), "")?;
        }
        Ok(Reader { python, bootstrap: bootstrap.to_owned() })
    }

    /// Python with these packages.
    pub(crate) fn python(&self) -> Command {
        Command::new(&self.python)
    }

    /// Every committed record of a topic. `schema` is the name of a file in `schemas/`; without one, values are bytes in
    /// hexadecimal.
    ///
    /// # Errors
    /// If the topic cannot be read, or a value is not what the schema says.
    pub fn read(&self, topic: &str, schema: Option<&str>) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        self.each(topic, schema, |record| {
            records.push(record);
            Ok(())
        })?;
        Ok(records)
    }

    /// Shows every committed record of a topic, one after the other: of a large topic not all need to be kept.
    ///
    /// # Errors
    /// If the topic cannot be read, a value is not what the schema says, or `see` fails.
    pub fn each(&self, topic: &str, schema: Option<&str>, mut see: impl FnMut(Value) -> Result<()>) -> Result<()> {
        let mut command = Command::new(&self.python);
        command.arg(workspace().join("tests/independent/read_topic.py")).args([&self.bootstrap, topic]);
        if let Some(schema) = schema {
            command.arg(workspace().join("schemas").join(format!("{schema}.avsc")));
        }
        let mut reading =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("Python cannot be started")?;
        let lines = BufReader::new(reading.stdout.take().context("a pipe")?).lines();
        let seen = lines.into_iter().try_for_each(|line| see(serde_json::from_str(&line?)?));
        let status = reading.wait()?;
        ensure!(status.success(), "{topic} could not be read; see above");
        seen
    }

    /// Writes records, each a key and a value, in one transaction, which is committed or aborted.
    ///
    /// # Errors
    /// If Kafka does not take them.
    pub fn write(&self, topic: &str, records: &[(String, Vec<u8>)], commit: bool) -> Result<()> {
        let mut command = Command::new(&self.python);
        command.arg(workspace().join("tests/independent/write_transaction.py"));
        command.args([self.bootstrap.as_str(), topic, if commit { "commit" } else { "abort" }]);
        let mut writing = command.stdin(Stdio::piped()).spawn().context("Python cannot be started")?;
        let mut input = writing.stdin.take().context("a pipe")?;
        for (key, value) in records {
            let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(input, "{}", json!({ "key": key, "value": value }))?;
        }
        drop(input);
        ensure!(writing.wait()?.success(), "{topic} could not be written to; see above");
        Ok(())
    }

    /// The next offset of each partition of a topic that a group has committed, if it has.
    ///
    /// # Errors
    /// If Kafka does not say.
    pub fn committed(&self, group: &str, topic: &str) -> Result<BTreeMap<i64, Option<i64>>> {
        let mut command = Command::new(&self.python);
        command.arg(workspace().join("tests/independent/committed.py")).args([&self.bootstrap, group, topic]);
        Ok(serde_json::from_str(&run(&mut command)?)?)
    }
}
