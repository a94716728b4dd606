//! Kafka's own partitioner for keyed records.

/// The partition that Kafka's default partitioner gives a key: positive murmur2 of its bytes modulo the partition count.
///
/// Source: `org.apache.kafka.clients.producer.internals.BuiltInPartitioner#partitionForKey`.
///
/// # Panics
/// If `partitions` is not positive: a topic has at least one.
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    const SEED: u32 = 0x9747_b28c;
    (murmur2::murmur2(key, SEED) & 0x7fff_ffff) as i32 % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes from Apache Kafka's own `UtilsTest#testMurmur2`.
    #[test]
    fn hashes_as_kafka_does() {
        for (key, hash) in [
            ("21", -973932308_i32),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ] {
            let positive = hash & 0x7fff_ffff;
            for partitions in [1, 3, 7, 8, 1_000] {
                assert_eq!(partition_for_key(key.as_bytes(), partitions), positive % partitions, "{key}");
            }
        }
    }
}
