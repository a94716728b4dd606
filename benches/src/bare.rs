//! The least that a role could cost: a loop of rdkafka alone, which reads the same records and writes as many records and bytes to
//! as many topics, with the same delivery and batch settings; it looks into none of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kafka_io::{Assignor, Connection, Delivery, OwnerConfig};
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use record::StageName;
use serde_json::{Value, json};

use crate::state::StateEntry;

const PATIENCE: Duration = Duration::from_secs(10);

/// A topic, and how many records of how many bytes are in it.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) topic: String,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// Reads a topic to its end, and says how large it is: keys and values of committed records.
pub(crate) fn size_of(bootstrap: &str, topic: &str) -> Result<Size> {
    let settings = settings(bootstrap, "bench-sizes")?;
    let consumer: BaseConsumer = client(&settings, settings.consumer_properties())?;
    let mut left = assign_all(&consumer, &[topic.to_owned()])?;
    let mut size = Size { topic: topic.to_owned(), records: 0, bytes: 0 };
    while left > 0 {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                size.records += 1;
                size.bytes += (message.key_len() + message.payload_len()) as u64;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => return Err(error.into()),
            None => bail!("{topic} is not read to its end"),
        }
    }
    Ok(size)
}

/// `bare-copy BOOTSTRAP RECORDS INPUT,INPUT OUTPUT:RECORDS:BYTES ...`: copies, and prints what it took.
pub(crate) fn run(arguments: &[String]) -> Result<Value> {
    let [bootstrap, records, inputs, outputs @ ..] = arguments else { bail!("bare-copy: too few arguments") };
    let records: u64 = records.parse()?;
    let inputs: Vec<String> = inputs.split(',').map(str::to_owned).collect();
    let outputs = outputs.iter().map(|output| parse(output)).collect::<Result<Vec<Size>>>()?;
    let settings = settings(bootstrap, "bench-bare")?;
    let commit_every = Duration::from_millis(settings.commit_interval_ms);
    let consumer: BaseConsumer = client(&settings, settings.consumer_properties())?;
    assign_all(&consumer, &inputs)?;
    let producer: BaseProducer = client(&settings, settings.producer_properties())?;
    producer.init_transactions(PATIENCE)?;
    let largest = outputs.iter().map(|output| output.bytes.div_ceil(output.records.max(1))).max().unwrap_or(0);
    let mut copy = Copy { producer, outputs, records, read: 0, payload: vec![0; largest as usize * 2] };
    copy.producer.begin_transaction()?;
    let (mut positions, mut committed, mut first) = (std::collections::BTreeMap::new(), Instant::now(), None);
    while copy.read < records {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                first.get_or_insert_with(Instant::now);
                copy.take(message.payload().unwrap_or_default())?;
                positions.insert((message.topic().to_owned(), message.partition()), message.offset() + 1);
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
        if committed.elapsed() >= commit_every || copy.read == records {
            committed = Instant::now();
            while copy.producer.in_flight_count() > 0 {
                look(&copy.producer);
            }
            let mut list = TopicPartitionList::new();
            for ((topic, partition), position) in &positions {
                list.add_partition_offset(topic, *partition, Offset::Offset(*position))?;
            }
            let group = consumer.group_metadata().context("a group")?;
            copy.producer.send_offsets_to_transaction(&list, &group, PATIENCE)?;
            copy.producer.commit_transaction(PATIENCE)?;
            copy.producer.begin_transaction()?;
        }
    }
    let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    Ok(json!({ "seconds": seconds, "records_per_second": records as f64 / seconds, "cpu_seconds": cpu_seconds()? }))
}

/// Writes entries of a changelog, each into its partition.
pub(crate) fn fill(bootstrap: &str, topic: &str, entries: &[StateEntry]) -> Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true").set("linger.ms", "5");
    config.set("compression.type", "lz4").set("queue.buffering.max.messages", "200000");
    let producer: BaseProducer = config.create()?;
    for (partition, key, value) in entries {
        let mut record = BaseRecord::to(topic).partition(*partition).key(key).payload(value);
        while let Err((error, refused)) = producer.send(record) {
            let KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) = error else { return Err(error.into()) };
            record = refused;
            look(&producer);
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(())
}

