package id.sinyal.peer;

import id.sinyal.peer.community.Source;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** The same job as Sinyal's classify and community roles, in Kafka Streams. */
public final class Peer {
    private Peer() {}

    /** Runs until it is told to end (SIGTERM), or a thread of it fails. */
    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.of(arguments);
        Clients clients = new Clients();
        Topology topology = PeerTopology.of(settings, clients, sources(settings));
        KafkaStreams streams = new KafkaStreams(topology, new StreamsConfig(properties(settings)), clients);
        CountDownLatch ended = new CountDownLatch(1);
        boolean[] failed = {false};
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            failed[0] = true;
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> System.err.println("state " + now));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
        ended.await();
        System.exit(failed[0] ? 1 : 0);
    }

    /** Every partition of the raw topics: event time waits for each of them. */
    private static List<Source> sources(Settings settings) throws Exception {
        List<Source> sources = new ArrayList<>();
        Properties properties = new Properties();
        properties.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrap);
        try (Admin admin = Admin.create(properties)) {
            List<String> names = List.of(settings.posts, settings.comments);
            for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get().values()) {
                for (int partition = 0; partition < topic.partitions().size(); partition++) {
                    sources.add(new Source(topic.name(), partition));
                }
            }
        }
        return sources;
    }

    private static Properties properties(Settings settings) {
        Properties ours = new Properties();
        ours.put(StreamsConfig.APPLICATION_ID_CONFIG, settings.application);
        ours.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrap);
        ours.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        ours.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, settings.commitIntervalMs);
        ours.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, settings.threads);
        ours.put(StreamsConfig.STATE_DIR_CONFIG, settings.stateFolder.toString());
        ours.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, settings.cacheBytes);
        // Event time is reckoned by source: a task need not wait for one topic before it reads the other.
        ours.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, -1L);
        ours.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, BoundedRocks.class);
        ours.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        ours.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        // The C library's is 1 MB and takes room as it fills; Java's takes all of it for each partition at once.
        ours.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), settings.batchBytes);
        ours.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 10_000);
        ours.put(StreamsConfig.producerPrefix(ProducerConfig.MAX_REQUEST_SIZE_CONFIG), (1 << 20) + 65_536);
        ours.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 30_000);
        ours.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG), 100);
        ours.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        ours.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4_000);
        if (!settings.instance.isEmpty()) {
            ours.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), settings.instance);
        }
        ours.putAll(settings.streams);
        return ours;
    }
}
