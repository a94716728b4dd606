//! Every metric that is registered, ours and those of the process, and what is said of each.

use std::sync::{Arc, Mutex};

use prometheus::core::Collector;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{IntGaugeVec, Opts};

/// Before the names of ours.
const NAMESPACE: &str = "sinyal";

/// Where metrics are registered. Those of ours get the prefix `sinyal_`; those of the process have the names that every Prometheus client
/// gives them.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    ours: prometheus::Registry,
    process: prometheus::Registry,
    described: Arc<Mutex<Vec<Described>>>,
}

/// What is said of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: &'static str,
    pub(crate) labels: Vec<String>,
    pub(crate) help: String,
}

impl Registry {
    /// With what tells of the process and the build.
    pub(crate) fn new() -> Registry {
        let ours = prometheus::Registry::new_custom(Some(NAMESPACE.to_owned()), None);
        let registry = Registry {
            ours: ours.unwrap_or_default(),
            process: prometheus::Registry::new(),
            described: Arc::default(),
        };
        #[cfg(target_os = "linux")]
        registry.add_process();
        let options = Opts::new("build_info", "Always 1; what runs stands in the labels.");
        let build = registry.add(IntGaugeVec::new(options, &["version", "model", "deep"]));
        let model = classify::Classifier::embedded().model_version().to_owned();
        let deep = if cfg!(feature = "deep") { "true" } else { "false" };
        build.with_label_values(&[crate::cli::VERSION, &model, deep]).set(1);
        registry
    }

    #[cfg(target_os = "linux")]
    fn add_process(&self) {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.describe("", &process);
        if let Err(error) = self.process.register(Box::new(process)) {
            unreachable!("it is the only one there: {error}");
        }
    }

    /// Registers a metric of ours.
    ///
    /// # Panics
    /// If the name is taken or no name: names are constants that tests register.
    pub(crate) fn add<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.unwrap_or_else(|error| unreachable!("metrics are constants: {error}"));
        self.describe("sinyal_", &metric);
        if let Err(error) = self.ours.register(Box::new(metric.clone())) {
            unreachable!("metrics have different names: {error}");
        }
        metric
    }

    /// All that were registered, by name.
    #[cfg(test)]
    pub(crate) fn described(&self) -> Vec<Described> {
        let mut described = self.described.lock().map(|described| described.clone()).unwrap_or_default();
        described.sort();
        described
    }

    /// All that have a value.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.ours.gather();
        families.extend(self.process.gather());
        families
    }

    fn describe(&self, prefix: &str, collector: &dyn Collector) {
        let Ok(mut described) = self.described.lock() else { return };
        let families = collector.collect();
        described.extend(collector.desc().into_iter().map(|desc| Described {
            name: format!("{prefix}{}", desc.fq_name),
            // A metric without a value has its type all the same.
            kind: match families.iter().find(|family| family.name() == desc.fq_name).map(MetricFamily::get_field_type) {
                Some(MetricType::COUNTER) => "counter",
                Some(MetricType::HISTOGRAM) => "histogram",
                _ => "gauge",
            },
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        }));
    }
}
