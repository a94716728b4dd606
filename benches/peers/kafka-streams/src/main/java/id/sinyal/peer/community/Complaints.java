package id.sinyal.peer.community;

import java.util.TreeSet;
import org.apache.kafka.common.utils.Bytes;

/** The complaints of one community: those that wait, and those that waited until they were answered. */
final class Complaints {
    /** Of which nothing has been answered. */
    static final long NEVER = Long.MAX_VALUE;

    /** How long one waits: since when, and until when if it was answered. */
    record Waiting(long since, long until) {}

    private record Open(long since, Bytes key) implements Comparable<Open> {
        @Override
        public int compareTo(Open other) {
            int order = Long.compare(since, other.since);
            return order != 0 ? order : key.compareTo(other.key);
        }
    }

    private record Answered(long until, long since, Bytes key) implements Comparable<Answered> {
        @Override
        public int compareTo(Answered other) {
            int order = Long.compare(until, other.until);
            return order != 0 ? order : key.compareTo(other.key);
        }
    }

    private static final Bytes FIRST = Bytes.wrap(new byte[0]);

    private final TreeSet<Open> open = new TreeSet<>();
    private final TreeSet<Answered> answered = new TreeSet<>();
    /** When the oldest of those that were open as of the last question was made. */
    long oldest;

    void add(Bytes key, Waiting waiting) {
        if (waiting.until() == NEVER) {
            open.add(new Open(waiting.since(), key));
        } else {
            answered.add(new Answered(waiting.until(), waiting.since(), key));
        }
    }

    void remove(Bytes key, Waiting waiting) {
        if (waiting.until() == NEVER) {
            open.remove(new Open(waiting.since(), key));
        } else {
            answered.remove(new Answered(waiting.until(), waiting.since(), key));
        }
    }

    /** How many made within {@code [from, end)} are open as of {@code end}; {@link #oldest} is then when the oldest was made. */
    long openAsOf(long from, long end) {
        oldest = Long.MAX_VALUE;
        Open begin = open.ceiling(new Open(from, FIRST));
        long count = 0;
        if (begin != null && begin.since < end) {
            oldest = begin.since;
            // By far most lie within the longest window: what is fewer is counted.
            boolean whole = open.first().since >= from;
            count = whole ? open.size() - open.tailSet(new Open(end, FIRST)).size()
                : open.subSet(new Open(from, FIRST), new Open(end, FIRST)).size();
        }
        for (Answered later : answered.tailSet(new Answered(end, Long.MIN_VALUE, FIRST))) {
            if (later.since >= from && later.since < end) {
                count++;
                oldest = Math.min(oldest, later.since);
            }
        }
        return count;
    }

    /** Lets go of what no pane can ask for any more. */
    void prune(long endsFrom, long madeFrom) {
        while (!answered.isEmpty() && answered.first().until < endsFrom) {
            answered.pollFirst();
        }
        while (!open.isEmpty() && open.first().since < madeFrom) {
            open.pollFirst();
        }
    }
}
