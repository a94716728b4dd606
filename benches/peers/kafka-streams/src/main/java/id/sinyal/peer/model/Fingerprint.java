package id.sinyal.peer.model;

/** A 64-bit SimHash over words and pairs of words of the normalised text. */
final class Fingerprint {
    private static final long SEED = 0x517cc1b727220a95L;

    private Fingerprint() {}

    /** Writes it into the decision. */
    static void of(Normal normal, Decision decision) {
        long[] bytes = new long[8];
        int[] wide = new int[64];
        int hashes = 0;
        int sinceWiden = 0;
        long before = 0;
        byte[] text = normal.text;
        int at = 0;
        while (at < normal.length) {
            if (text[at] == ' ') {
                at++;
                continue;
            }
            long hash = SEED;
            while (at < normal.length && text[at] != ' ') {
                hash = (Long.rotateLeft(hash, 5) ^ text[at++] & 0xffL) * SEED;
            }
            add(bytes, mix(hash));
            add(bytes, mix(hash ^ Long.rotateLeft(before, 23)));
            before = hash;
            hashes += 2;
            sinceWiden += 2;
            if (sinceWiden >= 254) {
                widen(bytes, wide);
                sinceWiden = 0;
            }
        }
        widen(bytes, wide);
        long bits = 0;
        for (int bit = 0; bit < 64; bit++) {
            bits |= wide[bit] * 2 > hashes ? 1L << bit : 0;
        }
        decision.hasFingerprint = hashes > 0;
        decision.fingerprint = bits;
    }

    /** Eight counts are kept in the bytes of a number: byte {@code k} of number {@code n} counts bit {@code 8 n + k}. */
    private static void add(long[] bytes, long hash) {
        for (int at = 0; at < 8; at++) {
            long bits = (hash >>> 8 * at & 0xff) * 0x0101010101010101L & 0x8040201008040201L;
            bytes[at] += bits + 0x7f7f7f7f7f7f7f7fL >>> 7 & 0x0101010101010101L;
        }
    }

    private static void widen(long[] bytes, int[] wide) {
        for (int at = 0; at < 64; at++) {
            wide[at] += (int) (bytes[at / 8] >>> 8 * (at % 8) & 0xff);
        }
        java.util.Arrays.fill(bytes, 0);
    }

    private static long mix(long hash) {
        hash = (hash ^ hash >>> 30) * 0xbf58476d1ce4e5b9L;
        hash = (hash ^ hash >>> 27) * 0x94d049bb133111ebL;
        return hash ^ hash >>> 31;
    }
}
