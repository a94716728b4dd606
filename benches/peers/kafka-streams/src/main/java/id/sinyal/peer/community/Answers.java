package id.sinyal.peer.community;

import id.sinyal.peer.community.Complaints.Waiting;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.function.Function;
import org.apache.kafka.common.utils.Bytes;

/**
 * Whom the brand has answered, and who waits: first responses and open complaints. Nothing of it is in a store: it follows from the
 * identities.
 */
final class Answers {
    private record Reply(long at, Bytes key) implements Comparable<Reply> {
        @Override
        public int compareTo(Reply other) {
            int order = Long.compare(at, other.at);
            return order != 0 ? order : key.compareTo(other.key);
        }
    }

    /** When the first response came, and how long after. */
    private record Response(long at, long delayMs) {}

    private static final class Target {
        final TreeSet<Reply> replies = new TreeSet<>();
        Response response;

        Response first(Entry asked) {
            Reply reply = replies.ceiling(new Reply(asked.eventTime, Bytes.wrap(new byte[0])));
            return reply == null ? null : new Response(reply.at, reply.at - asked.eventTime);
        }
    }

    private final Function<Bytes, Entry> known;
    private final Map<Bytes, Target> targets = new HashMap<>();
    private final Map<Bytes, Waiting> waiting = new HashMap<>();

    /** {@code known} gives the entry of an identity, or null. */
    Answers(Function<Bytes, Entry> known) {
        this.known = known;
    }

    /** An entry came, changed or went. It is in the store already. */
    void settle(Bytes key, Community community, Entry old, Entry now, long watermark) {
        Bytes before = old == null ? null : old.replyTo();
        Bytes after = now.replyTo();
        boolean isSame = Objects.equals(before, after) && (before == null || old.eventTime == now.eventTime);
        if (!isSame) {
            if (before != null && targets.containsKey(before)) {
                targets.get(before).replies.remove(new Reply(old.eventTime, key));
            }
            if (after != null) {
                targets.computeIfAbsent(after, target -> new Target()).replies.add(new Reply(now.eventTime, key));
            }
            if (before != null) {
                respond(before, community, known.apply(before), watermark);
            }
            if (after != null && !after.equals(before)) {
                respond(after, community, known.apply(after), watermark);
            }
        }
        if (now.brand && (old == null || old.brand)) {
            return;
        }
        if (targets.containsKey(key)) {
            respond(key, community, now, watermark);
        } else {
            wait(key, community, now, Complaints.NEVER, watermark);
        }
    }

    /** The first response to one interaction may be another one now. */
    private void respond(Bytes key, Community community, Entry asked, long watermark) {
        Target target = targets.get(key);
        if (target == null) {
            return;
        }
        Response now = asked != null && asked.isCounted() && !asked.brand ? target.first(asked) : null;
        Response before = target.response;
        target.response = now;
        if (target.replies.isEmpty()) {
            targets.remove(key);
        }
        if (asked == null) {
            return;
        }
        if (!Objects.equals(before, now)) {
            if (before != null) {
                community.windows.respond(before.at, before.delayMs, -1, watermark);
            }
            if (now != null) {
                community.windows.respond(now.at, now.delayMs, 1, watermark);
            }
        }
        wait(key, community, asked, now == null ? Complaints.NEVER : now.at, watermark);
    }

    /** Whether an interaction is a complaint that waits, or waited until it was answered. */
    private void wait(Bytes key, Community community, Entry entry, long until, long watermark) {
        boolean waits = entry.isCounted() && !entry.brand && entry.label == 0;
        Waiting now = waits ? new Waiting(entry.eventTime, until) : null;
        Waiting before = waits ? waiting.put(key, now) : waiting.remove(key);
        if (Objects.equals(before, now)) {
            return;
        }
        if (before != null) {
            community.complaints.remove(key, before);
        }
        if (now != null) {
            community.complaints.add(key, now);
        }
        long after;
        long to;
        if (before != null && now != null && before.since() == now.since()) {
            after = Math.min(before.until(), now.until());
            to = Math.max(before.until(), now.until());
        } else {
            after = Math.min(before == null ? Long.MAX_VALUE : before.since(), now == null ? Long.MAX_VALUE : now.since());
            to = Math.max(before == null ? Long.MIN_VALUE : before.until(), now == null ? Long.MIN_VALUE : now.until());
        }
        community.windows.reviseEnds(after, to, watermark);
    }

    /** An identity is let go: what it was part of is not known any more. */
    void forget(Bytes key, Community community, Entry entry) {
        Bytes to = entry.replyTo();
        if (to != null && targets.containsKey(to)) {
            Target target = targets.get(to);
            target.replies.remove(new Reply(entry.eventTime, key));
            if (target.replies.isEmpty()) {
                targets.remove(to);
            }
        }
        Waiting waited = waiting.remove(key);
        if (waited != null) {
            community.complaints.remove(key, waited);
        }
    }

    /** The stores are back. First every reply is told of, */
    void recallReply(Bytes key, Entry entry) {
        Bytes to = entry.replyTo();
        if (to != null) {
            targets.computeIfAbsent(to, target -> new Target()).replies.add(new Reply(entry.eventTime, key));
        }
    }

    /** then everything that may have been answered. */
    void recallAsked(Bytes key, Community community, Entry entry) {
        if (entry.brand) {
            return;
        }
        Target target = targets.get(key);
        if (target != null && entry.isCounted()) {
            target.response = target.first(entry);
        }
        if (entry.isCounted() && entry.label == 0) {
            boolean answered = target != null && target.response != null;
            Waiting waits = new Waiting(entry.eventTime, answered ? target.response.at : Complaints.NEVER);
            waiting.put(key, waits);
            community.complaints.add(key, waits);
        }
    }
}
