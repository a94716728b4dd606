package id.sinyal.peer;

import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.KafkaClientSupplier;

/**
 * Makes the clients as Kafka Streams would, and remembers its consumers: only they know whether a partition is read to its end, which
 * a processor has to tell those who reckon event time.
 */
public final class Clients implements KafkaClientSupplier {
    private final Map<String, Consumer<byte[], byte[]>> byClientId = new ConcurrentHashMap<>();

    /**
     * Where a partition's task begins to read: what is committed, or the first record there may be. To be asked on its stream thread, once.
     * Not by {@code beginningOffsets}: the client then takes what it is told for the partition's end, until it has fetched from it.
     */
    public long beginning(TopicPartition partition) {
        OffsetAndMetadata committed = ofThisThread().committed(Set.of(partition)).get(partition);
        return committed == null ? 0 : committed.offset();
    }

    /**
     * Whether a partition was read to its end, and all of it came to whoever has processed up to {@code position}. To be asked on the
     * stream thread that owns it; the consumer answers by what it knows, without a request.
     */
    public boolean isAtEnd(TopicPartition partition, long position, boolean isQuiet) {
        Consumer<byte[], byte[]> consumer = ofThisThread();
        if (!consumer.assignment().contains(partition)) {
            return false;
        }
        OptionalLong lag = consumer.currentLag(partition);
        if (lag.isEmpty() || lag.getAsLong() > 0) {
            return false;
        }
        // The marks of transactions move the consumer on, and nobody is told of them.
        return isQuiet || consumer.position(partition) <= position;
    }

    private Consumer<byte[], byte[]> ofThisThread() {
        // Kafka Streams names the consumer of a stream thread so.
        String clientId = Thread.currentThread().getName() + "-consumer";
        return Objects.requireNonNull(byClientId.get(clientId), clientId);
    }

    @Override
    public Admin getAdmin(Map<String, Object> config) {
        return Admin.create(config);
    }

    @Override
    public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    @Override
    public Consumer<byte[], byte[]> getConsumer(Map<String, Object> config) {
        Consumer<byte[], byte[]> consumer = plain(config);
        byClientId.put((String) config.get(ConsumerConfig.CLIENT_ID_CONFIG), consumer);
        return consumer;
    }

    @Override
    public Consumer<byte[], byte[]> getRestoreConsumer(Map<String, Object> config) {
        return plain(config);
    }

    @Override
    public Consumer<byte[], byte[]> getGlobalConsumer(Map<String, Object> config) {
        return plain(config);
    }

    private static Consumer<byte[], byte[]> plain(Map<String, Object> config) {
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
