package id.sinyal.peer.community;

import id.sinyal.peer.Settings;
import id.sinyal.peer.community.CommunityWindows.Change;
import id.sinyal.peer.wire.AvroReader;
import id.sinyal.peer.wire.AvroWriter;
import id.sinyal.peer.wire.Malformed;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Identity and rolling windows of the communities of one partition. Identities are asked for in their store; the windows of the
 * communities stand decoded on the heap, and each change of them is written through to their store.
 */
public final class CommunityProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    /** Names of stores and of the sink in the topology. */
    public static final String IDS = "ids";
    public static final String WINDOWS = "windows";
    public static final String METRICS = "metrics";
    private static final long SWEEP_INTERVAL_MS = 3_600_000;
    private static final long REMEMBER_MS = 90 * 86_400_000L;
    private static final Logger LOG = LoggerFactory.getLogger(CommunityProcessor.class);

    private final Duration interval;
    private final WindowSet set;
    private final Watermark watermark;
    private final Answers answers = new Answers(this::known);
    private final ClassifiedRecord classified = new ClassifiedRecord();
    private final AvroReader reader = new AvroReader();
    private final AvroWriter writer = new AvroWriter();
    private final Rows rows = new Rows();
    private final Pane pane = new Pane();
    private final Map<Bytes, Community> communities = new HashMap<>();
    private final TreeSet<Community> due = new TreeSet<>();
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> ids;
    private Stored stored;
    /** What is older than this is dropped, never counted twice. */
    private long lowMark = Long.MIN_VALUE;
    /** No identity is older: without one below the mark there is nothing to look for. */
    private long oldest = Long.MAX_VALUE;
    private long writtenWatermark = Watermark.NONE;

    public CommunityProcessor(Settings settings, List<Source> sources) {
        interval = Duration.ofMillis(settings.commitIntervalMs);
        set = new WindowSet(settings.latenessMs);
        watermark = new Watermark(sources, settings.disorderMs, settings.holdMs);
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        ids = context.getStateStore(IDS);
        KeyValueStore<Bytes, byte[]> windows = context.getStateStore(WINDOWS);
        stored = new Stored(windows);
        recall(windows);
        // Panes go out as often as Sinyal's do: once per commit.
        context.schedule(interval, PunctuationType.WALL_CLOCK_TIME, this::punctuate);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        try {
            Entry entry = classified.read(record.value());
            if (classified.isMarker) {
                progress(context.currentSystemTimeMs());
            } else {
                interaction(entry);
            }
        } catch (Malformed refused) {
            // The topic is ours alone: whoever finds this has another problem than a dead letter.
            LOG.warn("a record of the classified topic cannot be used: {}", refused.getMessage());
        }
    }

    private void progress(long now) throws Malformed {
        AvroReader in = classified.reader;
        long at = in.readLong();
        for (long left = in.readBlock(); left > 0; left = in.readBlock()) {
            for (; left > 0; left--) {
                long topic = in.readSpan();
                int partition = in.readInt();
                long position = in.readLong();
                long largest = in.readPresent() ? in.readLong() : Watermark.NONE;
                boolean caughtUp = in.readBoolean();
                if (in.readPresent()) {
                    in.readLong();
                }
                watermark.heardProgress(in.bytes, topic, partition, position, largest, caughtUp, at, now);
            }
        }
    }

    private void interaction(Entry entry) {
        long eventTime = entry.deleted ? Watermark.NONE : entry.eventTime;
        watermark.heard(classified.bytes, classified.originTopic, classified.originPartition, classified.originOffset, eventTime);
        Bytes key = classified.identity();
        Entry old = known(key);
        if (old == null && entry.eventTime < lowMark) {
            return;
        }
        Community community = community(classified.communityKey());
        if (old == null) {
            unknown(key, community, entry);
        } else {
            known(key, community, old, entry);
        }
        stored.write(community);
        schedule(community);
    }

    private void unknown(Bytes key, Community community, Entry entry) {
        if (!entry.deleted) {
            count(community, entry, Change.ADD);
        }
        settle(key, community, null, entry);
    }

    private void known(Bytes key, Community community, Entry old, Entry entry) {
        int order = entry.compareVersion(old);
        // On a tie a retraction wins, whichever of the two comes first.
        if (order < 0 || order == 0 && old.deleted && !entry.deleted) {
            return;
        }
        if (entry.deleted) {
            // It says nothing of the event time that it takes back: the known one stays.
            entry.eventTime = old.eventTime;
            entry.brand = old.brand;
            entry.author = old.author;
            entry.answers = old.answers;
            entry.counted = false;
            if (old.deleted) {
                renew(key, old, entry);
                return;
            }
            retract(community, old);
            settle(key, community, old, entry);
            return;
        }
        entry.counted = old.counted;
        if (entry.isSame(old)) {
            renew(key, old, entry);
            return;
        }
        if (!old.deleted) {
            retract(community, old);
        }
        count(community, entry, old.isCounted() ? Change.RESTATE : Change.ADD);
        settle(key, community, old, entry);
    }

    /** The same again: only its version may be newer. */
    private void renew(Bytes key, Entry old, Entry entry) {
        if (entry.compareVersion(old) > 0) {
            old.changedAt = entry.changedAt;
            old.observedAt = entry.observedAt;
            ids.put(key, old.toBytes(writer));
        }
    }

    private void count(Community community, Entry entry, Change change) {
        entry.counted = community.windows.apply(entry, change, watermark.value()) != CommunityWindows.LATE;
    }

    private void retract(Community community, Entry old) {
        if (old.counted) {
            community.windows.apply(old, Change.RETRACT, watermark.value());
        }
    }

    private void settle(Bytes key, Community community, Entry old, Entry entry) {
        oldest = Math.min(oldest, entry.eventTime);
        ids.put(key, entry.toBytes(writer));
        answers.settle(key, community, old, entry, watermark.value());
    }

    private Entry known(Bytes key) {
        byte[] value = ids.get(key);
        return value == null ? null : Entry.of(value, reader);
    }

    private Community community(Bytes key) {
        Community community = communities.get(key);
        if (community == null) {
            byte[] id = Stored.idOf(key);
            community = new Community(key, id, Stored.topicKeyOf(id), set);
            communities.put(key, community);
        }
        return community;
    }

    private void schedule(Community community) {
        long next = community.windows.nextDue();
        if (next == community.scheduled) {
            return;
        }
        due.remove(community);
        community.scheduled = next;
        if (next != Long.MAX_VALUE) {
            due.add(community);
        }
    }

    /** Emits what is due. What it emits and how far event time has come are in one transaction. */
    private void punctuate(long now) {
        watermark.advance(now);
        long at = watermark.value();
        if (at == Watermark.NONE || at == writtenWatermark && (due.isEmpty() || due.first().scheduled > at)) {
            return;
        }
        double completeness = watermark.completeness();
        while (!due.isEmpty() && due.first().scheduled <= at) {
            Community community = due.first();
            community.windows.emit(at, pane, pane -> emit(community, pane, at, now, completeness));
            long endsFrom = at - set.latenessMaxMs;
            community.complaints.prune(endsFrom, endsFrom - WindowSet.LENGTH_MS[WindowSet.COUNT - 1]);
            stored.write(community);
            schedule(community);
        }
        long mark = at - set.horizonMs();
        if (lowMark == Long.MIN_VALUE || mark - lowMark >= SWEEP_INTERVAL_MS) {
            lowMark = mark;
            sweep(at);
        }
        stored.writeProgress(watermark, lowMark);
        writtenWatermark = at;
    }

    private void emit(Community community, Pane pane, long at, long now, double completeness) {
        byte[] row = rows.row(community, pane, at, now, lowMark, completeness);
        context.forward(new Record<>(Rows.key(community, pane), row, now), METRICS);
    }

    /** Lets go of identities that no window reaches any more, of members who were not active for long, and of what is left empty. */
    private void sweep(long at) {
        if (oldest < lowMark) {
            oldest = Long.MAX_VALUE;
            each((key, entry) -> {
                if (entry.eventTime < lowMark) {
                    answers.forget(key, community(Stored.communityOf(key)), entry);
                    ids.delete(key);
                } else {
                    oldest = Math.min(oldest, entry.eventTime);
                }
            });
        }
        for (Community community : List.copyOf(communities.values())) {
            community.windows.members.forget(Math.min(at - REMEMBER_MS, lowMark));
            stored.write(community);
            if (community.windows.isIdle()) {
                due.remove(community);
                communities.remove(community.key);
            }
        }
    }

    /** After a restore: the windows from their store, and what follows from the identities. */
    private void recall(KeyValueStore<Bytes, byte[]> windows) {
        try (KeyValueIterator<Bytes, byte[]> all = windows.all()) {
            while (all.hasNext()) {
                KeyValue<Bytes, byte[]> next = all.next();
                if (next.key.equals(Stored.PROGRESS)) {
                    lowMark = stored.readProgress(watermark, next.value);
                    writtenWatermark = watermark.value();
                    continue;
                }
                Bytes community = Stored.communityOf(next.key);
                ByteBuffer rest = ByteBuffer.wrap(next.key.get()).position(community.get().length);
                stored.read(community(community), rest, next.value);
            }
        }
        communities.values().forEach(community -> community.windows.restored(watermark.value()));
        each((key, entry) -> {
            oldest = Math.min(oldest, entry.eventTime);
            answers.recallReply(key, entry);
            if (entry.isCounted()) {
                community(Stored.communityOf(key)).windows.recall(entry);
            }
        });
        each((key, entry) -> answers.recallAsked(key, community(Stored.communityOf(key)), entry));
        communities.values().forEach(this::schedule);
    }

    private void each(java.util.function.BiConsumer<Bytes, Entry> see) {
        try (KeyValueIterator<Bytes, byte[]> all = ids.all()) {
            while (all.hasNext()) {
                KeyValue<Bytes, byte[]> next = all.next();
                see.accept(next.key, Entry.of(next.value, reader));
            }
        }
    }
}
