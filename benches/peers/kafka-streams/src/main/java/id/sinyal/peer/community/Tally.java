package id.sinyal.peer.community;

import java.util.Arrays;

/** Numbers by key, cheap to add to: a list of (key, times) in one number each, which is sorted and summed up when it is read. */
final class Tally {
    private static final int UNSETTLED = 32;
    private static final long[] EMPTY = {};

    private long[] entries = EMPTY;
    private int size;
    private int settled;

    static int key(long entry) {
        return (int) (entry >> 32);
    }

    static int times(long entry) {
        return (int) entry;
    }

    void add(int key, int times) {
        if (size > settled && key(entries[size - 1]) == key) {
            entries[size - 1] = entry(key, times(entries[size - 1]) + times);
            return;
        }
        if (size == entries.length) {
            entries = Arrays.copyOf(entries, Math.max(2, size * 2));
        }
        entries[size++] = entry(key, times);
        if (size > 2 * settled + UNSETTLED) {
            settle();
        }
    }

    void merge(Tally other) {
        if (other.size == 0) {
            return;
        }
        int from = size;
        if (size + other.size > entries.length) {
            entries = Arrays.copyOf(entries, size + other.size);
        }
        System.arraycopy(other.entries, 0, entries, from, other.size);
        size += other.size;
        settle();
    }

    /** Brings it in order; then {@link #size} entries are there, each key once and none with 0. */
    int settle() {
        if (settled == size) {
            return size;
        }
        // By key: the times in the lower half only part equal ones.
        Arrays.sort(entries, 0, size);
        int kept = 0;
        for (int at = 0; at < size; ) {
            int key = key(entries[at]);
            int times = 0;
            while (at < size && key(entries[at]) == key) {
                times += times(entries[at++]);
            }
            if (times != 0) {
                entries[kept++] = entry(key, times);
            }
        }
        size = kept;
        settled = kept;
        return size;
    }

    /** Of a settled tally. */
    long entry(int at) {
        return entries[at];
    }

    boolean holds(int key) {
        settle();
        int low = 0;
        int high = size - 1;
        while (low <= high) {
            int middle = low + high >>> 1;
            int found = key(entries[middle]);
            if (found == key) {
                return true;
            }
            if (found < key) {
                low = middle + 1;
            } else {
                high = middle - 1;
            }
        }
        return false;
    }

    private static long entry(int key, int times) {
        return (long) key << 32 | times & 0xffffffffL;
    }
}
