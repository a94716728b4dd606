package id.sinyal.peer.community;

import id.sinyal.peer.classify.Content;

/** What is counted, as one array, which the compiler adds in few instructions. */
final class Counts {
    static final int INTERACTIONS = 0;
    static final int LABEL = 1;
    static final int DIRECTION = 6;
    static final int KIND = 12;
    static final int CONTENT = 14;
    static final int ABSTAINED = 19;
    static final int LATE = 20;
    static final int MISSED = 21;
    static final int SIZE = 22;

    private Counts() {}

    /** Counts one interaction, or takes it back. */
    static void add(int[] counts, Entry entry, int times) {
        counts[INTERACTIONS] += times;
        counts[LABEL + entry.label] += times;
        counts[DIRECTION + entry.direction] += times;
        counts[KIND + (entry.isComment ? 1 : 0)] += times;
        for (int at = 0; at < Content.ALL.length; at++) {
            counts[CONTENT + at] += (entry.content >> at & 1) * times;
        }
        counts[ABSTAINED] += entry.abstained ? times : 0;
    }

    static void add(int[] counts, int[] others) {
        for (int at = 0; at < SIZE; at++) {
            counts[at] += others[at];
        }
    }
}
