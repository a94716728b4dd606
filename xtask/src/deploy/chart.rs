//! The Helm chart, with every file of values in its folder `ci`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::tools::{KUBERNETES, Tools};
use super::{output, succeed};

/// Values that leave out on purpose what kube-score asks for: it is not asked about them.
const NOT_SCORED: [&str; 1] = ["bare"];

/// A password of Kafka's in the secret file `k`.
const PASSWORD: &str = "kafka.propertyFiles.sasl\\.password=k";

/// Mistakes, and what the message must say of each.
const MISTAKES: &[(&[&str], &str)] = &[
    (&["kafka.bootstrap="], "kafka.bootstrap: the brokers are right, host:port"),
    (&["kafka.bootstrap=kafka"], "at '/kafka/bootstrap': 'kafka' does not match pattern"),
    (&["pseudonym.existingSecret="], "pseudonym.existingSecret: the name of a Secret is right"),
    (&["pseudonym.previous.existingSecret=old"], "pseudonym.previous.version: the version that the secret before had"),
    (&["classify.replicas=three"], "at '/classify/replicas': got string, want integer"),
    (&["classify.replica=3"], "at '/classify': additional properties 'replica' not allowed"),
    (&["image.digest=sha256:12"], "at '/image/digest'"),
    (&["kafka.properties.sasl\\.password=x"], "kafka.properties: sasl.password is a secret, and this is a ConfigMap"),
    (&["secretFiles.a/b.secret=s", "secretFiles.a/b.key=k"], "secretFiles: \"a/b\" becomes the name of a file"),
    (&["notify.kafka.properties.ssl\\.key\\.pem=x"], "notify.kafka.properties: ssl.key.pem is a secret"),
    (&["kafka.propertyFiles.sasl\\.password=nowhere"], "which secretFiles does not name"),
    (
        &["config.registry.password_file=/etc/sinyal/secrets/nowhere"],
        "classify.toml names /etc/sinyal/secrets/nowhere, which secretFiles does not name",
    ),
    (
        &["secretFiles.k.secret=s", "secretFiles.k.key=k", "secretFiles.k.roles={community}", PASSWORD],
        "secretFiles.k: classify.toml names it, and only community gets it; add classify to its roles",
    ),
    (
        &[
            "secretFiles.k.secret=s",
            "secretFiles.k.key=k",
            "secretFiles.k.roles={classify,community}",
            "jobs.topicsApply.enabled=true",
            PASSWORD,
        ],
        "secretFiles.k: job.toml names it, and only classify, community gets it; add job to its roles",
    ),
    (&["config.clasify.threshold=0.5"], "config.clasify: Sinyal knows no such section; one of alerts, "),
    (
        &["config.classify.commit_interval=50"],
        "config.classify.commit_interval: Sinyal knows no such key; one of commit_interval_ms",
    ),
    (
        &["config.classify.commit_interval_ms=fast"],
        "config.classify.commit_interval_ms: \"fast\" is a string; a number is right",
    ),
    (
        &["config.alerts.complaint_spike.treshold=20"],
        "config.alerts.complaint_spike.treshold: Sinyal knows no such key; one of critical_count",
    ),
    (
        &["config.telemetry.traces.endpont=http://collector:4318"],
        "config.telemetry.traces.endpont: Sinyal knows no such key; one of endpoint",
    ),
    (&["config.kafka.bootstrap=kafka:9092"], "config.kafka.bootstrap: the chart sets it; see kafka.bootstrap"),
    (&["config.instance.id=one"], "config.instance.id: the chart sets it"),
    (&["kafka.properties.isolation\\.level=read_uncommitted"], "kafka.properties: isolation.level is Sinyal's own"),
    (&["community.resources.limits.memory=2Gi"], "2Gi is 2048 MiB, and a pod may come to hold 5962 MiB"),
    (&["community.resources.limits.memory=lots"], "at '/community/resources/limits/memory'"),
    (
        &["config.notify.targets[0].url=http://pager:9093", "config.notify.alerts_max=1000000"],
        "384Mi is 384 MiB, and a pod may come to hold 3942 MiB by config.notify.alerts_max",
    ),
    (&["strimzi.topics.enabled=true"], "at '/strimzi/cluster'"),
    (&["sink.enabled=true"], "config.sink.url: the database is right"),
    (&["jobs.sinkApply.enabled=true"], "jobs.sinkApply.url: the database is right"),
    (&["jobs.sinkApply.existingSecret=owner"], "jobs.sinkApply.existingSecret: it holds the password of the user in"),
    (&["jobs.sinkApply.url=postgresql://o:secret@db/d"], "jobs.sinkApply.url: it holds a password; a URL without"),
    (&["env.SINYAL__CANARY=1"], "at '/env/SINYAL__CANARY': got number, want string"),
    (&["http.port=80"], "at '/http/port'"),
];

