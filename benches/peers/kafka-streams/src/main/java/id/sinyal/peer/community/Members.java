package id.sinyal.peer.community;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Everybody who was seen in a community and is remembered. */
final class Members {
    static final class Member {
        final MemberKey key;
        final int id;
        /** The earliest time that is known of, to the slice. */
        long firstSeen;
        /** The end of the last slice that left by age with an interaction of theirs. */
        long lastLeft = Long.MIN_VALUE;
        /** Interactions in the slices. */
        long counted;
        /** The last pane in which they were met. */
        int metIn;
        boolean changed;

        Member(MemberKey key, int id, long firstSeen) {
            this.key = key;
            this.id = id;
            this.firstSeen = firstSeen;
        }

        long lastActive() {
            return lastLeft == Long.MIN_VALUE ? firstSeen : lastLeft;
        }
    }

    private final Map<MemberKey, Member> byKey = new HashMap<>();
    private final List<Member> byId = new ArrayList<>();
    private final List<Integer> free = new ArrayList<>();
    /** Those of whom the store does not know what is known here; also such as are gone. */
    final List<Member> changed = new ArrayList<>();
    private int panes;

    int size() {
        return byKey.size();
    }

    Member find(MemberKey key) {
        return byKey.get(key);
    }

    Member byId(int id) {
        return byId.get(id);
    }

    boolean isKnown(Member member) {
        return byKey.get(member.key) == member;
    }

    Member add(MemberKey key, long firstSeen) {
        int id = free.isEmpty() ? byId.size() : free.remove(free.size() - 1);
        Member member = new Member(key, id, firstSeen);
        if (id == byId.size()) {
            byId.add(member);
        } else {
            byId.set(id, member);
        }
        byKey.put(key, member);
        return member;
    }

    void remove(Member member) {
        byKey.remove(member.key);
        free.add(member.id);
        mark(member);
    }

    void mark(Member member) {
        if (!member.changed) {
            member.changed = true;
            changed.add(member);
        }
    }

    /** A slice left by age, at this end. */
    void age(Tally left, long end) {
        int size = left.settle();
        for (int at = 0; at < size; at++) {
            Member member = byId.get(Tally.key(left.entry(at)));
            member.counted -= Tally.times(left.entry(at));
            member.lastLeft = Math.max(member.lastLeft, end);
            if (member.counted == 0) {
                mark(member);
            }
        }
    }

    /** Forgets those who were last active before this time. */
    void forget(long before) {
        for (Member member : List.copyOf(byKey.values())) {
            if (member.counted == 0 && member.lastActive() < before) {
                remove(member);
            }
        }
    }

    /** The number of the pane in which members are met next. */
    int nextPane() {
        return ++panes;
    }
}
