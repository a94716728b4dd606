package id.sinyal.peer.model;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** The model file that Sinyal compiles in: a row of 8-bit numbers per bucket of hashes, and a small network over their sums. */
public final class Model {
    public static final int WIDTH = 32;
    public static final int LABELS = 5;
    public static final int LANGUAGES = 4;
    public static final int HEADS = LABELS + LANGUAGES;
    public static final int FILTERS = 24;
    public static final int TAPS = 3;
    static final int BUCKET_BITS = 17;
    private static final int BUCKETS = 1 << BUCKET_BITS;
    private static final int FORMAT = 2;

    /** Numbers of a row in one {@code long}, 16 bits for each. */
    static final int LANES = 4;
    static final int ROW = WIDTH / LANES;
    /** What every number in {@link #rows} has been raised by, so that none is negative and no sum borrows from its neighbour. */
    static final int RAISED_BY = 128;
    /**
     * {@code rows[bucket * ROW + number / LANES]}: four numbers are added by one instruction. A word has 256 features at most, so sums stay
     * below 16 bits.
     */
    final long[] rows = new long[BUCKETS * ROW];
    final float[] scales = new float[WIDTH];
    final float temperature;
    final float[] thresholds = new float[LABELS];
    final float[] biases = new float[HEADS];
    /**
     * {@code filters[tap * WIDTH + number][filter]}: arrays of their own, since the JIT makes vector instructions of a loop over several
     * arrays only where all have the same index.
     */
    final float[][] filters = new float[TAPS * WIDTH][FILTERS];
    final float[] filterBiases = new float[FILTERS];
    /** How much the most that a filter found anywhere adds to each label: {@code [label * FILTERS + filter]}. */
    final float[] byMost = new float[LABELS * FILTERS];
    /** How much what it found on the whole adds. */
    final float[] byWhole = new float[LABELS * FILTERS];
    /** The name in records. */
    public final byte[] version;

    private Model(ByteBuffer file) {
        file.order(ByteOrder.LITTLE_ENDIAN);
        byte[] magic = new byte[8];
        file.get(magic);
        if (!new String(magic, StandardCharsets.ISO_8859_1).equals("sinyal\0f") || file.getInt() != FORMAT
            || file.getInt() != BUCKETS) {
            throw new IllegalArgumentException("not a fast-tier model of format " + FORMAT);
        }
        read(file, scales);
        temperature = file.getFloat();
        read(file, thresholds);
        read(file, biases);
        for (float[] weights : filters) {
            read(file, weights);
        }
        read(file, filterBiases);
        read(file, byMost);
        read(file, byWhole);
        for (int at = 0; at < BUCKETS * WIDTH; at++) {
            rows[at / LANES] |= (long) (file.get() + RAISED_BY) << 16 * (at % LANES);
        }
        long checksum = file.getLong();
        version = String.format("fast-%d+%08x", FORMAT, checksum >>> 32).getBytes(StandardCharsets.UTF_8);
    }

    /** The file on the class path. */
    public static Model load() {
        try (InputStream file = Model.class.getResourceAsStream("/models/fast.bin")) {
            return new Model(ByteBuffer.wrap(file.readAllBytes()));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static void read(ByteBuffer file, float[] into) {
        for (int at = 0; at < into.length; at++) {
            into[at] = file.getFloat();
        }
    }
}
