package id.sinyal.peer.model;

/** The words of a normalised text, and the buckets of each. Hashes are FNV-1a with a final mix, as the model was trained with. */
final class Words {
    private static final int WORDS_MAX = 512;
    private static final int WORD_BYTES_MAX = 56;
    private static final int BUCKETS_PER_WORD = 256;
    private static final int NEGATION_REACH = 3;
    private static final long OFFSET = 0xcbf29ce484222325L;
    private static final long PRIME = 0x100000001b3L;
    private static final long MIX = 0x9e3779b97f4a7c15L;
    private static final long WORD = OFFSET ^ 0x57;
    private static final long NGRAM = OFFSET ^ 0x4e4e4e;
    private static final long PAIR = OFFSET ^ 0x5050;
    private static final long SKIPPING_PAIR = OFFSET ^ 0x515151;
    private static final long NEGATED = OFFSET ^ 0x4e45;
    private static final long ELONGATED = OFFSET ^ 0xe1;
    private static final long FIRST = OFFSET ^ 0xf1;
    private static final long LAST = OFFSET ^ 0xf2;
    private static final long SECOND = OFFSET ^ 0xf3;
    private static final long LENGTH = OFFSET ^ 0x1e00;
    private static final long HASH_USER = hash("@user");
    private static final long HASH_NUM = hash("num");
    private static final long HASH_URL = hash("url");
    private static final long HASH_EMAIL = hash("email");
    private static final HashSetOfLongs NEGATIONS = HashSetOfLongs.of(WordLists.NEGATIONS);
    private static final HashSetOfLongs FOREIGN = HashSetOfLongs.of(WordLists.FOREIGN);

    int count;
    private final int[] starts = new int[WORDS_MAX];
    private final int[] ends = new int[WORDS_MAX];
    private final long[] hashes = new long[WORDS_MAX];
    private final boolean[] negated = new boolean[WORDS_MAX];
    /** It stands for something of a kind, a number, a link, a member: how it is written says nothing. */
    private final boolean[] standsFor = new boolean[WORDS_MAX];
    /** Of the word that was asked for last. */
    final int[] buckets = new int[BUCKETS_PER_WORD];
    int bucketCount;

    /** Who is mentioned makes no label: mentions are left out, but for the first of a text of nothing else. */
    void fill(Normal normal) {
        count = 0;
        byte[] text = normal.text;
        int length = normal.length;
        int inScope = 0;
        int mentionStart = -1;
        int mentionEnd = 0;
        int start = 1;
        while (start < length && count < WORDS_MAX) {
            int end = start;
            long hash = WORD;
            boolean number = true;
            while (end < length && text[end] != ' ') {
                byte next = text[end++];
                hash = step(hash, next);
                number &= next == '0';
            }
            if (end - start > 1 && text[start] == '@') {
                if (mentionStart < 0) {
                    mentionStart = start;
                    mentionEnd = end;
                }
            } else if (end > start) {
                boolean kind = number || hash == HASH_NUM || hash == HASH_URL || hash == HASH_EMAIL;
                add(start, end, number ? HASH_NUM : hash, inScope > 0, kind);
                inScope = NEGATIONS.contains(hash) ? NEGATION_REACH : Math.max(0, inScope - 1);
            }
            start = end + 1;
        }
        if (count == 0 && mentionStart >= 0) {
            add(mentionStart, mentionEnd, HASH_USER, false, true);
        }
    }

    /** Whether all of it is numbers, links and mentions; true of nothing, too. */
    boolean allStandFor() {
        for (int at = 0; at < count; at++) {
            if (!standsFor[at]) {
                return false;
            }
        }
        return true;
    }

    /** Words of languages that are not served. */
    int foreign() {
        int foreign = 0;
        for (int at = 0; at < count; at++) {
            foreign += FOREIGN.contains(hashes[at]) ? 1 : 0;
        }
        return foreign;
    }

    /** Lists the buckets of one word. */
    void fillBuckets(Normal normal, int at) {
        bucketCount = 0;
        long hash = hashes[at];
        push(hash);
        if (at > 0) {
            push(PAIR ^ Long.rotateLeft(hashes[at - 1], 17) + hash);
        }
        if (at > 1) {
            push(SKIPPING_PAIR ^ Long.rotateLeft(hashes[at - 2], 17) + hash);
        }
        if (negated[at]) {
            push(NEGATED ^ hash);
        }
        if (normal.isElongated(starts[at], ends[at])) {
            push(ELONGATED);
        }
        if (at == 0) {
            push(FIRST ^ hash);
            // Twice the logarithm of the length.
            push(LENGTH * PRIME + (31 - Integer.numberOfLeadingZeros(count * count)));
        } else if (at == 1) {
            push(SECOND ^ hash);
        }
        if (at + 1 == count) {
            push(LAST ^ hash);
        }
        if (!standsFor[at]) {
            ngrams(normal, starts[at] - 1, Math.min(ends[at] + 1, normal.length));
        }
    }

    /** Of 2 to 5 bytes, of the word with the blanks around it. */
    private void ngrams(Normal normal, int from, int to) {
        byte[] text = normal.text;
        int end = Math.min(to, from + WORD_BYTES_MAX);
        for (int start = from; start < end; start++) {
            long hash = step(NGRAM, text[start]);
            int last = Math.min(end, start + 5);
            for (int at = start + 1; at < last; at++) {
                hash = step(hash, text[at]);
                push(hash);
            }
        }
    }

    private void add(int start, int end, long hash, boolean isNegated, boolean kind) {
        starts[count] = start;
        ends[count] = end;
        hashes[count] = hash;
        negated[count] = isNegated;
        standsFor[count] = kind;
        count++;
    }

    private void push(long hash) {
        if (bucketCount < BUCKETS_PER_WORD) {
            buckets[bucketCount++] = (int) ((hash ^ hash >>> 29) * MIX >>> 64 - Model.BUCKET_BITS);
        }
    }

    private static long step(long hash, byte next) {
        return (hash ^ next & 0xffL) * PRIME;
    }

    static long hash(String word) {
        long hash = WORD;
        for (byte next : word.getBytes(java.nio.charset.StandardCharsets.UTF_8)) {
            hash = step(hash, next);
        }
        return hash;
    }
}
