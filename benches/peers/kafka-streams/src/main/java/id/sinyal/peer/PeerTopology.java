package id.sinyal.peer;

import id.sinyal.peer.classify.ClassifyProcessor;
import id.sinyal.peer.community.CommunityProcessor;
import id.sinyal.peer.community.Source;
import id.sinyal.peer.model.Label;
import id.sinyal.peer.model.Model;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StreamPartitioner;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Two sub-topologies, with the classified topic between them: it is an output of its own, and what the community's side is
 * repartitioned by.
 */
final class PeerTopology {
    private final Settings settings;
    private final Clients clients;
    private final Topology topology = new Topology();

    private PeerTopology(Settings settings, Clients clients) {
        this.settings = settings;
        this.clients = clients;
    }

    /** The topology of the roles that are set; {@code sources} are all partitions of the raw topics. */
    static Topology of(Settings settings, Clients clients, List<Source> sources) {
        PeerTopology made = new PeerTopology(settings, clients);
        if (settings.roles.contains("classify")) {
            made.classify();
        }
        if (settings.roles.contains("community")) {
            made.community(sources);
        }
        return made.topology;
    }

    private void classify() {
        // Read once and shared: it does not change.
        Model model = Model.load();
        topology.addSource("raw", new ByteArrayDeserializer(), new ByteArrayDeserializer(), settings.posts, settings.comments);
        topology.addProcessor("classify", () -> new ClassifyProcessor(settings, model, clients), "raw");
        topology.addSink(ClassifyProcessor.CLASSIFIED, settings.classified, new ByteArraySerializer(),
            new ByteArraySerializer(), new MarkersEverywhere(), "classify");
        sink(ClassifyProcessor.DEAD_LETTERS, settings.deadLetters, "classify");
        List<String> queues = new ArrayList<>(List.of("review"));
        for (Label label : Label.ALL) {
            if (label != Label.OTHER) {
                queues.add(label.text);
            }
        }
        for (String queue : queues) {
            sink("queue-" + queue, settings.queuePrefix + queue, "classify");
        }
    }

    private void community(List<Source> sources) {
        topology.addSource("interactions", new ByteArrayDeserializer(), new ByteArrayDeserializer(), settings.classified);
        topology.addProcessor("community", () -> new CommunityProcessor(settings, sources), "interactions");
        // Each identity is written about once: a cache would only be a detour. Slices are written again and again.
        topology.addStateStore(store(CommunityProcessor.IDS).withCachingDisabled(), "community");
        topology.addStateStore(store(CommunityProcessor.WINDOWS).withCachingEnabled(), "community");
        sink(CommunityProcessor.METRICS, settings.metrics, "community");
    }

    private StoreBuilder<KeyValueStore<Bytes, byte[]>> store(String name) {
        KeyValueBytesStoreSupplier supplier = settings.store.equals("rocksdb")
            ? Stores.persistentKeyValueStore(name)
            : Stores.inMemoryKeyValueStore(name);
        return Stores.keyValueStoreBuilder(supplier, Serdes.Bytes(), Serdes.ByteArray()).withLoggingEnabled(Map.of());
    }

    private void sink(String name, String topic, String parent) {
        topology.addSink(name, topic, new ByteArraySerializer(), new ByteArraySerializer(), parent);
    }

    /** Markers have no key and go to every partition; all else goes where its key says, by the producer's own partitioner. */
    private static final class MarkersEverywhere implements StreamPartitioner<byte[], byte[]> {
        private Set<Integer> all = Set.of();

        @Override
        public Optional<Set<Integer>> partitions(String topic, byte[] key, byte[] value, int count) {
            if (key != null) {
                return Optional.empty();
            }
            if (all.size() != count) {
                Set<Integer> made = new TreeSet<>();
                for (int partition = 0; partition < count; partition++) {
                    made.add(partition);
                }
                all = made;
            }
            return Optional.of(all);
        }
    }
}
