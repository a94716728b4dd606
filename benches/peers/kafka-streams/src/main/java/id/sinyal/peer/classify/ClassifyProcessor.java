package id.sinyal.peer.classify;

import id.sinyal.peer.Clients;
import id.sinyal.peer.Settings;
import id.sinyal.peer.model.Classifier;
import id.sinyal.peer.model.Decision;
import id.sinyal.peer.model.Model;
import id.sinyal.peer.wire.Keys;
import id.sinyal.peer.wire.Malformed;
import id.sinyal.peer.wire.Reason;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * The hot path, stateless per record: decode, validate, pseudonymise, classify, decide the queue, emit. A record that cannot be used
 * becomes a dead letter.
 */
public final class ClassifyProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    /** Names of sinks in the topology. */
    public static final String CLASSIFIED = "classified";
    public static final String DEAD_LETTERS = "dead-letters";
    private static final long UNKNOWN = -1;
    private static final long FUTURE_MS = 300_000;
    private static final Duration MARKER_INTERVAL = Duration.ofSeconds(1);
    private static final long HEARTBEAT_MS = 5_000;
    /** Most that one turn counts for: while the thread waits for brokers, nobody was silent. */
    private static final long TURN_MS_MAX = 2_000;

    private final Settings settings;
    private final Clients clients;
    private final Classifier classifier;
    private final Pseudonyms pseudonyms;
    private final Outputs outputs;
    private final RawRecord raw = new RawRecord();
    private final Outputs.Origin origin = new Outputs.Origin();
    private ProcessorContext<byte[], byte[]> context;

    /** The two raw topics, of both of which a task has the same partition. */
    private final byte[][] topics;
    private final long[] positions = {UNKNOWN, UNKNOWN};
    private final long[] largest = {Long.MIN_VALUE, Long.MIN_VALUE};
    /** For how long nothing came, as far as this task was at work meanwhile. */
    private final long[] silentMs = new long[2];
    private final boolean[] caughtUp = new boolean[2];
    private boolean changed = true;
    private long markedAt;
    private long saidAt;

    public ClassifyProcessor(Settings settings, Model model, Clients clients) {
        this.settings = settings;
        this.clients = clients;
        this.classifier = new Classifier(model);
        this.pseudonyms = new Pseudonyms(settings.secret);
        this.outputs = new Outputs(model.version);
        this.topics = new byte[][] {
            settings.posts.getBytes(StandardCharsets.UTF_8), settings.comments.getBytes(StandardCharsets.UTF_8)
        };
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        markedAt = context.currentSystemTimeMs();
        context.schedule(MARKER_INTERVAL, PunctuationType.WALL_CLOCK_TIME, this::mark);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        RecordMetadata metadata = context.recordMetadata().orElseThrow();
        boolean isComment = metadata.topic().equals(settings.comments);
        origin.now = context.currentSystemTimeMs();
        origin.partition = metadata.partition();
        origin.offset = metadata.offset();
        origin.ingestedAt = record.timestamp();
        int input = isComment ? 1 : 0;
        origin.topic = topics[input];
        long eventTime = Long.MIN_VALUE;
        try {
            raw.read(record.value(), isComment, origin.now + FUTURE_MS);
            emit(record.timestamp());
            eventTime = raw.deleted ? eventTime : raw.createdAt;
        } catch (Malformed refused) {
            bury(record, metadata, refused);
        }
        positions[input] = metadata.offset() + 1;
        largest[input] = Math.max(largest[input], eventTime);
        silentMs[input] = 0;
        changed = true;
    }

    private void emit(long timestamp) {
        boolean isBlank = raw.deleted || Classifier.isBlank(raw.bytes, raw.text);
        Decision decision = isBlank ? classifier.blank() : classifier.classify(raw.bytes, raw.text);
        Queue queue = Queue.of(raw, decision);
        if (queue != null) {
            byte[] kind = raw.isComment ? Outputs.COMMENT : Outputs.POST;
            byte[] key = Keys.identity(raw.bytes, raw.community, kind, raw.id);
            byte[] item = outputs.queueItem(raw, decision, queue, origin);
            context.forward(new Record<>(key, item, timestamp), queue.sink());
        }
        byte[] value = outputs.classified(raw, decision, queue, pseudonyms, origin);
        context.forward(new Record<>(Keys.part(raw.bytes, raw.community), value, timestamp), CLASSIFIED);
    }

    /** As it came, with where, why and what next in its headers. */
    private void bury(Record<byte[], byte[]> record, RecordMetadata metadata, Malformed refused) {
        Headers headers = new RecordHeaders(record.headers());
        Reason reason = refused.reason;
        String from = metadata.topic() + ":" + metadata.partition() + ":" + metadata.offset();
        add(headers, "sinyal.origin", from);
        add(headers, "sinyal.stage", "classify");
        add(headers, "sinyal.reason", reason.wire);
        add(headers, "sinyal.disposition", reason.disposition);
        add(headers, "sinyal.detail", refused.getMessage());
        add(headers, "sinyal.original-timestamp", Long.toString(record.timestamp()));
        context.forward(record.withHeaders(headers).withTimestamp(origin.now), DEAD_LETTERS);
    }

    private static void add(Headers headers, String name, String value) {
        headers.add(name, value.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * Says in every partition of the classified topic how far this task's sources have come, so that event time goes on where one of
     * them has nothing more to read.
     */
    private void mark(long now) {
        boolean isNew = changed;
        int partition = context.taskId().partition();
        for (int at = 0; at < 2; at++) {
            silentMs[at] += Math.min(now - markedAt, TURN_MS_MAX);
            TopicPartition source = new TopicPartition(at == 0 ? settings.posts : settings.comments, partition);
            positions[at] = positions[at] == UNKNOWN ? clients.beginning(source) : positions[at];
            boolean isAtEnd = clients.isAtEnd(source, positions[at], silentMs[at] >= settings.quietMs);
            isNew |= isAtEnd != caughtUp[at];
            caughtUp[at] = isAtEnd;
        }
        markedAt = now;
        if (!isNew && now - saidAt < HEARTBEAT_MS) {
            return;
        }
        changed = false;
        saidAt = now;
        byte[] marker = outputs.progress(now, topics, partition, positions, largest, caughtUp);
        context.forward(new Record<>(null, marker, now), CLASSIFIED);
    }
}
