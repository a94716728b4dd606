package id.sinyal.peer.community;

import id.sinyal.peer.wire.AvroReader;
import id.sinyal.peer.wire.AvroWriter;
import id.sinyal.peer.wire.Malformed;
import id.sinyal.peer.wire.Span;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * How far event time has come: the least of the sources that are not idle, and never going back. Kafka Streams' own stream time is
 * the largest of what a partition has shown, which is too much where many raw partitions, read at different paces, flow into one.
 */
final class Watermark {
    static final long NONE = Long.MIN_VALUE;
    private static final long IDLE_WORD_MS = 10_000;
    private static final long TURN_MS_MAX = 2_000;

    private static final class Known {
        final byte[] topic;
        final int partition;
        long position;
        long largest = NONE;
        boolean caughtUp;
        long heardAt;
        long idleAt = NONE;

        Known(byte[] topic, int partition) {
            this.topic = topic;
            this.partition = partition;
        }
    }

    private final long disorderMs;
    private final long holdMs;
    private final List<Known> sources = new ArrayList<>();
    private long value = NONE;
    private long idleSince = NONE;
    private long idleFrom;
    private long listenedMs;
    private long clock = NONE;
    private Known last;

    Watermark(List<Source> sources, long disorderMs, long holdMs) {
        this.disorderMs = disorderMs;
        this.holdMs = holdMs;
        for (Source source : sources) {
            this.sources.add(new Known(source.topic().getBytes(StandardCharsets.UTF_8), source.partition()));
        }
        last = this.sources.isEmpty() ? null : this.sources.get(0);
    }

    /** Where event time stands; {@link #NONE} before the first. */
    long value() {
        return value;
    }

    /** The share of sources that event time does not go on without. */
    double completeness() {
        int left = 0;
        for (Known source : sources) {
            left += listenedMs - source.heardAt > holdMs ? 1 : 0;
        }
        return sources.isEmpty() ? 1 : (sources.size() - left) / (double) sources.size();
    }

    /** A record of a source was read; a retraction says nothing of event time. */
    void heard(byte[] bytes, long topic, int partition, long offset, long eventTime) {
        Known source = find(bytes, topic, partition);
        if (source == null) {
            return;
        }
        source.position = offset + 1;
        source.caughtUp = false;
        source.largest = Math.max(source.largest, eventTime);
        source.heardAt = listenedMs;
    }

    /** A marker was read: where a source stands. */
    void heardProgress(byte[] bytes, long topic, int partition, long position, long largest, boolean caughtUp, long at, long now) {
        Known source = find(bytes, topic, partition);
        if (source == null) {
            return;
        }
        if (caughtUp || source.caughtUp || source.position != position) {
            source.heardAt = listenedMs;
        }
        source.position = position;
        source.caughtUp = caughtUp;
        source.largest = Math.max(source.largest, largest);
        source.idleAt = caughtUp ? Math.min(at, now) : NONE;
    }

    /** Takes in what was heard, and the wall clock. */
    void advance(long now) {
        long turn = clock == NONE ? 0 : now - clock;
        listenedMs += Math.max(0, Math.min(turn, TURN_MS_MAX));
        clock = now;
        long least = Long.MAX_VALUE;
        long largest = NONE;
        long idleAt = Long.MAX_VALUE;
        boolean working = false;
        boolean held = false;
        for (Known source : sources) {
            largest = Math.max(largest, source.largest);
            long silent = listenedMs - source.heardAt;
            if (silent > holdMs) {
                continue;
            }
            if (!source.caughtUp) {
                working = true;
                held |= source.largest == NONE;
                least = source.largest == NONE ? least : Math.min(least, source.largest);
            } else if (source.idleAt != NONE && silent <= IDLE_WORD_MS) {
                idleAt = Math.min(idleAt, source.idleAt + silent);
            } else {
                held = true;
            }
        }
        if (working) {
            idleSince = NONE;
        }
        if (held) {
            return;
        }
        if (working) {
            value = Math.max(value, least - disorderMs);
        } else if (idleAt != Long.MAX_VALUE) {
            goOnIdle(largest, Math.min(idleAt, now));
        }
    }

    /** All are idle: event time goes on at the pace of the wall clock from where it stood. */
    private void goOnIdle(long largest, long idleAt) {
        if (idleSince != NONE) {
            value = Math.max(value, idleFrom + Math.max(0, idleAt - idleSince));
        }
        long readTo = largest == NONE ? NONE : largest - disorderMs;
        if (idleSince == NONE || readTo > value) {
            value = Math.max(value, readTo);
            idleSince = value == NONE ? NONE : idleAt;
            idleFrom = value;
        }
    }

    private Known find(byte[] bytes, long topic, int partition) {
        if (last != null && last.partition == partition && Span.holds(bytes, topic, last.topic)) {
            return last;
        }
        for (Known source : sources) {
            if (source.partition == partition && Span.holds(bytes, topic, source.topic)) {
                last = source;
                return source;
            }
        }
        return null;
    }

    /** For the store. */
    void write(AvroWriter out) {
        out.writeLong(value).writeLong(sources.size());
        for (Known source : sources) {
            out.writeString(source.topic).writeLong(source.partition).writeLong(source.position).writeLong(source.largest);
            out.writeBoolean(source.caughtUp);
        }
    }

    /** Back from the store. */
    void read(AvroReader in) throws Malformed {
        value = in.readLong();
        for (long left = in.readLong(); left > 0; left--) {
            Known source = find(in.bytes, in.readSpan(), in.readInt());
            long position = in.readLong();
            long largest = in.readLong();
            boolean caughtUp = in.readBoolean();
            if (source != null) {
                source.position = position;
                source.largest = largest;
                source.caughtUp = caughtUp;
            }
        }
    }
}