/// Serves deliveries as the product does: a poll that waits would spin, and the loop would look dearer than it is.
fn look(producer: &BaseProducer) {
    let in_flight = producer.in_flight_count();
    producer.poll(Duration::ZERO);
    if producer.in_flight_count() == in_flight {
        std::thread::sleep(Duration::from_micros(200));
    }
}

struct Copy {
    producer: BaseProducer,
    outputs: Vec<Size>,
    records: u64,
    read: u64,
    payload: Vec<u8>,
}

impl Copy {
    /// Writes what one record's share of every output is. The bytes are those that were read, over and over: they are as hard to
    /// compress.
    fn take(&mut self, read: &[u8]) -> Result<()> {
        self.read += 1;
        if !read.is_empty() {
            for chunk in self.payload.chunks_mut(read.len()) {
                chunk.copy_from_slice(&read[..chunk.len()]);
            }
        }
        for output in &self.outputs {
            let upto = |read: u64| (u128::from(read) * u128::from(output.records) / u128::from(self.records)) as u64;
            let bytes = (output.bytes / output.records.max(1)) as usize;
            for number in upto(self.read - 1)..upto(self.read) {
                let key = number.to_le_bytes();
                let mut record = BaseRecord::to(&output.topic)
                    .key(&key[..])
                    .payload(&self.payload[..bytes.saturating_sub(key.len())]);
                while let Err((error, refused)) = self.producer.send(record) {
                    let KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) = error else {
                        return Err(error.into());
                    };
                    record = refused;
                    look(&self.producer);
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }
}

fn parse(output: &str) -> Result<Size> {
    let mut parts = output.rsplitn(3, ':');
    let bytes = parts.next().context("bytes")?.parse()?;
    let records = parts.next().context("records")?.parse()?;
    Ok(Size { topic: parts.next().context("a topic")?.to_owned(), records, bytes })
}

/// What a role of the default configuration has, so that the loop has the same.
fn settings(bootstrap: &str, group: &str) -> Result<OwnerConfig> {
    let defaults: toml::Table = include_str!("../../crates/app/src/config/default.toml").parse()?;
    let number = |section: &str, name: &str| {
        let number = defaults[section].get(name).and_then(toml::Value::as_integer);
        number.with_context(|| format!("the defaults have no number {section}.{name}"))
    };
    let connection =
        Connection { bootstrap: bootstrap.to_owned(), client_id: "bench".to_owned(), properties: Vec::new() };
    Ok(OwnerConfig {
        connection,
        stage: StageName::Classify,
        group_id: group.to_owned(),
        group_instance_id: None,
        assignor: Assignor::CooperativeSticky,
        inputs: Vec::new(),
        outputs: Vec::new(),
        optional_outputs: Vec::new(),
        changelog: None,
        source_topics: Vec::new(),
        delivery: Delivery::ExactlyOnce {
            transactional_id: "bench-bare".to_owned(),
            transaction_timeout_ms: number("kafka", "transaction_timeout_ms")?.try_into()?,
        },
        commit_interval_ms: number("classify", "commit_interval_ms")?.try_into()?,
        prefetch_bytes: number("kafka", "prefetch_bytes")?.try_into()?,
        in_flight_bytes: number("kafka", "in_flight_bytes")?.try_into()?,
        output_bytes_max: usize::try_from(number("limits", "raw_record_bytes")?)?
            + record::limits::DEAD_LETTER_EXTRA_BYTES,
        session_timeout_ms: number("kafka", "session_timeout_ms")?.try_into()?,
    })
}

fn client<T: FromClientConfig>(settings: &OwnerConfig, properties: Vec<(&'static str, String)>) -> Result<T> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.connection.bootstrap);
    config.extend(properties.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Ok(config.create()?)
}

/// Assigns every partition of these topics from the beginning; gives how many there are.
fn assign_all(consumer: &BaseConsumer, topics: &[String]) -> Result<usize> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        }
    }
    consumer.assign(&list)?;
    Ok(list.count())
}

/// Of all threads of this process, in user and kernel, as Linux counts.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("a count of ticks");
    // Linux counts in hundredths of a second for every program.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
