//! The peer in `benches/peers/kafka-streams`: built by Maven, started like a service of ours.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sinyal_tests::{Ran, Sinyal, wait_for, workspace};

/// How the peer is run.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// `rocksdb` or `in-memory`.
    pub(crate) store: String,
    /// Stream threads.
    pub(crate) threads: usize,
    /// The largest heap, in MiB.
    pub(crate) heap_mib: usize,
    /// Further options of the JVM.
    pub(crate) options: Vec<String>,
    /// Further `key=value` settings.
    pub(crate) more: Vec<String>,
    /// Its windows; those that it has by itself if there are none.
    pub(crate) windows: Vec<WindowSpec>,
}

/// A rolling window, for both.
#[derive(Debug, Clone)]
pub(crate) struct WindowSpec {
    pub(crate) name: String,
    pub(crate) length_ms: u64,
    pub(crate) slide_ms: u64,
    pub(crate) lateness_ms: u64,
}

impl WindowSpec {
    /// As a configuration of the service has it.
    pub(crate) fn toml(&self) -> String {
        let WindowSpec { name, length_ms, slide_ms, lateness_ms } = self;
        format!(
            "[[windows]]\nname = \"{name}\"\nlength_ms = {length_ms}\nslide_ms = {slide_ms}\nlateness_ms = {lateness_ms}\n"
        )
    }
}

impl Peer {
    /// Starts it on the raw topics of `sinyal`, and on the other topics of one of its generations.
    pub(crate) fn start(&self, sinyal: &Sinyal, generation: &str) -> Result<Ran> {
        let folder = folder();
        let of_generation = sinyal.generation(generation);
        let prefix = |topic: String| topic.trim_end_matches("social.").to_owned();
        let classes = format!("{}:{}/*", folder.join("target/peer.jar").display(), folder.join("target/lib").display());
        let join = |parts: Vec<String>| parts.join(",");
        let of_windows = |part: fn(&WindowSpec) -> String| join(self.windows.iter().map(part).collect());
        let windows = of_windows(|window| format!("{}:{}:{}", window.name, window.length_ms, window.slide_ms));
        let mut arguments = vec![format!("-Xmx{}m", self.heap_mib)];
        if !self.options.iter().any(|option| option.ends_with("GC")) {
            // On few cores the one that takes least of them: no threads of its own beside those that work.
            arguments.push("-XX:+UseSerialGC".to_owned());
        }
        arguments.extend(self.options.iter().cloned());
        arguments.extend([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned(),
            "-cp".to_owned(),
            classes,
            "id.sinyal.peer.Peer".to_owned(),
            format!("bootstrap={}", sinyal.bootstrap()),
            format!("application={}", group(sinyal, generation)),
            format!("topics.prefix={}", prefix(of_generation.topic("social."))),
            format!("topics.raw.prefix={}", prefix(sinyal.topic("social."))),
            format!("pseudonym.secret.file={}", sinyal.file("secret").display()),
            format!("state.store={}", self.store),
            format!("state.folder={}", state_folder(sinyal, generation).display()),
            format!("threads={}", self.threads),
            // As the service has: whoever comes again takes its place at once.
            format!("instance={generation}"),
        ]);
        if !windows.is_empty() {
            arguments.insert(0, format!("-Dpeer.windows={windows}"));
            arguments.push(format!("lateness.ms={}", of_windows(|window| window.lateness_ms.to_string())));
        }
        arguments.extend(self.more.iter().cloned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        sinyal.start_other(Path::new("java"), &arguments, &[])
    }
}

/// Where it keeps what is on disk.
pub(crate) fn state_folder(sinyal: &Sinyal, generation: &str) -> PathBuf {
    sinyal.file(&format!("peer-{generation}"))
}

/// The consumer group of the peer, which is named like that of the community role: it reads what both roles read.
pub(crate) fn group(sinyal: &Sinyal, generation: &str) -> String {
    sinyal.generation(generation).group("community")
}

/// Builds it.
pub(crate) fn build() -> Result<()> {
    writeln!(std::io::stderr().lock(), "building the peer; the first time Maven fetches what it needs")?;
    let built = Command::new("mvn")
        .current_dir(folder())
        .args(["-q", "-B", "package"])
        .stdin(Stdio::null())
        // Maven says there what is wrong; ours may go into a file.
        .stdout(std::io::stderr())
        .status()
        .context("mvn is missing; on Debian: sudo apt-get install -y maven default-jdk-headless")?;
    ensure!(
        built.success(),
        "the peer could not be built; see above. It takes a JDK of 17 or newer: a runtime alone does not compile"
    );
    Ok(())
}

fn folder() -> PathBuf {
    workspace().join("benches/peers/kafka-streams")
}

/// Makes the topics of a generation.
pub(crate) fn make_topics(sinyal: &Sinyal, generation: &str) -> Result<()> {
    let mut said = String::new();
    // Right after the first generation's topics were made, brokers may not show yet what both share.
    wait_for("the topics to be made", Duration::from_secs(20), || {
        let made = sinyal.output_with(&["topics", "apply"], &[(GENERATION, generation)])?;
        said = String::from_utf8_lossy(&made.stderr).into_owned();
        Ok(made.status.success())
    })
    .with_context(|| said.clone())
}

/// What sets the generation in the environment.
pub(crate) const GENERATION: &str = "SINYAL__TOPICS__GENERATION";
