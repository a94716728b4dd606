package id.sinyal.peer.community;

import java.util.Arrays;

/** The slices of one level, in order of their start. Almost always the newest is asked for. */
final class Slices {
    private Slice[] items = new Slice[4];
    private int head;
    private int tail;

    boolean isEmpty() {
        return head == tail;
    }

    Slice first() {
        return head == tail ? null : items[head];
    }

    Slice get(int at) {
        return items[at];
    }

    int end() {
        return tail;
    }

    int begin() {
        return head;
    }

    /** The place of the first slice that does not begin before. */
    int from(long start) {
        if (tail > head && items[tail - 1].start < start) {
            return tail;
        }
        int low = head;
        int high = tail;
        while (low < high) {
            int middle = low + high >>> 1;
            if (items[middle].start < start) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    Slice find(long start) {
        if (tail > head && items[tail - 1].start == start) {
            return items[tail - 1];
        }
        int at = from(start);
        return at < tail && items[at].start == start ? items[at] : null;
    }

    void add(Slice slice) {
        if (tail == items.length) {
            int count = tail - head;
            items = Arrays.copyOfRange(items, head, head + Math.max(4, count * 2));
            head = 0;
            tail = count;
        }
        int at = from(slice.start);
        System.arraycopy(items, at, items, at + 1, tail - at);
        items[at] = slice;
        tail++;
    }

    Slice removeFirst() {
        Slice first = items[head];
        items[head++] = null;
        return first;
    }
}
