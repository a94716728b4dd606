package id.sinyal.peer.community;

import java.util.Arrays;

/** How regular contact is: (1 - B) / 2 of the burstiness of the gaps between the slots of time in which there was some. */
final class Regularity {
    private Regularity() {}

    /** From 0, all in bursts, to 1, evenly spaced; NaN with fewer than three slots. */
    static double of(long[] slots, int count) {
        Arrays.sort(slots, 0, count);
        int distinct = 0;
        for (int at = 0; at < count; at++) {
            if (distinct == 0 || slots[distinct - 1] != slots[at]) {
                slots[distinct++] = slots[at];
            }
        }
        if (distinct < 3) {
            return Double.NaN;
        }
        double gaps = distinct - 1;
        double mean = (slots[distinct - 1] - slots[0]) / gaps;
        double squares = 0;
        for (int at = 1; at < distinct; at++) {
            double off = slots[at] - slots[at - 1] - mean;
            squares += off * off;
        }
        return mean / (mean + Math.sqrt(squares / gaps));
    }
}