/// Files of values, what is set over them, and where a role may go then, by the ports of its policy.
const REACHES: &[(&str, &[&str], &str)] = &[
    ("minimal", &[], "classify: 53 9092"),
    ("sink", &[], "sink: 53 5432 6432 8443 9092"),
    ("sink", &[], "community: 53 9092"),
    ("sink", &[], "job: 53 5433 9092"),
    ("sink", &["sink.enabled=false"], "job: 53 5433 9092"),
    ("sink", &["jobs.sinkApply.url=", "jobs.sinkApply.existingSecret="], "job: 53 5432 6432 9092"),
    ("sink", &["sink.enabled=false", "config.sink.url=", "jobs.sinkApply.enabled=false"], "test: 53 9092"),
    ("sink", &["config.sink.url=postgresql://u@[::1]:6000\\,db/d"], "sink: 53 5432 6000 8443 9092"),
    ("sink", &["config.sink.url=postgresql:///d?user=u&host=a\\,b&port=1\\,2"], "sink: 1 2 53 8443 9092"),
    ("minimal", &["kafka.properties.sasl\\.oauthbearer\\.token\\.endpoint\\.url=https://login/t"], "test: 53 443 9092"),
];

/// Files of values, what is set over them, and what must stand in a line of what the chart makes then.
const MAKES: &[(&str, &[&str], &str)] = &[
    ("everything", &[], "lagThreshold: \"1000000\""),
    ("everything", &[], "sinyal_canary_last_seen_timestamp_seconds) > 300"),
    ("everything", &["config.canary.interval_ms=3600000"], "sinyal_canary_last_seen_timestamp_seconds) > 3720"),
    ("everything", &[], "runbook_url: https://github.com/sinyal/sinyal/blob/main/docs/src/runbooks/SinyalBlind.md"),
    (
        "everything",
        &["prometheusRule.runbookBase=https://docs.example/runbooks/"],
        "runbook_url: https://docs.example/runbooks/SinyalBlind.html",
    ),
    (
        "everything",
        &["config.notify.runbook_base=https://docs.example/runbooks"],
        "runbook_url: https://docs.example/runbooks/SinyalBlind.html",
    ),
];

