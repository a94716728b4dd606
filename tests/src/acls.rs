//! Access control lists of a Kafka, changed one by one by a client that shares no code with the product.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::kafka::{fetch, java};
use crate::{Kafka, Reader, run, workspace};

/// One right, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acl {
    /// Whose, such as `User:sinyal-classify`.
    pub principal: String,
    /// `topic`, `group` or `transactional-id`.
    pub resource: String,
    /// The resource's name, or what it begins with.
    pub name: String,
    /// `literal` or `prefixed`.
    pub pattern: String,
    /// What may be done, such as `Read`.
    pub operation: String,
}

impl Acl {
    /// The same in the small letters of Python's client.
    fn lower(&self) -> Acl {
        Acl { operation: self.operation.to_lowercase(), ..self.clone() }
    }
}

/// Whoever gives and takes rights.
#[derive(Debug)]
pub struct Acls {
    bootstrap: String,
    pipes: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Acls {
    /// At the plain listener of a Kafka.
    ///
    /// # Errors
    /// If Python's packages cannot be had.
    pub fn of(kafka: &Kafka) -> Result<Acls> {
        let bootstrap = kafka.bootstrap();
        let mut command = Reader::new(&bootstrap)?.python();
        command.arg(workspace().join("tests/independent/acls.py")).arg(&bootstrap);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        Ok(Acls { bootstrap, pipes: Mutex::new((child, input, BufReader::new(output))) })
    }

    /// Gives rights.
    ///
    /// # Errors
    /// If Kafka does not take them.
    pub fn add(&self, acls: &[Acl]) -> Result<()> {
        self.order("add", acls).map(|_| ())
    }

    /// Takes a right that is there.
    ///
    /// # Errors
    /// If it is not.
    pub fn remove(&self, acl: &Acl) -> Result<()> {
        let removed = self.order("remove", std::slice::from_ref(acl))?;
        ensure!(removed == [acl.lower()], "{acl:?} is not there: {removed:?}");
        Ok(())
    }

    /// Whether these rights and no other are there.
    ///
    /// # Errors
    /// If not, or Kafka does not say.
    pub fn are(&self, acls: &[Acl]) -> Result<()> {
        let mut there = self.order("list", &[])?;
        let mut expected: Vec<Acl> = acls.iter().map(Acl::lower).collect();
        there.sort();
        expected.sort();
        ensure!(there == expected, "there are {there:#?}, not {expected:#?}");
        Ok(())
    }

    /// Runs commands of `kafka-acls.sh`, as they are printed, by Kafka's own tool.
    ///
    /// # Errors
    /// If one fails.
    pub fn run_commands(&self, commands: &str) -> Result<()> {
        let jars = fetch()?;
        for line in commands.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let arguments = line.strip_prefix("kafka-acls.sh ").with_context(|| format!("{line:?} is no command"))?;
            let mut shell = Command::new("sh");
            // The shell takes the quotes away, as it would from the printed line.
            let java = java(&jars);
            let tool = std::iter::once(java.get_program())
                .chain(java.get_args())
                .map(|word| format!("'{}'", word.to_string_lossy()));
            let tool: Vec<String> = tool.collect();
            let arguments = arguments
                .replace("--bootstrap-server \"$BOOTSTRAP\"", &format!("--bootstrap-server {}", self.bootstrap));
            shell.arg("-c").arg(format!("{} org.apache.kafka.tools.AclCommand {arguments}", tool.join(" ")));
            run(&mut shell)?;
        }
        Ok(())
    }

    fn order(&self, order: &str, acls: &[Acl]) -> Result<Vec<Acl>> {
        let mut pipes = self.pipes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (_, input, output) = &mut *pipes;
        writeln!(input, "{}", json!({ "do": order, "acls": acls }))?;
        let mut line = String::new();
        ensure!(output.read_line(&mut line)? > 0, "the client of the lists has ended; see above");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Acls {
    fn drop(&mut self) {
        if let Ok((child, ..)) = self.pipes.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