pub(super) fn check(root: &Path, tools: &Tools, bless: bool) -> Result<()> {
    let chart = Chart { folder: root.join("deploy/chart/sinyal"), root, tools };
    let work = std::env::temp_dir().join(format!("sinyal-deploy-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let checked = chart.check(&work, bless);
    std::fs::remove_dir_all(&work)?;
    checked
}

struct Chart<'a> {
    folder: PathBuf,
    root: &'a Path,
    tools: &'a Tools,
}

impl Chart<'_> {
    fn check(&self, work: &Path, bless: bool) -> Result<()> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.join("ci"))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        files.sort();
        ensure!(files.len() >= 6, "deploy/chart/sinyal/ci holds {} files of values", files.len());
        self.script("documented", &[self.folder.as_path()])?;
        let version = format!("appVersion: {}", env!("CARGO_PKG_VERSION"));
        let described = std::fs::read_to_string(self.folder.join("Chart.yaml"))?;
        ensure!(described.lines().any(|line| line == version), "Chart.yaml: {version} is right");
        let mut rendered = Vec::new();
        for values in &files {
            let name = values.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            self.lint(values)?;
            let file = work.join(format!("{name}.yaml"));
            std::fs::write(&file, self.template(values, &[])?)?;
            self.score(&name, &file)?;
            rendered.push(file);
        }
        // Older Strimzi has an older version of the same resources.
        let older = work.join("strimzi-v1beta2.yaml");
        let values = self.folder.join("ci/strimzi.yaml");
        std::fs::write(&older, self.template(&values, &["strimzi.apiVersion=v1beta2"])?)?;
        rendered.push(older);
        self.conform(&rendered)?;
        println!("ok    {} files of values: helm lint, helm template, kubeconform, kube-score", files.len());
        self.rules(&work.join("everything.yaml"), work)?;
        self.configurations(&rendered, work)?;
        self.expected(&work.join("strimzi.yaml"), work, bless)?;
        self.mistakes()?;
        self.reaches(work)?;
        self.makes()?;
        self.restarts()?;
        self.package(work)
    }

    fn helm(&self, command: &str) -> Command {
        let mut helm = self.tools.program("helm");
        helm.arg(command);
        helm
    }

    fn lint(&self, values: &Path) -> Result<()> {
        let mut helm = self.helm("lint");
        helm.args(["--strict", "--quiet", "--kube-version", KUBERNETES[0]]);
        succeed(helm.arg("--values").arg(values).arg(&self.folder))
    }

    fn template(&self, values: &Path, set: &[&str]) -> Result<String> {
        output(self.templating(values, set).arg("--namespace").arg("signals"))
    }

    fn templating(&self, values: &Path, set: &[&str]) -> Command {
        let mut helm = self.helm("template");
        helm.arg("sinyal").arg(&self.folder).args(["--kube-version", KUBERNETES[1], "--values"]).arg(values);
        for value in set {
            helm.args(["--set", value]);
        }
        helm
    }

    fn score(&self, name: &str, rendered: &Path) -> Result<()> {
        if NOT_SCORED.contains(&name) {
            return Ok(());
        }
        let mut score = self.tools.program("kube-score");
        score.arg("score").args(["--kubernetes-version", "v1.28", "--output-format", "ci"]);
        // A throttled role holds up its transaction, and all readers of committed records with it.
        score.arg("--ignore-container-cpu-limit");
        // An image named by a digest or a fixed tag does not change; `Always` would make a start need the registry.
        score.args(["--ignore-test", "container-image-pull-policy"]);
        score.args(["--enable-optional-test", "container-seccomp-profile"]);
        succeed(score.arg(rendered))
    }

    fn conform(&self, rendered: &[PathBuf]) -> Result<()> {
        let schemas = self.tools.schema_folder();
        let schemas = schemas.display();
        for version in KUBERNETES {
            let mut conform = self.tools.program("kubeconform");
            conform.args(["-strict", "-kubernetes-version", version, "-schema-location"]);
            conform.arg(format!(
                "{schemas}/kubernetes/{{{{ .NormalizedKubernetesVersion }}}}{{{{ .StrictSuffix }}}}/\
                 {{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
            ));
            conform.arg("-schema-location");
            conform.arg(format!(
                "{schemas}/crds/{{{{ .Group }}}}/{{{{ .ResourceKind }}}}_{{{{ .ResourceAPIVersion }}}}.json"
            ));
            succeed(conform.args(rendered))?;
        }
        Ok(())
    }

    /// The rules as a cluster would get them. `./test` runs their unit tests.
    fn rules(&self, rendered: &Path, work: &Path) -> Result<()> {
        let rules = work.join("rules.yaml");
        self.script("rules", &[rendered, &rules])?;
        succeed(Command::new("promtool").args(["check", "rules"]).arg(rules))
            .context("on Debian: apt-get install -y prometheus")
    }

    /// The program must take every configuration that the chart makes, with the secrets where the chart mounts them.
    fn configurations(&self, rendered: &[PathBuf], work: &Path) -> Result<()> {
        let binary = self.binary()?;
        let mut taken = 0;
        for rendered in rendered {
            let folder = work.join("etc").join(rendered.file_stem().unwrap_or_default());
            std::fs::create_dir_all(&folder)?;
            let told = self.script("configurations", &[rendered, &folder])?;
            for file in told.lines() {
                // It ends with 2 where the configuration is wrong; a topic that it cannot read here is another matter.
                let route = ["route", "--text", "terima kasih", "--config", file];
                let output = Command::new(&binary).args(route).output()?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                ensure!(matches!(output.status.code(), Some(0 | 1)), "{}, {file}: {said}", rendered.display());
                taken += 1;
            }
        }
        ensure!(taken > 0, "no configuration was made");
        println!("ok    {taken} configurations are taken by the program");
        Ok(())
    }

    /// Builds the program, and says where it is.
    fn binary(&self) -> Result<PathBuf> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(self.root).args(["build", "--quiet", "--package", "app", "--message-format", "json"]);
        let told = output(&mut cargo)?;
        let artifacts = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let executables = artifacts.filter(|artifact| artifact["target"]["name"] == "sinyal");
        let executable = executables.filter_map(|artifact| Some(artifact["executable"].as_str()?.into())).next_back();
        executable.context("cargo built no binary of the name sinyal")
    }

    /// The topics and the configuration that come of ci/strimzi.yaml. A test of the program (`topics/chart.rs`) compares them with what
    /// `sinyal topics plan` would have.
    fn expected(&self, rendered: &Path, work: &Path, bless: bool) -> Result<()> {
        let folder = self.folder.join("ci/expected");
        let made = work.join("expected");
        std::fs::create_dir_all(&made)?;
        self.script("expected", &[rendered, &made])?;
        for name in ["sinyal.toml", "topics.txt", "acls.json"] {
            let now = std::fs::read_to_string(made.join(name))?;
            if bless {
                std::fs::create_dir_all(&folder)?;
                std::fs::write(folder.join(name), &now)?;
            }
            let kept = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            ensure!(
                kept == now,
                "ci/expected/{name} is not what the chart makes now; `cargo xtask deploy --bless` writes it:\n{now}"
            );
        }
        Ok(())
    }

    fn mistakes(&self) -> Result<()> {
        let values = self.folder.join("ci/minimal.yaml");
        for (set, right) in MISTAKES {
            let output = self.templating(&values, set).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(!output.status.success(), "{set:?} is taken, and should not be");
            ensure!(said.contains(right), "{set:?}: {right:?} is missing in: {said}");
        }
        println!("ok    {} mistakes in values are refused with a message", MISTAKES.len());
        Ok(())
    }

    /// A policy lets a role go where its configuration sends it, and nowhere else.
    fn reaches(&self, work: &Path) -> Result<()> {
        let rendered = work.join("reaches.yaml");
        for (name, set, right) in REACHES {
            let values = self.folder.join(format!("ci/{name}.yaml"));
            std::fs::write(&rendered, self.template(&values, set)?)?;
            let told = self.script("reaches", &[&rendered])?;
            ensure!(told.lines().any(|line| line == *right), "{name}, {set:?}: {right:?} is missing in:\n{told}");
        }
        println!("ok    policies let roles go where their configurations send them, in {} cases", REACHES.len());
        Ok(())
    }

    /// What hangs on single values is made as it should be.
    fn makes(&self) -> Result<()> {
        for (name, set, right) in MAKES {
            let made = self.template(&self.folder.join(format!("ci/{name}.yaml")), set)?;
            ensure!(made.lines().any(|line| line.ends_with(right)), "{name}, {set:?}: no line ends with {right:?}");
        }
        println!("ok    what hangs on single values, in {} cases", MAKES.len());
        Ok(())
    }

    /// What a running process reads again restarts nothing, and everything else restarts the roles that it is for.
    fn restarts(&self) -> Result<()> {
        let values = self.folder.join("ci/everything.yaml");
        let sums = |set: &[&str]| -> Result<Vec<String>> {
            let rendered = self.template(&values, set)?;
            let sums = rendered.lines().filter(|line| line.trim_start().starts_with("sinyal.io/config:"));
            Ok(sums.map(|line| line.trim().to_owned()).collect())
        };
        let before = sums(&[])?;
        ensure!(before.len() == 3, "{before:?} are not those of three roles");
        let cases: [(&[&str], usize); 6] = [
            (&["config.routes[0].sla_minutes=30"], 0),
            (&["config.alerts.complaint_spike.threshold=20"], 0),
            (&["communities.registry=x = 1"], 0),
            (&["config.classify.threshold=0"], 3),
            // Only the notifier knows targets.
            (&["config.notify.targets[0].url=http://other:9093"], 1),
            (&["config.queues[0].name=all", "config.queues[0].takes=other", "config.queues[0].department=d"], 3),
        ];
        for (set, right) in cases {
            let now = sums(set)?;
            let others = before.iter().zip(&now).filter(|(before, now)| before != now).count();
            ensure!(others == right, "{set:?} restarts {others} roles, and {right} would be right");
        }
        println!("ok    what is read again by a running process restarts nothing");
        Ok(())
    }

    /// A package holds the files that the chart's links lead to, as they are.
    fn package(&self, work: &Path) -> Result<()> {
        succeed(self.helm("package").arg(&self.folder).arg("--destination").arg(work))?;
        let package = std::fs::read_dir(work)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
            .context("helm package made nothing")?;
        succeed(Command::new("tar").arg("-xzf").arg(package).arg("-C").arg(work))?;
        let mut pairs = vec![
            ("rules.yaml".to_owned(), self.root.join("deploy/prometheus/rules.yaml")),
            ("default.toml".to_owned(), self.root.join("crates/app/src/config/default.toml")),
        ];
        for dashboard in std::fs::read_dir(self.root.join("deploy/grafana"))? {
            let path = dashboard?.path();
            pairs.push((format!("grafana/{}", path.file_name().unwrap_or_default().to_string_lossy()), path));
        }
        for (inside, original) in pairs {
            let packed =
                std::fs::read(work.join("sinyal/files").join(&inside)).with_context(|| format!("files/{inside}"))?;
            ensure!(packed == std::fs::read(&original)?, "files/{inside} in the package is not {}", original.display());
        }
        Ok(())
    }

    /// Runs one of the looks of `deploy/chart/look.py`.
    fn script(&self, what: &str, paths: &[&Path]) -> Result<String> {
        output(self.tools.python("python").arg(self.root.join("deploy/chart/look.py")).arg(what).args(paths))
    }
}
